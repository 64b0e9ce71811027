"""Runs, jobs, workers and queues as users of the client see them.

Times are aware datetimes in UTC.  Names are those of the service: ``runs/...`` and ``jobs/...``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from jwcal.core.storage.ref import ObjectRef


class State(StrEnum):
    """Where a run or a job is in its life."""

    PENDING = "PENDING"
    WAITING = "WAITING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Stage(StrEnum):
    """A stage of the pipeline."""

    DETECTOR1 = "detector1"
    STAGE2 = "stage2"
    STAGE3 = "stage3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """What is asked of one stage, beside the defaults."""

    plan: str = ""
    """Empty lets the stage choose by the header."""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By step and parameter, with the official names."""
    skip: tuple[str, ...] = ()
    only_through: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """``s3://bucket/key`` or ``N/A`` by reference type."""
    use_reference_parameters: bool = True
    memory_limit: int = 0
    """Bytes; 0 for the worker's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job failed."""

    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that has ended."""

    name: str
    outcome: str
    """COMPLETE or SKIPPED."""
    reason: str
    seconds: float
    references: Mapping[str, str]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a job stands."""

    phase: str = ""
    fraction: float = 0.0
    steps_done: int = 0
    steps_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run."""

    name: str
    state: State
    products_asked: tuple[str, ...]
    priority: int
    program: str
    labels: Mapping[str, str]
    context: str
    owner: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    jobs: Mapping[State, int]
    """How many, by state."""
    fraction: float
    """Share of the work that is done, from 0 to 1."""
    products: tuple[ObjectRef, ...]
    """At most 1000; `AsyncClient.products` gives all of them."""
    failure: Failure | None

    @property
    def id(self) -> str:
        """The name without its collection."""
        return self.name.partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job: one stage for one exposure or set of exposures."""

    name: str
    run: str
    stage: Stage
    title: str
    state: State
    inputs: tuple[ObjectRef, ...]
    parents: tuple[str, ...]
    attempt: int
    max_attempts: int
    worker: str
    progress: Progress
    plan: str
    context: str
    steps: tuple[Step, ...]
    products: tuple[ObjectRef, ...]
    log: ObjectRef | None
    seconds: Mapping[str, float]
    """Wall time by phase."""
    peak_memory: int
    failure: Failure | None
    reused: bool
    """Whether the result was there before."""
    created: datetime
    started: datetime | None
    ended: datetime | None
    not_before: datetime | None

    @property
    def id(self) -> str:
        """The name without its collection."""
        return self.name.partition("/")[2]

    @property
    def wall_seconds(self) -> float | None:
        """From the start of the last attempt to its end."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChanged:
    """A run is in another state, or further.  Its products are not told here."""

    cursor: int
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """A job is in another state, or further."""

    cursor: int
    job: Job


Change = RunChanged | JobChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """Depth and age of a stage's queue."""

    stage: Stage
    waiting: int
    queued: int
    delayed: int
    running: int
    oldest_seconds: float | None
    mean_seconds: float | None
    workers: int
    idle_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker that has asked for work lately."""

    name: str
    stage: Stage
    code_version: str
    job: str
    """Empty where it is idle."""
    started: datetime | None
    last_seen: datetime | None
    draining: bool
    completed: int
    failed: int
