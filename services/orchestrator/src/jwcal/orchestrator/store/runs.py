"""Making, cancelling, retrying and forgetting runs."""

from collections.abc import Collection

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.orchestrator.errors import NothingToRetry, RequestReused, RunNotFinished, RunNotFound
from jwcal.orchestrator.model import FINISHED, NewJob, NewRun, Processing, State
from jwcal.orchestrator.store.documents import dump, dump_spec
from jwcal.orchestrator.store.port import Change
from jwcal.orchestrator.store.settling import make_ready, settle
from jwcal.orchestrator.store.tables import edges, events, jobs, run_labels, runs
from jwcal.orchestrator.store.transaction import Transaction, chunks

_UNTOUCHED = (State.WAITING.value, State.QUEUED.value)
_REVIVED = (State.FAILED.value, State.CANCELLED.value)


def create(transaction: Transaction, new: NewRun) -> str:
    """Store a run and its jobs; the id of the run, or of the one that the same request made before."""
    connection, now = transaction.connection, transaction.now
    spec, its_input = dump_spec(new.spec)
    if new.request_id:
        query = select(runs.c.id, runs.c.spec, runs.c.input).where(runs.c.request_id == new.request_id)
        earlier = connection.execute(query).one_or_none()
        if earlier is not None:
            if (earlier.spec, earlier.input) != (spec, its_input):
                raise RequestReused(f"request {new.request_id} submitted another run", run=f"runs/{earlier.id}")
            return str(earlier.id)
    run = transaction.identify(now)
    connection.execute(
        insert(runs).values(
            id=run,
            request_id=new.request_id or None,
            spec=spec,
            input=its_input,
            state=State.PENDING.value,
            program=new.spec.program,
            context=new.context,
            owner=new.owner,
            output=dump(Location, new.output),
            trace=dump(dict[str, str], dict(new.trace)),
            unfinished=len(new.jobs),
            cancel_requested=False,
            cursor=0,
            create_time=now,
        )
    )
    if new.spec.labels:
        labels = [{"run_id": run, "name": name, "value": value} for name, value in new.spec.labels.items()]
        connection.execute(insert(run_labels), labels)
    transaction.changes.append(Change(run, "", "", "CREATED", {}))
    ids = [transaction.identify(now) for _ in new.jobs]
    if ids:
        connection.execute(insert(jobs), [_new_row(transaction, new, run, ids, place) for place in range(len(ids))])
        if links := _links(new, ids):
            connection.execute(insert(edges), links)
    settle(transaction, make_ready(transaction, [i for i, job in zip(ids, new.jobs, strict=True) if _free(job)]))
    return run


def cancel(transaction: Transaction, run: str) -> None:
    """Cancel what has not begun; what runs is asked to stop at its next heartbeat."""
    _exists(transaction.connection, run)
    rows = transaction.lock(jobs.c.run_id == run, jobs.c.state.in_((*_UNTOUCHED, State.RUNNING.value)))
    for row in rows:
        if row["state"] == State.RUNNING:
            transaction.connection.execute(update(jobs).where(jobs.c.id == row["id"]).values(cancel_requested=True))
            transaction.note(row, "CANCEL_REQUESTED")
    untouched = [row for row in rows if row["state"] != State.RUNNING]
    transaction.move_all([(row, {"waiting_on": 0}) for row in untouched], State.CANCELLED)
    if rows:
        transaction.connection.execute(update(runs).where(runs.c.id == run).values(cancel_requested=True))
        for some in chunks(row["id"] for row in rows):
            duplicates = (edges.c.child.in_(some), edges.c.kind == "SAME")
            transaction.connection.execute(delete(edges).where(*duplicates))
        settle(transaction, [row["id"] for row in untouched])


def retry(transaction: Transaction, run: str) -> None:
    """Let the failed and cancelled jobs of a finished run live again, with all their attempts."""
    connection = transaction.connection
    _must_be_finished(connection, run)
    rows = transaction.lock(jobs.c.run_id == run, jobs.c.state.in_(_REVIVED))
    if not rows:
        raise NothingToRetry(f"every job of runs/{run} succeeded", run=f"runs/{run}")
    revived = {row["id"] for row in rows}
    counts = _parents_among(connection, revived)
    connection.execute(
        update(runs)
        .where(runs.c.id == run)
        .values(state=State.PENDING.value, start_time=None, end_time=None, cancel_requested=False)
    )
    fresh: dict[str, object] = {
        "attempt": 0,
        "cancel_requested": False,
        "failure": None,
        "log": None,
        "progress": None,
        "start_time": None,
        "end_time": None,
        "not_before": None,
    }
    moves = [(row, {"waiting_on": counts.get(row["id"], 0), **fresh}) for row in rows]
    transaction.move_all(moves, State.WAITING, kind="RETRIED")
    settle(transaction, make_ready(transaction, [job for job in revived if not counts.get(job)]))


def forget(connection: Connection, run: str) -> None:
    """Delete a finished run with its jobs and history."""
    _must_be_finished(connection, run)
    of_run = select(jobs.c.id).where(jobs.c.run_id == run)
    connection.execute(delete(edges).where(edges.c.child.in_(of_run)))
    connection.execute(delete(edges).where(edges.c.parent.in_(of_run)))
    for table in (events, jobs, run_labels):
        connection.execute(delete(table).where(table.c.run_id == run))
    connection.execute(delete(runs).where(runs.c.id == run))


def ended_before(connection: Connection, moment: float, *, limit: int) -> list[str]:
    """Runs that ended before a moment."""
    finished = [state.value for state in FINISHED]
    query = select(runs.c.id).where(runs.c.state.in_(finished), runs.c.end_time < moment).limit(limit)
    return list(connection.execute(query).scalars())


def _free(job: NewJob) -> bool:
    return not job.parents and not job.after


def _new_row(transaction: Transaction, new: NewRun, run: str, ids: list[str], place: int) -> dict[str, object]:
    job, policy = new.jobs[place], transaction.policy
    return {
        "id": ids[place],
        "run_id": run,
        "sequence": place,
        "stage": job.stage.value,
        "title": job.title,
        "state": State.WAITING.value,
        "program": new.spec.program,
        # The last term keeps a run's jobs in their order.
        "rank": transaction.now - new.spec.priority * policy.ageing + place * 1e-6,
        "affinity": job.affinity,
        "memory": job.processing.required_memory or policy.required_memory.get(job.stage, 0),
        "first_of_key": False,
        "ignore_earlier": new.spec.ignore_earlier_results,
        "inputs": dump(tuple[ObjectRef, ...], job.inputs),
        "processing": dump(Processing, job.processing),
        "waiting_on": len(set(job.parents)) + len(set(job.after) - set(job.parents)),
        "attempt": 0,
        "max_attempts": new.spec.max_attempts or policy.max_attempts,
        "token": 0,
        "worker": "",
        "cancel_requested": False,
        "reused": False,
        "cursor": 0,
        "create_time": transaction.now,
    }


def _links(new: NewRun, ids: list[str]) -> list[dict[str, str]]:
    links: list[dict[str, str]] = []
    for child, job in zip(ids, new.jobs, strict=True):
        kinds = dict.fromkeys(job.after, "ORDER") | dict.fromkeys(job.parents, "PRODUCT")
        links.extend({"parent": ids[parent], "child": child, "kind": kind} for parent, kind in sorted(kinds.items()))
    return links


def _parents_among(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for some in chunks(sorted(ids)):
        query = select(edges.c.parent, edges.c.child).where(edges.c.child.in_(some))
        for parent, child in connection.execute(query):
            counts[child] = counts.get(child, 0) + (parent in ids)
    return counts


def _exists(connection: Connection, run: str) -> RowMapping:
    row = connection.execute(select(runs).where(runs.c.id == run)).mappings().one_or_none()
    if row is None:
        raise RunNotFound(f"there is no run {run}", run=f"runs/{run}")
    return row


def _must_be_finished(connection: Connection, run: str) -> None:
    query = select(runs.c.state).where(runs.c.id == run).with_for_update()
    state = connection.execute(query).scalar_one_or_none()
    if state is None:
        raise RunNotFound(f"there is no run {run}", run=f"runs/{run}")
    if State(state) not in FINISHED:
        raise RunNotFinished(f"runs/{run} is {state}", run=f"runs/{run}", remedy="cancel it or wait for its end")
