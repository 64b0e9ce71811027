"""Clients that load an orchestrator: workers that do nothing but take and complete jobs, readers, and watchers.

``python -m tests.bench.queue_clients ADDRESS WATCHERS RUN...`` watches runs to their ends, in a process of its own, so
that it does not take the time of the workers; it prints a line once every stream has begun, and one of JSON at the end.
"""

import asyncio
import itertools
import json
import random
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc

from jwcal.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from jwcal.api.product.v1 import product_pb2
from jwcal.api.queue.v1 import queue_pb2, queue_pb2_grpc
from jwcal.api.stage.v1 import stage_pb2

_WATCH = "/jwcal.api.pipeline.v1.PipelineService/WatchRun"
_SLOW_PAUSE = 0.1  # seconds that the slow watcher takes for a message
_PROBE_PAUSE = 0.1  # seconds between the questions of a reader


class Times:
    """Seconds that calls took, by the name of the method."""

    def __init__(self) -> None:
        self.by_name: dict[str, list[float]] = {}

    async def of(self, call: Callable[[Any], Awaitable[Any]], request: Any) -> Any:
        """The answer to a request, timed."""
        name = type(request).__name__.removesuffix("Request")
        began = time.perf_counter()
        answer = await call(request)
        self.by_name.setdefault(name, []).append(time.perf_counter() - began)
        return answer

    def summary(self) -> dict[str, dict[str, float]]:
        """Number, median and 99th percentile."""
        answer = {}
        for name, times in self.by_name.items():
            times.sort()
            answer[name] = {
                "calls": len(times),
                "median_ms": round(times[len(times) // 2] * 1e3, 1),
                "p99_ms": round(times[int(len(times) * 0.99)] * 1e3, 1),
            }
        return answer


async def work(channel: grpc.aio.Channel, times: Times, *, workers: int) -> int:
    """Take and complete jobs until there are none; how many."""
    queue: Any = queue_pb2_grpc.QueueServiceStub(channel)

    async def one(number: int) -> int:
        for done in itertools.count():
            request = queue_pb2.LeaseJobRequest(
                worker=f"w{number}", stage=stage_pb2.STAGE_DETECTOR1, request_id=str(uuid.uuid4())
            )
            lease = (await times.of(queue.LeaseJob, request)).lease
            if not lease.job.name:
                return done
            key = f"{lease.output.prefix}/rate.fits"
            product = product_pb2.ProductRef(bucket="jwcal", key=key, kind="rate", sha256=f"{hash(key) % 2**256:064x}")
            result = stage_pb2.Result(products=[product])
            request = queue_pb2.CompleteJobRequest(job=lease.job.name, token=lease.token, result=result)
            await times.of(queue.CompleteJob, request)
        raise AssertionError("unreachable")

    return sum(await asyncio.gather(*(one(number) for number in range(workers))))


async def read(channel: grpc.aio.Channel, times: Times, runs: Sequence[str]) -> None:
    """Ask for runs, jobs and statistics until cancelled."""
    pipeline: Any = pipeline_pb2_grpc.PipelineServiceStub(channel)
    queue: Any = queue_pb2_grpc.QueueServiceStub(channel)
    choice = random.Random(1)
    while True:
        run = choice.choice(runs)
        await times.of(pipeline.GetRun, pipeline_pb2.GetRunRequest(name=run))
        await times.of(pipeline.ListRuns, pipeline_pb2.ListRunsRequest())
        jobs = (await times.of(pipeline.ListJobs, pipeline_pb2.ListJobsRequest(run=run))).jobs
        await times.of(pipeline.GetJob, pipeline_pb2.GetJobRequest(name=choice.choice(jobs).name))
        await times.of(queue.GetQueueStats, queue_pb2.GetQueueStatsRequest())
        await asyncio.sleep(_PROBE_PAUSE)


async def watch(address: str, runs: Sequence[str], *, watchers: int) -> dict[str, Any]:
    """Watch runs, the first watcher slowly; when each run's end was seen."""
    begun = asyncio.Semaphore(0)
    received = 0

    async def one(channel: grpc.aio.Channel, number: int) -> int:
        nonlocal received
        request = pipeline_pb2.WatchRunRequest(name=runs[number % len(runs)])
        call = channel.unary_stream(_WATCH, request_serializer=pipeline_pb2.WatchRunRequest.SerializeToString)(request)
        last = b""
        async for message in call:  # not decoded: the client's time is the server's here
            if not last:
                begun.release()
            last = message
            received += 1
            if number == 0:
                await asyncio.sleep(_SLOW_PAUSE)
        return int(pipeline_pb2.WatchRunResponse.FromString(last).run.state)

    async with grpc.aio.insecure_channel(address) as channel:
        tasks = [asyncio.create_task(one(channel, number)) for number in range(watchers)]
        for _ in tasks:
            await begun.acquire()
        print("watching", flush=True)
        states = await asyncio.gather(*tasks[1:])
        before_slow = time.time()
        states.append(await tasks[0])
    return {
        "saw_the_end": states.count(pipeline_pb2.STATE_SUCCEEDED),
        "messages": received,
        "quick_ended_at": before_slow,
        "slow_ended_at": time.time(),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(watch(sys.argv[1], sys.argv[3:], watchers=int(sys.argv[2])))))
