"""``python -m jwcal.orchestrator``: the composition root."""

import asyncio
import logging
import os
import random
import sys
from contextlib import AsyncExitStack
from typing import Any

import grpc

from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceStub
from jwcal.core.logs import log_to
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.observability import observing
from jwcal.core.rpc.server import Service, build_server, serve_until_stopped, stop_requests
from jwcal.core.rpc.tokens import token_verifier
from jwcal.core.rpc.traces import Tracing
from jwcal.core.storage.opening import open_store
from jwcal.orchestrator.contexts import Contexts, ContextTable, ServiceContexts
from jwcal.orchestrator.identifiers import uuid7
from jwcal.orchestrator.observation import Observation
from jwcal.orchestrator.service import Orchestrator, orchestrating
from jwcal.orchestrator.settings import Settings
from jwcal.orchestrator.store.database import Database
from jwcal.orchestrator.store.leasing import full_jitter
from jwcal.orchestrator.store.sql import SqlJobStore
from jwcal.orchestrator.stored_inputs import StoredInputs

_logger = logging.getLogger(__name__)
_PIPELINE, _QUEUE = "jwcal.api.pipeline.v1.PipelineService", "jwcal.api.queue.v1.QueueService"


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or an interrupt."""
    async with AsyncExitStack() as resources:
        stop = await resources.enter_async_context(stop_requests())
        observed = resources.enter_context(observing(settings.observability, "orchestrator"))
        objects = open_store(settings.objects)
        resources.push_async_callback(objects.close)
        observation = Observation(observed.metrics)
        database = Database(settings.database, connections=settings.database_connections)
        await database.migrate()
        jobs = SqlJobStore(
            database,
            settings.policy(),
            identify=lambda moment: uuid7(moment, os.urandom(10)),
            jitter=full_jitter(random.Random(os.urandom(16))),
            listener=observation.tell,
        )
        resources.push_async_callback(jobs.close)
        orchestrator = await resources.enter_async_context(
            orchestrating(
                jobs,
                settings,
                StoredInputs(objects),
                await _contexts(settings, observed.tracing, resources),
                observation=observation,
                tracing=observed.tracing,
            )
        )
        server = build_server(
            _services(orchestrator),
            settings.server,
            verifier=token_verifier(settings.tokens),
            metrics=observed.metrics,
            tracing=observed.tracing,
        )
        await resources.enter_async_context(server)
        ending = asyncio.create_task(orchestrator.end_waiting(server.draining))
        resources.callback(ending.cancel)
        _logger.info("listening", extra={"fields": {"addresses": [str(address) for address in server.addresses]}})
        await server.set_ready(True)
        await serve_until_stopped(server, stop)


def _services(orchestrator: Orchestrator) -> list[Service]:
    def register(server: grpc.aio.Server) -> None:
        orchestrator.add_to(server)

    return [Service(_PIPELINE, register), Service(_QUEUE, lambda _: None)]  # one call adds both


async def _contexts(settings: Settings, tracing: Tracing | None, resources: AsyncExitStack) -> Contexts:
    if not settings.references:
        return ContextTable(settings.builds, settings.context)
    channel = open_channel(settings.references, settings.client, tracing=tracing)
    await resources.enter_async_context(channel)
    stub: Any = ReferenceServiceStub(channel)
    return ServiceContexts(stub, settings.context)


if __name__ == "__main__":
    log_to(sys.stderr)
    asyncio.run(serve(Settings()))
