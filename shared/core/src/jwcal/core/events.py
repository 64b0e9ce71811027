"""What a run tells while it goes: one event per step, product and phase."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What became of one step."""

    name: str
    status: str
    """COMPLETE, SKIPPED or FAILED, as the S_* keyword says."""
    reason: str
    """Why it was skipped; empty otherwise."""
    seconds: float
    references: dict[str, str] = field(default_factory=dict)
    """Files used by type; ``N/A`` where the context needs none."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Every parameter, as used."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A phase outside the steps: reading, fetching references, writing."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins."""

    name: str
    index: int
    total: int


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step ended."""

    record: StepRecord
    index: int
    total: int


@dataclass(frozen=True, slots=True)
class ProductWritten:
    """A product appeared in the output directory."""

    path: Path


Event = Progress | StepStarted | StepFinished | ProductWritten
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener that does nothing."""
    del event
