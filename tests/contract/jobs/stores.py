"""A store under test, whose database's clock can be put forward, driven from plain functions."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

from sqlalchemy import Connection

from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.orchestrator.identifiers import uuid7
from jwcal.orchestrator.model import Failure, Job, Lease, NewJob, NewRun, Processing, Result, Run, RunSpec, Stage
from jwcal.orchestrator.store.database import Database, database_clock
from jwcal.orchestrator.store.port import Demand, Policy
from jwcal.orchestrator.store.sql import SqlJobStore

T = TypeVar("T")
CONTEXT = "jwst_1303.pmap"
OUTPUT = Location(bucket="products", prefix="out")
LOST = Failure(reason="OUT_OF_MEMORY", message="too large", retryable=True)
BROKEN = Failure(reason="INVALID_DATA", message="not a ramp", retryable=False)


class StoreOnTrial:
    """A store with short names for what tests do all the time."""

    def __init__(self, address: str, policy: Policy, rng: random.Random, runner: asyncio.Runner) -> None:
        self.ahead = 0.0  # seconds that the clock was put forward
        self.runner = runner
        self.database = Database(address, clock=self._clock)
        self.store = SqlJobStore(
            self.database,
            policy,
            identify=lambda moment: uuid7(moment, rng.randbytes(10)),
            jitter=lambda: 1.0,
        )
        runner.run(self.database.migrate())

    def _clock(self, connection: Connection) -> float:
        return database_clock(connection) + self.ahead

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        self.run(self.store.close())

    def submit(self, *jobs: NewJob, request_id: str = "", **spec: Any) -> Run:
        new = NewRun(spec=RunSpec(**spec), jobs=jobs, request_id=request_id, output=OUTPUT, context=CONTEXT)
        return self.run(self.store.create_run(new))

    def lease(self, worker: str = "w1", stage: Stage = Stage.DETECTOR1, **more: Any) -> Lease | None:
        return self.run(self.store.lease(Demand(worker=worker, stage=stage, **more)))

    def leased(self, worker: str = "w1", stage: Stage = Stage.DETECTOR1, **more: Any) -> Lease:
        lease = self.lease(worker, stage, **more)
        assert lease is not None, "no job was there"
        return lease

    def complete(self, lease: Lease, result: Result | None = None) -> Job:
        result = result or a_result(lease.job.title)
        return self.run(self.store.complete(lease.job.id, lease.token, result))

    def fail(self, lease: Lease, failure: Failure = LOST) -> Job:
        return self.run(self.store.fail(lease.job.id, lease.token, failure))

    def jobs(self, run: Run | str) -> dict[str, Job]:
        which = run if isinstance(run, str) else run.id
        found, more = self.run(self.store.list_jobs(which, limit=1000))
        assert more is None
        return {job.title: job for job in found}

    def states(self, run: Run | str) -> dict[str, str]:
        return {title: job.state.value for title, job in self.jobs(run).items()}

    def get_run(self, run: Run) -> Run:
        return self.run(self.store.get_run(run.id))


def an_input(name: str, *, known: bool = False) -> ObjectRef:
    checksum = f"{abs(hash(name)):064x}" if known else ""
    return ObjectRef(bucket="raw", key=f"{name}_uncal.fits", kind="uncal", sha256=checksum)


def a_job(title: str, *, stage: Stage = Stage.DETECTOR1, known: bool = False, **more: Any) -> NewJob:
    inputs = () if more.get("parents") else (an_input(title, known=known),)
    return NewJob(stage=stage, title=title, processing=Processing(context=CONTEXT), **{"inputs": inputs, **more})


def a_result(title: str) -> Result:
    product = ObjectRef(
        bucket="products", key=f"{title}_rate.fits", kind="rate", sha256=f"{abs(hash(title)):064x}", size=1
    )
    return Result(products=(product,), code_version="0")
