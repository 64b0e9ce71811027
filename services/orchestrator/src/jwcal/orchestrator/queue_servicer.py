"""QueueService: convert, call, convert; and the long poll for jobs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc

from jwcal.api.queue.v1 import queue_pb2, queue_pb2_grpc
from jwcal.core.errors import InvalidRequest
from jwcal.core.storage.convert import ref_from_proto
from jwcal.orchestrator import convert, names
from jwcal.orchestrator.model import Stage, StageStats
from jwcal.orchestrator.pulse import StatsFeed, WorkSignal
from jwcal.orchestrator.store.port import Demand, JobStore
from jwcal.orchestrator.submission import check_text

Context = grpc.aio.ServicerContext[Any, Any]
_LONGEST_WAIT = 30.0
_MOST_REFERENCES = 1000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
"""Seconds before a worker that was woken in vain looks again: jobs that are ready may not be for it, by their need of
memory or their program's quota."""


class QueueServicer(queue_pb2_grpc.QueueServiceServicer):
    """Leases, as workers and the operator see the queue."""

    def __init__(
        self,
        store: JobStore,
        signal: WorkSignal,
        stats: StatsFeed,
        *,
        changed: Callable[[], None],
        lease_duration: float,
        heartbeat: float,
    ) -> None:
        self._store = store
        self._signal = signal
        self._stats = stats
        self._changed = changed
        self._lease_duration = lease_duration
        self._heartbeat = heartbeat

    async def LeaseJob(self, request: queue_pb2.LeaseJobRequest, context: Context) -> queue_pb2.LeaseJobResponse:
        worker, stage = _worker(request.worker), convert.stage(request.stage)
        request_id = names.request_id(request.request_id, required=False)
        check_text(request.code_version, "code_version", most=200)
        held = tuple(name for name in request.held_references if name.isprintable())[:_MOST_REFERENCES]
        demand = Demand(
            worker=worker,
            stage=stage,
            held_references=held,
            code_version=request.code_version,
            memory=max(request.memory, 0),
            request_id=request_id,
        )
        loop = asyncio.get_running_loop()
        until = loop.time() + min(max(request.wait.seconds + request.wait.nanos * 1e-9, 0.0), _LONGEST_WAIT)
        pause, looked_before = _FIRST_PAUSE, False
        while True:
            since = self._signal.changes
            lease = await self._store.lease(demand)
            if lease is not None:
                self._changed()
                message = convert.lease_message(lease, duration=self._lease_duration, heartbeat=self._heartbeat)
                return queue_pb2.LeaseJobResponse(lease=message)
            if await self._draining(worker):
                return queue_pb2.LeaseJobResponse(drain=True)
            if not await self._signal.wait(stage, until - loop.time(), since=since):
                drain = not self._signal.ended and await self._draining(worker)
                return queue_pb2.LeaseJobResponse(drain=drain)
            if looked_before:
                await asyncio.sleep(min(pause, max(until - loop.time(), 0)))
                pause = min(2 * pause, _LONGEST_PAUSE)
            looked_before = True

    async def ExtendLease(
        self, request: queue_pb2.ExtendLeaseRequest, context: Context
    ) -> queue_pb2.ExtendLeaseResponse:
        extension = await self._store.extend(
            names.job_id(request.job),
            request.token,
            progress=convert.progress(request.progress) if request.HasField("progress") else None,
            steps=[convert.step(step) for step in request.steps],
        )
        self._changed()
        return queue_pb2.ExtendLeaseResponse(
            expire_time=convert.timestamp(extension.expire_time),
            cancel_requested=extension.cancel_requested,
            drain_requested=extension.drain_requested,
        )

    async def CompleteJob(
        self, request: queue_pb2.CompleteJobRequest, context: Context
    ) -> queue_pb2.CompleteJobResponse:
        job = await self._store.complete(names.job_id(request.job), request.token, convert.result(request.result))
        self._changed()
        return queue_pb2.CompleteJobResponse(job=convert.job_message(job))

    async def FailJob(self, request: queue_pb2.FailJobRequest, context: Context) -> queue_pb2.FailJobResponse:
        job = await self._store.fail(
            names.job_id(request.job),
            request.token,
            convert.failure(request.failure),
            log=ref_from_proto(request.log) if request.HasField("log") else None,
        )
        self._changed()
        return queue_pb2.FailJobResponse(job=convert.job_message(job))

    async def ReleaseJob(self, request: queue_pb2.ReleaseJobRequest, context: Context) -> queue_pb2.ReleaseJobResponse:
        job = await self._store.release(names.job_id(request.job), request.token, reason=request.reason)
        self._changed()
        return queue_pb2.ReleaseJobResponse(job=convert.job_message(job))

    async def GetQueueStats(
        self, request: queue_pb2.GetQueueStatsRequest, context: Context
    ) -> queue_pb2.GetQueueStatsResponse:
        stats = _only(await self._store.stats(), convert.optional_stage(request.stage))
        return queue_pb2.GetQueueStatsResponse(stages=[convert.stats_message(one) for one in stats])

    async def WatchQueueStats(
        self, request: queue_pb2.WatchQueueStatsRequest, context: Context
    ) -> AsyncIterator[queue_pb2.WatchQueueStatsResponse]:
        stage = convert.optional_stage(request.stage)
        async with contextlib.aclosing(self._stats.follow()) as followed:
            async for stats in followed:
                stages = [convert.stats_message(one) for one in _only(stats, stage)]
                yield queue_pb2.WatchQueueStatsResponse(stages=stages)

    async def ListWorkers(
        self, request: queue_pb2.ListWorkersRequest, context: Context
    ) -> queue_pb2.ListWorkersResponse:
        size = names.page_size(request.page_size)
        after = names.read_page_token("workers", request.page_token) or ""
        workers = await self._store.list_workers(stage=convert.optional_stage(request.stage), limit=size, after=after)
        return queue_pb2.ListWorkersResponse(
            workers=[convert.worker_message(worker) for worker in workers],
            next_page_token=names.page_token("workers", workers[-1].name) if len(workers) == size else "",
        )

    async def DrainWorker(
        self, request: queue_pb2.DrainWorkerRequest, context: Context
    ) -> queue_pb2.DrainWorkerResponse:
        worker = await self._store.drain_worker(_worker(request.worker))
        self._signal.wake_everyone()
        self._changed()
        return queue_pb2.DrainWorkerResponse(worker=convert.worker_message(worker))

    async def _draining(self, worker: str) -> bool:
        return (await self._store.get_worker(worker)).draining


def _worker(name: str) -> str:
    if not name:
        raise InvalidRequest("the worker has no name")
    return check_text(name, "the worker's name", most=250)


def _only(stats: Iterable[StageStats], stage: Stage | None) -> list[StageStats]:
    return [one for one in stats if stage in (None, one.stage)]
