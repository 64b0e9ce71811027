"""A server of another process, from its start to its end."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest
from jwcal.api.detector1.v1.detector1_pb2_grpc import Detector1ServiceStub
from jwcal.core.errors import DeadlineExceeded, Unavailable
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.readiness import wait_until_ready
from jwcal.core.rpc.status import remote_errors
from tests.service.event_loop import in_event_loop
from tests.service.rpc.serving import DETECTOR1, PLAINTEXT_CLIENT, Detector1, serving

ROOT = Path(__file__).parents[3]


async def line_of(process: Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


@asynccontextmanager
async def held_server() -> AsyncIterator[tuple[Process, str]]:
    """The program and its address."""
    program = (sys.executable, "-m", "tests.service.rpc.held_server")
    process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stdout=PIPE, cwd=ROOT)
    try:
        yield process, await line_of(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@in_event_loop
async def test_a_process_that_is_asked_to_stop_finishes_its_call_and_ends_well() -> None:
    async with held_server() as (process, address), open_channel(address, PLAINTEXT_CLIENT) as channel:
        await wait_until_ready(channel, DETECTOR1, seconds=20)
        stub: Any = Detector1ServiceStub(channel)
        call = stub.ListSteps(ListStepsRequest())
        assert await line_of(process) == "begun"
        process.send_signal(signal.SIGTERM)
        assert await line_of(process) == "draining"
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        assert (await call).plans[0].plan == "held"
        assert await line_of(process) == "stopped"
        assert await process.wait() == 0


@in_event_loop
async def test_a_process_that_is_killed_is_unavailable_to_its_callers() -> None:
    async with held_server() as (process, address), open_channel(address, PLAINTEXT_CLIENT, retries=None) as channel:
        stub: Any = Detector1ServiceStub(channel)
        call = stub.ListSteps(ListStepsRequest())
        assert await line_of(process) == "begun"
        process.kill()
        with pytest.raises(Unavailable), remote_errors():
            await call


@in_event_loop
async def test_a_process_that_hangs_holds_its_callers_no_longer_than_their_deadline() -> None:
    async with held_server() as (process, address), open_channel(address, PLAINTEXT_CLIENT) as channel:
        await wait_until_ready(channel, DETECTOR1, seconds=20)
        process.send_signal(signal.SIGSTOP)
        stub: Any = Detector1ServiceStub(channel)
        with pytest.raises(DeadlineExceeded), remote_errors():
            await stub.ListSteps(ListStepsRequest(), timeout=0.3)
        process.send_signal(signal.SIGCONT)


@in_event_loop
async def test_waiting_for_a_service_ends_when_it_is_ready_and_not_before() -> None:
    async with serving(Detector1()) as served:
        await wait_until_ready(served.channel, "", seconds=10)
        with pytest.raises(DeadlineExceeded):
            await wait_until_ready(served.channel, DETECTOR1, seconds=0.1)
        waiting = asyncio.ensure_future(wait_until_ready(served.channel, DETECTOR1, seconds=10))
        await served.server.set_ready(True)
        await waiting
