"""The queue under load: ``python -m tests.bench.queue_load [--postgresql] [--jobs N] [--workers N] [--watchers N]``.

An orchestrator as a process of its own; workers that do nothing but take and complete jobs, over loopback, in this one;
Get and List asked beside them all the time.  Prints one line of JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import psutil

from jwcal.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from jwcal.api.product.v1 import product_pb2
from jwcal.api.queue.v1 import queue_pb2, queue_pb2_grpc
from jwcal.api.stage.v1 import stage_pb2
from tests.servers.postgres import running_postgres

RUN_SIZE = 1000


@contextlib.asynccontextmanager
async def orchestrator(database: str) -> AsyncIterator[tuple[str, int]]:
    """A process that serves; its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {"JWCAL_ORCHESTRATOR_LISTEN": address, "JWCAL_ORCHESTRATOR_DATABASE": database}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jwcal.orchestrator", env=os.environ | settings
    )
    try:
        yield address, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


class Times:
    """Seconds that calls took."""

    def __init__(self) -> None:
        self.by_name: dict[str, list[float]] = {}

    async def of(self, call: Callable[[Any], Awaitable[Any]], request: Any) -> Any:
        name = type(request).__name__.removesuffix("Request")
        began = time.perf_counter()
        answer = await call(request)
        self.by_name.setdefault(name, []).append(time.perf_counter() - began)
        return answer

    def summary(self) -> dict[str, dict[str, float]]:
        answer = {}
        for name, times in self.by_name.items():
            times.sort()
            answer[name] = {
                "calls": len(times),
                "median_ms": round(times[len(times) // 2] * 1e3, 1),
                "p99_ms": round(times[int(len(times) * 0.99)] * 1e3, 1),
            }
        return answer


async def load(address: str, pid: int, *, jobs: int, workers: int, watchers: int) -> dict[str, Any]:
    """Submit, work it all off, and tell how it went."""
    times, done = Times(), 0
    async with grpc.aio.insecure_channel(address) as channel:
        await channel.channel_ready()
        pipeline: Any = pipeline_pb2_grpc.PipelineServiceStub(channel)
        queue: Any = queue_pb2_grpc.QueueServiceStub(channel)
        runs = []
        for first in range(0, jobs, RUN_SIZE):
            files = [
                product_pb2.ProductRef(bucket="jwcal", key=f"raw/e{first + i:06d}_nrcb1_uncal.fits")
                for i in range(min(RUN_SIZE, jobs - first))
            ]
            spec = pipeline_pb2.RunSpec(exposures=pipeline_pb2.Exposures(files=files))
            request = pipeline_pb2.CreateRunRequest(spec=spec, request_id=str(uuid.uuid4()))
            answer = await times.of(pipeline.CreateRun, request)
            runs.append(answer.run.name)
        before = psutil.Process(pid).memory_info().rss

        async def work(number: int) -> None:
            nonlocal done
            while True:
                request = queue_pb2.LeaseJobRequest(
                    worker=f"w{number}", stage=stage_pb2.STAGE_DETECTOR1, request_id=str(uuid.uuid4())
                )
                lease = (await times.of(queue.LeaseJob, request)).lease
                if not lease.job.name:
                    return
                product = product_pb2.ProductRef(bucket="jwcal", key=f"{lease.output.prefix}/rate.fits", kind="rate")
                result = stage_pb2.Result(products=[product])
                complete = queue_pb2.CompleteJobRequest(job=lease.job.name, token=lease.token, result=result)
                await times.of(queue.CompleteJob, complete)
                done += 1

        async def ask() -> None:
            choice = random.Random(1)
            while True:
                run = choice.choice(runs)
                await times.of(pipeline.GetRun, pipeline_pb2.GetRunRequest(name=run))
                await times.of(pipeline.ListRuns, pipeline_pb2.ListRunsRequest())
                await times.of(pipeline.ListJobs, pipeline_pb2.ListJobsRequest(run=run))
                await times.of(queue.GetQueueStats, queue_pb2.GetQueueStatsRequest())
                await asyncio.sleep(0.1)

        async def watch(number: int) -> int:
            state = 0
            request = pipeline_pb2.WatchRunRequest(name=runs[number % len(runs)])
            async for change in pipeline.WatchRun(request):
                if change.WhichOneof("change") == "run":
                    state = change.run.state
            return state

        watching = [asyncio.create_task(watch(number)) for number in range(watchers)]
        asking = asyncio.create_task(ask())
        began = time.perf_counter()
        await asyncio.gather(*(work(number) for number in range(workers)))
        seconds = time.perf_counter() - began
        asking.cancel()
        ends = await asyncio.gather(*watching)
        states = [(await pipeline.GetRun(pipeline_pb2.GetRunRequest(name=run))).run.state for run in runs]
        assert set(states) == {pipeline_pb2.STATE_SUCCEEDED}, states
        assert done == jobs
        return {
            "jobs": jobs,
            "workers": workers,
            "watchers": watchers,
            "watchers_that_saw_the_end": sum(end == pipeline_pb2.STATE_SUCCEEDED for end in ends),
            "claims_per_second": round(done / seconds, 1),
            "calls": times.summary(),
            "rss_before_mib": before >> 20,
            "rss_after_mib": psutil.Process(pid).memory_info().rss >> 20,
        }


async def measure(database: str, arguments: argparse.Namespace) -> None:
    async with orchestrator(database) as (address, pid):
        answer = await load(address, pid, jobs=arguments.jobs, workers=arguments.workers, watchers=arguments.watchers)
    print(json.dumps({"database": database.partition(":")[0], **answer}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.queue_load", description=__doc__)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--watchers", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.postgresql:
        with running_postgres() as server:
            asyncio.run(measure(f"{server}/postgres", arguments))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(f"sqlite:///{Path(folder) / 'jobs.db'}", arguments))


if __name__ == "__main__":
    main()
