"""Leases: heartbeats, and the ends of attempts.

A lease's token is the job's count of leases.  It stays in the row after the lease, with how the lease ended, so that an
answer that was lost on its way can be asked for again, and any other use of it is refused.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import RowMapping, bindparam, delete, insert, select, update

from jwcal.core.errors import JwcalError
from jwcal.core.storage.ref import ObjectRef
from jwcal.orchestrator.errors import JobNotFound, LeaseLost
from jwcal.orchestrator.model import Extension, Failure, Progress, Result, State, StepReport
from jwcal.orchestrator.store.documents import dump
from jwcal.orchestrator.store.settling import settle
from jwcal.orchestrator.store.tables import affinities, is_running, jobs, workers
from jwcal.orchestrator.store.transaction import Transaction


def full_jitter(rng: random.Random) -> Callable[[], float]:
    """Factors from 0.5 to 1, so that attempts that failed together do not come back together."""
    return lambda: rng.uniform(0.5, 1.0)


def extend(
    transaction: Transaction, job: str, token: int, *, progress: Progress | None, steps: Sequence[StepReport]
) -> Extension:
    """Keep a lease; what is told of the job's progress goes into its history."""
    row = _held(transaction, job, token)
    expires = transaction.now + transaction.policy.lease_duration
    values: dict[str, object] = {"lease_expires": expires}
    if progress is not None:
        values["progress"] = dump(Progress, progress)
    transaction.connection.execute(update(jobs).where(jobs.c.id == job).values(values))
    for step in steps:
        detail = {"step": step.step, "outcome": step.outcome, "reason": step.reason, "seconds": step.seconds}
        transaction.note(row, "STEP", detail)
    if progress is not None and not steps and values["progress"] != row["progress"]:
        transaction.note(row, "PROGRESS", {"phase": progress.phase, "fraction": progress.fraction})
    seen = update(workers).where(workers.c.name == row["worker"]).values(last_seen=transaction.now)
    draining = transaction.connection.execute(seen.returning(workers.c.draining)).scalar_one_or_none()
    return Extension(expire_time=expires, cancel_requested=row["cancel_requested"], drain_requested=bool(draining))


def complete(transaction: Transaction, ends: Sequence[tuple[str, int, Result]]) -> list[JwcalError | None]:
    """End jobs well (job, token, result) and settle what follows from it; what is wrong with each, if anything."""
    rows = {row["id"]: row for row in transaction.lock_all({job for job, _, _ in ends})}
    answers: list[JwcalError | None] = []
    ended: dict[str, Result] = {}
    for job, token, result in ends:
        try:
            if job not in rows:
                raise _no_job(job)
            if _is_held(rows[job], token, "COMPLETE"):
                ended.setdefault(job, result)  # a repetition in the same transaction changes nothing either
        except JwcalError as error:
            answers.append(error)
        else:
            answers.append(None)
    moves: list[tuple[RowMapping, dict[str, Any]]] = [
        (rows[job], _values_of_success(result)) for job, result in sorted(ended.items())
    ]
    transaction.move_all(moves, State.SUCCEEDED)
    _learn(transaction, {rows[job]["affinity"]: result for job, result in ended.items()})
    _count(transaction, Counter(rows[job]["worker"] for job in ended), "completed")
    settle(transaction, sorted(ended))
    return answers


def _values_of_success(result: Result) -> dict[str, Any]:
    progress = Progress(phase="done", fraction=1.0, steps_done=len(result.steps), steps_total=len(result.steps))
    return {
        "outcome": "COMPLETE",
        "lease_expires": None,
        "result": dump(Result, result),
        "progress": dump(Progress, progress),
        "failure": None,
        "log": None if result.log is None else dump(ObjectRef, result.log),
    }


def fail(transaction: Transaction, job: str, token: int, failure: Failure, *, log: ObjectRef | None) -> None:
    """End an attempt badly."""
    row = _held_or_ended(transaction, job, token, "FAIL")
    if row is not None:
        _end_attempt(transaction, row, failure, outcome="FAIL", log=log)


def release(transaction: Transaction, job: str, token: int, *, reason: str) -> None:
    """Give a job back; the attempt is not counted."""
    row = _held_or_ended(transaction, job, token, "RELEASE")
    if row is None:
        return
    values = {"outcome": "RELEASE", "lease_expires": None, "attempt": row["attempt"] - 1, "progress": None}
    if row["cancel_requested"]:
        transaction.move(row, State.CANCELLED, **values)
        settle(transaction, [job])
    else:
        transaction.move(row, State.QUEUED, **values)
        transaction.note(row, "RELEASED", {"reason": reason[:300], "worker": row["worker"]})


def expire(transaction: Transaction, *, limit: int) -> int:
    """End the attempts of workers that have not been heard of."""
    overdue = (is_running, jobs.c.lease_expires < transaction.now)
    rows = transaction.lock(*overdue, skip_locked=True, limit=limit)
    for row in rows:
        failure = Failure(
            reason="WORKER_LOST",
            message=f"worker {row['worker']} stopped extending its lease",
            metadata={"worker": row["worker"], "attempt": str(row["attempt"])},
            retryable=True,
        )
        _end_attempt(transaction, row, failure, outcome="EXPIRE", log=None)
    return len(rows)


def _end_attempt(
    transaction: Transaction, row: RowMapping, failure: Failure, *, outcome: str, log: ObjectRef | None
) -> None:
    values: dict[str, Any] = {
        "outcome": outcome,
        "lease_expires": None,
        "failure": dump(Failure, failure),
        "log": None if log is None else dump(ObjectRef, log),
    }
    _count(transaction, {row["worker"]: 1}, "failed")
    transaction.note(row, "ATTEMPT_ENDED", {"attempt": row["attempt"], "reason": failure.reason, "how": outcome})
    if failure.retryable and row["attempt"] < row["max_attempts"] and not row["cancel_requested"]:
        delay = min(2.0 ** row["attempt"], transaction.policy.backoff_limit) * transaction.jitter()
        transaction.move(row, State.QUEUED, not_before=transaction.now + delay, **values)
        return
    transaction.move(row, State.CANCELLED if row["cancel_requested"] else State.FAILED, **values)
    settle(transaction, [row["id"]])


def _held(transaction: Transaction, job: str, token: int) -> RowMapping:
    row = _locked(transaction, job)
    if row["token"] != token or row["state"] != State.RUNNING:
        raise _lost(row, token)
    return row


def _held_or_ended(transaction: Transaction, job: str, token: int, outcome: str) -> RowMapping | None:
    """The row of a lease that is held; None where the lease has ended by this very call before."""
    row = _locked(transaction, job)
    return row if _is_held(row, token, outcome) else None


def _is_held(row: RowMapping, token: int, outcome: str) -> bool:
    """Whether the lease is held; False where it has ended this very way before."""
    if row["token"] == token and row["outcome"] == outcome:
        return False
    if row["token"] != token or row["state"] != State.RUNNING:
        raise _lost(row, token)
    return True


def _lost(row: RowMapping, token: int) -> LeaseLost:
    return LeaseLost(
        f"the lease of jobs/{row['id']} was lost", job=f"jobs/{row['id']}", token=token, state=row["state"]
    )


def _locked(transaction: Transaction, job: str) -> RowMapping:
    rows = transaction.lock(jobs.c.id == job)
    if not rows:
        raise _no_job(job)
    return rows[0]


def _no_job(job: str) -> JobNotFound:
    return JobNotFound(f"there is no job {job}", job=f"jobs/{job}")


def _learn(transaction: Transaction, results: Mapping[str, Result]) -> None:
    """Keep which references jobs of an affinity used last."""
    used = {affinity: _references(result) for affinity, result in results.items() if affinity}
    used = {affinity: names for affinity, names in used.items() if names}
    if not used:
        return
    query = select(affinities).where(affinities.c.affinity.in_(sorted(used)))
    known = {(row.affinity, row.reference) for row in transaction.connection.execute(query)}
    wanted = {(affinity, name) for affinity, names in used.items() for name in names}
    if gone := sorted(known - wanted):
        stale = (affinities.c.affinity == bindparam("whose"), affinities.c.reference == bindparam("which"))
        values = [{"whose": affinity, "which": name} for affinity, name in gone]
        transaction.connection.execute(delete(affinities).where(*stale), values)
    if new := sorted(wanted - known):
        rows = [{"affinity": affinity, "reference": name} for affinity, name in new]
        transaction.connection.execute(insert(affinities), rows)


def _references(result: Result) -> set[str]:
    used = {name for step in result.steps for name in step.references.values() if name not in ("", "N/A")}
    return {name for name in used if name.isprintable() and len(name) <= 300}


def _count(transaction: Transaction, numbers: Mapping[str, int], column: Literal["completed", "failed"]) -> None:
    """Count ended attempts to their workers."""
    if not numbers:
        return
    more = {column: workers.c[column] + bindparam("number"), "last_seen": transaction.now}
    values = [{"whose": worker, "number": number} for worker, number in sorted(numbers.items())]
    transaction.connection.execute(update(workers).where(workers.c.name == bindparam("whose")).values(more), values)
