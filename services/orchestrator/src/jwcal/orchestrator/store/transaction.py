"""A transaction on jobs: the time it takes place, the rules, and the history it leaves.

Changes are collected and written at the end, so that a run's row, which every change of the run has to lock, is held as
briefly as can be, and always after the jobs' rows.  That lock also gives a run's changes cursors without gaps, in the
order of their commits: who has seen a cursor has missed nothing before it.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Connection, RowMapping, Update, bindparam, insert, select, update

from jwcal.orchestrator.model import FINISHED, TRANSITIONS, State
from jwcal.orchestrator.store.port import Change, Policy, RunEnd
from jwcal.orchestrator.store.tables import events, jobs, runs

CHUNK = 500  # of values in one statement

# Statements that every worker's call needs are made once: SQLAlchemy takes longer to make them than SQLite to run them.
_LOCK_ALL = select(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True))).order_by(jobs.c.id).with_for_update()
_ADVANCE = (
    update(runs)
    .where(runs.c.id == bindparam("run"))
    .values(cursor=runs.c.cursor + bindparam("changes"), unfinished=runs.c.unfinished - bindparam("ended"))
    .returning(runs.c.cursor, runs.c.unfinished, runs.c.state, runs.c.cancel_requested, runs.c.create_time)
)
_SET_CURSOR = update(jobs).where(jobs.c.id == bindparam("which")).values(cursor=bindparam("at"))
_ADD_EVENTS = insert(events)


@dataclass(slots=True)
class Transaction:
    """One transaction on jobs."""

    connection: Connection
    now: float
    policy: Policy
    identify: Callable[[float], str]
    jitter: Callable[[], float]
    changes: list[Change] = field(default_factory=list)
    run_ends: list[RunEnd] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)  # by run: jobs that ended, less those that live again

    def lock(self, *conditions: Any, skip_locked: bool = False, limit: int | None = None) -> Sequence[RowMapping]:
        """Rows of jobs, locked in the order of their ids."""
        query = select(jobs).where(*conditions).order_by(jobs.c.id).limit(limit)
        return self.connection.execute(query.with_for_update(skip_locked=skip_locked)).mappings().all()

    def lock_all(self, ids: Collection[str]) -> list[RowMapping]:
        """Rows of these jobs, locked."""
        found: list[RowMapping] = []
        for some in chunks(sorted(ids)):
            found.extend(self.connection.execute(_LOCK_ALL, {"ids": some}).mappings())
        return found

    def move(self, row: RowMapping, state: State, *, kind: str = "", **values: Any) -> None:
        """Bring a job to another state."""
        self.move_all([(row, values)], state, kind=kind)

    def move_all(self, moves: Iterable[tuple[RowMapping, dict[str, Any]]], state: State, *, kind: str = "") -> None:
        """Bring jobs to another state, each with its values: the only place where states are written."""
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}  # by the columns that change
        for row, values in moves:
            before = State(row["state"])
            if state not in TRANSITIONS[before]:
                raise AssertionError(f"job {row['id']} cannot go from {before} to {state}")
            if state in FINISHED:
                self.ended[row["run_id"]] = self.ended.get(row["run_id"], 0) + 1
                values.setdefault("end_time", self.now)
            elif before in FINISHED:
                self.ended[row["run_id"]] = self.ended.get(row["run_id"], 0) - 1
            alike.setdefault(tuple(values), []).append({"which": row["id"], **_as_parameters(values)})
            self.note(row, kind or state.value, {"from": before.value})
        for names, parameters in alike.items():
            self.connection.execute(_moving(state, names), parameters)

    def note(self, row: RowMapping, kind: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add a line to the history of the job's run."""
        self.changes.append(Change(row["run_id"], row["id"], row["stage"], kind, detail or {}))

    def finish(self) -> None:
        """Write history, cursors and the states of runs."""
        by_run: dict[str, list[Change]] = {}
        for change in self.changes:
            by_run.setdefault(change.run, []).append(change)
        history: list[dict[str, Any]] = []
        latest: dict[str, int] = {}
        for run in sorted(by_run):
            for cursor, change in enumerate(by_run[run], self._advance(run, by_run[run])):
                history.append(
                    {
                        "run_id": run,
                        "cursor": cursor,
                        "time": self.now,
                        "job_id": change.job,
                        "kind": change.kind,
                        "detail": json.dumps(change.detail),
                    }
                )
                if change.job:
                    latest[change.job] = cursor
        if history:
            self.connection.execute(_ADD_EVENTS, history)
        if latest:
            self.connection.execute(_SET_CURSOR, [{"which": job, "at": cursor} for job, cursor in latest.items()])

    def _advance(self, run: str, changes: Sequence[Change]) -> int:
        """Move a run's cursor, and its state where that follows; the cursor of the first of these changes."""
        ended = self.ended.get(run, 0)
        row = self.connection.execute(_ADVANCE, {"run": run, "changes": len(changes), "ended": ended}).one()
        if row.unfinished == 0 and State(row.state) not in FINISHED:
            state = _end_of_run(self.connection, run, cancel_requested=row.cancel_requested)
            self.connection.execute(update(runs).where(runs.c.id == run).values(state=state.value, end_time=self.now))
            self.run_ends.append(RunEnd(run, state, self.now - row.create_time))
        elif row.state == State.PENDING and any(change.kind == State.RUNNING for change in changes):
            self.connection.execute(
                update(runs).where(runs.c.id == run).values(state=State.RUNNING.value, start_time=self.now)
            )
        return int(row.cursor) - len(changes) + 1


@cache
def _moving(state: State, names: tuple[str, ...]) -> Update:
    new: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return update(jobs).where(jobs.c.id == bindparam("which")).values(state=state.value, **new)


def _as_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in values.items()}


def _end_of_run(connection: Connection, run: str, *, cancel_requested: bool) -> State:
    states = set(connection.execute(select(jobs.c.state).where(jobs.c.run_id == run).distinct()).scalars())
    order = (State.CANCELLED, State.FAILED) if cancel_requested else (State.FAILED, State.CANCELLED)
    return next((state for state in order if state in states), State.SUCCEEDED)


def chunks(values: Iterable[str]) -> Iterable[list[str]]:
    """The values in lists that fit into one statement."""
    every = list(values)
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]
