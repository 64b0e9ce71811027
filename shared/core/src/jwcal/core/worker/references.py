"""Where a job's references come from: the CRDS library of the compute process, or the reference service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceStub
from jwcal.core.references.node_cache import NodeCache
from jwcal.core.references.service import ServiceReferences
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.observability import Observability
from jwcal.core.storage.port import ObjectStore
from jwcal.core.worker.settings import WorkerSettings
from jwcal.core.worker.work import Stage, Work


class WorkReferences(Protocol):
    """Prepares jobs before they are computed."""

    async def check(self) -> None:
        """Return where references can be had."""
        ...

    def prepared(self, work: Work) -> AbstractAsyncContextManager[Work]:
        """The job with its references, which stay while the context lasts; typed errors where they cannot be had."""
        ...


class LibraryReferences:
    """The compute process looks for itself, by its ``CRDS_PATH`` and ``CRDS_SERVER_URL``."""

    async def check(self) -> None:
        """There is nothing to look at here: the first job tells."""

    @asynccontextmanager
    async def prepared(self, work: Work) -> AsyncIterator[Work]:
        """The job as it is."""
        yield work


class ServedReferences:
    """The supervisor asks the service and brings the files, while an earlier job computes."""

    def __init__(self, stage: Stage, service: ServiceReferences) -> None:
        self._stage, self._service = stage, service

    async def check(self) -> None:
        """Return where the service answers."""
        await self._service.check()

    @asynccontextmanager
    async def prepared(self, work: Work) -> AsyncIterator[Work]:
        """The job with paths of its references, in the context that the service has resolved."""
        wanted = await asyncio.to_thread(self._stage.wanted_references, work)
        if wanted is None:
            yield work
            return
        async with self._service.resolved(wanted, work.context) as found:
            yield work.model_copy(update={"context": found.context, "references": found})


@asynccontextmanager
async def opened_references(
    settings: WorkerSettings, stage: Stage, store: ObjectStore, observed: Observability
) -> AsyncIterator[WorkReferences]:
    """What the settings ask for."""
    if not settings.references:
        yield LibraryReferences()
        return
    async with AsyncExitStack() as resources:
        channel = await resources.enter_async_context(
            open_channel(settings.references, settings.client, tracing=observed.tracing)
        )
        cache = NodeCache(settings.reference_cache, settings.reference_cache_bytes)
        service = ServiceReferences(
            ReferenceServiceStub(channel),
            store,
            cache,
            metrics=observed.metrics,
            patience=settings.reference_patience,
        )
        resources.push_async_callback(service.close)
        yield ServedReferences(stage, service)
