"""What workers are given, many of them at once, on every store."""

import asyncio
import dataclasses
from typing import Any

import pytest

from jwcal.core.storage.ref import ObjectRef
from jwcal.orchestrator.errors import JobNotFound, LeaseLost
from jwcal.orchestrator.model import Job, Lease, NewJob, Processing, Result, Stage, State, StepReport
from jwcal.orchestrator.store.port import Change, Demand, Policy, RunEnd
from tests.contract.jobs.stores import BROKEN, CONTEXT, StoreOnTrial, a_job, a_result

GIB = 2**30


def with_policy(trial: StoreOnTrial, **rules: Any) -> None:
    trial.store._policy = Policy(**rules)


def leases_at_once(trial: StoreOnTrial, *demands: Demand) -> list[Lease | None]:
    async def ask() -> list[Lease | None]:
        return await asyncio.gather(*(trial.store.lease(demand) for demand in demands))

    return trial.run(ask())


def some_demands(number: int, **more: Any) -> list[Demand]:
    return [Demand(worker=f"w{i}", stage=Stage.DETECTOR1, request_id=f"r{i}", **more) for i in range(number)]


def a_job_that_needs(title: str, memory: int) -> NewJob:
    return dataclasses.replace(a_job(title), processing=Processing(context=CONTEXT, required_memory=memory))


def test_many_workers_at_once_get_the_first_jobs_each_its_own(trial: StoreOnTrial) -> None:
    trial.submit(*(a_job(f"e{i:02d}") for i in range(50)))
    leases = leases_at_once(trial, *some_demands(40))
    assert sorted(lease.job.title for lease in leases if lease) == [f"e{i:02d}" for i in range(40)]
    assert {lease.job.worker for lease in leases if lease} == {f"w{i}" for i in range(40)}
    rest = leases_at_once(trial, *(Demand(worker=f"v{i}", stage=Stage.DETECTOR1) for i in range(20)))
    assert [lease is None for lease in rest].count(True) == 10


def test_one_request_sent_twice_at_once_gets_one_lease(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a"), a_job("b"))
    demand = Demand(worker="w", stage=Stage.DETECTOR1, request_id="r")
    leases = leases_at_once(trial, demand, demand, demand)
    assert len({(lease.job.id, lease.token) for lease in leases if lease}) == 1
    assert trial.leased("other").job.title == "b"


def test_workers_of_all_stages_at_once_get_jobs_of_their_own(trial: StoreOnTrial) -> None:
    trial.submit(a_job("first"), a_job("second", stage=Stage.STAGE2), a_job("third", stage=Stage.STAGE3))
    demands = [Demand(worker=stage.value, stage=stage) for stage in (Stage.STAGE3, Stage.DETECTOR1, Stage.STAGE2)]
    leases = leases_at_once(trial, *demands)
    assert [lease.job.title for lease in leases if lease] == ["third", "first", "second"]


def test_a_worker_with_too_little_memory_is_not_given_the_job(trial: StoreOnTrial) -> None:
    trial.submit(a_job_that_needs("large", 8 * GIB), a_job_that_needs("small", GIB))
    assert trial.leased("a", memory=4 * GIB).job.title == "small"
    assert trial.lease("a", memory=4 * GIB) is None
    assert trial.leased("b", memory=8 * GIB).job.title == "large"


def test_a_worker_that_does_not_know_its_memory_is_given_any_job(trial: StoreOnTrial) -> None:
    trial.submit(a_job_that_needs("large", 8 * GIB))
    assert trial.leased(memory=0).job.title == "large"


def test_a_stages_need_of_memory_holds_for_jobs_that_do_not_say(trial: StoreOnTrial) -> None:
    with_policy(trial, required_memory={Stage.DETECTOR1: 2 * GIB})
    trial.submit(a_job("a"), a_job_that_needs("modest", 1))
    assert trial.leased(memory=GIB).job.title == "modest"
    assert trial.lease(memory=GIB) is None
    assert trial.leased(memory=2 * GIB).job.title == "a"


def test_a_quota_holds_for_workers_that_come_at_once(trial: StoreOnTrial) -> None:
    with_policy(trial, program_quota=2, program_quotas={"03": 1})
    for program in ("01", "02", "03"):
        trial.submit(*(a_job(f"{program}-{i}") for i in range(10)), program=program)
    titles = [lease.job.title for lease in leases_at_once(trial, *some_demands(20)) if lease]
    assert sorted(titles) == ["01-0", "01-1", "02-0", "02-1", "03-0"]


def test_jobs_of_full_programs_do_not_hide_those_behind_them(trial: StoreOnTrial) -> None:
    with_policy(trial, program_quota=1, affinity_window=4)
    trial.submit(*(a_job(f"1-{i}") for i in range(150)), program="01", priority=50)
    trial.submit(*(a_job(f"2-{i}") for i in range(3)), program="02")
    trial.submit(*(a_job(f"none-{i}") for i in range(3)))  # of no program: no quota
    titles = [lease.job.title for lease in leases_at_once(trial, *some_demands(8)) if lease]
    assert sorted(titles) == ["1-0", "2-0", "none-0", "none-1", "none-2"]


def test_each_of_many_workers_gets_a_job_whose_references_it_holds(trial: StoreOnTrial) -> None:
    detectors = ("nrca1", "nrcb1")
    trial.submit(*(a_job(f"{d}-0", affinity=d) for d in detectors))
    for _ in detectors:
        lease = trial.leased()
        step = StepReport(step="dark_current", outcome="COMPLETE", references={"dark": f"{lease.job.title[:5]}.fits"})
        trial.complete(lease, Result(steps=(step,)))
    trial.submit(*(a_job(f"{d}-{i}", affinity=d) for d in detectors for i in range(1, 3)))
    demands = [
        Demand(worker=f"w{i}", stage=Stage.DETECTOR1, held_references=[f"{detectors[i % 2]}.fits"]) for i in range(4)
    ]
    titles = [lease.job.title for lease in leases_at_once(trial, *demands) if lease]
    assert titles == ["nrca1-1", "nrcb1-1", "nrca1-2", "nrcb1-2"]


def test_one_wrong_end_among_many_is_refused_alone(trial: StoreOnTrial) -> None:
    trial.submit(*(a_job(f"e{i}") for i in range(4)))
    leases = [trial.leased(f"w{i}") for i in range(4)]

    async def ends() -> list[Job | BaseException]:
        calls = [trial.store.complete(one.job.id, one.token, a_result(one.job.title)) for one in leases]
        calls.append(trial.store.complete(leases[0].job.id, leases[0].token, a_result("again")))
        calls.append(trial.store.complete(leases[1].job.id, leases[1].token + 1, a_result("late")))
        calls.append(trial.store.complete("nothing", 1, Result()))
        return await asyncio.gather(*calls, return_exceptions=True)

    *done, again, late, unknown = trial.run(ends())
    assert [job.state for job in (*done, again) if isinstance(job, Job)] == [State.SUCCEEDED] * 5
    assert isinstance(again, Job) and again.result == a_result("e0")
    assert isinstance(late, LeaseLost)
    assert isinstance(unknown, JobNotFound)


def test_the_log_of_the_last_attempt_is_known(trial: StoreOnTrial) -> None:
    trial.submit(a_job("a"), max_attempts=2)
    log = ObjectRef("products", "out/a.log", kind="log")
    lease = trial.leased()
    failed = trial.run(trial.store.fail(lease.job.id, lease.token, BROKEN, log=log))
    assert failed.log == trial.run(trial.store.get_job(lease.job.id)).log == log
    trial.run(trial.store.retry_run(failed.run))
    assert trial.run(trial.store.get_job(lease.job.id)).log is None
    other = ObjectRef("products", "out/b.log", kind="log")
    assert trial.complete(trial.leased(), Result(log=other)).log == other


def test_dead_jobs_of_all_runs_are_listed_page_by_page(trial: StoreOnTrial) -> None:
    for number in range(5):
        trial.submit(a_job(f"bad{number}"), a_job(f"good{number}"))
        trial.fail(trial.leased(), BROKEN)
        trial.complete(trial.leased())
    first = trial.run(trial.store.list_all_jobs(limit=3, states=[State.FAILED]))
    rest = trial.run(trial.store.list_all_jobs(limit=3, states=[State.FAILED], after=first[-1].id))
    assert sorted(job.title for job in (*first, *rest)) == [f"bad{i}" for i in range(5)]
    assert len(trial.run(trial.store.list_all_jobs(limit=100))) == 10


def test_what_happened_is_told_once_it_is_committed(trial: StoreOnTrial) -> None:
    told: list[tuple[str, str]] = []
    ends: list[RunEnd] = []

    def listen(changes: Any, of_runs: Any) -> None:
        told.extend((change.stage, change.kind) for change in changes if isinstance(change, Change))
        ends.extend(of_runs)

    trial.store._listener = listen
    run = trial.submit(a_job("a"))
    lease = trial.leased()
    with pytest.raises(LeaseLost):
        trial.run(trial.store.release(lease.job.id, lease.token + 1))
    trial.ahead += 7
    trial.complete(lease)
    kinds = [("", "CREATED"), ("detector1", "QUEUED"), ("detector1", "RUNNING"), ("detector1", "SUCCEEDED")]
    assert told == kinds
    (end,) = ends
    assert (end.run, end.state) == (run.id, State.SUCCEEDED)
    assert end.seconds == pytest.approx(7, abs=5)
