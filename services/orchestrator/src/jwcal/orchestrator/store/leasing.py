"""Leases: whose turn it is, heartbeats, and the ends of attempts.

A lease's token is the job's count of leases.  It stays in the row after the lease, with how the lease ended, so that an
answer that was lost on its way can be asked for again, and any other use of it is refused.
"""

import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import RowMapping, and_, case, delete, func, insert, not_, or_, select, update

from jwcal.orchestrator.errors import JobNotFound, LeaseLost
from jwcal.orchestrator.model import Extension, Failure, ObjectRef, Progress, Result, Stage, State, StepReport
from jwcal.orchestrator.store.documents import dump
from jwcal.orchestrator.store.settling import settle
from jwcal.orchestrator.store.tables import affinities, jobs, workers
from jwcal.orchestrator.store.transaction import Transaction

_MOST_AFFINITIES = 20
_PROGRAMS_LOCK = 0x6A777063  # of PostgreSQL: counting a program's running jobs and adding one must not be interleaved


def full_jitter(rng: random.Random) -> Callable[[], float]:
    """Factors from 0.5 to 1, so that attempts that failed together do not come back together."""
    return lambda: rng.uniform(0.5, 1.0)


def take(
    transaction: Transaction,
    *,
    worker: str,
    stage: Stage,
    held_references: Collection[str],
    request_id: str,
    draining: bool,
) -> RowMapping | None:
    """Lease the job whose turn it is; its row as it is then."""
    if request_id:
        mine = (jobs.c.state == State.RUNNING.value, jobs.c.worker == worker, jobs.c.lease_request == request_id)
        if earlier := transaction.lock(*mine):
            return earlier[0]
    if draining:
        return None
    row = _next(transaction, stage, _liked(transaction, held_references))
    if row is None:
        return None
    values = {
        "attempt": row["attempt"] + 1,
        "token": row["token"] + 1,
        "outcome": None,
        "worker": worker,
        "lease_request": request_id or None,
        "lease_expires": transaction.now + transaction.policy.lease_duration,
        "start_time": transaction.now,
        "progress": None,
        "not_before": None,
    }
    transaction.move(row, State.RUNNING, **values)
    return transaction.lock(jobs.c.id == row["id"])[0]


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


def complete(transaction: Transaction, job: str, token: int, result: Result) -> None:
    """End a job well and settle what follows from it."""
    row = _held_or_ended(transaction, job, token, "COMPLETE")
    if row is None:
        return
    progress = Progress(phase="done", fraction=1.0, steps_done=len(result.steps), steps_total=len(result.steps))
    transaction.move(
        row,
        State.SUCCEEDED,
        outcome="COMPLETE",
        lease_expires=None,
        result=dump(Result, result),
        progress=dump(Progress, progress),
        failure=None,
    )
    _learn(transaction, row["affinity"], result)
    _count(transaction, row["worker"], completed=1)
    settle(transaction, [job])


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
    overdue = (jobs.c.state == State.RUNNING.value, jobs.c.lease_expires < transaction.now)
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
    _count(transaction, row["worker"], failed=1)
    transaction.note(row, "ATTEMPT_ENDED", {"attempt": row["attempt"], "reason": failure.reason, "how": outcome})
    if failure.retryable and row["attempt"] < row["max_attempts"] and not row["cancel_requested"]:
        delay = min(2.0 ** row["attempt"], transaction.policy.backoff_limit) * transaction.jitter()
        transaction.move(row, State.QUEUED, not_before=transaction.now + delay, **values)
        return
    transaction.move(row, State.CANCELLED if row["cancel_requested"] else State.FAILED, **values)
    settle(transaction, [row["id"]])


def _next(transaction: Transaction, stage: Stage, liked: Sequence[str]) -> RowMapping | None:
    """The first job in turn; among those at the head of the queue, one whose references the worker holds."""
    free = [
        jobs.c.stage == stage.value,
        jobs.c.state == State.QUEUED.value,
        or_(jobs.c.not_before.is_(None), jobs.c.not_before <= transaction.now),
    ]
    if full := _programs_at_their_quota(transaction):
        free.append(not_(jobs.c.program.in_(full)))
    query = select(jobs).where(*free)
    if liked:
        head = select(jobs.c.id).where(*free).order_by(jobs.c.rank, jobs.c.id)
        query = query.where(jobs.c.id.in_(head.limit(transaction.policy.affinity_window)))
        query = query.order_by(case((jobs.c.affinity.in_(liked), 0), else_=1), jobs.c.rank, jobs.c.id)
    else:
        query = query.order_by(jobs.c.rank, jobs.c.id)
    query = query.limit(1).with_for_update(skip_locked=True)
    return transaction.connection.execute(query).mappings().one_or_none()


def _liked(transaction: Transaction, held_references: Collection[str]) -> Sequence[str]:
    if not held_references:
        return ()
    query = (
        select(affinities.c.affinity)
        .where(affinities.c.reference.in_(sorted(held_references)[:300]))
        .group_by(affinities.c.affinity)
        .order_by(func.count().desc())
        .limit(_MOST_AFFINITIES)
    )
    return transaction.connection.execute(query).scalars().all()


def _programs_at_their_quota(transaction: Transaction) -> list[str]:
    policy = transaction.policy
    if not policy.program_quota and not policy.program_quotas:
        return []
    if transaction.connection.dialect.name == "postgresql":
        transaction.connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_PROGRAMS_LOCK})")
    query = (
        select(jobs.c.program, func.count().label("number"))
        .where(jobs.c.state == State.RUNNING.value)
        .group_by(jobs.c.program)
    )
    counts = {row.program: row.number for row in transaction.connection.execute(query)}
    quotas = {program: policy.program_quotas.get(program, policy.program_quota) for program in counts}
    return [program for program, count in counts.items() if program and 0 < quotas[program] <= count]


def _held(transaction: Transaction, job: str, token: int) -> RowMapping:
    row = _locked(transaction, job)
    if row["token"] != token or row["state"] != State.RUNNING:
        raise _lost(row, token)
    return row


def _held_or_ended(transaction: Transaction, job: str, token: int, outcome: str) -> RowMapping | None:
    """The row of a lease that is held; None where the lease has ended by this very call before."""
    row = _locked(transaction, job)
    if row["token"] == token and row["outcome"] == outcome:
        return None
    if row["token"] != token or row["state"] != State.RUNNING:
        raise _lost(row, token)
    return row


def _lost(row: RowMapping, token: int) -> LeaseLost:
    return LeaseLost(
        f"the lease of jobs/{row['id']} was lost", job=f"jobs/{row['id']}", token=token, state=row["state"]
    )


def _locked(transaction: Transaction, job: str) -> RowMapping:
    rows = transaction.lock(jobs.c.id == job)
    if not rows:
        raise JobNotFound(f"there is no job {job}", job=f"jobs/{job}")
    return rows[0]


def _learn(transaction: Transaction, affinity: str, result: Result) -> None:
    used = {name for step in result.steps for name in step.references.values() if name not in ("", "N/A")}
    used = {name for name in used if name.isprintable() and len(name) <= 300}
    if not affinity or not used:
        return
    query = select(affinities.c.reference).where(affinities.c.affinity == affinity)
    known = set(transaction.connection.execute(query).scalars())
    if gone := known - used:
        stale = and_(affinities.c.affinity == affinity, affinities.c.reference.in_(sorted(gone)))
        transaction.connection.execute(delete(affinities).where(stale))
    if new := sorted(used - known):
        rows = [{"affinity": affinity, "reference": name} for name in new]
        transaction.connection.execute(insert(affinities), rows)


def _count(transaction: Transaction, worker: str, *, completed: int = 0, failed: int = 0) -> None:
    transaction.connection.execute(
        update(workers)
        .where(workers.c.name == worker)
        .values(completed=workers.c.completed + completed, failed=workers.c.failed + failed, last_seen=transaction.now)
    )
