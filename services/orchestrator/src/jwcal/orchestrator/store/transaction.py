"""A transaction on jobs: the time it takes place, the rules, and the history it leaves.

Changes are collected and written at the end, so that a run's row, which every change of the run has to lock, is held as
briefly as can be, and always after the jobs' rows.  That lock also gives a run's changes cursors without gaps, in the
order of their commits: who has seen a cursor has missed nothing before it.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from jwcal.orchestrator.model import FINISHED, TRANSITIONS, State
from jwcal.orchestrator.store.port import Policy
from jwcal.orchestrator.store.tables import events, jobs, runs

CHUNK = 500  # of values in one statement


@dataclass(slots=True)
class Change:
    """What happened to one job."""

    run: str
    job: str
    kind: str
    detail: Mapping[str, Any]


@dataclass(slots=True)
class Transaction:
    """One transaction on jobs."""

    connection: Connection
    now: float
    policy: Policy
    identify: Callable[[float], str]
    jitter: Callable[[], float]
    changes: list[Change] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)  # by run: jobs that ended, less those that live again

    def lock(self, *conditions: Any, skip_locked: bool = False, limit: int | None = None) -> Sequence[RowMapping]:
        """Rows of jobs, locked in the order of their ids."""
        query = select(jobs).where(*conditions).order_by(jobs.c.id).limit(limit)
        return self.connection.execute(query.with_for_update(skip_locked=skip_locked)).mappings().all()

    def lock_all(self, ids: Collection[str]) -> list[RowMapping]:
        """Rows of these jobs, locked."""
        found: list[RowMapping] = []
        for some in chunks(sorted(ids)):
            found.extend(self.lock(jobs.c.id.in_(some)))
        return found

    def move(self, row: RowMapping, state: State, *, kind: str = "", **values: Any) -> None:
        """Bring a job to another state: the only place where states are written."""
        before = State(row["state"])
        if state not in TRANSITIONS[before]:
            raise AssertionError(f"job {row['id']} cannot go from {before} to {state}")
        if state in FINISHED:
            self.ended[row["run_id"]] = self.ended.get(row["run_id"], 0) + 1
            values.setdefault("end_time", self.now)
        elif before in FINISHED:
            self.ended[row["run_id"]] = self.ended.get(row["run_id"], 0) - 1
        self.connection.execute(update(jobs).where(jobs.c.id == row["id"]).values(state=state.value, **values))
        self.note(row, kind or state.value, {"from": before.value})

    def queue(self, rows: Sequence[tuple[RowMapping, str | None, bool]]) -> None:
        """Queue waiting jobs, many at once: row, key, and whether it is the first live job of its key."""
        if not rows:
            return
        statement = (
            update(jobs)
            .where(jobs.c.id == bindparam("which"))
            .values(state=State.QUEUED.value, key=bindparam("its_key"), first_of_key=bindparam("first"))
        )
        values = [{"which": row["id"], "its_key": key, "first": first} for row, key, first in rows]
        self.connection.execute(statement, values)
        for row, _, _ in rows:
            self.note(row, State.QUEUED.value, {"from": State.WAITING.value})

    def note(self, row: RowMapping, kind: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add a line to the history of the job's run."""
        self.changes.append(Change(row["run_id"], row["id"], kind, detail or {}))

    def finish(self) -> None:
        """Write history, cursors and the states of runs."""
        by_run: dict[str, list[Change]] = {}
        for change in self.changes:
            by_run.setdefault(change.run, []).append(change)
        for run in sorted(by_run):
            self._write_history(run, by_run[run])

    def _write_history(self, run: str, changes: list[Change]) -> None:
        ended = self.ended.get(run, 0)
        row = self.connection.execute(
            update(runs)
            .where(runs.c.id == run)
            .values(cursor=runs.c.cursor + len(changes), unfinished=runs.c.unfinished - ended)
            .returning(runs.c.cursor, runs.c.unfinished, runs.c.state, runs.c.cancel_requested)
        ).one()
        first = row.cursor - len(changes) + 1
        numbered = list(enumerate(changes, first))
        self.connection.execute(
            insert(events),
            [
                {
                    "run_id": run,
                    "cursor": cursor,
                    "time": self.now,
                    "job_id": change.job,
                    "kind": change.kind,
                    "detail": json.dumps(change.detail),
                }
                for cursor, change in numbered
            ],
        )
        latest = {change.job: cursor for cursor, change in numbered if change.job}
        if latest:
            self.connection.execute(
                update(jobs).where(jobs.c.id == bindparam("which")).values(cursor=bindparam("at")),
                [{"which": job, "at": cursor} for job, cursor in latest.items()],
            )
        started = row.state == State.PENDING and any(change.kind == State.RUNNING for change in changes)
        if row.unfinished == 0 and State(row.state) not in FINISHED:
            state = _end_of_run(self.connection, run, cancel_requested=row.cancel_requested)
            self.connection.execute(update(runs).where(runs.c.id == run).values(state=state.value, end_time=self.now))
        elif started:
            self.connection.execute(
                update(runs).where(runs.c.id == run).values(state=State.RUNNING.value, start_time=self.now)
            )


def _end_of_run(connection: Connection, run: str, *, cancel_requested: bool) -> State:
    states = set(connection.execute(select(jobs.c.state).where(jobs.c.run_id == run).distinct()).scalars())
    order = (State.CANCELLED, State.FAILED) if cancel_requested else (State.FAILED, State.CANCELLED)
    return next((state for state in order if state in states), State.SUCCEEDED)


def chunks(values: Iterable[str]) -> Iterable[list[str]]:
    """The values in lists that fit into one statement."""
    every = list(values)
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]
