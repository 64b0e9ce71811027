"""Runs, jobs, leases and workers, and the states they go through.

Times are seconds of the Unix epoch by the database's clock.  Ids are UUIDv7 without the collection's name.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jwcal.core.storage.ref import Location, ObjectRef

WINDOWS = "persistence"
"""Kind of the product with the persistence windows that an exposure leaves open for the next of its detector."""


class State(StrEnum):
    """Where a run or a job is in its life."""

    PENDING = "PENDING"
    WAITING = "WAITING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


FINISHED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
LIVE = frozenset({State.WAITING, State.QUEUED, State.RUNNING})

# Of jobs.  WAITING to SUCCEEDED is a reused result; out of FAILED and CANCELLED leads a retry of the run alone.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.WAITING: frozenset({State.QUEUED, State.WAITING, *FINISHED}),
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.QUEUED, *FINISHED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.WAITING}),
    State.CANCELLED: frozenset({State.WAITING}),
}


class Stage(StrEnum):
    """A stage of the pipeline."""

    DETECTOR1 = "detector1"
    STAGE2 = "stage2"
    STAGE3 = "stage3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """What is asked of a stage: all that the result depends on besides the input and the code.

    The two amounts of memory change no result: what processing shall stay below, and what a worker must have for it.
    """

    plan: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    skip: tuple[str, ...] = ()
    only_through: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)
    context: str = ""
    use_reference_parameters: bool = True
    products: tuple[str, ...] = ()
    memory_limit: int = 0
    required_memory: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a job stands; ``fraction`` is from 0 to 1."""

    phase: str = ""
    fraction: float = 0.0
    steps_done: int = 0
    steps_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """A step that has ended."""

    step: str
    outcome: str
    reason: str = ""
    seconds: float = 0.0
    references: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    end_time: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a job made."""

    products: tuple[ObjectRef, ...] = ()
    steps: tuple[StepReport, ...] = ()
    plan: str = ""
    context: str = ""
    code_version: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    log: ObjectRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job or an attempt failed."""

    reason: str
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """An association: its text, or the object that holds it, and where its members are."""

    text: str | None = None
    object: ObjectRef | None = None
    members: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What a run shall do: an association, or exposures, to the products asked for."""

    association: Association | None = None
    exposures: tuple[ObjectRef, ...] = ()
    products: tuple[str, ...] = ()
    output: Location | None = None
    processing: Mapping[str, Processing] = field(default_factory=dict)
    context: str = ""
    build: str = ""
    priority: int = 0
    program: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 0
    ignore_earlier_results: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A node of a run's graph.  ``parents`` give their products; ``after`` must only have ended.  Both are indices."""

    stage: Stage
    title: str
    inputs: tuple[ObjectRef, ...]
    processing: Processing
    parents: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    affinity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run as it is submitted, expanded to its jobs."""

    spec: RunSpec
    jobs: tuple[NewJob, ...]
    request_id: str = ""
    output: Location
    context: str
    owner: str = ""
    trace: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run.  ``cursor`` grows with every change of it or its jobs."""

    id: str
    spec: RunSpec
    state: State
    context: str
    owner: str
    output: Location
    trace: Mapping[str, str]
    cursor: int
    create_time: float
    start_time: float | None
    end_time: float | None
    jobs: Mapping[State, int]
    fraction: float
    products: tuple[ObjectRef, ...]
    failure: Failure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job.  ``place`` is its place among the run's, ``cursor`` the run's at its last change, ``log`` that of the last
    attempt that ended."""

    id: str
    run: str
    place: int
    stage: Stage
    title: str
    state: State
    inputs: tuple[ObjectRef, ...]
    parents: tuple[str, ...]
    processing: Processing
    attempt: int
    max_attempts: int
    token: int
    worker: str
    progress: Progress | None
    result: Result | None
    failure: Failure | None
    log: ObjectRef | None
    reused: bool
    cursor: int
    create_time: float
    start_time: float | None
    end_time: float | None
    not_before: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job held by a worker until ``expire_time``."""

    job: Job
    token: int
    expire_time: float
    inputs: tuple[ObjectRef, ...]
    output: Location
    trace: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """The answer to a heartbeat."""

    expire_time: float
    cancel_requested: bool
    drain_requested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker that has asked for work."""

    name: str
    stage: Stage
    code_version: str
    job: str
    first_seen: float
    last_seen: float
    draining: bool
    completed: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStats:
    """Depth and age of a stage's queue; durations in seconds."""

    stage: Stage
    waiting: int = 0
    queued: int = 0
    delayed: int = 0
    running: int = 0
    oldest: float | None = None
    oldest_lease: float | None = None
    mean_duration: float | None = None
    workers: int = 0
    idle_workers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a run's history."""

    run: str
    cursor: int
    time: float
    job: str
    kind: str
    detail: Mapping[str, Any]


def job_key(stage: Stage, inputs: tuple[ObjectRef, ...], processing: Processing, *, code_version: str) -> str | None:
    """What makes two jobs the same: SHA-256 over all that the result depends on.

    None where an input's checksum or the context is not known: then nothing can be said to be the same.  Amounts of
    memory change no result.
    """
    if not processing.context or not inputs or not all(reference.sha256 for reference in inputs):
        return None
    content = {
        "inputs": [[reference.sha256, reference.kind] for reference in inputs],
        "stage": stage.value,
        "plan": processing.plan,
        "parameters": processing.parameters,
        "skip": sorted(processing.skip),
        "only_through": processing.only_through,
        "overrides": processing.overrides,
        "context": processing.context,
        "use_reference_parameters": processing.use_reference_parameters,
        "products": sorted(processing.products),
        "code_version": code_version,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
