"""A run of the services as it goes: a bar for each job on a terminal, plain lines elsewhere; always on stderr."""

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from jwcal.client.documents import counts, lasting, why
from jwcal.client.model import Change, Job, JobChanged, Run, State

_MOST_BARS = 12
"""Bars of jobs shown at once; of larger runs those that run now, and one of the whole."""


class RunDisplay(Protocol):
    """Shows changes of a run."""

    def show(self, change: Change) -> None:
        """Something changed."""


def run_display(*, quiet: bool = False) -> "AbstractContextManager[RunDisplay]":
    """The display that fits stderr."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        return _Nothing()
    return RunBars(console) if console.is_terminal else RunLines()


class _Nothing:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, change: Change) -> None:
        """Say nothing."""


class RunLines(_Nothing):
    """A line whenever a job is in another state, or the run."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[State, int]] = {}

    def show(self, change: Change) -> None:
        """At most one line."""
        subject = change.job if isinstance(change, JobChanged) else change.run
        stage = (subject.state, subject.attempt if isinstance(subject, Job) else 0)
        if self._told.get(subject.name) == stage:
            return
        self._told[subject.name] = stage
        print(job_line(subject) if isinstance(subject, Job) else run_line(subject), file=sys.stderr, flush=True)


class RunBars(_Nothing):
    """A bar for each job and one for the whole."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.fields[title]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=24, table_column=Column(min_width=10)),
            TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True, min_width=5)),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=24, overflow="ellipsis")),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
            console=console,
        )
        self._whole = self._bars.add_task("", title="run", total=1.0)
        self._jobs: dict[str, TaskID] = {}
        self._failed: set[str] = set()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, change: Change) -> None:
        """Move the bars."""
        if not isinstance(change, JobChanged):
            self._bars.update(self._whole, completed=change.run.fraction, description=counts(change.run.jobs))
            return
        job = change.job
        if job.name not in self._jobs:
            self._jobs[job.name] = self._bars.add_task("", title=job.title, total=1.0, start=False)
        bar = self._jobs[job.name]
        if job.state in (State.RUNNING, State.SUCCEEDED):
            self._bars.start_task(bar)
        share = 1.0 if job.state is State.SUCCEEDED else job.progress.fraction if job.state is State.RUNNING else 0.0
        self._bars.update(bar, completed=share, description=standing(job), visible=self._is_shown(job))
        if job.state.is_final:
            self._bars.stop_task(bar)
        if job.state is State.FAILED and job.name not in self._failed:
            self._failed.add(job.name)
            # A bar has no room for the reason.
            self._bars.console.print(job_line(job), markup=False, highlight=False, soft_wrap=True)

    def _is_shown(self, job: Job) -> bool:
        return len(self._jobs) <= _MOST_BARS or job.state in (State.RUNNING, State.FAILED)


def standing(job: Job) -> str:
    """Where a job stands, in a few words."""
    if job.state is State.RUNNING:
        steps = f" {job.progress.steps_done}/{job.progress.steps_total}" if job.progress.steps_total else ""
        return f"{job.progress.phase or 'begun'}{steps}"
    if job.state is State.SUCCEEDED:
        return "done before" if job.reused else "done"
    if job.state is State.FAILED:
        return f"failed: {job.failure.reason}" if job.failure else "failed"
    if job.state is State.QUEUED and job.failure is not None:
        return f"again after {job.failure.reason}"
    return job.state.value.lower()


def job_line(job: Job) -> str:
    """A job's state as one line."""
    begin = f"{job.title} {job.stage.value}: "
    if job.state is State.RUNNING:
        attempt = f", attempt {job.attempt}" if job.attempt > 1 else ""
        return f"{begin}running on {job.worker}{attempt}"
    if job.state is State.SUCCEEDED:
        return f"{begin}succeeded" + (", done before" if job.reused else f" in {lasting(job.wall_seconds)}")
    if job.failure is not None:
        return f"{begin}{job.state.value.lower()} ({why(job.failure)})"
    return f"{begin}{job.state.value.lower()}"


def run_line(run: Run) -> str:
    """A run's state as one line."""
    failure = f" ({run.failure.reason})" if run.failure is not None and run.state is State.FAILED else ""
    return f"{run.name}: {run.state.value.lower()}, jobs {counts(run.jobs)}{failure}"


def follow(changes: Iterable[Change], shown: RunDisplay) -> Run | None:
    """Show every change; the run as it was told last."""
    last = None
    for change in changes:
        shown.show(change)
        if not isinstance(change, JobChanged):
            last = change.run
    return last
