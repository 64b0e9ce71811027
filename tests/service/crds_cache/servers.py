"""The service as it runs: a real server on loopback, its store in a directory."""

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from prometheus_client import CollectorRegistry

from jwcal.api.reference.v1 import reference_pb2_grpc
from jwcal.core.rpc.authorization import TokenVerifier
from jwcal.core.rpc.metrics import Metrics
from jwcal.core.rpc.server import RpcServer, Service, build_server
from jwcal.core.rpc.settings import ServerSettings
from jwcal.core.rpc.status import error_from
from jwcal.core.storage.directory import DirectoryStore
from jwcal.core.storage.port import ObjectStore
from jwcal.crds_cache.composition import serving_references
from jwcal.crds_cache.settings import Settings

SERVICE = "jwcal.api.reference.v1.ReferenceService"


class StoreOnDisk(DirectoryStore):
    """The directory store, whose files a test may look at and damage."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, durable=False)
        self.root = root

    def path(self, ref: Any) -> Path:
        """Where an object lies."""
        return self.root / ref.bucket / ref.key

    def objects(self) -> list[str]:
        """Names of all that is there."""
        return [path.name for path in self.root.rglob("*") if path.is_file()]


def some_settings(directory: Path, **changes: Any) -> Settings:
    """Settings of a replica that keeps what is its own in `directory`, and is quick to try again."""
    quick = {"look_seconds": 0.02, "backoff_seconds": 0.01, "claim_seconds": 2.0, "timeout_seconds": 20.0}
    own = {"crds_path": directory / "crds", "scratch": directory / "scratch"}
    served = {"server": ServerSettings(plaintext=True), "objects": {"kind": "memory"}}  # the test brings its store
    return Settings(**(own | quick | served | changes))


@dataclass(frozen=True)
class Replica:
    """A running service."""

    address: str
    channel: grpc.aio.Channel
    stub: "reference_pb2_grpc.ReferenceServiceAsyncStub"
    calls: "CountedCalls"
    server: RpcServer
    metrics: Metrics

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


class CountedCalls:
    """The servicer's methods, counted as they are reached."""

    def __init__(self, servicer: Any) -> None:
        self._servicer = servicer
        self.counts: Counter[str] = Counter()
        self.stream_ended = asyncio.Event()
        self._changed = asyncio.Condition()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._servicer, name)

        async def unary(request: Any, context: Any) -> Any:
            await self._count(name)
            return await method(request, context)

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            await self._count(name)
            try:
                async for answer in method(request, context):
                    yield answer
            finally:
                self.stream_ended.set()

        return stream if inspect.isasyncgenfunction(method) else unary

    async def reached(self, method: str, count: int) -> None:
        """Wait until so many calls have come in."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.counts[method] >= count)

    async def _count(self, method: str) -> None:
        async with self._changed:
            self.counts[method] += 1
            self._changed.notify_all()


@asynccontextmanager
async def a_store(root: Path, bucket: str = "jwcal") -> AsyncIterator[StoreOnDisk]:
    """A store with a bucket."""
    store = StoreOnDisk(root)
    try:
        await store.make_bucket(bucket)
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def replica(
    settings: Settings, store: ObjectStore, *, verifier: TokenVerifier | None = None
) -> AsyncIterator[Replica]:
    """A running service with a channel to it."""
    metrics = Metrics(CollectorRegistry())
    async with serving_references(settings, store, metrics) as references:
        calls = CountedCalls(references.servicer)
        register = partial(reference_pb2_grpc.add_ReferenceServiceServicer_to_server, calls)
        async with build_server(
            [Service(SERVICE, register)], settings.server, verifier=verifier, metrics=metrics
        ) as server:
            address = str(server.addresses[0])
            async with grpc.aio.insecure_channel(address) as channel:
                stub = reference_pb2_grpc.ReferenceServiceStub(channel)
                yield Replica(address, channel, stub, calls, server, metrics)


def reason(error: grpc.aio.AioRpcError) -> str:
    """The stable name of what went wrong."""
    return error_from(error).reason
