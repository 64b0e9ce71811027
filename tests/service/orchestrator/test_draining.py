"""A server that ends keeps nobody waiting."""

import asyncio
from pathlib import Path

import grpc
import pytest

from jwcal.api.queue.v1 import queue_pb2
from tests.service.event_loop import in_event_loop
from tests.service.orchestrator.server import Served, serving


async def workers_known(served: Served, number: int) -> None:
    while len((await served.queue.ListWorkers(queue_pb2.ListWorkersRequest())).workers) < number:
        await asyncio.sleep(0)


@in_event_loop
async def test_workers_that_wait_for_a_job_are_answered_when_the_server_drains(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        waiting = [asyncio.create_task(served.lease(f"w{i}", wait=30)) for i in range(3)]
        await workers_known(served, 3)
        began = asyncio.get_running_loop().time()
        await served.server.drain(20)
        for answer in await asyncio.gather(*waiting):
            assert not answer.HasField("lease")
            assert not answer.drain  # the server ends, not the worker
        assert asyncio.get_running_loop().time() - began < 10


@in_event_loop
async def test_streams_end_with_a_request_to_call_again(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        stream = served.queue.WatchQueueStats(queue_pb2.WatchQueueStatsRequest())
        await stream.read()
        await served.server.drain(20)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
