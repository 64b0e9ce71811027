"""A run as it goes: a bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from jwcal.core.events import Event, ProductWritten, StepFinished, StepStarted
from jwcal.core.events import Progress as Phase


class Display(Protocol):
    """Shows the files of a run one after the other."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def begin(self, file: Path) -> None:
        """A file begins."""

    def event(self, event: Event) -> None:
        """Something happened to it."""

    def done(self, line: str) -> None:
        """It ended, well or not."""


def display(*, quiet: bool = False) -> Display:
    """The display that fits stderr."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        return Silent()
    return Bars(console) if console.is_terminal else Lines()


class Silent:
    """Says only how each file ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        return None

    def begin(self, file: Path) -> None:
        """Nothing."""

    def event(self, event: Event) -> None:
        """Nothing."""

    def done(self, line: str) -> None:
        """One line."""
        print(line, file=sys.stderr, flush=True)


class Lines(Silent):
    """One line for each step that ended."""

    def __init__(self) -> None:
        self._name = ""

    def begin(self, file: Path) -> None:
        """Remember the name that begins each line."""
        self._name = file.name

    def event(self, event: Event) -> None:
        """A line for a step or a product."""
        if isinstance(event, StepFinished):
            record = event.record
            why = f" ({record.reason})" if record.reason else ""
            outcome = record.status.lower()
            line = f"{event.index + 1}/{event.total} {record.name}: {outcome}{why}, {record.seconds:.2f} s"
        elif isinstance(event, ProductWritten):
            line = f"wrote {event.path}"
        else:
            return
        print(f"{self._name}: {line}", file=sys.stderr, flush=True)


class Bars(Silent):
    """A bar over the steps of the present file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[file]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=20, table_column=Column(min_width=10)),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=5)),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=14)),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
            console=console,
            transient=True,
        )
        self._task = self._bars.add_task("", file="", total=None, visible=False)
        self._outcomes: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._bars.stop()

    def begin(self, file: Path) -> None:
        """An empty bar."""
        self._bars.reset(self._task, total=None, description="opening", file=file.stem, visible=True)

    def event(self, event: Event) -> None:
        """Move the bar."""
        if isinstance(event, StepStarted):
            self._bars.update(self._task, total=event.total, completed=event.index, description=event.name)
        elif isinstance(event, StepFinished):
            self._bars.update(self._task, completed=event.index + 1)
        elif isinstance(event, ProductWritten):
            self._bars.update(self._task, description=f"wrote {event.path.stem.rsplit('_', 1)[-1]}")
        elif isinstance(event, Phase):
            self._bars.update(self._task, description=event.phase)

    def done(self, line: str) -> None:
        """One line above the bar."""
        self._bars.update(self._task, visible=False)
        self._console.print(line, markup=False, soft_wrap=True)
