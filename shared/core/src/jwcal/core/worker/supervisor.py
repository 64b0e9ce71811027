"""The worker: takes jobs, has them computed, stores what they make, one computing while the next is fetched."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from jwcal.api.stage.v1.stage_pb2 import Failure, Progress, Result, StepReport
from jwcal.core.errors import Cancelled, JwcalError, ScratchFailure
from jwcal.core.rpc.traces import Tracing
from jwcal.core.storage.convert import location_from_proto, ref_from_proto, ref_to_proto
from jwcal.core.worker.attempt import Attempt, Order, Workshop
from jwcal.core.worker.convert import failure_of
from jwcal.core.worker.leases import HeldLease, LeaseLost, Queue

_logger = logging.getLogger(__name__)
_STOP_OF_A_JOB = 60.0
"""Seconds that a stopped job gets to let go of its transfers before its end is told anyway."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker may take."""

    leases: int = 2
    """Jobs held until they are computed: one computes, the others are fetched.  As many are stored besides."""
    grace: float = 600.0
    """Seconds that running jobs get to finish when the worker is asked to end."""
    rest: float = 30.0
    """Seconds without new jobs after the scratch directory failed, which others get meanwhile."""


class Supervisor:
    """Runs a worker until it is stopped."""

    def __init__(
        self,
        *,
        queue: Queue,
        workshop: Workshop,
        limits: Limits,
        able: asyncio.Event,
        on_end: Callable[[], Coroutine[Any, Any, None]],
        tracing: Tracing | None = None,
    ) -> None:
        """No job is taken unless `able` is set: each would fail while the store is away, and spend its attempts."""
        self._queue, self._workshop, self._limits, self._tracing = queue, workshop, limits, tracing
        self._able, self._on_end = able, on_end
        self._held: dict[asyncio.Task[None], HeldLease] = {}
        self._moved = asyncio.Event()
        """Set when a job has come further."""
        self._rested = asyncio.Event()
        self._rested.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or the orchestrator drains this worker.

        `on_end` is told first.  Then what computes is finished within the grace; everything else is given back.
        """
        ending = [asyncio.create_task(stop.wait()), asyncio.create_task(self._queue.drain.wait())]
        try:
            while not any(task.done() for task in ending):
                held = await _unless(self._next(), ending)
                if held is not None:
                    self._begin(held)
            await self._on_end()
            await self._finish()
        finally:
            for task in (*ending, *self._held):
                task.cancel()

    def _begin(self, held: HeldLease) -> None:
        job = asyncio.create_task(self._job(held), name=held.job.name)
        self._held[job] = held

        def ended(job: "asyncio.Task[None]") -> None:
            del self._held[job]
            self._moved.set()

        job.add_done_callback(ended)

    async def _finish(self) -> None:
        for held in self._held.values():
            if not held.began:
                held.give_back.set()
        if self._held:
            await asyncio.wait(self._held, timeout=self._limits.grace)
        for held in self._held.values():
            held.give_back.set()
        if self._held:
            await asyncio.wait(self._held)

    async def _next(self) -> HeldLease | None:
        """The next job, when one more may be held."""
        while not (self._may_take() and self._has_room()):
            await self._rested.wait()
            await self._able.wait()
            if not self._has_room():
                self._moved.clear()
                await self._moved.wait()
        held = await self._queue.take(self._workshop.held_references)
        if held is None or self._may_take():
            return held
        with suppress(LeaseLost):  # it was asked for before
            await self._queue.release(held, "the worker can take no jobs now")
        return None

    def _has_room(self) -> bool:
        """Whether one more may be fetched: a slow store does not keep the compute process waiting, up to a point."""
        to_compute = sum(not held.computed for held in self._held.values())
        return to_compute < self._limits.leases and len(self._held) < 2 * self._limits.leases

    def _may_take(self) -> bool:
        return self._rested.is_set() and self._able.is_set()

    async def _job(self, held: HeldLease) -> None:
        """One job from lease to end; whatever happens to it, the worker goes on."""
        about = _about(held)
        _logger.info("job taken", extra={"fields": about})
        try:
            with self._span(held):
                how = await self._ended(held)
            _logger.info("job ended", extra={"fields": about | {"how": how}})
        except LeaseLost as error:
            _logger.warning("lease lost", extra={"fields": about | {"reason": str(error)}})
        except Exception:  # the worker's boundary
            _logger.exception("the end of a job could not be told; its lease will run out", extra={"fields": about})

    async def _ended(self, held: HeldLease) -> str:
        """Do the job and tell its end.  It is stopped where the lease is lost, on request, or at the worker's end."""
        name = f"{held.job.name.rpartition('/')[2]}-{held.lease.token}"
        keeping = asyncio.create_task(self._queue.keep(held))
        cancelled = asyncio.create_task(held.cancelled.wait())
        giving_back = asyncio.create_task(held.give_back.wait())
        waiting = (keeping, cancelled, giving_back)
        async with self._workshop.attempt(name, _order(held)) as attempt:
            working = asyncio.create_task(attempt.make(_Course(held, self._moved)))
            try:
                await asyncio.wait((working, *waiting), return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return await self._tell_end(held, working, attempt)
                working.cancel()
                await asyncio.wait((working,), timeout=_STOP_OF_A_JOB)
                if keeping.done():
                    keeping.result()
                if cancelled.done():
                    return await self._fail(held, Cancelled("cancelled on request"), attempt)
                await self._queue.release(held, "the worker ends")
                return "released"
            finally:
                for task in (*waiting, working):
                    task.cancel()
                await asyncio.gather(*waiting, working, return_exceptions=True)

    async def _tell_end(self, held: HeldLease, working: "asyncio.Task[Result]", attempt: Attempt) -> str:
        error = working.exception()
        if error is None:
            await self._queue.complete(held, working.result(), self._workshop.held_references)
            return "completed"
        if isinstance(error, JwcalError) and error.reason == ScratchFailure.reason:  # the compute process's too
            self._rest()
        return await self._fail(held, error, attempt)

    async def _fail(self, held: HeldLease, error: BaseException, attempt: Attempt) -> str:
        if isinstance(error, JwcalError):
            failure = failure_of(error)
        else:
            _logger.error("job failed", exc_info=error, extra={"fields": _about(held)})
            failure = Failure(reason="INTERNAL", message=f"internal error: {type(error).__name__}", retryable=True)
        log = await attempt.publish_log()
        await self._queue.fail(held, failure, None if log is None else ref_to_proto(log))
        return failure.reason

    def _rest(self) -> None:
        """Take no job for a while: each would fail here, and spend its attempts."""
        if self._rested.is_set():
            _logger.warning("the scratch directory failed: resting", extra={"fields": {"seconds": self._limits.rest}})
            self._rested.clear()
            asyncio.get_running_loop().call_later(self._limits.rest, self._rested.set)

    @contextmanager
    def _span(self, held: HeldLease) -> Iterator[None]:
        """The job's span, in the trace that its run began."""
        about = {f"jwcal.{name}": value for name, value in _about(held).items()}
        with self._tracing.span("job", carrier=dict(held.lease.trace), **about) if self._tracing else nullcontext():
            yield


class _Course:
    """Keeps what the next extension of a lease shall tell."""

    def __init__(self, held: HeldLease, moved: asyncio.Event) -> None:
        self._held, self._moved = held, moved

    def progress(self, progress: Progress) -> None:
        self._held.progress.CopyFrom(progress)
        self._moved.set()

    def step(self, report: StepReport) -> None:
        self._held.steps.append(report)


def _order(held: HeldLease) -> Order:
    return Order(
        inputs=tuple(ref_from_proto(message) for message in held.lease.inputs),
        processing=held.job.processing,
        output=location_from_proto(held.lease.output),
        log_name="job.log",
        about=_about(held),
    )


def _about(held: HeldLease) -> dict[str, str]:
    return {"job": held.job.name, "run": held.job.run, "token": str(held.lease.token)}


async def _unless(work: "Coroutine[Any, Any, HeldLease | None]", ending: "list[asyncio.Task[Any]]") -> HeldLease | None:
    """The outcome of `work`, or None where one of `ending` is done first."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait((task, *ending), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
