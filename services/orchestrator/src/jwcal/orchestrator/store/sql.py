"""The job store in SQL."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection, RowMapping, delete, select, update

from jwcal.core.errors import JwcalError
from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.orchestrator.errors import WorkerNotFound
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
from jwcal.orchestrator.store import claiming, leasing, reading
from jwcal.orchestrator.store import runs as running
from jwcal.orchestrator.store.batches import Batches
from jwcal.orchestrator.store.database import Database
from jwcal.orchestrator.store.documents import load
from jwcal.orchestrator.store.port import Demand, Listener, Policy
from jwcal.orchestrator.store.settling import inputs_of
from jwcal.orchestrator.store.tables import jobs, runs, workers
from jwcal.orchestrator.store.transaction import Transaction

T = TypeVar("T")
U = TypeVar("U")
_EXPIRED_AT_ONCE = 100


class SqlJobStore:
    """`JobStore` on SQLite or PostgreSQL."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        *,
        identify: Callable[[float], str],
        jitter: Callable[[], float],
        listener: Listener = lambda _changes, _ends: None,
    ) -> None:
        self._database = database
        self._policy = policy
        self._identify = identify
        self._jitter = jitter
        self._listener = listener
        self._leases: Batches[Demand, Lease | None] = Batches(self._lease_all)
        self._completions: Batches[tuple[str, int, Result], Job] = Batches(self._complete_all)

    async def create_run(self, new: NewRun) -> Run:
        return await self._change_run(lambda transaction: running.create(transaction, new))

    async def find_request(self, request_id: str) -> Run | None:
        def work(connection: Connection) -> Run | None:
            query = select(runs.c.id).where(runs.c.request_id == request_id)
            run = connection.execute(query).scalar_one_or_none()
            return None if run is None else reading.get_runs(connection, [run], whole=True)[0]

        return await self._database.read(work)

    async def get_run(self, run: str, *, whole: bool = True) -> Run:
        return await self._database.read(lambda c: reading.get_runs(c, [run], whole=whole)[0])

    async def list_runs(
        self,
        *,
        limit: int,
        before: str | None = None,
        states: Collection[State] = (),
        program: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Sequence[Run]:
        return await self._database.read(
            lambda c: reading.list_runs(
                c, limit=limit, before=before, states=states, program=program, labels=labels or {}
            )
        )

    async def get_job(self, job: str) -> Job:
        return await self._database.read(lambda c: reading.get_job(c, job))

    async def list_jobs(
        self, run: str, *, limit: int, after: int = -1, states: Collection[State] = ()
    ) -> tuple[Sequence[Job], int | None]:
        return await self._database.read(lambda c: reading.list_jobs(c, run, limit=limit, after=after, states=states))

    async def list_all_jobs(self, *, limit: int, after: str = "", states: Collection[State] = ()) -> Sequence[Job]:
        return await self._database.read(lambda c: reading.list_all_jobs(c, limit=limit, after=after, states=states))

    async def changed_jobs(self, run: str, *, after: int, limit: int) -> Sequence[Job]:
        return await self._database.read(lambda c: reading.changed_jobs(c, run, after=after, limit=limit))

    async def cursors(self, runs: Collection[str]) -> Mapping[str, int]:
        return await self._database.read(lambda c: reading.cursors(c, runs))

    async def list_events(self, run: str, *, after: int = 0, limit: int = 1000) -> Sequence[Event]:
        return await self._database.read(lambda c: reading.list_events(c, run, after=after, limit=limit))

    async def cancel_run(self, run: str) -> Run:
        def work(transaction: Transaction) -> str:
            running.cancel(transaction, run)
            return run

        return await self._change_run(work)

    async def retry_run(self, run: str) -> Run:
        def work(transaction: Transaction) -> str:
            running.retry(transaction, run)
            return run

        return await self._change_run(work)

    async def delete_run(self, run: str) -> None:
        await self._database.write(lambda c: running.forget(c, run))

    async def lease(self, demand: Demand) -> Lease | None:
        return await self._leases.run(demand)

    async def _lease_all(self, demands: Sequence[Demand]) -> Sequence[Lease | None]:
        return await self._change_then(lambda t: claiming.take(t, demands), _to_leases)

    async def extend(
        self, job: str, token: int, *, progress: Progress | None = None, steps: Sequence[StepReport] = ()
    ) -> Extension:
        return await self._change(lambda t: leasing.extend(t, job, token, progress=progress, steps=steps))

    async def complete(self, job: str, token: int, result: Result) -> Job:
        return await self._completions.run((job, token, result))

    async def _complete_all(self, ends: Sequence[tuple[str, int, Result]]) -> Sequence[Job | Exception]:
        def after(transaction: Transaction, answers: Sequence[JwcalError | None]) -> list[Job | Exception]:
            ids = {job for (job, _, _), error in zip(ends, answers, strict=True) if error is None}
            found = {job.id: job for job in reading.get_jobs(transaction.connection, sorted(ids))}
            return [error or found[job] for (job, _, _), error in zip(ends, answers, strict=True)]

        return await self._change_then(lambda t: leasing.complete(t, ends), after)

    async def fail(self, job: str, token: int, failure: Failure, *, log: ObjectRef | None = None) -> Job:
        return await self._change_job(job, lambda t: leasing.fail(t, job, token, failure, log=log))

    async def release(self, job: str, token: int, *, reason: str = "") -> Job:
        return await self._change_job(job, lambda t: leasing.release(t, job, token, reason=reason))

    async def expire_leases(self) -> int:
        total = 0
        while count := await self._change(lambda t: leasing.expire(t, limit=_EXPIRED_AT_ONCE)):
            total += count
        return total

    async def ready(self, stages: Collection[Stage], *, limit: int) -> Mapping[Stage, int]:
        return await self._database.read(lambda c: reading.ready(c, self._database.clock(c), stages, limit=limit))

    async def stats(self) -> Sequence[StageStats]:
        return await self._database.read(
            lambda c: reading.stats(c, self._database.clock(c), absent_after=self._policy.worker_absent_after)
        )

    async def greet_worker(self, *, worker: str, stage: Stage, code_version: str) -> Worker:
        def work(connection: Connection) -> Worker:
            seen = {worker: {"stage": stage.value, "code_version": code_version}}
            claiming.greet(self._transaction(connection), seen)
            return _worker(connection, worker)

        return await self._database.write(work)

    async def get_worker(self, worker: str) -> Worker:
        return await self._database.read(lambda c: _worker(c, worker))

    async def list_workers(self, *, stage: Stage | None, limit: int, after: str = "") -> Sequence[Worker]:
        return await self._database.read(lambda c: reading.list_workers(c, stage=stage, limit=limit, after=after))

    async def drain_worker(self, worker: str) -> Worker:
        def work(connection: Connection) -> Worker:
            connection.execute(update(workers).where(workers.c.name == worker).values(draining=True))
            return _worker(connection, worker)

        return await self._database.write(work)

    async def forget_old(self, *, runs_after: float, workers_after: float) -> int:
        def work(connection: Connection) -> int:
            now = self._database.clock(connection)
            old = running.ended_before(connection, now - runs_after, limit=_EXPIRED_AT_ONCE)
            for run in old:
                running.forget(connection, run)
            busy = select(jobs.c.worker).where(jobs.c.state == State.RUNNING.value)
            absent = (workers.c.last_seen < now - workers_after, workers.c.name.not_in(busy))
            connection.execute(delete(workers).where(*absent))
            return len(old)

        total = 0
        while count := await self._database.write(work):
            total += count
        return total

    async def close(self) -> None:
        await self._leases.finish()
        await self._completions.finish()
        await self._database.close()

    def _transaction(self, connection: Connection) -> Transaction:
        now = self._database.clock(connection)
        return Transaction(connection, now, self._policy, self._identify, self._jitter)

    async def _change(self, work: Callable[[Transaction], T]) -> T:
        return await self._change_then(work, lambda _, answer: answer)

    async def _change_then(self, work: Callable[[Transaction], T], after: Callable[[Transaction, T], U]) -> U:
        """What `after` makes of the answer of `work`, once the history is written; in one transaction."""

        def within(connection: Connection) -> tuple[U, Transaction]:
            transaction = self._transaction(connection)
            answer = work(transaction)
            transaction.finish()
            return after(transaction, answer), transaction

        answer, transaction = await self._database.write(within)
        self._listener(transaction.changes, transaction.run_ends)
        return answer

    async def _change_run(self, work: Callable[[Transaction], str]) -> Run:
        return await self._change_then(work, lambda t, run: reading.get_runs(t.connection, [run], whole=True)[0])

    async def _change_job(self, job: str, work: Callable[[Transaction], None]) -> Job:
        return await self._change_then(work, lambda t, _: reading.get_job(t.connection, job))


def _to_leases(transaction: Transaction, rows: Sequence[RowMapping | None]) -> list[Lease | None]:
    connection = transaction.connection
    given = [row for row in rows if row is not None]
    if not given:
        return [None] * len(rows)
    query = select(runs.c.id, runs.c.output, runs.c.trace).where(runs.c.id.in_({row["run_id"] for row in given}))
    of_runs = {run.id: run for run in connection.execute(query)}
    found = {job.id: job for job in reading.to_jobs(connection, given)}
    inputs = inputs_of(transaction, given)

    def lease(row: RowMapping) -> Lease:
        job, run = found[row["id"]], of_runs[row["run_id"]]
        output = load(Location, run.output)
        return Lease(
            job=job,
            token=job.token,
            expire_time=row["lease_expires"],
            inputs=inputs[job.id],
            output=output.under("/".join((job.run, job.id, str(job.token)))),
            trace=load(dict[str, str], run.trace),
        )

    return [None if row is None else lease(row) for row in rows]


def _worker(connection: Connection, name: str) -> Worker:
    rows = connection.execute(select(workers).where(workers.c.name == name)).mappings().all()
    if not rows:
        raise WorkerNotFound(f"there is no worker {name}", worker=name)
    return reading.to_workers(connection, rows)[0]
