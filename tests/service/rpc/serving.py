"""Small servicers, served for a test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest, ListStepsResponse, ProcessRequest, ProcessResponse
from jwcal.api.detector1.v1.detector1_pb2_grpc import (
    Detector1ServiceServicer,
    Detector1ServiceStub,
    add_Detector1ServiceServicer_to_server,
)
from jwcal.api.pipeline.v1.pipeline_pb2 import WatchRunRequest, WatchRunResponse
from jwcal.api.pipeline.v1.pipeline_pb2_grpc import PipelineServiceServicer, add_PipelineServiceServicer_to_server
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.server import RpcServer, Service, build_server
from jwcal.core.rpc.settings import ClientSettings, ServerSettings

DETECTOR1 = "jwcal.api.detector1.v1.Detector1Service"
PIPELINE = "jwcal.api.pipeline.v1.PipelineService"
LIST_STEPS = f"/{DETECTOR1}/ListSteps"
PROCESS = f"/{DETECTOR1}/Process"

PLAINTEXT = ServerSettings(plaintext=True)
PLAINTEXT_CLIENT = ClientSettings(plaintext=True)


async def no_plans(_request: ListStepsRequest, _context: Any) -> ListStepsResponse:
    return ListStepsResponse()


async def nothing(_request: ProcessRequest, _context: Any) -> AsyncIterator[ProcessResponse]:
    return
    yield


@dataclass
class Detector1(Detector1ServiceServicer):
    """Counts its calls and does what the test says."""

    list_steps: Callable[[ListStepsRequest, Any], Awaitable[ListStepsResponse]] = no_plans
    process: Callable[[ProcessRequest, Any], AsyncIterator[ProcessResponse]] = nothing
    calls: list[str] = field(default_factory=list)

    async def ListSteps(self, request: ListStepsRequest, context: Any) -> ListStepsResponse:  # noqa: N802
        self.calls.append("ListSteps")
        return await self.list_steps(request, context)

    async def Process(self, request: ProcessRequest, context: Any) -> AsyncIterator[ProcessResponse]:  # noqa: N802
        self.calls.append("Process")
        async for answer in self.process(request, context):
            yield answer


class Watched(PipelineServiceServicer):
    """A run that changes once and then never again."""

    def __init__(self, forever: Callable[[], Awaitable[Any]]) -> None:
        self._forever = forever

    async def WatchRun(self, request: WatchRunRequest, _context: Any) -> AsyncIterator[WatchRunResponse]:  # noqa: N802
        yield WatchRunResponse(cursor=request.cursor + 1)
        await self._forever()


def detector1_service(servicer: Detector1ServiceServicer) -> Service:
    return Service(DETECTOR1, partial(add_Detector1ServiceServicer_to_server, servicer))


def pipeline_service(servicer: PipelineServiceServicer) -> Service:
    return Service(PIPELINE, partial(add_PipelineServiceServicer_to_server, servicer))


@dataclass(frozen=True)
class Served:
    """A server and a channel to it."""

    server: RpcServer
    address: str
    channel: grpc.aio.Channel

    @property
    def detector1(self) -> Any:
        return Detector1ServiceStub(self.channel)


@asynccontextmanager
async def serving(
    servicer: Detector1ServiceServicer | None = None,
    *,
    settings: ServerSettings = PLAINTEXT,
    client: ClientSettings = PLAINTEXT_CLIENT,
    services: tuple[Service, ...] = (),
    channel_options: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """Serve it on a free port of loopback."""
    options.setdefault("verifier", None)
    all_services = (*((detector1_service(servicer),) if servicer else ()), *services)
    async with build_server(all_services, settings, **options) as server:
        address = str(server.addresses[0])
        async with open_channel(address, client, **(channel_options or {})) as channel:
            yield Served(server, address, channel)
