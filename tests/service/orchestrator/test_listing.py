"""Lists of runs and jobs."""

from pathlib import Path

from jwcal.api.pipeline.v1 import pipeline_pb2
from tests.service.event_loop import in_event_loop
from tests.service.orchestrator.server import serving


@in_event_loop
async def test_a_run_is_answered_with_its_input_and_listed_and_watched_without(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        run = await served.submit("a", "b", program="01234", labels={"who": "me"})
        assert len(run.spec.exposures.files) == 2
        assert (await served.pipeline.GetRun(pipeline_pb2.GetRunRequest(name=run.name))).run == run
        (listed,) = (await served.pipeline.ListRuns(pipeline_pb2.ListRunsRequest())).runs
        watch = served.pipeline.WatchRun(pipeline_pb2.WatchRunRequest(name=run.name))
        watched = (await watch.read()).run
        watch.cancel()
        run.spec.ClearField("input")
        assert listed == watched == run


@in_event_loop
async def test_dead_jobs_of_all_runs_are_listed(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        for number in range(3):
            run = await served.submit(f"e{number}")
            await served.pipeline.CancelRun(pipeline_pb2.CancelRunRequest(name=run.name))
        titles, token = [], ""
        while True:
            request = pipeline_pb2.ListJobsRequest(
                run="runs/-", states=[pipeline_pb2.STATE_CANCELLED], page_size=2, page_token=token
            )
            page = await served.pipeline.ListJobs(request)
            titles += [job.title for job in page.jobs]
            token = page.next_page_token
            if not token:
                break
        assert titles == ["e0", "e1", "e2"]
