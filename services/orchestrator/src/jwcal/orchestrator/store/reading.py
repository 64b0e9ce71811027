"""Runs, jobs, workers and statistics as they are."""

import json
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, RowMapping, bindparam, case, exists, func, or_, select

from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.orchestrator.errors import JobNotFound, RunNotFound
from jwcal.orchestrator.model import (
    FINISHED,
    Event,
    Failure,
    Job,
    Progress,
    Result,
    Run,
    Stage,
    StageStats,
    State,
    Worker,
)
from jwcal.orchestrator.store.documents import load, load_optional, load_processing, load_spec
from jwcal.orchestrator.store.tables import (
    edges,
    events,
    is_failed,
    is_queued,
    is_running,
    jobs,
    run_labels,
    runs,
    workers,
)
from jwcal.orchestrator.store.transaction import chunks

_PARENTS = (
    select(edges.c.child, edges.c.parent)
    .where(edges.c.child.in_(bindparam("ids", expanding=True)), edges.c.kind == "PRODUCT")
    .order_by(edges.c.parent)
)
_JOBS = select(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True)))
_MOST_PRODUCTS = 1000
_RECENT = 100


def get_runs(connection: Connection, ids: Sequence[str], *, whole: bool) -> list[Run]:
    """Runs in the order of their ids given; the whole of them has inputs and products."""
    rows: dict[str, RowMapping] = {}
    columns = [column for column in runs.c if whole or column is not runs.c.input]
    for some in chunks(ids):
        query = select(*columns).where(runs.c.id.in_(some))
        rows.update({row["id"]: row for row in connection.execute(query).mappings()})
    if missing := next((run for run in ids if run not in rows), None):
        raise RunNotFound(f"there is no run {missing}", run=f"runs/{missing}")
    counts, fractions = _job_counts(connection, ids)
    return [
        _run(
            rows[run],
            counts.get(run, {}),
            fractions.get(run, 0.0),
            _products(connection, run) if whole else (),
            _first_failure(connection, run) if rows[run]["state"] == State.FAILED else None,
        )
        for run in ids
    ]


def list_runs(
    connection: Connection,
    *,
    limit: int,
    before: str | None,
    states: Collection[State],
    program: str,
    labels: Mapping[str, str],
) -> list[Run]:
    """Runs older than the one named, the newest first."""
    query = select(runs.c.id).order_by(runs.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(runs.c.id < before)
    if states:
        query = query.where(runs.c.state.in_([state.value for state in states]))
    if program:
        query = query.where(runs.c.program == program)
    for name, value in labels.items():
        same = (run_labels.c.run_id == runs.c.id, run_labels.c.name == name, run_labels.c.value == value)
        query = query.where(exists().where(*same))
    return get_runs(connection, list(connection.execute(query).scalars()), whole=False)


def get_job(connection: Connection, job: str) -> Job:
    """One job."""
    row = connection.execute(select(jobs).where(jobs.c.id == job)).mappings().one_or_none()
    if row is None:
        raise JobNotFound(f"there is no job {job}", job=f"jobs/{job}")
    return to_jobs(connection, [row])[0]


def get_jobs(connection: Connection, ids: Sequence[str]) -> list[Job]:
    """Those of these jobs that exist."""
    rows: list[RowMapping] = []
    for some in chunks(ids):
        rows.extend(connection.execute(_JOBS, {"ids": some}).mappings())
    return to_jobs(connection, rows)


def list_jobs(
    connection: Connection, run: str, *, limit: int, after: int, states: Collection[State]
) -> tuple[list[Job], int | None]:
    """A page of a run's jobs, and the place of its last where there are more."""
    if connection.execute(select(runs.c.id).where(runs.c.id == run)).one_or_none() is None:
        raise RunNotFound(f"there is no run {run}", run=f"runs/{run}")
    query = select(jobs).where(jobs.c.run_id == run, jobs.c.sequence > after).order_by(jobs.c.sequence).limit(limit + 1)
    if states:
        query = query.where(jobs.c.state.in_([state.value for state in states]))
    rows = connection.execute(query).mappings().all()
    more = rows[limit - 1]["sequence"] if len(rows) > limit else None
    return to_jobs(connection, rows[:limit]), more


def list_all_jobs(connection: Connection, *, limit: int, after: str, states: Collection[State]) -> list[Job]:
    """Jobs of all runs behind an id, by id."""
    query = select(jobs).where(jobs.c.id > after).order_by(jobs.c.id).limit(limit)
    if set(states) == {State.FAILED}:
        query = query.where(is_failed)
    elif states:
        query = query.where(jobs.c.state.in_([state.value for state in states]))
    return to_jobs(connection, connection.execute(query).mappings().all())


def changed_jobs(connection: Connection, run: str, *, after: int, limit: int) -> list[Job]:
    """Jobs that changed behind a cursor, by cursor."""
    query = select(jobs).where(jobs.c.run_id == run, jobs.c.cursor > after).order_by(jobs.c.cursor).limit(limit)
    return to_jobs(connection, connection.execute(query).mappings().all())


def cursors(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """Cursors of those runs that exist."""
    found: dict[str, int] = {}
    for some in chunks(sorted(ids)):
        query = select(runs.c.id, runs.c.cursor).where(runs.c.id.in_(some))
        found.update({row.id: row.cursor for row in connection.execute(query)})
    return found


def list_events(connection: Connection, run: str, *, after: int, limit: int) -> list[Event]:
    """History of a run behind a cursor."""
    query = select(events).where(events.c.run_id == run, events.c.cursor > after).order_by(events.c.cursor).limit(limit)
    return [
        Event(run=run, cursor=row.cursor, time=row.time, job=row.job_id, kind=row.kind, detail=json.loads(row.detail))
        for row in connection.execute(query)
    ]


def ready(connection: Connection, now: float, stages: Collection[Stage], *, limit: int) -> dict[Stage, int]:
    """How many jobs workers could have now, counted up to the limit."""
    counts: dict[Stage, int] = {}
    for stage in stages:
        free = (
            jobs.c.stage == stage.value,
            is_queued,
            or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now),
        )
        some = select(jobs.c.id).where(*free).limit(limit).subquery()
        counts[stage] = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return counts


def stats(connection: Connection, now: float, *, absent_after: float) -> list[StageStats]:
    """Depth and age of every stage's queue."""
    delayed = case((jobs.c.not_before > now, 1), else_=0)
    ready_since = case((jobs.c.not_before > now, None), else_=func.coalesce(jobs.c.not_before, jobs.c.create_time))
    query = (
        select(
            jobs.c.stage,
            jobs.c.state,
            func.count().label("number"),
            func.sum(delayed).label("delayed"),
            func.min(ready_since).label("since"),
            func.min(jobs.c.start_time).label("started"),
        )
        .where(jobs.c.state.in_([State.WAITING.value, State.QUEUED.value, State.RUNNING.value]))
        .group_by(jobs.c.stage, jobs.c.state)
    )
    found = {(row.stage, row.state): row for row in connection.execute(query)}
    present = _present_workers(connection, now - absent_after)
    answer = []
    for stage in Stage:
        queued = found.get((stage.value, State.QUEUED.value))
        waiting, running = (found.get((stage.value, state.value)) for state in (State.WAITING, State.RUNNING))
        seen, idle = present.get(stage.value, (0, 0))
        answer.append(
            StageStats(
                stage=stage,
                waiting=waiting.number if waiting else 0,
                queued=queued.number - queued.delayed if queued else 0,
                delayed=queued.delayed if queued else 0,
                running=running.number if running else 0,
                oldest=max(0.0, now - queued.since) if queued and queued.since is not None else None,
                oldest_lease=max(0.0, now - running.started) if running else None,
                mean_duration=_mean_duration(connection, stage),
                workers=seen,
                idle_workers=idle,
            )
        )
    return answer


def list_workers(connection: Connection, *, stage: Stage | None, limit: int, after: str) -> list[Worker]:
    """Workers behind a name, by name."""
    query = select(workers).where(workers.c.name > after).order_by(workers.c.name).limit(limit)
    if stage is not None:
        query = query.where(workers.c.stage == stage.value)
    return to_workers(connection, connection.execute(query).mappings().all())


def to_workers(connection: Connection, rows: Sequence[RowMapping]) -> list[Worker]:
    """Workers of these rows, with the jobs that they have."""
    held: dict[str, str] = {}
    for some in chunks(row["name"] for row in rows):
        query = select(jobs.c.worker, jobs.c.id).where(is_running, jobs.c.worker.in_(some))
        held.update({row.worker: row.id for row in connection.execute(query)})
    return [
        Worker(
            name=row["name"],
            stage=Stage(row["stage"]),
            code_version=row["code_version"],
            job=held.get(row["name"], ""),
            first_seen=row["first_seen"],
            last_seen=row["last_seen"],
            draining=row["draining"],
            completed=row["completed"],
            failed=row["failed"],
        )
        for row in rows
    ]


def to_jobs(connection: Connection, rows: Sequence[RowMapping]) -> list[Job]:
    """Jobs of these rows, with their parents."""
    parents: dict[str, list[str]] = {}
    for some in chunks(row["id"] for row in rows):
        for child, parent in connection.execute(_PARENTS, {"ids": some}):
            parents.setdefault(child, []).append(parent)
    return [_job(row, tuple(parents.get(row["id"], ()))) for row in rows]


def _job(row: RowMapping, parents: tuple[str, ...]) -> Job:
    return Job(
        id=row["id"],
        run=row["run_id"],
        place=row["sequence"],
        stage=Stage(row["stage"]),
        title=row["title"],
        state=State(row["state"]),
        inputs=load(tuple[ObjectRef, ...], row["inputs"]),
        parents=parents,
        processing=load_processing(row["processing"]),
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        token=row["token"],
        worker=row["worker"],
        progress=load_optional(Progress, row["progress"]),
        result=load_optional(Result, row["result"]),
        failure=load_optional(Failure, row["failure"]),
        log=load_optional(ObjectRef, row["log"]),
        reused=row["reused"],
        cursor=row["cursor"],
        create_time=row["create_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        not_before=row["not_before"],
    )


def _run(
    row: RowMapping,
    counts: Mapping[State, int],
    fraction: float,
    products: tuple[ObjectRef, ...],
    failure: Failure | None,
) -> Run:
    return Run(
        id=row["id"],
        spec=load_spec(row["spec"], row.get("input")),
        state=State(row["state"]),
        context=row["context"],
        owner=row["owner"],
        output=load(Location, row["output"]),
        trace=load(dict[str, str], row["trace"]),
        cursor=row["cursor"],
        create_time=row["create_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        jobs=counts,
        fraction=fraction,
        products=products,
        failure=failure,
    )


def _job_counts(connection: Connection, ids: Sequence[str]) -> tuple[dict[str, dict[State, int]], dict[str, float]]:
    counts: dict[str, dict[State, int]] = {}
    shares: dict[str, float] = {}
    for some in chunks(ids):
        by_state = (
            select(jobs.c.run_id, jobs.c.state, func.count())
            .where(jobs.c.run_id.in_(some))
            .group_by(jobs.c.run_id, jobs.c.state)
        )
        for run, state, count in connection.execute(by_state):
            counts.setdefault(run, {})[State(state)] = count
        running = (jobs.c.run_id.in_(some), jobs.c.state == State.RUNNING.value, jobs.c.progress.is_not(None))
        for run, text in connection.execute(select(jobs.c.run_id, jobs.c.progress).where(*running)):
            shares[run] = shares.get(run, 0.0) + min(1.0, load(Progress, text).fraction)
    fractions = {}
    for run in ids:
        of_run = counts.get(run, {})
        done = sum(count for state, count in of_run.items() if state in FINISHED) + shares.get(run, 0.0)
        fractions[run] = done / sum(of_run.values()) if of_run else 1.0
    return counts, fractions


def _products(connection: Connection, run: str) -> tuple[ObjectRef, ...]:
    query = select(jobs.c.result).where(jobs.c.run_id == run, jobs.c.state == State.SUCCEEDED.value)
    found: list[ObjectRef] = []
    for text in connection.execute(query.order_by(jobs.c.sequence).limit(_MOST_PRODUCTS)).scalars():
        result = load_optional(Result, text)
        found.extend(result.products if result else ())
    return tuple(found[:_MOST_PRODUCTS])


def _first_failure(connection: Connection, run: str) -> Failure | None:
    """The first failure that was not handed down."""
    query = (
        select(jobs.c.failure)
        .where(jobs.c.run_id == run, jobs.c.state == State.FAILED.value, jobs.c.attempt > 0)
        .order_by(jobs.c.end_time, jobs.c.sequence)
        .limit(1)
    )
    return load_optional(Failure, connection.execute(query).scalar_one_or_none())


def _mean_duration(connection: Connection, stage: Stage) -> float | None:
    lately = (
        select((jobs.c.end_time - jobs.c.start_time).label("seconds"))
        .where(jobs.c.stage == stage.value, jobs.c.state == State.SUCCEEDED.value, jobs.c.start_time.is_not(None))
        .order_by(jobs.c.end_time.desc())
        .limit(_RECENT)
        .subquery()
    )
    mean = connection.execute(select(func.avg(lately.c.seconds))).scalar_one()
    return None if mean is None else float(mean)


def _present_workers(connection: Connection, since: float) -> dict[str, tuple[int, int]]:
    busy = exists().where(is_running, jobs.c.worker == workers.c.name)
    query = (
        select(workers.c.stage, func.count(), func.sum(case((busy, 0), else_=1)))
        .where(workers.c.last_seen >= since)
        .group_by(workers.c.stage)
    )
    return {stage: (count, int(idle)) for stage, count, idle in connection.execute(query)}
