"""The queue against a plain model of it: whatever happens, no job is lost, none is done twice."""

import asyncio
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jwcal.orchestrator.errors import LeaseLost, NothingToRetry, RunNotFinished
from jwcal.orchestrator.model import FINISHED, Lease, State
from jwcal.orchestrator.store.port import Policy
from tests.contract.jobs.conftest import fresh_database
from tests.contract.jobs.stores import BROKEN, LOST, StoreOnTrial, a_job

MOST_ATTEMPTS = 2
LEASE = 60.0


@dataclass
class ModelJob:
    """What the model knows of a job."""

    run: str
    parents: tuple[str, ...]
    state: State = State.WAITING
    attempt: int = 0
    token: int = 0
    not_before: float = 0.0
    expires: float = 0.0
    cancel: bool = False
    completions: int = 0


class Queue(RuleBasedStateMachine):
    """Random submissions, leases, ends, losses, cancellations and retries."""

    server: ClassVar[str | None] = None

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        address = fresh_database(self.server) if self.server else f"sqlite:///{Path(self.folder.name) / 'jobs.db'}"
        self.runner = asyncio.Runner()
        policy = Policy(max_attempts=MOST_ATTEMPTS, lease_duration=LEASE)
        self.trial = StoreOnTrial(address, policy, random.Random(1), self.runner)
        self.model: dict[str, ModelJob] = {}
        self.leases: list[Lease] = []
        self.count = 0

    def teardown(self) -> None:
        if hasattr(self, "trial"):
            self.trial.close()
            self.runner.close()
            self.folder.cleanup()

    @property
    def now(self) -> float:
        return self.trial.ahead  # real time that passes meanwhile is far below every interval used here

    @rule(parents=st.lists(st.sets(st.integers(0, 3), max_size=3), min_size=1, max_size=4))
    def submit(self, parents: list[set[int]]) -> None:
        above = [tuple(sorted(parent for parent in some if parent < place)) for place, some in enumerate(parents)]
        titles = [f"j{self.count + place}" for place in range(len(parents))]
        self.count += len(parents)
        jobs = [a_job(title, parents=links) for title, links in zip(titles, above, strict=True)]
        run = self.trial.submit(*jobs)
        for title, links in zip(titles, above, strict=True):
            self.model[title] = ModelJob(run.id, tuple(titles[parent] for parent in links))
        self._release_children()

    @rule()
    def lease(self) -> None:
        lease = self.trial.lease()
        free = {title for title, job in self.model.items() if job.state is State.QUEUED and job.not_before <= self.now}
        if lease is None:
            assert not free
            return
        assert lease.job.title in free
        job = self.model[lease.job.title]
        assert lease.token == job.token + 1
        assert len(lease.inputs) == (len(job.parents) or 1)
        job.token, job.state = lease.token, State.RUNNING
        job.attempt += 1
        job.expires = self.now + LEASE
        assert lease.job.attempt == job.attempt
        self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), how=st.sampled_from(["complete", "fail", "break", "release", "extend"]))
    def use(self, data: st.DataObject, how: str) -> None:
        """With any lease that ever was, the oldest too."""
        lease = data.draw(st.sampled_from(self.leases))
        job = self.model[lease.job.title]
        held = job.state is State.RUNNING and job.token == lease.token
        store, which = self.trial.store, (lease.job.id, lease.token)
        before = self.trial.run(store.get_job(lease.job.id))
        try:
            if how == "complete":
                self.trial.complete(lease)
            elif how in ("fail", "break"):
                self.trial.fail(lease, LOST if how == "fail" else BROKEN)
            elif how == "release":
                self.trial.run(store.release(*which))
            else:
                self.trial.run(store.extend(*which))
        except LeaseLost:
            assert not held
            return
        if not held:  # a repetition of what ended the lease
            assert self.trial.run(store.get_job(lease.job.id)) == before
            assert how != "extend"
            return
        if how == "complete":
            job.state = State.SUCCEEDED
            job.completions += 1
        elif how == "extend":
            job.expires = self.now + LEASE
        elif how == "release":
            job.attempt -= 1
            job.state = State.CANCELLED if job.cancel else State.QUEUED
        else:
            self._attempt_failed(job, retryable=how == "fail")
        self._settle()

    @rule(seconds=st.sampled_from([3.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.trial.ahead += seconds
        self.trial.run(self.trial.store.expire_leases())
        for job in self.model.values():
            if job.state is State.RUNNING and job.expires < self.now:
                self._attempt_failed(job, retryable=True)
        self._settle()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted({job.run for job in self.model.values()})))
        self.trial.run(self.trial.store.cancel_run(run))
        for job in self._of(run):
            if job.state is State.RUNNING:
                job.cancel = True
            elif job.state not in FINISHED:
                job.state = State.CANCELLED
        self._settle()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted({job.run for job in self.model.values()})))
        states = {job.state for job in self._of(run)}
        try:
            self.trial.run(self.trial.store.retry_run(run))
        except RunNotFinished:
            assert states - FINISHED
            return
        except NothingToRetry:
            assert states == {State.SUCCEEDED}
            return
        assert states <= FINISHED
        for job in self._of(run):
            if job.state is not State.SUCCEEDED:
                job.state, job.attempt, job.not_before, job.cancel = State.WAITING, 0, 0.0, False
        self._release_children()

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "trial"):
            return
        for run in {job.run for job in self.model.values()}:
            found = self.trial.jobs(run)
            for title, job in found.items():
                model = self.model[title]
                assert (job.state, job.attempt, job.token) == (model.state, model.attempt, model.token), title
            states = {job.state for job in found.values()}
            ended = self.trial.run(self.trial.store.get_run(run))
            assert (ended.state in FINISHED) == (states <= FINISHED)
            assert sum(ended.jobs.values()) == len(found)
        assert all(job.completions <= 1 for job in self.model.values())

    def _of(self, run: str) -> list[ModelJob]:
        return [job for job in self.model.values() if job.run == run]

    def _attempt_failed(self, job: ModelJob, *, retryable: bool) -> None:
        if job.cancel:
            job.state = State.CANCELLED
        elif retryable and job.attempt < MOST_ATTEMPTS:
            job.state = State.QUEUED
            job.not_before = self.now + 2.0**job.attempt - 0.5
        else:
            job.state = State.FAILED

    def _settle(self) -> None:
        """Ends go down the graph: jobs stand after their parents in the model."""
        for job in self.model.values():
            above = {self.model[parent].state for parent in job.parents}
            if job.state is State.WAITING and above & {State.FAILED, State.CANCELLED}:
                job.state = State.FAILED if State.FAILED in above else State.CANCELLED
        self._release_children()

    def _release_children(self) -> None:
        for job in self.model.values():
            if job.state is State.WAITING and all(
                self.model[parent].state is State.SUCCEEDED for parent in job.parents
            ):
                job.state = State.QUEUED


def check(machine: type[Queue], *, examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_queue_is_as_its_model_on_sqlite() -> None:
    check(Queue, examples=30)


@pytest.mark.slow
def test_the_queue_is_as_its_model_on_postgresql(postgres: str) -> None:
    class OnPostgres(Queue):
        server = postgres

    check(OnPostgres, examples=10)
