"""Channels: a deadline on every call, retries where they are right, ids."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest, ListStepsResponse, ProcessRequest, ProcessResponse
from jwcal.api.detector1.v1.detector1_pb2_grpc import Detector1ServiceStub
from jwcal.core.errors import (
    DeadlineExceeded,
    Exhausted,
    FailedPrecondition,
    InvalidRequest,
    JwcalError,
    RemoteError,
    Unavailable,
)
from jwcal.core.rpc.channel import RETRIES, open_channel
from jwcal.core.rpc.deadlines import DEFAULT_SECONDS, METHOD_SECONDS
from jwcal.core.rpc.server import build_server
from jwcal.core.rpc.status import remote_errors
from tests.service.event_loop import in_event_loop
from tests.service.rpc.serving import (
    LIST_STEPS,
    PLAINTEXT,
    PLAINTEXT_CLIENT,
    PROCESS,
    Detector1,
    detector1_service,
    serving,
)

QUICK = {**RETRIES, "initialBackoff": "0.01s", "maxBackoff": "0.02s"}


class Failing:
    """Fails so many times, then answers."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error = error
        self.left = times

    async def list_steps(self, _request: Any, _context: Any) -> ListStepsResponse:
        if self.left:
            self.left -= 1
            raise self.error
        return ListStepsResponse()


@in_event_loop
async def test_every_call_has_the_deadline_of_its_method() -> None:
    left: dict[str, float] = {}

    async def list_steps(_request: Any, context: Any) -> ListStepsResponse:
        left["ListSteps"] = context.time_remaining()
        return ListStepsResponse()

    async def process(_request: Any, context: Any) -> AsyncIterator[ProcessResponse]:
        left["Process"] = context.time_remaining()
        yield ProcessResponse()

    async with serving(Detector1(list_steps, process), channel_options={"deadlines": {PROCESS: 1000.0}}) as served:
        await served.detector1.ListSteps(ListStepsRequest())
        assert left["ListSteps"] == pytest.approx(DEFAULT_SECONDS, rel=0.1)
        await served.detector1.ListSteps(ListStepsRequest(), timeout=70)
        assert left["ListSteps"] == pytest.approx(70, rel=0.02)
        assert len([answer async for answer in served.detector1.Process(ProcessRequest())]) == 1
        assert left["Process"] == pytest.approx(1000, rel=0.02)
    async with serving(Detector1(list_steps, process)) as served:
        await served.detector1.ListSteps(ListStepsRequest())
        assert left["ListSteps"] == pytest.approx(METHOD_SECONDS[LIST_STEPS], rel=0.1)


@in_event_loop
async def test_a_call_that_takes_too_long_ends_on_both_sides() -> None:
    cancelled = asyncio.Event()

    async def hang(_request: Any, _context: Any) -> ListStepsResponse:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ListStepsResponse()

    async with serving(Detector1(list_steps=hang), channel_options={"deadlines": {LIST_STEPS: 0.1}}) as served:
        with pytest.raises(DeadlineExceeded), remote_errors():
            await served.detector1.ListSteps(ListStepsRequest())
        await cancelled.wait()


@in_event_loop
async def test_unavailable_is_tried_again_until_it_is_answered() -> None:
    servicer = Detector1(list_steps=Failing(Unavailable("not now"), 3).list_steps)
    async with serving(servicer, channel_options={"retries": QUICK}) as served:
        await served.detector1.ListSteps(ListStepsRequest())
    assert len(servicer.calls) == 4


@in_event_loop
async def test_the_last_of_five_attempts_is_the_answer() -> None:
    servicer = Detector1(list_steps=Failing(Unavailable("not now"), 100).list_steps)
    async with serving(servicer, channel_options={"retries": QUICK}) as served:
        with pytest.raises(Unavailable), remote_errors():
            await served.detector1.ListSteps(ListStepsRequest())
    assert len(servicer.calls) == RETRIES["maxAttempts"] == 5


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("wrong"),
        FailedPrecondition("not so"),
        Exhausted("too many"),
        DeadlineExceeded("too late"),
        RemoteError("aborted", reason="ABORTED", grpc_code="ABORTED"),
        ValueError("a defect"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nothing_else_is_tried_again(error: Exception) -> None:
    @in_event_loop
    async def run() -> None:
        servicer = Detector1(list_steps=Failing(error, 100).list_steps)
        async with serving(servicer, channel_options={"retries": QUICK}) as served:
            with pytest.raises(JwcalError), remote_errors():
                await served.detector1.ListSteps(ListStepsRequest())
        assert servicer.calls == ["ListSteps"]

    run()


@pytest.mark.parametrize(("yielded", "calls"), [(0, 5), (1, 1)])
def test_a_stream_is_tried_again_only_where_it_has_yielded_nothing(yielded: int, calls: int) -> None:
    async def process(_request: Any, _context: Any) -> AsyncIterator[ProcessResponse]:
        for _ in range(yielded):
            yield ProcessResponse()
        raise Unavailable("not now")

    @in_event_loop
    async def run() -> None:
        servicer = Detector1(process=process)
        received = []
        async with serving(servicer, channel_options={"retries": QUICK}) as served:
            with pytest.raises(Unavailable), remote_errors():
                async for answer in served.detector1.Process(ProcessRequest()):
                    received.append(answer)  # noqa: PERF401 (what came before the error counts)
        assert (len(received), len(servicer.calls)) == (yielded, calls)

    run()


@in_event_loop
async def test_large_requests_are_tried_again_too() -> None:
    servicer = Detector1(list_steps=Failing(Unavailable("not now"), 1).list_steps)
    async with serving(servicer, channel_options={"retries": QUICK}) as served:
        await served.detector1.ListSteps(ListStepsRequest(plan="x" * 1_000_000))
    assert len(servicer.calls) == 2


@in_event_loop
async def test_retries_end_with_the_deadline() -> None:
    servicer = Detector1(list_steps=Failing(Unavailable("not now"), 100).list_steps)
    retries = {**RETRIES, "initialBackoff": "30s", "maxBackoff": "30s"}
    async with serving(servicer, channel_options={"retries": retries}) as served:
        with pytest.raises((DeadlineExceeded, Unavailable)), remote_errors():
            await served.detector1.ListSteps(ListStepsRequest(), timeout=0.2)
    assert servicer.calls == ["ListSteps"]


@in_event_loop
async def test_a_server_that_is_started_again_at_its_address_is_found_again() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = PLAINTEXT.model_copy(update={"listen": (f"127.0.0.1:{port}",)})
    servicer = Detector1()
    async with open_channel(f"127.0.0.1:{port}", PLAINTEXT_CLIENT) as channel:
        stub: Any = Detector1ServiceStub(channel)
        for _ in range(2):
            early = asyncio.ensure_future(stub.ListSteps(ListStepsRequest(), wait_for_ready=True))
            async with build_server([detector1_service(servicer)], settings, verifier=None):
                await early
                await stub.ListSteps(ListStepsRequest())
    assert len(servicer.calls) == 4


@in_event_loop
async def test_each_call_has_a_request_id_of_the_channel_or_of_its_caller() -> None:
    seen: list[Any] = []

    async def note(_request: Any, context: Any) -> ListStepsResponse:
        seen.append([value for name, value in context.invocation_metadata() if name == "x-request-id"])
        return ListStepsResponse()

    ids = iter(("first", "second"))
    async with serving(Detector1(list_steps=note), channel_options={"new_id": lambda: next(ids)}) as served:
        await served.detector1.ListSteps(ListStepsRequest())
        await served.detector1.ListSteps(ListStepsRequest(), metadata=(("x-request-id", "mine"),))
        await served.detector1.ListSteps(ListStepsRequest())
    assert seen == [["first"], ["mine"], ["second"]]
