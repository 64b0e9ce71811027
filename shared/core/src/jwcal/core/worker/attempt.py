"""One attempt at a job: fetch what goes in, have it computed, store what comes out, and the log whatever happens."""

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jwcal.api.stage.v1.stage_pb2 import Processing, Progress, Result, StepReport
from jwcal.core.errors import JwcalError, OutputError, ScratchFailure
from jwcal.core.logs import append_record
from jwcal.core.rpc.metrics import Metrics
from jwcal.core.rpc.traces import Tracing
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.core.worker.compute import ComputeProcess
from jwcal.core.worker.convert import result_of, step_report, work_of
from jwcal.core.worker.references import WorkReferences
from jwcal.core.worker.transfer import fetch, fetch_overrides, publish, publish_log
from jwcal.core.worker.work import Made, Progressing, Step, Work

_logger = logging.getLogger(__name__)
_FETCHED, _COMPUTED = 0.1, 0.9
"""Shares of a job that are done when its inputs are here and when its products are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job as the queue or a caller asks for it."""

    inputs: tuple[ObjectRef, ...]
    processing: Processing
    output: Location
    log_name: str
    """Of the log in the output."""
    about: Mapping[str, str] = field(default_factory=dict)
    """Names of the job, its run and its attempt, for every record of the log and the spans."""


class Listener(Protocol):
    """Hears how an attempt goes on."""

    def progress(self, progress: Progress) -> None:
        """Where it stands."""

    def step(self, report: StepReport) -> None:
        """A step has ended."""


class Workshop:
    """What the attempts of a worker share.  One of them computes at a time; others fetch or store meanwhile."""

    def __init__(
        self,
        *,
        compute: ComputeProcess,
        store: ObjectStore,
        references: WorkReferences,
        scratch: Path,
        code_version: str,
        metrics: Metrics,
        tracing: Tracing | None = None,
        memory_limit: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.compute, self.store, self.references, self.scratch = compute, store, references, scratch
        self.code_version, self.memory_limit = code_version, memory_limit
        self.metrics, self.tracing, self.clock = metrics, tracing, clock
        self.turn = asyncio.Lock()
        """Held by the attempt that computes."""
        self.held_references: tuple[str, ...] = ()
        """Decoded in the compute process after its last job."""

    @asynccontextmanager
    async def attempt(self, name: str, order: Order) -> AsyncIterator["Attempt"]:
        """An attempt with a scratch directory of its own, which goes with it."""
        place = self.scratch / name
        try:
            yield Attempt(self, order, place)
        finally:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def clear_directory(scratch: Path) -> None:
    """Remove what an earlier worker left that was killed."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)


class Attempt:
    """See the module."""

    def __init__(self, workshop: Workshop, order: Order, place: Path) -> None:
        self._workshop, self._order, self._place = workshop, order, place
        self._log = place / "job.log"
        self._seconds: dict[str, float] = {}

    async def make(self, listener: Listener) -> Result:
        """Do it.  Cancelling this task kills the compute process where it computes.

        Raises
        ------
        JwcalError
            ScratchFailure where this worker's disk is to blame; any other of the job, its inputs and the store.
        """
        try:
            return await self._made(listener)
        except OutputError as error:  # all that is written here goes to the scratch directory
            failure = ScratchFailure(f"the worker's scratch directory: {error.message}", file=error.file)
            self._note("failed", reason=failure.reason, error=str(failure))
            raise failure from error
        except JwcalError as error:
            self._note("failed", reason=error.reason, error=str(error))
            raise

    async def publish_log(self) -> ObjectRef | None:
        """Store the log as it is now; None where there is none, or the store does not take it."""
        try:
            return await publish_log(self._workshop.store, self._log, self._order.output, self._order.log_name)
        except JwcalError as error:
            fields = dict(self._order.about) | {"reason": error.reason, "error": str(error)}
            _logger.warning("the job's log could not be stored", extra={"fields": fields})
            return None

    async def _made(self, listener: Listener) -> Result:
        listener.progress(Progress(phase="fetch"))
        with self._phase("fetch"):
            work = await self._fetched()
        self._note("fetched", inputs=[ref.uri for ref in self._order.inputs])
        listener.progress(Progress(phase="references", fraction=_FETCHED))
        async with self._workshop.references.prepared(work) as prepared:
            listener.progress(Progress(phase="wait", fraction=_FETCHED))
            made = await self._computed(prepared, listener)
        listener.progress(
            Progress(phase="store", fraction=_COMPUTED, steps_done=len(made.steps), steps_total=len(made.steps))
        )
        with self._phase("store"):
            refs = await publish(self._workshop.store, made.products, self._order.output, self._count("out"))
        self._note("stored", products=[ref.uri for ref in refs])
        log = await self.publish_log()
        return result_of(made, refs, log, self._workshop.code_version, self._seconds)

    async def _fetched(self) -> Work:
        """The job with its inputs here."""
        inputs, overrides, output = (self._place / name for name in ("in", "overrides", "out"))
        try:
            for directory in (inputs, overrides, output):
                directory.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f"no directory can be made ({error.strerror})", file=self._place) from error
        store, processing = self._workshop.store, self._order.processing
        files = await fetch(store, self._order.inputs, inputs, self._count("in"))
        return work_of(
            processing,
            files,
            output,
            self._log,
            self._workshop.memory_limit,
            overrides=await fetch_overrides(store, processing.overrides, overrides, self._count("in")),
            about=self._order.about,
        )

    async def _computed(self, work: Work, listener: Listener) -> Made:
        workshop = self._workshop
        workshop.metrics.prefetch.labels("hit" if workshop.turn.locked() else "miss").inc()
        async with workshop.turn:
            with self._phase("compute") as span:

                def tell(event: Progressing) -> None:
                    listener.progress(_progress(event))
                    if isinstance(event, Step):
                        listener.step(step_report(event))
                        workshop.metrics.step_seconds.labels(event.name).observe(event.seconds)
                        if span is not None:
                            span.add_event(event.name, {"outcome": event.status, "seconds": event.seconds})

                made = await workshop.compute.run(work, tell)
        workshop.held_references = made.held_references
        return made

    @contextmanager
    def _phase(self, name: str) -> Iterator[Any]:
        """A span around a part of the work, and its wall time."""
        tracing, begun = self._workshop.tracing, self._workshop.clock()
        with tracing.span(name) if tracing else nullcontext() as span:
            yield span
        self._seconds[name] = self._workshop.clock() - begun

    def _count(self, direction: str) -> Callable[[int], None]:
        return self._workshop.metrics.bytes.labels(direction).inc

    def _note(self, event: str, **fields: Any) -> None:
        append_record(self._log, __name__, event, dict(self._order.about) | fields)


def _progress(event: Progressing) -> Progress:
    """How far the whole job is."""
    done, total = (event.index + 1, event.total) if isinstance(event, Step) else (event.steps_done, event.steps_total)
    share = done / total if total else 0.0
    return Progress(
        phase=event.name,
        fraction=_FETCHED + (_COMPUTED - _FETCHED) * share,
        steps_done=done,
        steps_total=total,
    )
