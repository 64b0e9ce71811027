"""The orchestrator put together: servicers over a store, and what runs beside them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import grpc

from jwcal.api.pipeline.v1 import pipeline_pb2_grpc
from jwcal.api.queue.v1 import queue_pb2_grpc
from jwcal.orchestrator.model import Location
from jwcal.orchestrator.pipeline_servicer import Context, PipelineServicer
from jwcal.orchestrator.pulse import StatsFeed, WorkSignal
from jwcal.orchestrator.queue_servicer import QueueServicer
from jwcal.orchestrator.settings import Settings
from jwcal.orchestrator.store.port import JobStore
from jwcal.orchestrator.submission import Inputs, Submission
from jwcal.orchestrator.watching import RunWatching

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """The two services, ready to be added to a server."""

    pipeline: PipelineServicer
    queue: QueueServicer
    watching: RunWatching

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve both."""
        pipeline_pb2_grpc.add_PipelineServiceServicer_to_server(self.pipeline, server)
        queue_pb2_grpc.add_QueueServiceServicer_to_server(self.queue, server)


@contextlib.asynccontextmanager
async def orchestrating(
    store: JobStore, settings: Settings, inputs: Inputs, *, owner: Callable[[Context], str]
) -> AsyncIterator[Orchestrator]:
    """The services, with lease expiry, retention and the polls for those who wait running beside them."""
    signal, stats, watching = WorkSignal(store), StatsFeed(store), RunWatching(store)

    def changed() -> None:
        for waited_for in (signal, stats, watching):
            waited_for.changed()

    async def expire() -> None:
        if await store.expire_leases():
            changed()

    async def forget() -> None:
        await store.forget_old(runs_after=settings.keep_runs, workers_after=settings.keep_workers)

    submission = Submission(
        store=store,
        inputs=inputs,
        buckets=settings.buckets,
        output=Location(bucket=settings.output_bucket, prefix=settings.output_prefix),
        context=settings.context,
        builds=settings.builds,
    )
    pipeline = PipelineServicer(store, submission, watching, changed=changed, owner=owner)
    queue = QueueServicer(
        store,
        signal,
        stats,
        changed=changed,
        lease_duration=settings.lease_duration,
        heartbeat=settings.heartbeat,
    )
    beside = [
        signal.run(),
        stats.run(),
        watching.run(),
        _every(settings.sweep_interval, expire),
        _every(settings.retention_interval, forget),
    ]
    tasks = [asyncio.create_task(work) for work in beside]
    try:
        yield Orchestrator(pipeline, queue, watching)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _every(interval: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(interval)
        try:
            await work()
        except Exception:  # the database is away: the next time tries again
            _LOG.exception("work beside the services failed")
