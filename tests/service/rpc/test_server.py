"""Servers: limits, health, reflection, and an end that cuts nobody off."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest, ListStepsResponse, ProcessRequest, ProcessResponse
from jwcal.api.pipeline.v1.pipeline_pb2 import WatchRunRequest
from jwcal.api.pipeline.v1.pipeline_pb2_grpc import PipelineServiceStub
from jwcal.api.stage.v1.stage_pb2 import PlanDescription
from jwcal.core.errors import ConfigurationError, Draining, Exhausted, RemoteError, Unavailable
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.server import build_server, serve_until_stopped, stop_requests
from jwcal.core.rpc.settings import ServerSettings
from jwcal.core.rpc.status import remote_errors
from tests.service.event_loop import in_event_loop
from tests.service.rpc.serving import (
    DETECTOR1,
    PLAINTEXT,
    PLAINTEXT_CLIENT,
    Detector1,
    Served,
    Watched,
    pipeline_service,
    serving,
)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Held:
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.release = asyncio.Event()

    async def list_steps(self, _request: Any, _context: Any) -> ListStepsResponse:
        self.begun.set()
        await self.release.wait()
        return ListStepsResponse(plans=[PlanDescription(plan="held")])


async def health_of(served: Served, service: str) -> Any:
    stub = health_pb2_grpc.HealthStub(served.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


@in_event_loop
async def test_a_request_of_two_mebibytes_is_refused_and_one_of_less_than_one_is_taken() -> None:
    servicer = Detector1()
    async with serving(servicer) as served:
        await served.detector1.ListSteps(ListStepsRequest(plan="x" * 1_000_000))
        with pytest.raises(Exhausted), remote_errors():
            await served.detector1.ListSteps(ListStepsRequest(plan="x" * 2 * 1024 * 1024))
        await served.detector1.ListSteps(ListStepsRequest())
    assert len(servicer.calls) == 2


@in_event_loop
async def test_a_small_request_that_unpacks_to_a_large_one_is_refused() -> None:
    servicer = Detector1()
    async with serving(servicer) as served:
        request = ListStepsRequest(plan="x" * 16 * 1024 * 1024)
        with pytest.raises(Exhausted), remote_errors():
            await served.detector1.ListSteps(request, compression=grpc.Compression.Gzip)
    assert servicer.calls == []


@in_event_loop
async def test_huge_metadata_is_refused() -> None:
    servicer = Detector1()
    async with serving(servicer) as served:
        await served.detector1.ListSteps(ListStepsRequest(), metadata=(("x-large", "x" * 12_000),))
        with pytest.raises(Exhausted), remote_errors():
            await served.detector1.ListSteps(ListStepsRequest(), metadata=(("x-large", "x" * 100_000),))
        await served.detector1.ListSteps(ListStepsRequest())
    assert len(servicer.calls) == 2


@in_event_loop
async def test_calls_beyond_the_limit_are_refused_and_those_within_it_are_served() -> None:
    held = Held()
    async with serving(Detector1(list_steps=held.list_steps), settings=limited(1)) as served:
        first = asyncio.ensure_future(_list(served))
        await held.begun.wait()
        with pytest.raises(Exhausted), remote_errors():
            await served.detector1.ListSteps(ListStepsRequest())
        held.release.set()
        await first


def limited(calls: int) -> ServerSettings:
    return PLAINTEXT.model_copy(update={"max_concurrent_calls": calls})


async def _list(served: Served) -> ListStepsResponse:
    answer: ListStepsResponse = await served.detector1.ListSteps(ListStepsRequest())
    return answer


@in_event_loop
async def test_a_method_that_does_not_exist_is_unimplemented() -> None:
    async with serving(Detector1()) as served:
        with pytest.raises(RemoteError) as caught, remote_errors():
            await served.channel.unary_unary(f"/{DETECTOR1}/Nothing")(b"")
    assert caught.value.reason == "UNIMPLEMENTED"


@in_event_loop
async def test_a_server_is_alive_at_once_and_ready_when_told_so() -> None:
    async with serving(Detector1()) as served:
        assert await health_of(served, "") == SERVING
        assert await health_of(served, DETECTOR1) == NOT_SERVING
        await served.server.set_ready(True)
        assert await health_of(served, DETECTOR1) == SERVING
        await served.server.set_ready(False, [DETECTOR1])
        assert await health_of(served, DETECTOR1) == NOT_SERVING
        assert await health_of(served, "") == SERVING


@in_event_loop
async def test_the_health_of_an_unknown_service_is_not_found() -> None:
    async with serving(Detector1()) as served:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_of(served, "nobody")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@in_event_loop
async def test_a_watcher_of_health_hears_of_every_change_and_of_the_drain() -> None:
    held = Held()
    async with serving(Detector1(list_steps=held.list_steps)) as served:
        call = health_pb2_grpc.HealthStub(served.channel).Watch(health_pb2.HealthCheckRequest(service=DETECTOR1))
        assert (await call.read()).status == NOT_SERVING
        await served.server.set_ready(True)
        assert (await call.read()).status == SERVING
        busy = asyncio.ensure_future(_list(served))
        await held.begun.wait()
        draining = asyncio.ensure_future(served.server.drain(30))
        assert (await call.read()).status == NOT_SERVING
        held.release.set()
        await draining
        assert (await busy).plans[0].plan == "held"
        with pytest.raises(Draining), remote_errors():
            await call.read()


@in_event_loop
async def test_reflection_lists_the_services_and_describes_them() -> None:
    async with serving(Detector1()) as served:
        stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=DETECTOR1),
        ]
        listed, described = [answer async for answer in stub.ServerReflectionInfo(iter(requests))]
    names = {service.name for service in listed.list_services_response.service}
    assert names == {DETECTOR1, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert len(described.file_descriptor_response.file_descriptor_proto) > 1  # with what it imports


@in_event_loop
async def test_a_drain_lets_calls_in_flight_finish_and_takes_no_new_ones() -> None:
    held = Held()
    servicer = Detector1(list_steps=held.list_steps)
    async with serving(servicer, channel_options={"retries": None}) as served:
        await served.server.set_ready(True)
        first = asyncio.ensure_future(_list(served))
        await held.begun.wait()
        assert served.server.in_flight == 1
        draining = asyncio.ensure_future(served.server.drain(30))
        await served.server.draining.wait()
        async with open_channel(served.address, PLAINTEXT_CLIENT, retries=None) as second:
            with pytest.raises(Unavailable), remote_errors():
                await _list(Served(served.server, served.address, second))
        assert not draining.done()
        held.release.set()
        assert (await first).plans[0].plan == "held"
        await draining
    assert servicer.calls == ["ListSteps"]


@in_event_loop
async def test_a_stream_in_flight_is_finished_too() -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def process(_request: Any, _context: Any) -> AsyncIterator[ProcessResponse]:
        yield ProcessResponse()
        begun.set()
        await release.wait()
        yield ProcessResponse()

    async with serving(Detector1(process=process)) as served:
        call = served.detector1.Process(ProcessRequest())
        await call.read()
        await begun.wait()
        draining = asyncio.ensure_future(served.server.drain(30))
        await served.server.draining.wait()
        release.set()
        assert len([answer async for answer in call]) == 1
        await draining


@in_event_loop
async def test_calls_that_take_longer_than_the_grace_are_cancelled() -> None:
    held, cancelled = Held(), asyncio.Event()

    async def hold(request: Any, context: Any) -> ListStepsResponse:
        try:
            return await held.list_steps(request, context)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serving(Detector1(list_steps=hold), channel_options={"retries": None}) as served:
        call = asyncio.ensure_future(_list(served))
        await held.begun.wait()
        await served.server.drain(0.05)
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        await cancelled.wait()


@in_event_loop
async def test_a_second_drain_with_less_grace_cuts_the_first_short() -> None:
    held = Held()
    async with serving(Detector1(list_steps=held.list_steps), channel_options={"retries": None}) as served:
        call = asyncio.ensure_future(_list(served))
        await held.begun.wait()
        first = asyncio.ensure_future(served.server.drain(3600))
        await served.server.draining.wait()
        await served.server.drain(0)
        await first
        with pytest.raises(Unavailable), remote_errors():
            await call


@in_event_loop
async def test_streams_without_an_end_go_on_until_the_last_call_is_finished() -> None:
    ended: list[str] = []
    held = Held()

    async def list_steps(request: Any, context: Any) -> ListStepsResponse:
        answer = await held.list_steps(request, context)
        ended.append("call")
        return answer

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("watch")

    async with serving(Detector1(list_steps), services=(pipeline_service(Watched(forever)),)) as served:
        watching = PipelineServiceStub(served.channel).WatchRun(WatchRunRequest())
        await watching.read()
        health = health_pb2_grpc.HealthStub(served.channel).Watch(health_pb2.HealthCheckRequest(service=DETECTOR1))
        await served.server.set_ready(True)
        while (await health.read()).status != SERVING:
            pass
        call = asyncio.ensure_future(_list(served))
        await held.begun.wait()
        draining = asyncio.ensure_future(served.server.drain(30))
        assert (await health.read()).status == NOT_SERVING
        held.release.set()
        await draining
        await call
    assert ended == ["call", "watch"]


@in_event_loop
async def test_a_watch_does_not_hold_the_drain_back_and_its_watcher_is_sent_elsewhere() -> None:
    async with serving(services=(pipeline_service(Watched(asyncio.Event().wait)),)) as served:
        call = PipelineServiceStub(served.channel).WatchRun(WatchRunRequest(cursor=6))
        assert (await call.read()).cursor == 7
        await served.server.drain(3600)
        with pytest.raises(Draining) as caught, remote_errors():
            await call.read()
        assert caught.value.retryable


@in_event_loop
async def test_a_watcher_that_leaves_is_cancelled_and_not_answered() -> None:
    ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            ended.set_result(error)
            raise

    async with serving(services=(pipeline_service(Watched(forever)),)) as served:
        call = PipelineServiceStub(served.channel).WatchRun(WatchRunRequest())
        await call.read()
        call.cancel()
        assert isinstance(await ended, asyncio.CancelledError)


@in_event_loop
async def test_sigterm_drains() -> None:
    held = Held()
    async with stop_requests() as stop, serving(Detector1(list_steps=held.list_steps)) as served:
        serving_task = asyncio.ensure_future(serve_until_stopped(served.server, stop))
        call = asyncio.ensure_future(_list(served))
        await held.begun.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await served.server.draining.wait()
        held.release.set()
        assert (await call).plans[0].plan == "held"
        await serving_task


@in_event_loop
async def test_a_port_in_use_is_an_error_and_not_shared() -> None:
    async with serving(Detector1()) as served:
        settings = PLAINTEXT.model_copy(update={"listen": (served.address,)})
        with pytest.raises(ConfigurationError, match="cannot listen"):
            await build_server([], settings, verifier=None).start()


def test_a_unix_socket_and_a_port_serve_at_once(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        socket = f"unix:{tmp_path}/server.sock"
        settings = PLAINTEXT.model_copy(update={"listen": (socket, "127.0.0.1:0", "[::1]:0")})
        servicer = Detector1()
        async with serving(servicer, settings=settings) as served:
            assert served.address == socket
            for address in served.server.addresses:
                async with open_channel(str(address), PLAINTEXT_CLIENT) as channel:
                    await _list(Served(served.server, str(address), channel))
        assert len(servicer.calls) == 3

    run()
