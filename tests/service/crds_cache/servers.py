"""The service as it runs: a real server on loopback, its store in a directory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from jwcal.api.reference.v1 import reference_pb2_grpc
from jwcal.core.errors import JwcalError
from jwcal.crds_cache.composition import reference_servicer
from jwcal.crds_cache.settings import Settings
from tests.service.crds_cache.directory_store import DirectoryStore


def some_settings(directory: Path, **changes: Any) -> Settings:
    """Settings of a replica that keeps what is its own in `directory`, and is quick to try again."""
    quick = {"look_seconds": 0.02, "backoff_seconds": 0.01, "claim_seconds": 2.0, "timeout_seconds": 20.0}
    own = {"crds_path": directory / "crds", "scratch": directory / "scratch"}
    return Settings(**(own | quick | changes))


@dataclass(frozen=True)
class Replica:
    """A running service."""

    address: str
    stub: "reference_pb2_grpc.ReferenceServiceAsyncStub"
    calls: "CallCounter"


class CallCounter(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Counts calls by method; makes statuses of typed errors."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.stream_ended = asyncio.Event()
        self._changed = asyncio.Condition()

    async def reached(self, method: str, count: int) -> None:
        """Wait until so many calls have come in."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.counts[method] >= count)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Wrap the method."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method.rsplit("/", 1)[-1]

        async def unary(request: Any, context: Any) -> Any:
            await self._count(method)
            try:
                return await handler.unary_unary(request, context)
            except JwcalError as error:
                await _abort(context, error)

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            await self._count(method)
            try:
                async for answer in handler.unary_stream(request, context):
                    yield answer
            except JwcalError as error:
                await _abort(context, error)
            finally:
                self.stream_ended.set()

        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(stream, **codec)
        return grpc.unary_unary_rpc_method_handler(unary, **codec)

    async def _count(self, method: str) -> None:
        async with self._changed:
            self.counts[method] += 1
            self._changed.notify_all()


async def _abort(context: Any, error: JwcalError) -> None:
    await context.abort(getattr(grpc.StatusCode, error.grpc_code), str(error), (("reason", error.reason),))


@asynccontextmanager
async def replica(settings: Settings, store: DirectoryStore) -> AsyncIterator[Replica]:
    """A running service with a channel to it."""
    async with reference_servicer(settings, store) as servicer:
        calls = CallCounter()
        server = grpc.aio.server(interceptors=[calls])
        reference_pb2_grpc.add_ReferenceServiceServicer_to_server(servicer, server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            async with grpc.aio.insecure_channel(address) as channel:
                yield Replica(address, reference_pb2_grpc.ReferenceServiceStub(channel), calls)
        finally:
            await server.stop(None)


def reason(error: grpc.aio.AioRpcError) -> str | None:
    """The stable name of what went wrong."""
    found = dict(error.trailing_metadata() or ()).get("reason")
    return found if isinstance(found, str) else None
