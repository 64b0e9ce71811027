"""What one job has of another in every job store: its turn, its persistence windows, its result."""

import dataclasses

from jwcal.orchestrator.model import Stage, State
from tests.contract.jobs.stores import BROKEN, StoreOnTrial, a_job, a_result


def test_an_exposure_waits_for_the_one_before_it_whatever_its_end(trial: StoreOnTrial) -> None:
    run = trial.submit(a_job("first"), a_job("second", after=(0,)), a_job("third", after=(1,)))
    lease = trial.leased()
    assert trial.lease() is None
    trial.fail(lease, BROKEN)
    assert trial.states(run) == {"first": "FAILED", "second": "QUEUED", "third": "WAITING"}


def test_an_exposure_gets_the_persistence_windows_of_the_one_before_it(trial: StoreOnTrial) -> None:
    trial.submit(a_job("first"), a_job("second", after=(0,)), a_job("next", stage=Stage.STAGE2, parents=(0,)))
    made = a_result("first")
    windows = dataclasses.replace(made.products[0], key="first_persistence.asdf", kind="persistence")
    trial.complete(trial.leased(), dataclasses.replace(made, products=(*made.products, windows)))
    assert [ref.kind for ref in trial.leased().inputs] == ["uncal", "persistence"]
    assert [ref.kind for ref in trial.leased(stage=Stage.STAGE2).inputs] == ["rate"]


def test_an_identical_job_is_answered_with_the_earlier_result(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a", known=True))
    trial.complete(trial.leased())
    run = trial.submit(a_job("a", known=True), a_job("next", stage=Stage.STAGE2, parents=(0,)))
    job = trial.jobs(run)["a"]
    assert (job.state, job.reused, job.attempt) == (State.SUCCEEDED, True, 0)
    assert job.result == a_result("a")
    assert [product.key for product in trial.leased(stage=Stage.STAGE2).inputs] == ["a_rate.fits"]
    fresh = trial.submit(a_job("a", known=True), ignore_earlier_results=True)
    assert trial.states(fresh) == {"a": "QUEUED"}


def test_a_run_all_of_whose_jobs_are_known_ends_at_once(trial: StoreOnTrial) -> None:
    jobs = (a_job("a", known=True), a_job("next", stage=Stage.STAGE2, parents=(0,)))
    trial.submit(*jobs)
    trial.complete(trial.leased())
    trial.complete(trial.leased(stage=Stage.STAGE2))
    assert trial.submit(*jobs).state is State.SUCCEEDED


def test_unknown_checksums_are_never_taken_for_the_same(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a"))
    trial.complete(trial.leased())
    assert trial.states(trial.submit(a_job("a"))) == {"a": "QUEUED"}


def test_duplicates_wait_for_the_first_and_share_its_result(trial: StoreOnTrial) -> None:
    runs = [trial.submit(a_job("a", known=True)) for _ in range(3)]
    assert [trial.states(run)["a"] for run in runs] == ["QUEUED", "WAITING", "WAITING"]
    trial.complete(trial.leased())
    assert [trial.get_run(run).state for run in runs] == [State.SUCCEEDED] * 3
    assert [trial.jobs(run)["a"].reused for run in runs] == [False, True, True]


def test_when_the_first_of_duplicates_is_cancelled_the_next_does_the_work(trial: StoreOnTrial) -> None:
    runs = [trial.submit(a_job("a", known=True)) for _ in range(3)]
    trial.run(trial.store.cancel_run(runs[0].id))
    assert [trial.states(run)["a"] for run in runs] == ["CANCELLED", "QUEUED", "WAITING"]
    trial.run(trial.store.cancel_run(runs[2].id))
    trial.complete(trial.leased())
    assert [trial.states(run)["a"] for run in runs] == ["CANCELLED", "SUCCEEDED", "CANCELLED"]
    trial.run(trial.store.delete_run(runs[0].id))
