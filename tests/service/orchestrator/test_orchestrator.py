"""The orchestrator over real gRPC."""

import asyncio
import contextlib
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.product.v1 import product_pb2
from jwcal.api.queue.v1 import queue_pb2
from jwcal.api.stage.v1 import stage_pb2
from tests.service.orchestrator.server import Served, an_association, reason_of, serving

EXPOSURE = "jw01234001001_02101_0000{}_nrcb1"


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(bounded())


def database(folder: Path) -> str:
    return f"sqlite:///{folder / 'jobs.db'}"


async def create(served: Served, spec: pipeline_pb2.RunSpec) -> pipeline_pb2.Run:
    request = pipeline_pb2.CreateRunRequest(spec=spec, request_id=str(uuid.uuid4()))
    return (await served.pipeline.CreateRun(request)).run


def test_an_association_becomes_products(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path), context="jwst_1303.pmap") as served:
            await served.upload("a_uncal.fits", "b_uncal.fits")
            association = pipeline_pb2.Association(
                json=an_association("a_uncal.fits", "b_uncal.fits"),
                members=product_pb2.Location(bucket="jwcal", prefix="raw"),
            )
            run = await create(served, pipeline_pb2.RunSpec(association=association, products=["rate"]))
            assert (run.state, run.owner, run.context) == (pipeline_pb2.STATE_PENDING, "local", "jwst_1303.pmap")
            for name in ("a", "b"):
                lease = (await served.lease()).lease
                assert [file.key for file in lease.inputs] == [f"raw/{name}_uncal.fits"]
                assert lease.job.processing.context == "jwst_1303.pmap"
                assert lease.duration.seconds == 60
                job = await served.complete(lease)
                assert job.state == pipeline_pb2.STATE_SUCCEEDED
            run = (await served.pipeline.GetRun(pipeline_pb2.GetRunRequest(name=run.name))).run
            assert run.state == pipeline_pb2.STATE_SUCCEEDED
            assert run.fraction == 1.0
            assert len(run.products) == 2

    run(work())


def test_a_waiting_worker_gets_a_job_as_soon_as_there_is_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            waiting = [asyncio.create_task(served.lease(f"w{i}", wait=20)) for i in range(3)]
            while len((await served.queue.ListWorkers(queue_pb2.ListWorkersRequest())).workers) < 3:
                await asyncio.sleep(0)
            started = asyncio.get_running_loop().time()
            await served.submit("a", "b", "c")
            leases = [answer.lease for answer in await asyncio.gather(*waiting)]
            assert asyncio.get_running_loop().time() - started < 5
            assert len({lease.job.name for lease in leases}) == 3

    run(work())


def test_a_worker_that_waits_in_vain_is_answered(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            answer = await served.lease(wait=0)
            assert not answer.HasField("lease")
            await served.queue.DrainWorker(queue_pb2.DrainWorkerRequest(worker="w1"))
            await served.submit("a")
            answer = await served.lease(wait=20)
            assert answer.drain and not answer.HasField("lease")

    run(work())


def test_expired_leases_return_to_the_queue_and_late_results_are_refused(tmp_path: Path) -> None:
    async def work() -> None:
        rules = {"lease_duration": 0.05, "sweep_interval": 0.05}
        async with serving(database(tmp_path), **rules) as served:
            await served.submit("a")
            lost = (await served.lease("lost")).lease
            found = (await served.lease("other", wait=20)).lease
            assert (found.job.name, found.token) == (lost.job.name, lost.token + 1)
            assert found.job.attempt == 2
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await served.complete(lost)
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert reason_of(refused.value) == "LEASE_LOST"

    run(work())


def test_a_watcher_sees_a_run_to_its_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            run = await served.submit("a", "b")
            watch = served.pipeline.WatchRun(pipeline_pb2.WatchRunRequest(name=run.name))
            jobs: dict[str, int] = {}
            cursors = []
            async for change in watch:
                cursors.append(change.cursor)
                if change.WhichOneof("change") == "job":
                    jobs[change.job.title] = change.job.state
                    if change.job.state == pipeline_pb2.STATE_QUEUED:
                        await served.complete((await served.lease()).lease)
                else:
                    state = change.run.state
            assert jobs == {"a": pipeline_pb2.STATE_SUCCEEDED, "b": pipeline_pb2.STATE_SUCCEEDED}
            assert state == pipeline_pb2.STATE_SUCCEEDED
            assert cursors == sorted(cursors)
            assert served.orchestrator.watching.watchers == 0

    run(work())


def test_a_watcher_resumes_behind_what_it_saw(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            run = await served.submit("a", "b")
            await served.complete((await served.lease()).lease)
            watch = served.pipeline.WatchRun(pipeline_pb2.WatchRunRequest(name=run.name))
            seen = 0
            async for change in watch:
                seen = max(seen, change.cursor)
                if change.WhichOneof("change") == "job" and change.job.title == "a":
                    break
            watch.cancel()
            await served.complete((await served.lease()).lease)
            request = pipeline_pb2.WatchRunRequest(name=run.name, cursor=seen)
            later = [change async for change in served.pipeline.WatchRun(request)]
            titles = [change.job.title for change in later if change.WhichOneof("change") == "job"]
            assert titles == ["b"]
            assert later[-1].run.state == pipeline_pb2.STATE_SUCCEEDED

    run(work())


def test_a_slow_watcher_holds_nothing_back_and_gets_the_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            run = await served.submit(*(f"e{i}" for i in range(20)))
            slow = served.pipeline.WatchRun(pipeline_pb2.WatchRunRequest(name=run.name))
            first = await slow.read()
            assert first.run.state == pipeline_pb2.STATE_PENDING
            quick = [served.pipeline.WatchRun(pipeline_pb2.WatchRunRequest(name=run.name)) for _ in range(20)]

            async def last_state(watch: Any) -> int:
                return [change async for change in watch][-1].run.state

            ends = asyncio.gather(*(last_state(watch) for watch in quick))
            for _ in range(20):
                await served.complete((await served.lease()).lease)
            assert set(await ends) == {pipeline_pb2.STATE_SUCCEEDED}
            rest = []
            while (change := await slow.read()) is not grpc.aio.EOF:
                rest.append(change)
            assert rest[-1].run.state == pipeline_pb2.STATE_SUCCEEDED
            states = {change.job.title: change.job.state for change in rest if change.WhichOneof("change") == "job"}
            assert states == {f"e{i}": pipeline_pb2.STATE_SUCCEEDED for i in range(20)}

    run(work())


def test_statistics_are_followed(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            request = queue_pb2.WatchQueueStatsRequest(stage=stage_pb2.STAGE_DETECTOR1)
            watch = served.queue.WatchQueueStats(request)
            assert (await watch.read()).stages[0].queued == 0
            await served.submit("a", "b")
            assert (await watch.read()).stages[0].queued == 2
            watch.cancel()
            stats = (await served.queue.GetQueueStats(queue_pb2.GetQueueStatsRequest())).stages
            assert [one.queued for one in stats] == [2, 0, 0]

    run(work())


def test_pages_are_followed_to_their_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            made = [await served.submit(*(f"e{i}" for i in range(5))) for _ in range(5)]
            names, token = [], ""
            while True:
                request = pipeline_pb2.ListRunsRequest(page_size=2, page_token=token)
                answer = await served.pipeline.ListRuns(request)
                names += [run.name for run in answer.runs]
                token = answer.next_page_token
                if not token:
                    break
            assert sorted(names) == sorted(run.name for run in made)
            titles, token = [], ""
            while True:
                asked = pipeline_pb2.ListJobsRequest(run=made[0].name, page_size=2, page_token=token)
                page = await served.pipeline.ListJobs(asked)
                titles += [job.title for job in page.jobs]
                token = page.next_page_token
                if not token:
                    break
            assert titles == [f"e{i}" for i in range(5)]

    run(work())


def test_a_waiting_worker_that_is_drained_is_told_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            waiting = asyncio.create_task(served.lease("w1", wait=30))
            while not (await served.queue.ListWorkers(queue_pb2.ListWorkersRequest())).workers:
                await asyncio.sleep(0)
            started = asyncio.get_running_loop().time()
            await served.queue.DrainWorker(queue_pb2.DrainWorkerRequest(worker="w1"))
            assert (await waiting).drain
            assert asyncio.get_running_loop().time() - started < 5

    run(work())


def test_a_repeated_request_gets_the_same_run_and_another_one_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            which = str(uuid.uuid4())
            first = await served.submit("a", request_id=which)
            assert (await served.submit("a", request_id=which)).name == first.name
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await served.submit("b", request_id=which)
            assert reason_of(refused.value) == "REQUEST_ID_REUSED"

    run(work())


def test_numbers_and_texts_of_no_sense_break_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            await served.submit("a")
            request = queue_pb2.LeaseJobRequest(worker="w1", stage=stage_pb2.STAGE_DETECTOR1, held_references=["\0"])
            request.wait.seconds = -(2**62)
            lease = (await served.queue.LeaseJob(request)).lease
            step = stage_pb2.StepReport(step="\0", seconds=float("nan"), references={"dark": "\0" * 500})
            step.end_time.seconds = 2**62
            progress = stage_pb2.Progress(fraction=float("inf"))
            extend = queue_pb2.ExtendLeaseRequest(
                job=lease.job.name, token=lease.token, progress=progress, steps=[step]
            )
            await served.queue.ExtendLease(extend)
            result = stage_pb2.Result(steps=[step], seconds={"read": float("nan")})
            complete = queue_pb2.CompleteJobRequest(job=lease.job.name, token=lease.token, result=result)
            await served.queue.CompleteJob(complete)
            job = (await served.pipeline.GetJob(pipeline_pb2.GetJobRequest(name=lease.job.name))).job
            assert job.state == pipeline_pb2.STATE_SUCCEEDED
            broken = stage_pb2.Processing()
            broken.parameters["jump"] = float("nan")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await create(served, of_files("b_uncal.fits", processing={"detector1": broken}))
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    run(work())


def test_cancel_reaches_a_worker_with_its_heartbeat(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            run = await served.submit("a", "b")
            lease = (await served.lease()).lease
            await served.pipeline.CancelRun(pipeline_pb2.CancelRunRequest(name=run.name))
            extend = queue_pb2.ExtendLeaseRequest(job=lease.job.name, token=lease.token)
            assert (await served.queue.ExtendLease(extend)).cancel_requested
            failure = stage_pb2.Failure(reason="CANCELLED")
            fail = queue_pb2.FailJobRequest(job=lease.job.name, token=lease.token, failure=failure)
            assert (await served.queue.FailJob(fail)).job.state == pipeline_pb2.STATE_CANCELLED
            retried = (await served.pipeline.RetryRun(pipeline_pb2.RetryRunRequest(name=run.name))).run
            assert retried.jobs == {"STATE_QUEUED": 2}

    run(work())


def test_a_restarted_orchestrator_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            run = await served.submit("a", "b")
            lease = (await served.lease()).lease
        async with serving(database(tmp_path)) as served:
            await served.complete(lease)
            await served.complete((await served.lease()).lease)
            again = (await served.pipeline.GetRun(pipeline_pb2.GetRunRequest(name=run.name))).run
            assert again.state == pipeline_pb2.STATE_SUCCEEDED

    run(work())


MEMBERS = product_pb2.Location(bucket="jwcal", prefix="raw")
FILE = product_pb2.ProductRef(bucket="jwcal", key="raw/a_uncal.fits")


def of_text(text: str, members: product_pb2.Location = MEMBERS) -> pipeline_pb2.RunSpec:
    return pipeline_pb2.RunSpec(association=pipeline_pb2.Association(json=text, members=members))


def of_files(*keys: str, bucket: str = "jwcal", **more: Any) -> pipeline_pb2.RunSpec:
    files = [product_pb2.ProductRef(bucket=bucket, key=key) for key in keys]
    return pipeline_pb2.RunSpec(exposures=pipeline_pb2.Exposures(files=files), **more)


WRONG = {
    "nothing": (pipeline_pb2.RunSpec(), "INVALID_REQUEST"),
    "not JSON": (of_text("{"), "INVALID_ASSOCIATION"),
    "a list": (of_text("[]"), "INVALID_ASSOCIATION"),
    "nested": (of_text("[" * 100_000), "INVALID_ASSOCIATION"),
    "NaN": (of_text('{"asn_type": NaN}'), "INVALID_ASSOCIATION"),
    "no products": (of_text('{"asn_type": "image2", "products": []}'), "INVALID_ASSOCIATION"),
    "no members": (of_text(an_association()), "INVALID_ASSOCIATION"),
    "no level": (of_text(an_association("a_uncal.fits", kind="image", asn_rule="x")), "INVALID_ASSOCIATION"),
    "twice": (of_text(an_association("a_uncal.fits", "a_uncal.fits")), "INVALID_ASSOCIATION"),
    "above": (of_text(an_association("../a_uncal.fits")), "INVALID_ASSOCIATION"),
    "absolute": (of_text(an_association("/etc/a_uncal.fits")), "INVALID_ASSOCIATION"),
    "address": (of_text(an_association("s3://x/a_uncal.fits")), "INVALID_ASSOCIATION"),
    "control character": (of_text(an_association("a\n_uncal.fits")), "INVALID_ASSOCIATION"),
    "backslash": (of_text(an_association("..\\a_uncal.fits")), "INVALID_ASSOCIATION"),
    "no suffix": (of_text(an_association("a.fits")), "INVALID_ASSOCIATION"),
    "other bucket": (
        of_text(an_association("a_uncal.fits"), product_pb2.Location(bucket="elsewhere")),
        "FORBIDDEN_LOCATION",
    ),
    "members above": (
        of_text(an_association("a_uncal.fits"), product_pb2.Location(bucket="jwcal", prefix="a/../..")),
        "INVALID_KEY",
    ),
    "no members' place": (
        pipeline_pb2.RunSpec(association=pipeline_pb2.Association(json=an_association("a_uncal.fits"))),
        "INVALID_ASSOCIATION",
    ),
    "exposures elsewhere": (of_files("a_uncal.fits", bucket="elsewhere"), "FORBIDDEN_LOCATION"),
    "an exposure above": (of_files("../a_uncal.fits"), "INVALID_KEY"),
    "not an exposure": (of_files("a_i2d.fits"), "INVALID_EXPOSURE"),
    "an exposure twice": (of_files("a_uncal.fits", "a_uncal.fits"), "INVALID_EXPOSURE"),
    "unknown product": (of_files("a_uncal.fits", products=["jpeg"]), "INVALID_REQUEST"),
    "priority": (of_files("a_uncal.fits", priority=1000), "INVALID_REQUEST"),
    "attempts": (of_files("a_uncal.fits", max_attempts=-1), "INVALID_REQUEST"),
    "stage": (of_files("a_uncal.fits", processing={"stage9": stage_pb2.Processing()}), "INVALID_REQUEST"),
    "build": (of_files("a_uncal.fits", build="1.0"), "INVALID_REQUEST"),
    "label": (of_files("a_uncal.fits", labels={"a": "x" * 2000}), "INVALID_REQUEST"),
    "zero byte": (of_files("a_uncal.fits", program="a\0b"), "INVALID_REQUEST"),
    "output": (of_files("a_uncal.fits", output=product_pb2.Location(bucket="elsewhere")), "FORBIDDEN_LOCATION"),
    "override": (
        of_files("a_uncal.fits", processing={"detector1": stage_pb2.Processing(overrides={"dark": "/etc/passwd"})}),
        "INVALID_REQUEST",
    ),
    "nothing to do": (of_files("a_rate.fits", products=["rate"]), "INVALID_REQUEST"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_with_its_reason(what: str, tmp_path: Path) -> None:
    spec, reason = WRONG[what]

    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await create(served, spec)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert reason_of(refused.value) == reason
            assert not (await served.pipeline.ListRuns(pipeline_pb2.ListRunsRequest())).runs

    run(work())


def test_wrong_names_tokens_and_numbers_are_refused(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(database(tmp_path)) as served:
            run = await served.submit("a")
            wrong: list[tuple[Any, Any, grpc.StatusCode]] = [
                (served.pipeline.GetRun, pipeline_pb2.GetRunRequest(name="x"), grpc.StatusCode.INVALID_ARGUMENT),
                (served.pipeline.GetRun, pipeline_pb2.GetRunRequest(name="runs/x"), grpc.StatusCode.NOT_FOUND),
                (served.pipeline.GetJob, pipeline_pb2.GetJobRequest(name="jobs/x"), grpc.StatusCode.NOT_FOUND),
                (
                    served.pipeline.ListRuns,
                    pipeline_pb2.ListRunsRequest(page_token="é"),
                    grpc.StatusCode.INVALID_ARGUMENT,
                ),
                (
                    served.pipeline.ListRuns,
                    pipeline_pb2.ListRunsRequest(page_size=-1),
                    grpc.StatusCode.INVALID_ARGUMENT,
                ),
                (
                    served.pipeline.ListJobs,
                    pipeline_pb2.ListJobsRequest(run=run.name, page_token="am9iczp4"),
                    grpc.StatusCode.INVALID_ARGUMENT,
                ),
                (
                    served.pipeline.DeleteRun,
                    pipeline_pb2.DeleteRunRequest(name=run.name),
                    grpc.StatusCode.FAILED_PRECONDITION,
                ),
                (served.queue.LeaseJob, queue_pb2.LeaseJobRequest(worker="w"), grpc.StatusCode.INVALID_ARGUMENT),
                (served.queue.DrainWorker, queue_pb2.DrainWorkerRequest(worker="w"), grpc.StatusCode.NOT_FOUND),
            ]
            for call, request, code in wrong:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call(request)
                assert refused.value.code() is code, request
            with contextlib.suppress(StopAsyncIteration), pytest.raises(grpc.aio.AioRpcError) as refused:
                await anext(served.pipeline.WatchRun(pipeline_pb2.WatchRunRequest(name="runs/x")).__aiter__())
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND

    run(work())
