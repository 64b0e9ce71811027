"""The worker at a real orchestrator's queue, its compute process a real one."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.queue.v1.queue_pb2 import DrainWorkerRequest
from jwcal.api.stage.v1.stage_pb2 import STAGE_DETECTOR1, Processing
from jwcal.core.rpc.traces import Tracing
from jwcal.core.storage.convert import ref_to_proto
from jwcal.core.storage.opening import StoreSettings
from jwcal.core.storage.ref import Location
from jwcal.core.worker.leases import Queue
from jwcal.core.worker.supervisor import Limits, Supervisor
from tests.service.event_loop import in_event_loop
from tests.service.orchestrator.server import Served, serving
from tests.service.worker.workshops import BUCKET, Place, a_workshop, until

TRACE = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@dataclass
class Site:
    """An orchestrator and a worker."""

    served: Served
    place: Place
    supervisor: Supervisor
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    able: asyncio.Event = field(default_factory=asyncio.Event)
    """The worker may take jobs."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """The supervisor has said that it takes no more."""

    async def submit(self, *names: str, attempts: int = 1, **deeds: Any) -> str:
        """A run over these exposures, which are stored; its name."""
        files = [ref_to_proto(await self.place.put(name)) for name in names]
        spec = pipeline_pb2.RunSpec(exposures=pipeline_pb2.Exposures(files=files), max_attempts=attempts)
        processing = Processing()
        ParseDict({"copy": deeds}, processing.parameters)
        spec.processing["detector1"].CopyFrom(processing)
        request = pipeline_pb2.CreateRunRequest(spec=spec, request_id=str(uuid.uuid4()))
        return (await self.served.pipeline.CreateRun(request, metadata=(TRACE,))).run.name

    async def job(self, run: str) -> pipeline_pb2.Job:
        """The one job of a run."""
        (job,) = (await self.served.pipeline.ListJobs(pipeline_pb2.ListJobsRequest(run=run))).jobs
        return job

    async def log(self, job: pipeline_pb2.Job) -> str:
        """The log of a job's only attempt."""
        (log,) = [
            listed.ref
            async for listed in self.place.store.list(Location(BUCKET))
            if listed.ref.name == "job.log" and job.name.removeprefix("jobs/") in listed.ref.key
        ]
        return await self.place.text(log)

    async def finished(self, run: str) -> pipeline_pb2.Job:
        """The one job of a run, when the run has ended."""
        async for _ in self.served.pipeline.WatchRun(pipeline_pb2.WatchRunRequest(name=run)):
            pass
        return await self.job(run)


@asynccontextmanager
async def a_site(
    place: Path, *, limits: Limits | None = None, tracing: Tracing | None = None, ready: bool = True
) -> AsyncIterator[Site]:
    """A worker that is at work, or able to work when told so; it has ended at the end."""
    rules = {"lease_duration": 5.0, "heartbeat": 0.05, "objects": StoreSettings(kind="memory")}
    async with (
        a_workshop(place / "worker", tracing=tracing) as made,
        serving(f"sqlite:///{place}/jobs.db", inputs=made.store, **rules) as served,
    ):
        queue = Queue(served.queue, worker="worker-0", stage=STAGE_DETECTOR1, code_version="1")

        able = asyncio.Event()
        if ready:
            able.set()

        async def on_end() -> None:
            site.ended.set()

        supervisor = Supervisor(
            queue=queue, workshop=made.workshop, limits=limits or Limits(), able=able, tracing=tracing, on_end=on_end
        )
        site = Site(served, made, supervisor, able=able)
        working = asyncio.create_task(supervisor.run(site.stop))
        try:
            yield site
        finally:
            site.stop.set()
            await working
        assert list(made.workshop.scratch.iterdir()) == []


@in_event_loop
async def test_a_job_leaves_product_log_and_numbers(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        run = await site.submit("jw1")
        job = await site.finished(run)
        assert job.state == pipeline_pb2.STATE_SUCCEEDED, job
        assert [(ref.kind, await site.place.text(ref)) for ref in job.result.products] == [("rate", "pixels")]
        assert set(job.result.seconds) == {"fetch", "compute", "steps", "store"}
        log = await site.log(job)
        records = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        assert "this is printed" in log
        assert [record["event"] for record in records] == ["fetched", "stored"]
        assert {(record["job"], record["run"], record["token"]) for record in records} == {(job.name, run, "1")}
        assert site.place.counted("jwcal_bytes_total", direction="in") == len(b"pixels")
        assert site.place.counted("jwcal_bytes_total", direction="out") == len(b"pixels")
        assert site.place.counted("jwcal_step_seconds_count", step="copy") == 1


@in_event_loop
async def test_the_next_input_is_fetched_while_one_computes(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        go = tmp_path / "go"
        first = await site.submit("jw1", until=str(go))
        second = await site.submit("jw2")
        await until(lambda: site.place.counted("jwcal_prefetch_total", result="hit") == 1)
        assert (await site.job(first)).state == pipeline_pb2.STATE_RUNNING
        go.touch()
        for run in (first, second):
            assert (await site.finished(run)).state == pipeline_pb2.STATE_SUCCEEDED
        assert site.place.counted("jwcal_prefetch_total", result="miss") == 1


@in_event_loop
async def test_a_failure_comes_with_its_reason_and_its_log(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        job = await site.finished(await site.submit("jw1", fail=True, attempts=3))
        assert (job.state, job.failure.reason, job.attempt) == (pipeline_pb2.STATE_FAILED, "INVALID_DATA", 1)
        assert job.failure.metadata["remedy"] == "turn them"
        log = await site.log(job)
        assert "this is printed" in log
        assert '"reason": "INVALID_DATA"' in log
        assert "Traceback" in log


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ({"signal": "SIGKILL"}, "CHILD_CRASHED"),
        ({"signal": "SIGSEGV"}, "CHILD_CRASHED"),
        ({"bytes": 1 << 52}, "OUT_OF_MEMORY"),
        ({"bug": True}, "INTERNAL"),
    ],
)
def test_an_end_of_the_compute_process_is_told_as_what_it_was(
    tmp_path: Path, deed: dict[str, Any], reason: str
) -> None:
    @in_event_loop
    async def run() -> None:
        async with a_site(tmp_path) as site:
            job = await site.finished(await site.submit("jw1", **deed))
            assert (job.state, job.failure.reason) == (pipeline_pb2.STATE_FAILED, reason)
            assert "this is printed" in await site.log(job)
            assert (await site.finished(await site.submit("jw2"))).state == pipeline_pb2.STATE_SUCCEEDED

    run()


@in_event_loop
async def test_an_input_with_other_contents_than_announced_fails_at_once(tmp_path: Path) -> None:
    async with a_site(tmp_path, ready=False) as site:
        run = await site.submit("jw1", attempts=3)
        await site.place.put("jw1", b"pickle")
        site.able.set()
        job = await site.finished(run)
        assert (job.state, job.failure.reason) == (pipeline_pb2.STATE_FAILED, "CHECKSUM_MISMATCH")
        assert job.attempt == 1
        assert "CHECKSUM_MISMATCH" in await site.log(job)


@in_event_loop
async def test_cancelling_a_run_kills_what_computes(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        started = tmp_path / "started"
        run = await site.submit("jw1", started=str(started), seconds=600)
        await until(lambda: started.exists() and started.read_text() != "")
        await site.served.pipeline.CancelRun(pipeline_pb2.CancelRunRequest(name=run))
        job = await site.finished(run)
        assert job.state == pipeline_pb2.STATE_CANCELLED
        await until(lambda: not psutil.pid_exists(int(started.read_text())))
        assert "this is printed" in await site.log(job)
        assert (await site.finished(await site.submit("jw2"))).state == pipeline_pb2.STATE_SUCCEEDED


@pytest.mark.parametrize("by", ["stop", "drain"])
def test_at_its_end_a_worker_finishes_what_computes_and_gives_the_rest_back(tmp_path: Path, by: str) -> None:
    @in_event_loop
    async def run() -> None:
        async with a_site(tmp_path) as site:
            go, started = tmp_path / "go", tmp_path / "started"
            first = await site.submit("jw1", until=str(go), started=str(started))
            second = await site.submit("jw2")
            await until(lambda: site.place.counted("jwcal_prefetch_total", result="hit") == 1 and started.exists())
            if by == "stop":
                site.stop.set()
            else:
                await site.served.queue.DrainWorker(DrainWorkerRequest(worker="worker-0"))
            await site.ended.wait()
            while (waiting := await site.job(second)).state != pipeline_pb2.STATE_QUEUED:
                await asyncio.sleep(0.01)
            assert waiting.attempt == 0  # nothing is spent
            assert (await site.job(first)).state == pipeline_pb2.STATE_RUNNING
            go.touch()
            assert (await site.finished(first)).state == pipeline_pb2.STATE_SUCCEEDED
            assert (await site.job(second)).state == pipeline_pb2.STATE_QUEUED

    run()


@in_event_loop
async def test_what_takes_longer_than_the_grace_is_given_back(tmp_path: Path) -> None:
    started = tmp_path / "started"
    async with a_site(tmp_path, limits=Limits(grace=0.1)) as site:
        run = await site.submit("jw1", started=str(started), seconds=600)
        await until(lambda: started.exists() and started.read_text() != "")
        site.stop.set()
        while (job := await site.job(run)).state != pipeline_pb2.STATE_QUEUED:
            await asyncio.sleep(0.01)
        assert job.attempt == 0
        await until(lambda: not psutil.pid_exists(int(started.read_text())))


@in_event_loop
async def test_a_worker_without_scratch_space_says_so_and_rests(tmp_path: Path) -> None:
    async with a_site(tmp_path, limits=Limits(rest=600)) as site:
        scratch = site.place.workshop.scratch
        scratch.rmdir()
        scratch.touch()  # no directory can be made in a file
        run = await site.submit("jw1", attempts=2)
        while (job := await site.job(run)).attempt == 0 or job.state == pipeline_pb2.STATE_RUNNING:
            await asyncio.sleep(0.01)
        assert (job.state, job.failure.reason) == (pipeline_pb2.STATE_QUEUED, "SCRATCH_FAILURE")
        scratch.unlink()
        scratch.mkdir()
        lease = (await site.served.lease("worker-1", wait=10)).lease  # the resting one leaves it to others
        assert (lease.job.run, lease.job.attempt) == (run, 2)


@in_event_loop
async def test_no_job_is_taken_while_the_worker_is_not_able(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        started = tmp_path / "started"
        first = await site.submit("jw1", started=str(started), until=str(tmp_path / "go"))
        await until(started.exists)
        site.able.clear()  # a request for the next job is under way
        second = await site.submit("jw2")
        lease = (await site.served.lease("worker-1", wait=10)).lease
        assert (lease.job.run, lease.job.attempt) == (second, 1)
        (tmp_path / "go").touch()
        assert (await site.finished(first)).state == pipeline_pb2.STATE_SUCCEEDED
        third = await site.submit(
            "jw3", seconds=0
        )  # with a parameter of its own, else the second one's result is taken
        await site.served.complete(lease)
        assert (await site.job(third)).state == pipeline_pb2.STATE_QUEUED
        site.able.set()
        assert (await site.finished(third)).state == pipeline_pb2.STATE_SUCCEEDED


@in_event_loop
async def test_a_jobs_spans_go_on_with_the_trace_of_its_run(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("detector1", SimpleSpanProcessor(exporter))
    async with a_site(tmp_path, tracing=tracing) as site:
        run = await site.submit("jw1")
        job = await site.finished(run)
    tracing.close()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"job", "fetch", "compute", "store"}
    _, trace, parent, _ = TRACE[1].split("-")
    assert f"{spans['job'].context.trace_id:032x}" == trace
    assert spans["job"].parent is not None
    assert f"{spans['job'].parent.span_id:016x}" == parent
    assert spans["job"].attributes == {"jwcal.job": job.name, "jwcal.run": run, "jwcal.token": "1"}
    for name in ("fetch", "compute", "store"):
        inner = spans[name].parent
        assert inner is not None
        assert inner.span_id == spans["job"].context.span_id
    assert [event.name for event in spans["compute"].events] == ["copy"]
