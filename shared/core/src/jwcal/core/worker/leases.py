"""A worker's side of the queue: take a job, keep it, end it; whatever the network does meanwhile."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration

from jwcal.api.pipeline.v1.pipeline_pb2 import Job
from jwcal.api.product.v1.product_pb2 import ProductRef
from jwcal.api.queue.v1 import queue_pb2 as messages
from jwcal.api.stage.v1.stage_pb2 import Failure, Progress, Result, Stage, StepReport

if TYPE_CHECKING:  # the generated code has it for type checkers only
    from jwcal.api.queue.v1.queue_pb2_grpc import QueueServiceAsyncStub

_logger = logging.getLogger(__name__)
_WAIT = 20
"""Seconds a request for a job waits at the orchestrator."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds between tries while the orchestrator is away."""
_REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND)
"""Answers that mean that a lease is no longer this worker's."""
_HOPELESS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
)
"""Answers that will not change.  Others do: an orchestrator that has lost its database answers INTERNAL."""
Answer = TypeVar("Answer")


class LeaseLost(Exception):
    """The job is another worker's now, or nobody's; what was made for it does not count."""


@dataclass(slots=True)
class HeldLease:
    """A job this worker holds."""

    lease: messages.Lease
    until: float
    """When it ends, by this machine's monotonic clock; never later than by the orchestrator's."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the orchestrator asks to stop the job."""
    give_back: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this worker shall return the job to the queue."""
    progress: Progress = field(default_factory=Progress)
    """Where the job stands; told with the next extension."""
    steps: list[StepReport] = field(default_factory=list)
    """Steps that ended and were not told yet."""

    @property
    def began(self) -> bool:
        """Whether computing has begun: what is lost when the job is given back."""
        return self.progress.phase not in ("", "fetch", "wait")

    @property
    def computed(self) -> bool:
        """Whether only storing is left."""
        return self.progress.phase == "store"

    @property
    def job(self) -> Job:
        """The job."""
        return self.lease.job

    @property
    def duration(self) -> float:
        """Seconds from an extension to the end."""
        return self.lease.duration.ToNanoseconds() / 1e9


class Queue:
    """The queue as one worker sees it."""

    def __init__(
        self,
        stub: "QueueServiceAsyncStub",
        *,
        worker: str,
        stage: Stage.ValueType,
        code_version: str,
        memory: int = 0,
    ) -> None:
        self._stub = stub
        self._worker, self._stage, self._code_version, self._memory = worker, stage, code_version, memory
        self.drain = asyncio.Event()
        """Set when the orchestrator asks this worker to end."""

    async def take(self, held_references: Sequence[str]) -> HeldLease | None:
        """Wait a while for a job.

        While the orchestrator is away the same try is repeated, so that a lease whose answer was lost is not.  A job
        that came while this was cancelled is given back.
        """
        request = messages.LeaseJobRequest(
            worker=self._worker,
            stage=self._stage,
            wait=Duration(seconds=_WAIT),
            held_references=held_references,
            code_version=self._code_version,
            memory=self._memory,
            request_id=str(uuid.uuid4()),
        )
        asked = 0.0

        async def ask() -> messages.LeaseJobResponse:
            nonlocal asked
            asked = time.monotonic()
            return await self._stub.LeaseJob(request, timeout=_WAIT + 10)

        try:
            answer = await _persistently(ask, until=None)
        except asyncio.CancelledError:
            await self._give_back(request)
            raise
        if answer.drain:
            self.drain.set()
        if not answer.HasField("lease"):
            return None
        # the lease began when the orchestrator answered, not before it was asked
        held = HeldLease(answer.lease, 0.0)
        held.until = asked + held.duration
        return held

    async def _give_back(self, request: messages.LeaseJobRequest) -> None:
        """Release the lease that a cancelled try may have been given: the same try again tells."""
        request.ClearField("wait")
        with suppress(grpc.aio.AioRpcError, LeaseLost):
            answer = await self._stub.LeaseJob(request, timeout=5)
            if answer.HasField("lease"):
                await self.release(HeldLease(answer.lease, time.monotonic() + 5), "the worker ends")

    async def keep(self, held: HeldLease) -> None:
        """Extend the lease again and again; returns never, raises LeaseLost when it is over."""
        pause = held.lease.heartbeat.ToNanoseconds() / 1e9
        while True:
            await asyncio.sleep(pause)
            steps, held.steps = held.steps, []
            request = messages.ExtendLeaseRequest(
                job=held.job.name, token=held.lease.token, progress=held.progress, steps=steps
            )
            asked = time.monotonic()
            try:
                answer = await _persistently(lambda: self._stub.ExtendLease(request, timeout=10), until=held.until)  # noqa: B023
            except LeaseLost:
                held.steps = steps + held.steps
                raise
            held.until = asked + held.duration
            if answer.drain_requested:
                self.drain.set()
            if answer.cancel_requested:
                held.cancelled.set()

    async def complete(self, held: HeldLease, result: Result, held_references: Sequence[str]) -> None:
        """The job is done."""
        request = messages.CompleteJobRequest(
            job=held.job.name, token=held.lease.token, result=result, held_references=held_references
        )
        await _persistently(lambda: self._stub.CompleteJob(request, timeout=10), until=held.until)

    async def fail(self, held: HeldLease, failure: Failure, log: ProductRef | None) -> None:
        """The attempt failed."""
        request = messages.FailJobRequest(job=held.job.name, token=held.lease.token, failure=failure, log=log)
        await _persistently(lambda: self._stub.FailJob(request, timeout=10), until=held.until)

    async def release(self, held: HeldLease, reason: str) -> None:
        """Give the job back."""
        request = messages.ReleaseJobRequest(job=held.job.name, token=held.lease.token, reason=reason)
        await _persistently(lambda: self._stub.ReleaseJob(request, timeout=10), until=held.until)


async def _persistently(call: Callable[[], Awaitable[Answer]], *, until: float | None) -> Answer:
    """Repeat a call while the orchestrator is away or in trouble, at most `until` (monotonic seconds).

    Raises
    ------
    LeaseLost
        The answer is that the lease is another's, or there was none in time.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() in _REFUSED and until is not None:
                raise LeaseLost(error.details()) from error
            if error.code() in _HOPELESS or (error.code() in _REFUSED and until is None):
                raise
            _logger.warning("the orchestrator is away", extra={"fields": {"code": error.code().name, "pause": pause}})
        if until is not None and time.monotonic() + pause > until:
            raise LeaseLost("the orchestrator was away until the lease ended")
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
