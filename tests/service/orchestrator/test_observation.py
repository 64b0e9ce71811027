"""What metrics, logs and traces tell of runs and jobs."""

import asyncio
import json
import logging
from pathlib import Path

import grpc
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.queue.v1 import queue_pb2
from jwcal.api.stage.v1 import stage_pb2
from jwcal.core.logs import JsonLines
from jwcal.core.rpc.traces import Tracing
from tests.service.event_loop import in_event_loop
from tests.service.orchestrator.server import serving


@in_event_loop
async def test_attempts_reuse_and_the_lengths_of_runs_are_counted(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}", context="jwst_1303.pmap") as served:
        await served.submit("a")
        lease = (await served.lease()).lease
        await served.queue.ReleaseJob(queue_pb2.ReleaseJobRequest(job=lease.job.name, token=lease.token))
        lease = (await served.lease()).lease
        failure = stage_pb2.Failure(reason="OUT_OF_MEMORY", retryable=False)
        await served.queue.FailJob(queue_pb2.FailJobRequest(job=lease.job.name, token=lease.token, failure=failure))
        await served.pipeline.RetryRun(pipeline_pb2.RetryRunRequest(name=lease.job.run))
        await served.complete((await served.lease()).lease)
        await served.submit("a")
        for outcome in ("RELEASE", "FAIL", "COMPLETE"):
            assert served.metric("jwcal_job_attempts_total", stage="detector1", outcome=outcome) == 1, outcome
        assert served.metric("jwcal_jobs_reused_total", stage="detector1") == 1
        assert served.metric("jwcal_run_seconds_count", state="FAILED") == 1
        assert served.metric("jwcal_run_seconds_count", state="SUCCEEDED") == 2


@in_event_loop
async def test_depth_and_ages_of_the_queue_are_shown(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}", measure_interval=0.01) as served:
        await served.submit("a", "b", "c")
        await served.lease()

        def shown() -> bool:
            depths = [
                served.metric("jwcal_queue_jobs", stage="detector1", state=state)
                for state in ("WAITING", "QUEUED", "DELAYED", "RUNNING")
            ]
            ages = (
                served.metric("jwcal_queue_oldest_seconds", stage="detector1"),
                served.metric("jwcal_lease_age_seconds"),
            )
            return depths == [0, 2, 0, 1] and min(ages) > 0

        while not shown():
            await asyncio.sleep(0.01)


@in_event_loop
async def test_the_log_tells_of_each_change_with_run_and_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jwcal.orchestrator.observation")
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        run = await served.submit("a")
        job = await served.complete((await served.lease()).lease)
    records = [one for one in caplog.records if one.name == "jwcal.orchestrator.observation"]
    lines = [json.loads(JsonLines().format(record)) for record in records]
    which = run.name.partition("/")[2], job.name.partition("/")[2]
    told = [(line["event"], line["change"]) for line in lines]
    assert told == [
        ("run", "CREATED"),
        ("job", "QUEUED"),
        ("job", "RUNNING"),
        ("job", "SUCCEEDED"),
        ("run", "SUCCEEDED"),
    ]
    assert {(line["run"], line["job"]) for line in lines if line["event"] == "job"} == {which}


@in_event_loop
async def test_a_lease_goes_on_with_the_trace_of_the_call_that_submitted_the_run(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("orchestrator", SimpleSpanProcessor(exporter))
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}", tracing=tracing) as served:
        await served.submit("a")
        lease = (await served.lease()).lease
        with tracing.span("job", carrier=lease.trace):
            pass
        spans = {span.name: span for span in exporter.get_finished_spans()}
        job, submitted = spans["job"], spans["jwcal.api.pipeline.v1.PipelineService/CreateRun"]
        assert job.context.trace_id == submitted.context.trace_id
        assert job.parent is not None and job.parent.span_id == submitted.context.span_id
    tracing.close()


@in_event_loop
async def test_without_tracing_the_callers_trace_is_handed_on(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        (file,) = await served.upload("a_uncal.fits")
        spec = pipeline_pb2.RunSpec(exposures=pipeline_pb2.Exposures(files=[file]))
        request = pipeline_pb2.CreateRunRequest(spec=spec, request_id="0190b7a0-0000-7000-8000-000000000000")
        trace = ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01")
        await served.pipeline.CreateRun(request, metadata=(trace, ("authorization", "Bearer secret")))
        assert dict((await served.lease()).lease.trace) == dict([trace])


@in_event_loop
async def test_workers_daily_calls_are_quiet_unless_they_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jwcal.core.rpc.call_log")
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        await served.submit("a")
        lease = (await served.lease()).lease
        await served.complete(lease)
        lease.token += 1
        with pytest.raises(grpc.aio.AioRpcError):
            await served.complete(lease)
    fields = [record.fields for record in caplog.records if record.name == "jwcal.core.rpc.call_log"]  # type: ignore[attr-defined]
    told = [(field["method"].rpartition("/")[2], field["code"]) for field in fields]
    assert told == [("CreateRun", "OK"), ("CompleteJob", "FAILED_PRECONDITION")]
