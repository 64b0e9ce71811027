"""The worker: takes jobs, has them computed, stores what they make, one computing while the next is fetched."""

import asyncio
import logging
import shutil
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jwcal.api.stage.v1.stage_pb2 import Failure, Progress, Result
from jwcal.core.errors import Cancelled, JwcalError, OutputError
from jwcal.core.storage.convert import ref_from_proto, ref_to_proto
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location
from jwcal.core.worker.compute import ComputeProcess
from jwcal.core.worker.convert import failure_of, result_of, step_report, work_of
from jwcal.core.worker.leases import HeldLease, LeaseLost, Queue
from jwcal.core.worker.references import WorkReferences
from jwcal.core.worker.transfer import fetch, publish, publish_log
from jwcal.core.worker.work import Made, Progressing, Step

_logger = logging.getLogger(__name__)
_FETCHED, _COMPUTED = 0.1, 0.9
"""Shares of a job that are done when its inputs are here and when its products are made."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker may take."""

    leases: int = 2
    """Jobs held at a time: one computes, the others fetch or store."""
    memory: int = 0
    """Bytes of the compute process; 0 for no limit."""
    grace: float = 600.0
    """Seconds that running jobs get to finish when the worker is asked to end."""


class Supervisor:
    """Runs a worker until it is stopped."""

    def __init__(
        self,
        *,
        queue: Queue,
        compute: ComputeProcess,
        store: ObjectStore,
        references: WorkReferences,
        scratch: Path,
        limits: Limits,
        code_version: str,
    ) -> None:
        self._queue, self._compute, self._store, self._references = queue, compute, store, references
        self._scratch, self._limits, self._code_version = scratch, limits, code_version
        self._computing = asyncio.Lock()
        self._held_references: tuple[str, ...] = ()
        self._give_up = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or the orchestrator drains this worker; then finish what runs, or give it back."""
        self._clear_scratch()
        free = asyncio.Semaphore(self._limits.leases)
        jobs: set[asyncio.Task[None]] = set()
        ending = [asyncio.create_task(stop.wait()), asyncio.create_task(self._queue.drain.wait())]
        try:
            while not any(task.done() for task in ending):
                held = await _unless(self._next(free), ending)
                if held is None:
                    continue
                job = asyncio.create_task(self._job(held), name=held.job.name)
                jobs.add(job)
                job.add_done_callback(jobs.discard)
                job.add_done_callback(lambda _: free.release())
            if jobs:
                _, late = await asyncio.wait(jobs, timeout=self._limits.grace)
                self._give_up.set()
                if late:
                    await asyncio.wait(late)
        finally:
            for task in (*ending, *jobs):
                task.cancel()

    async def _next(self, free: asyncio.Semaphore) -> HeldLease | None:
        """The next job, when one more may be held."""
        await free.acquire()
        held = None
        try:
            held = await self._queue.take(self._held_references)
        finally:
            if held is None:
                free.release()
        return held

    async def _job(self, held: HeldLease) -> None:
        """One job from lease to end; whatever happens to it, the worker goes on."""
        about = {"job": held.job.name, "run": held.job.run, "token": held.lease.token}
        _logger.info("job taken", extra={"fields": about})
        try:
            await self._ended(held)
        except LeaseLost as error:
            _logger.warning("lease lost", extra={"fields": about | {"reason": str(error)}})
        except Exception:  # the worker's boundary
            _logger.exception("the end of a job could not be told; its lease will run out", extra={"fields": about})

    async def _ended(self, held: HeldLease) -> None:
        """Do the job and tell its end.  It is stopped where the lease is lost, on request, or at the worker's end."""
        place = self._scratch / f"{held.job.name.rpartition('/')[2]}-{held.lease.token}"
        keeping = asyncio.create_task(self._queue.keep(held))
        cancelled = asyncio.create_task(held.cancelled.wait())
        giving_up = asyncio.create_task(self._give_up.wait())
        working = asyncio.create_task(self._made(held, place))
        try:
            await asyncio.wait((working, keeping, cancelled, giving_up), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await self._tell_end(held, working, place)
                return
            working.cancel()
            await asyncio.wait((working,))
            if keeping.done():
                keeping.result()
            elif cancelled.done():
                await self._queue.fail(held, failure_of(Cancelled("cancelled on request")), None)
            else:
                await self._queue.release(held, "the worker ends")
        finally:
            for task in (keeping, cancelled, giving_up, working):
                task.cancel()
            await asyncio.gather(keeping, cancelled, giving_up, working, return_exceptions=True)
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)

    async def _tell_end(self, held: HeldLease, working: "asyncio.Task[Result]", place: Path) -> None:
        error = working.exception()
        if error is None:
            await self._queue.complete(held, working.result(), self._held_references)
            return
        if not isinstance(error, JwcalError):
            _logger.error("job failed", exc_info=error, extra={"fields": {"job": held.job.name}})
            failure = Failure(reason="INTERNAL", message=f"internal error: {type(error).__name__}", retryable=True)
        else:
            failure = failure_of(error)
        log = None
        try:
            log = await publish_log(self._store, place / "job.log", _output(held))
        except JwcalError as unstored:
            _logger.warning(
                "the job's log could not be stored", extra={"fields": {"job": held.job.name, "reason": str(unstored)}}
            )
        await self._queue.fail(held, failure, None if log is None else ref_to_proto(log))

    async def _made(self, held: HeldLease, place: Path) -> Result:
        """Fetch, compute, store."""
        inputs = tuple(ref_from_proto(message) for message in held.lease.inputs)
        output = place / "out"
        try:
            output.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f"no scratch directory ({error.strerror})", file=place) from error
        held.progress.CopyFrom(Progress(phase="fetch"))
        files = await _only_error(fetch(self._store, inputs, place))
        held.progress.CopyFrom(Progress(phase="references", fraction=_FETCHED))
        work = work_of(held.job.processing, files, output, place / "job.log", self._limits.memory)
        async with self._references.prepared(work) as prepared:
            held.progress.CopyFrom(Progress(phase="wait", fraction=_FETCHED))
            async with self._computing:
                made = await self._compute.run(prepared, lambda event: _note(held, event))
        self._held_references = made.held_references
        return await self._stored(held, made, place)

    async def _stored(self, held: HeldLease, made: Made, place: Path) -> Result:
        held.progress.phase, held.progress.fraction = "store", _COMPUTED
        refs = await _only_error(publish(self._store, made.products, _output(held)))
        log = await publish_log(self._store, place / "job.log", _output(held))
        return result_of(made, refs, log, self._code_version)

    def _clear_scratch(self) -> None:
        """Remove what an earlier worker left that was killed."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)


def _output(held: HeldLease) -> Location:
    return Location(held.lease.output.bucket, held.lease.output.prefix)


def _note(held: HeldLease, event: Progressing) -> None:
    """Keep what the next extension of the lease shall tell."""
    if isinstance(event, Step):
        held.steps.append(step_report(event))
        done, total = event.index + 1, event.total
    else:
        done, total = event.steps_done, event.steps_total
    share = done / total if total else 0.0
    held.progress.CopyFrom(
        Progress(
            phase=event.name,
            fraction=_FETCHED + (_COMPUTED - _FETCHED) * share,
            steps_done=done,
            steps_total=total,
        )
    )


async def _only_error(work: "Coroutine[Any, Any, Any]") -> Any:
    """A group of tasks fails with all their errors; one of them is enough here."""
    try:
        return await work
    except* JwcalError as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        error = first
    raise error


async def _unless(work: "Coroutine[Any, Any, HeldLease | None]", ending: "list[asyncio.Task[Any]]") -> HeldLease | None:
    """The outcome of `work`, or None where one of `ending` is done first."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait((task, *ending), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
