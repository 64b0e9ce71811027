"""What follows from a job's end: fan-in, failures handed down, duplicates, reuse of results.

All of it takes place in the transaction that ends the job.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, bindparam, delete, insert, select, update

from jwcal.core.storage.ref import ObjectRef
from jwcal.orchestrator.model import WINDOWS, Failure, Result, Stage, State, job_key
from jwcal.orchestrator.store.documents import dump, load, load_optional, load_processing
from jwcal.orchestrator.store.tables import edges, jobs
from jwcal.orchestrator.store.transaction import Transaction, chunks

_INPUTS_OF_PARENTS = (
    select(edges.c.child, edges.c.kind, jobs.c.result)
    .join(edges, edges.c.parent == jobs.c.id)
    .where(edges.c.child.in_(bindparam("ids", expanding=True)), edges.c.kind.in_(("PRODUCT", "ORDER")))
    .order_by(jobs.c.sequence)
)
_EDGES_FROM = select(edges.c.parent, edges.c.child, edges.c.kind).where(
    edges.c.parent.in_(bindparam("ids", expanding=True))
)
_LIVE = (State.WAITING.value, State.QUEUED.value, State.RUNNING.value)


def settle(transaction: Transaction, ended: Iterable[str]) -> None:
    """Hand the ends of jobs on to those that wait for them, and so on until nothing more follows."""
    pending = list(ended)
    while pending:
        links = _edges_from(transaction, pending)
        parents = {row["id"]: row for row in transaction.lock_all({parent for parent, _, _ in links})}
        pending = []
        waiting: list[str] = []
        heirs: dict[str, list[str]] = {}
        lost: dict[str, RowMapping] = {}
        given: dict[str, int] = {}
        for parent, child, kind in links:
            succeeded = parents[parent]["state"] == State.SUCCEEDED
            if kind == "SAME":
                heirs.setdefault(parent, []).append(child)
            elif kind == "PRODUCT" and not succeeded:
                lost.setdefault(child, parents[parent])
            else:
                given[child] = given.get(child, 0) + 1
        children = {row["id"]: row for row in transaction.lock_all([*lost, *given])}
        for child, parent_row in sorted(lost.items()):
            if children[child]["state"] == State.WAITING:
                _end_with_parent(transaction, children[child], parent_row)
                pending.append(child)
        left = {
            child: children[child]["waiting_on"] - count
            for child, count in sorted(given.items())
            if child not in lost and children[child]["state"] == State.WAITING
        }
        _set_waiting(transaction, left)
        waiting.extend(child for child, count in left.items() if count == 0)
        for parent, children_of_it in sorted(heirs.items()):
            done, queued = _inherit(transaction, parents[parent], sorted(children_of_it))
            pending.extend(done)
            waiting.extend(queued)
        pending.extend(make_ready(transaction, waiting))


def make_ready(transaction: Transaction, ids: Sequence[str]) -> list[str]:
    """Queue jobs that wait for nothing more, or answer them with results that are there; those that ended so."""
    rows = [row for row in transaction.lock_all(ids) if row["state"] == State.WAITING and row["waiting_on"] == 0]
    keys = _keys(transaction, rows)
    wanted = sorted({key for key in keys.values() if key})
    live = _live_jobs(transaction, wanted)  # before the results: one that ended meanwhile is found among them
    done = _known_results(transaction, wanted)
    reused: list[tuple[RowMapping, dict[str, Any]]] = []
    queued: list[tuple[RowMapping, dict[str, Any]]] = []
    for row in rows:
        key = keys[row["id"]]
        if key is None or row["ignore_earlier"]:
            queued.append((row, {"key": key, "first_of_key": False}))
        elif key in done:
            reused.append((row, {"key": key, "first_of_key": False, "reused": True, "result": done[key]}))
        elif live.get(key, row["id"]) != row["id"]:
            transaction.connection.execute(insert(edges).values(parent=live[key], child=row["id"], kind="SAME"))
            transaction.move(row, State.WAITING, kind="SAME", key=key, first_of_key=False, waiting_on=1)
        else:
            live[key] = row["id"]
            queued.append((row, {"key": key, "first_of_key": True}))
    transaction.move_all(reused, State.SUCCEEDED, kind="REUSED")
    transaction.move_all(queued, State.QUEUED)
    return [row["id"] for row, _ in reused]


def inputs_of(transaction: Transaction, rows: Sequence[RowMapping]) -> dict[str, tuple[ObjectRef, ...]]:
    """All that goes into jobs: their own inputs and their parents' products, in the order of the parents' making.

    Of a job that one only runs after come the persistence windows alone, if it made any.
    """
    inputs = {row["id"]: load(tuple[ObjectRef, ...], row["inputs"]) for row in rows}
    for some in chunks(inputs):
        for child, kind, text in transaction.connection.execute(_INPUTS_OF_PARENTS, {"ids": some}):
            result = load_optional(Result, text)
            products = result.products if result else ()
            inputs[child] += tuple(ref for ref in products if (ref.kind == WINDOWS) == (kind == "ORDER"))
    return inputs


def _keys(transaction: Transaction, rows: Sequence[RowMapping]) -> dict[str, str | None]:
    inputs = inputs_of(transaction, rows)
    return {
        row["id"]: job_key(
            Stage(row["stage"]),
            inputs[row["id"]],
            load_processing(row["processing"]),
            code_version=transaction.policy.code_version,
        )
        for row in rows
    }


def _edges_from(transaction: Transaction, parents: Iterable[str]) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for some in chunks(parents):
        rows = transaction.connection.execute(_EDGES_FROM, {"ids": some})
        found.extend((row.parent, row.child, row.kind) for row in rows)
    return found


def _end_with_parent(transaction: Transaction, child: RowMapping, parent: RowMapping) -> None:
    if parent["state"] == State.CANCELLED:
        transaction.move(child, State.CANCELLED, waiting_on=0)
        return
    cause = load_optional(Failure, parent["failure"])
    metadata = {"upstream": f"jobs/{parent['id']}", "upstream_reason": cause.reason if cause else ""}
    failure = Failure(
        reason="UPSTREAM_FAILED", message=f"{parent['title']}, which goes into this, failed", metadata=metadata
    )
    transaction.move(child, State.FAILED, waiting_on=0, failure=dump(Failure, failure))


def _inherit(transaction: Transaction, first: RowMapping, heirs: list[str]) -> tuple[list[str], list[str]]:
    """Give duplicates the first one's result; where it has none, the next of them does the work for the others."""
    transaction.connection.execute(delete(edges).where(edges.c.parent == first["id"], edges.c.kind == "SAME"))
    rows = [row for row in transaction.lock_all(heirs) if row["state"] == State.WAITING]
    if first["state"] == State.SUCCEEDED:
        moves: list[tuple[RowMapping, dict[str, Any]]] = [
            (row, {"waiting_on": 0, "reused": True, "result": first["result"]}) for row in rows
        ]
        transaction.move_all(moves, State.SUCCEEDED, kind="REUSED")
        return [row["id"] for row in rows], []
    _set_waiting(transaction, {row["id"]: 0 for row in rows})
    return [], [row["id"] for row in rows]


def _set_waiting(transaction: Transaction, counts: Mapping[str, int]) -> None:
    """On how many others jobs wait."""
    if counts:
        statement = update(jobs).where(jobs.c.id == bindparam("which")).values(waiting_on=bindparam("count"))
        values = [{"which": job, "count": count} for job, count in counts.items()]
        transaction.connection.execute(statement, values)


def _known_results(transaction: Transaction, keys: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in chunks(keys):
        query = (
            select(jobs.c.key, jobs.c.result)
            .where(jobs.c.key.in_(some), jobs.c.state == State.SUCCEEDED.value)
            .order_by(jobs.c.end_time)
        )
        found.update({row.key: row.result for row in transaction.connection.execute(query)})
    return found


def _live_jobs(transaction: Transaction, keys: list[str]) -> dict[str, str]:
    """The first live job of each key, locked, so that it cannot end before its duplicates wait for it."""
    found: dict[str, str] = {}
    for some in chunks(keys):
        rows = transaction.lock(jobs.c.key.in_(some), jobs.c.first_of_key, jobs.c.state.in_(_LIVE))
        found.update({row["key"]: row["id"] for row in rows})
    return found
