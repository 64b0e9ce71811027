"""What every job store does."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from jwcal.orchestrator.errors import (
    JobNotFound,
    LeaseLost,
    NothingToRetry,
    RequestReused,
    RunNotFinished,
    RunNotFound,
    WorkerNotFound,
)
from jwcal.orchestrator.model import Failure, NewJob, Progress, Result, Stage, State, StepReport
from jwcal.orchestrator.store.port import Policy
from jwcal.orchestrator.store.tables import metadata
from tests.contract.jobs.stores import BROKEN, OUTPUT, StoreOnTrial, a_job


def a_pipeline(exposures: int = 2) -> tuple[NewJob, ...]:
    """Exposures through detector1 and stage 2 into one product."""
    first = [a_job(f"e{i}") for i in range(exposures)]
    second = [a_job(f"c{i}", stage=Stage.STAGE2, parents=(i,)) for i in range(exposures)]
    third = a_job("all", stage=Stage.STAGE3, parents=tuple(range(exposures, 2 * exposures)))
    return (*first, *second, third)


def with_policy(trial: StoreOnTrial, **rules: object) -> None:
    trial.store._policy = Policy(**rules)  # type: ignore[arg-type]


def test_migrations_make_the_tables_that_the_code_uses(trial: StoreOnTrial) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    trial.run(trial.database.migrate())  # again: nothing to do
    assert trial.run(trial.database.read(differences)) == []


def test_a_run_goes_through_its_stages(trial: StoreOnTrial) -> None:
    run = trial.submit(*a_pipeline())
    assert run.state is State.PENDING
    assert run.jobs == {State.QUEUED: 2, State.WAITING: 3}
    assert trial.lease(stage=Stage.STAGE2) is None
    for _ in range(2):
        trial.complete(trial.leased())
    assert trial.get_run(run).state is State.RUNNING
    second = trial.leased(stage=Stage.STAGE2)
    assert [product.key for product in second.inputs] == ["e0_rate.fits"]
    trial.complete(second)
    assert trial.lease(stage=Stage.STAGE3) is None
    trial.complete(trial.leased(stage=Stage.STAGE2))
    third = trial.leased(stage=Stage.STAGE3)
    assert [product.key for product in third.inputs] == ["c0_rate.fits", "c1_rate.fits"]
    trial.complete(third)
    ended = trial.get_run(run)
    assert ended.state is State.SUCCEEDED
    assert ended.fraction == 1.0
    assert ended.end_time is not None and ended.start_time is not None
    assert len(ended.products) == 5


def test_a_repeated_request_makes_no_second_run(trial: StoreOnTrial) -> None:
    first = trial.submit(a_job("a"), request_id="r")
    again = trial.submit(a_job("a"), request_id="r")
    assert again.id == first.id
    assert len(trial.run(trial.store.list_runs(limit=10))) == 1
    with pytest.raises(RequestReused):
        trial.submit(a_job("a"), request_id="r", priority=3)


def test_the_same_request_at_once_makes_one_run(trial: StoreOnTrial) -> None:
    from jwcal.orchestrator.model import NewRun, RunSpec

    new = NewRun(spec=RunSpec(), jobs=(a_job("a", known=True),), request_id="r", output=OUTPUT, context="")

    async def race() -> set[str]:
        return {run.id for run in await asyncio.gather(*(trial.store.create_run(new) for _ in range(8)))}

    assert len(trial.run(race())) == 1


def test_output_differs_between_attempts(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a"))
    first = trial.leased()
    trial.run(trial.store.release(first.job.id, first.token))
    second = trial.leased()
    assert first.output.prefix != second.output.prefix
    assert second.output.prefix.startswith("out/")


def test_a_released_job_spends_no_attempt_and_gets_a_greater_token(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a"))
    first = trial.leased()
    job = trial.run(trial.store.release(first.job.id, first.token, reason="drained"))
    assert (job.state, job.attempt) == (State.QUEUED, 0)
    second = trial.leased()
    assert second.job.attempt == 1
    assert second.token > first.token
    with pytest.raises(LeaseLost):
        trial.complete(first)


def test_ending_a_lease_again_changes_nothing(trial: StoreOnTrial) -> None:
    run = trial.submit(a_job("a"), a_job("b", parents=(0,)))
    lease = trial.leased()
    first = trial.complete(lease)
    cursor = trial.get_run(run).cursor
    assert trial.complete(lease) == first
    assert trial.get_run(run).cursor == cursor
    with pytest.raises(LeaseLost):
        trial.fail(lease)


def test_a_failure_told_again_spends_no_second_attempt(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a"))
    lease = trial.leased()
    assert trial.fail(lease) == trial.fail(lease)
    with pytest.raises(LeaseLost):
        trial.complete(lease)


def test_attempts_back_off_and_end(trial: StoreOnTrial) -> None:
    run = trial.submit(a_job("a"), max_attempts=2)
    job = trial.fail(trial.leased())
    assert job.state is State.QUEUED
    assert job.not_before is not None
    assert trial.lease() is None
    stats = {s.stage: s for s in trial.run(trial.store.stats())}[Stage.DETECTOR1]
    assert (stats.queued, stats.delayed) == (0, 1)
    trial.ahead += 2.1
    job = trial.fail(trial.leased())
    assert (job.state, job.attempt) == (State.FAILED, 2)
    ended = trial.get_run(run)
    assert ended.state is State.FAILED
    assert ended.failure is not None and ended.failure.reason == "OUT_OF_MEMORY"


def test_a_failure_for_good_is_handed_down(trial: StoreOnTrial) -> None:
    run = trial.submit(*a_pipeline())
    trial.fail(trial.leased(), BROKEN)
    assert trial.states(run) == {"e0": "FAILED", "e1": "QUEUED", "c0": "FAILED", "c1": "WAITING", "all": "FAILED"}
    failure = trial.jobs(run)["all"].failure
    assert failure is not None
    assert (failure.reason, failure.metadata["upstream_reason"]) == ("UPSTREAM_FAILED", "UPSTREAM_FAILED")
    trial.complete(trial.leased())
    trial.complete(trial.leased(stage=Stage.STAGE2))
    ended = trial.get_run(run)
    assert ended.state is State.FAILED
    assert ended.failure is not None and ended.failure.reason == "INVALID_DATA"


def test_retry_revives_what_failed_and_keeps_the_rest(trial: StoreOnTrial) -> None:
    run = trial.submit(*a_pipeline())
    failed = trial.leased()
    trial.fail(failed, BROKEN)
    trial.complete(trial.leased())
    with pytest.raises(RunNotFinished):
        trial.run(trial.store.retry_run(run.id))
    trial.complete(trial.leased(stage=Stage.STAGE2))
    trial.run(trial.store.retry_run(run.id))
    assert trial.states(run) == {
        "e0": "QUEUED",
        "e1": "SUCCEEDED",
        "c0": "WAITING",
        "c1": "SUCCEEDED",
        "all": "WAITING",
    }
    again = trial.leased()
    assert again.job.attempt == 1
    assert again.token > failed.token
    trial.complete(again)
    trial.complete(trial.leased(stage=Stage.STAGE2))
    trial.complete(trial.leased(stage=Stage.STAGE3))
    assert trial.get_run(run).state is State.SUCCEEDED
    with pytest.raises(NothingToRetry):
        trial.run(trial.store.retry_run(run.id))


def test_cancel_ends_what_waits_and_asks_what_runs(trial: StoreOnTrial) -> None:
    run = trial.submit(*a_pipeline())
    lease = trial.leased()
    assert not trial.run(trial.store.extend(lease.job.id, lease.token)).cancel_requested
    cancelled = trial.run(trial.store.cancel_run(run.id))
    assert cancelled.state is State.RUNNING
    assert trial.run(trial.store.extend(lease.job.id, lease.token)).cancel_requested
    job = trial.fail(lease, Failure(reason="CANCELLED"))
    assert job.state is State.CANCELLED
    assert trial.get_run(run).state is State.CANCELLED
    assert set(trial.states(run).values()) == {"CANCELLED"}
    trial.run(trial.store.retry_run(run.id))
    assert trial.states(run)["e0"] == "QUEUED"


def test_a_lost_workers_job_returns_and_its_late_result_is_refused(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a"))
    lease = trial.leased("lost")
    trial.ahead += 59
    trial.run(trial.store.extend(lease.job.id, lease.token))
    trial.ahead += 59
    assert trial.run(trial.store.expire_leases()) == 0
    trial.ahead += 2
    assert trial.run(trial.store.expire_leases()) == 1
    with pytest.raises(LeaseLost):
        trial.complete(lease)
    with pytest.raises(LeaseLost):
        trial.run(trial.store.extend(lease.job.id, lease.token))
    trial.ahead += 2.1
    second = trial.leased("other")
    assert (second.token, second.job.attempt) == (lease.token + 1, 2)
    with pytest.raises(LeaseLost):
        trial.complete(lease)
    assert trial.complete(second).state is State.SUCCEEDED


def test_a_repeated_lease_request_gets_the_same_lease(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a"), a_job("b"))
    first = trial.leased(request_id="x")
    again = trial.leased(request_id="x")
    assert (again.job.id, again.token, again.job.attempt) == (first.job.id, first.token, 1)
    assert trial.leased(request_id="y").job.id != first.job.id


def test_priority_decides_and_waiting_raises_it(trial: StoreOnTrial) -> None:
    trial.submit(a_job("early"), priority=0)
    trial.ahead += 30
    trial.submit(a_job("urgent"), priority=1)
    trial.submit(a_job("late"), priority=0)
    assert [trial.leased().job.title for _ in range(3)] == ["urgent", "early", "late"]
    trial.submit(a_job("old"), priority=0)
    trial.ahead += 61
    trial.submit(a_job("new"), priority=1)
    assert [trial.leased().job.title for _ in range(2)] == ["old", "new"]


def test_held_references_decide_among_the_first(trial: StoreOnTrial) -> None:
    def exposure(title: str, detector: str) -> NewJob:
        return a_job(title, affinity=detector)

    trial.submit(exposure("a1", "nrca1"), exposure("b1", "nrcb1"), exposure("a2", "nrca1"), exposure("b2", "nrcb1"))
    lease = trial.leased()
    assert lease.job.title == "a1"
    step = StepReport(step="dark_current", outcome="COMPLETE", references={"dark": "dark_nrca1.fits"})
    trial.complete(lease, Result(steps=(step,)))
    assert trial.leased(held_references=["dark_nrca1.fits"]).job.title == "a2"
    assert trial.leased(held_references=["dark_nrca1.fits"]).job.title == "b1"


def test_a_program_has_no_more_jobs_at_once_than_its_quota(trial: StoreOnTrial) -> None:
    with_policy(trial, program_quota=1, program_quotas={"02": 2})
    trial.submit(*(a_job(f"1-{i}") for i in range(3)), program="01", priority=10)
    trial.submit(*(a_job(f"2-{i}") for i in range(3)), program="02")
    first = trial.leased()
    assert [trial.leased().job.title for _ in range(2)] == ["2-0", "2-1"]
    assert trial.lease() is None
    trial.complete(first)
    assert trial.leased().job.title == "1-1"


def test_history_has_every_change_once_and_in_order(trial: StoreOnTrial) -> None:
    run = trial.submit(a_job("a"))
    lease = trial.leased()
    step = StepReport(step="jump", outcome="COMPLETE", seconds=1.5)
    trial.run(
        trial.store.extend(lease.job.id, lease.token, progress=Progress(phase="jump", fraction=0.5), steps=[step])
    )
    assert trial.get_run(run).fraction == 0.5
    trial.complete(lease)
    history = trial.run(trial.store.list_events(run.id))
    assert [event.cursor for event in history] == list(range(1, len(history) + 1))
    assert [event.kind for event in history] == ["CREATED", "QUEUED", "RUNNING", "STEP", "SUCCEEDED"]
    job = trial.jobs(run)["a"]
    assert job.cursor == trial.get_run(run).cursor == history[-1].cursor
    assert trial.run(trial.store.changed_jobs(run.id, after=job.cursor - 1, limit=10)) == [job]
    assert trial.run(trial.store.changed_jobs(run.id, after=job.cursor, limit=10)) == []


def test_runs_are_listed_newest_first_by_pages_and_filters(trial: StoreOnTrial) -> None:
    made = []
    for number in range(5):
        made.append(trial.submit(a_job("a"), program=str(number % 2), labels={"n": str(number)}).id)
        trial.ahead += 1
    first = trial.run(trial.store.list_runs(limit=2))
    second = trial.run(trial.store.list_runs(limit=9, before=first[-1].id))
    assert [run.id for run in (*first, *second)] == made[::-1]
    assert [run.id for run in trial.run(trial.store.list_runs(limit=9, program="1"))] == [made[3], made[1]]
    assert [run.id for run in trial.run(trial.store.list_runs(limit=9, labels={"n": "2"}))] == [made[2]]
    assert trial.run(trial.store.list_runs(limit=9, labels={"n": "2", "m": "2"})) == []
    assert trial.run(trial.store.list_runs(limit=9, states=[State.FAILED])) == []


def test_jobs_are_listed_by_pages(trial: StoreOnTrial) -> None:
    run = trial.submit(*(a_job(f"j{i}") for i in range(5)))
    page, more = trial.run(trial.store.list_jobs(run.id, limit=3))
    assert more is not None
    rest, end = trial.run(trial.store.list_jobs(run.id, limit=3, after=more))
    assert [job.title for job in (*page, *rest)] == [f"j{i}" for i in range(5)]
    assert end is None


def test_workers_are_known_and_drained(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a"), a_job("b"))
    lease = trial.leased("w1", code_version="3")
    trial.run(trial.store.greet_worker(worker="w2", stage=Stage.DETECTOR1, code_version="3"))
    workers = trial.run(trial.store.list_workers(stage=Stage.DETECTOR1, limit=10))
    assert [(worker.name, worker.job) for worker in workers] == [("w1", lease.job.id), ("w2", "")]
    stats = {s.stage: s for s in trial.run(trial.store.stats())}[Stage.DETECTOR1]
    assert (stats.workers, stats.idle_workers, stats.queued, stats.running) == (2, 1, 1, 1)
    assert trial.run(trial.store.drain_worker("w1")).draining
    assert trial.run(trial.store.extend(lease.job.id, lease.token)).drain_requested
    trial.complete(lease)
    assert trial.lease("w1") is None
    assert trial.lease("w2") is not None
    assert trial.run(trial.store.list_workers(stage=None, limit=10))[0].completed == 1


def test_what_is_old_is_forgotten(trial: StoreOnTrial) -> None:
    old = trial.submit(*a_pipeline())
    trial.run(trial.store.cancel_run(old.id))
    trial.run(trial.store.greet_worker(worker="gone", stage=Stage.STAGE2, code_version=""))
    trial.ahead += 100
    kept = trial.submit(a_job("a"))
    assert trial.run(trial.store.forget_old(runs_after=50, workers_after=50)) == 1
    with pytest.raises(RunNotFound):
        trial.get_run(old)
    assert trial.get_run(kept).state is State.PENDING
    assert trial.run(trial.store.list_workers(stage=None, limit=10)) == []


def test_a_live_run_is_not_deleted(trial: StoreOnTrial) -> None:
    run = trial.submit(a_job("a"))
    with pytest.raises(RunNotFinished):
        trial.run(trial.store.delete_run(run.id))
    trial.complete(trial.leased())
    trial.run(trial.store.delete_run(run.id))
    with pytest.raises(RunNotFound):
        trial.get_run(run)


def test_what_is_not_there_is_told(trial: StoreOnTrial) -> None:
    with pytest.raises(JobNotFound):
        trial.run(trial.store.get_job("nothing"))
    with pytest.raises(JobNotFound):
        trial.run(trial.store.complete("nothing", 1, Result()))
    with pytest.raises(RunNotFound):
        trial.run(trial.store.cancel_run("nothing"))
    with pytest.raises(RunNotFound):
        trial.run(trial.store.list_jobs("nothing", limit=1))
    with pytest.raises(WorkerNotFound):
        trial.run(trial.store.drain_worker("nothing"))
    assert trial.run(trial.store.find_request("nothing")) is None


def test_ready_jobs_are_counted_up_to_the_limit(trial: StoreOnTrial) -> None:
    trial.submit(*(a_job(f"j{i}") for i in range(5)))
    ready = trial.run(trial.store.ready([Stage.DETECTOR1, Stage.STAGE2], limit=3))
    assert ready == {Stage.DETECTOR1: 3, Stage.STAGE2: 0}
