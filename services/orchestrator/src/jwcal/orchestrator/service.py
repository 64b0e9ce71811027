"""The orchestrator put together: servicers over a store, and what runs beside them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import grpc

from jwcal.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from jwcal.api.queue.v1 import queue_pb2_grpc
from jwcal.core.rpc.principal import Principal, current_principal
from jwcal.core.rpc.traces import Tracing
from jwcal.core.storage.ref import Location
from jwcal.orchestrator import convert
from jwcal.orchestrator.contexts import Contexts
from jwcal.orchestrator.observation import Observation
from jwcal.orchestrator.pipeline_servicer import Context, PipelineServicer, caller_trace
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
    watching: RunWatching[pipeline_pb2.Run | pipeline_pb2.Job]
    signal: WorkSignal

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve both."""
        pipeline_pb2_grpc.add_PipelineServiceServicer_to_server(self.pipeline, server)
        queue_pb2_grpc.add_QueueServiceServicer_to_server(self.queue, server)

    async def end_waiting(self, draining: asyncio.Event) -> None:
        """Answer workers that wait for a job once the server drains; they ask another replica then."""
        await draining.wait()
        self.signal.end()


@contextlib.asynccontextmanager
async def orchestrating(
    store: JobStore,
    settings: Settings,
    inputs: Inputs,
    contexts: Contexts,
    *,
    observation: Observation,
    tracing: Tracing | None = None,
    principal: Callable[[], Principal] = current_principal,
) -> AsyncIterator[Orchestrator]:
    """The services, with lease expiry, retention and the polls for those who wait running beside them."""
    signal, stats = WorkSignal(store), StatsFeed(store)
    watching: RunWatching[pipeline_pb2.Run | pipeline_pb2.Job] = RunWatching(
        store, of_run=convert.run_message, of_job=convert.job_message
    )

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
        contexts=contexts,
    )

    def trace(context: Context) -> Mapping[str, str]:
        return tracing.carrier() if tracing else caller_trace(context)

    async def measure() -> None:
        observation.show(await store.stats())

    pipeline = PipelineServicer(store, submission, watching, changed=changed, principal=principal, trace=trace)
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
        _every(settings.measure_interval, measure),
    ]
    tasks = [asyncio.create_task(work) for work in beside]
    try:
        yield Orchestrator(pipeline, queue, watching, signal)
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
