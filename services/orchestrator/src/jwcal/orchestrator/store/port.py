"""The port through which everything else sees runs, jobs and workers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jwcal.core.storage.ref import ObjectRef
from jwcal.orchestrator.model import (
    Event,
    Extension,
    Failure,
    Job,
    Lease,
    NewRun,
    Progress,
    Result,
    Run,
    Stage,
    StageStats,
    State,
    StepReport,
    Worker,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of the queue; times in seconds."""

    lease_duration: float = 60.0
    max_attempts: int = 3
    backoff_limit: float = 600.0  # no failed attempt waits longer for the next
    ageing: float = 60.0  # of waiting that equals one point of priority
    affinity_window: int = 64  # jobs at the head of the queue among which held references decide
    program_quota: int = 0  # running jobs of one program; 0 is no limit
    program_quotas: Mapping[str, int] = field(default_factory=dict)
    required_memory: Mapping[Stage, int] = field(default_factory=dict)  # bytes, of jobs that do not say
    worker_absent_after: float = 90.0
    code_version: str = "0"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one job, or to the run where ``job`` is empty: a line of the history."""

    run: str
    job: str
    stage: str
    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """A run that ended."""

    run: str
    state: State
    seconds: float  # since it was submitted


class Listener(Protocol):
    """Is told what transactions did, once they are committed."""

    def __call__(self, changes: Sequence[Change], ends: Sequence[RunEnd]) -> None:
        """Note it; must not fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A worker's wish for a job."""

    worker: str
    stage: Stage
    held_references: Collection[str] = ()
    code_version: str = ""
    memory: int = 0  # bytes it has for a job; 0 where it does not know
    request_id: str = ""


class JobStore(Protocol):
    """Runs, jobs, workers and their history.  Every operation is one transaction; the time is the database's.

    Raises `RunNotFound`, `JobNotFound`, `WorkerNotFound` for what is not there, and `LeaseLost` for a token that is not
    the job's any more.
    """

    async def create_run(self, new: NewRun) -> Run:
        """Store a run and its jobs; the same ``request_id`` again answers with the run as it is."""

    async def find_request(self, request_id: str) -> Run | None:
        """The run that this request made."""

    async def get_run(self, run: str, *, whole: bool = True) -> Run:
        """One run; the whole of it has its input and up to a thousand of its products."""

    async def list_runs(
        self,
        *,
        limit: int,
        before: str | None = None,
        states: Collection[State] = (),
        program: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Sequence[Run]:
        """Runs older than the one named, the newest first, without their inputs and products."""

    async def get_job(self, job: str) -> Job:
        """One job."""

    async def list_jobs(
        self, run: str, *, limit: int, after: int = -1, states: Collection[State] = ()
    ) -> tuple[Sequence[Job], int | None]:
        """Jobs of a run behind a place in it, and the place of the last where there are more."""

    async def list_all_jobs(self, *, limit: int, after: str = "", states: Collection[State] = ()) -> Sequence[Job]:
        """Jobs of all runs behind an id, in the order they were made."""

    async def changed_jobs(self, run: str, *, after: int, limit: int) -> Sequence[Job]:
        """Jobs whose cursor is greater, by cursor."""

    async def cursors(self, runs: Collection[str]) -> Mapping[str, int]:
        """Cursors of those runs that exist."""

    async def list_events(self, run: str, *, after: int = 0, limit: int = 1000) -> Sequence[Event]:
        """History of a run behind a cursor."""

    async def cancel_run(self, run: str) -> Run:
        """Cancel what has not begun, and ask for what has."""

    async def retry_run(self, run: str) -> Run:
        """Queue the failed and cancelled jobs of a finished run again."""

    async def delete_run(self, run: str) -> None:
        """Forget a finished run."""

    async def lease(self, demand: Demand) -> Lease | None:
        """The job whose turn it is, if any; the same ``request_id`` again answers with the same lease."""

    async def extend(
        self, job: str, token: int, *, progress: Progress | None = None, steps: Sequence[StepReport] = ()
    ) -> Extension:
        """Keep a lease."""

    async def complete(self, job: str, token: int, result: Result) -> Job:
        """End a job well; children whose last parent this was are queued with it."""

    async def fail(self, job: str, token: int, failure: Failure, *, log: ObjectRef | None = None) -> Job:
        """End an attempt: another one after a while, or the end of the job and of those that wait for it."""

    async def release(self, job: str, token: int, *, reason: str = "") -> Job:
        """Give a job back without having spent an attempt."""

    async def expire_leases(self) -> int:
        """Take back the jobs of workers that are lost; how many those were."""

    async def ready(self, stages: Collection[Stage], *, limit: int) -> Mapping[Stage, int]:
        """How many jobs a worker could have now, counted up to the limit."""

    async def stats(self) -> Sequence[StageStats]:
        """Depth and age of every stage's queue."""

    async def greet_worker(self, *, worker: str, stage: Stage, code_version: str) -> Worker:
        """Note that a worker asks for work."""

    async def get_worker(self, worker: str) -> Worker:
        """One worker."""

    async def list_workers(self, *, stage: Stage | None, limit: int, after: str = "") -> Sequence[Worker]:
        """Workers behind a name, by name."""

    async def drain_worker(self, worker: str) -> Worker:
        """Give a worker nothing more."""

    async def forget_old(self, *, runs_after: float, workers_after: float) -> int:
        """Delete runs that ended, and workers not heard of, so many seconds ago; how many runs."""

    async def close(self) -> None:
        """Let go of the database."""
