"""The whole worker: settings in, a server and a supervisor out.  The stages' ``__main__`` call `run_worker`."""

import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from types import ModuleType
from typing import Any

from jwcal.api.queue.v1.queue_pb2_grpc import QueueServiceStub
from jwcal.api.stage.v1 import stage_pb2
from jwcal.core.logs import log_to
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.observability import observing
from jwcal.core.rpc.readiness import following
from jwcal.core.rpc.server import Service, build_server, stop_requests
from jwcal.core.rpc.tokens import token_verifier
from jwcal.core.storage.opening import open_store
from jwcal.core.storage.port import ObjectStore
from jwcal.core.worker.child import find_stage
from jwcal.core.worker.compute import ComputeProcess
from jwcal.core.worker.leases import Queue
from jwcal.core.worker.references import WorkReferences, opened_references
from jwcal.core.worker.servicer import StageServicer
from jwcal.core.worker.settings import WorkerSettings
from jwcal.core.worker.supervisor import Limits, Supervisor

_logger = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0
"""Between two looks at what the worker needs to be ready."""


def run_worker(
    stage: str, service: str, messages: ModuleType, register: Callable[[Any, Any], None], distribution: str
) -> None:
    """Serve a stage until SIGTERM.

    `stage` is ``package.module:object``, `service` the full name of its service, `messages` and `register` its
    generated code, `distribution` what its version is asked of.
    """
    log_to(sys.stderr)
    asyncio.run(_run(stage, service, messages, register, WorkerSettings(), version(distribution)))


async def _run(
    stage: str,
    service: str,
    messages: ModuleType,
    register: Callable[[Any, Any], None],
    settings: WorkerSettings,
    code_version: str,
) -> None:
    found = find_stage(stage)
    async with AsyncExitStack() as resources:
        stop = await resources.enter_async_context(stop_requests())
        observed = resources.enter_context(observing(settings.observability, found.name))
        store = open_store(settings.store)
        resources.push_async_callback(store.close)
        references = await resources.enter_async_context(opened_references(settings, found, store, observed))
        compute, direct = (ComputeProcess(stage, memory_limit=settings.memory_limit) for _ in range(2))
        resources.push_async_callback(compute.close)
        resources.push_async_callback(direct.close)
        servicer = StageServicer(
            found,
            messages,
            compute=direct,
            store=store,
            references=references,
            scratch=settings.scratch / "direct",
            code_version=code_version,
            memory_limit=settings.memory_limit,
        )
        server = build_server(
            [Service(service, lambda server: register(servicer, server))],
            settings.server,
            verifier=token_verifier(settings.tokens),
            metrics=observed.metrics,
            tracing=observed.tracing,
        )
        await resources.enter_async_context(server)
        _logger.info("listening", extra={"fields": {"addresses": [str(address) for address in server.addresses]}})
        await compute.start()

        async def check() -> None:
            await store.ping(settings.bucket)
            await references.check()

        await resources.enter_async_context(following(check, server.set_ready, seconds=_LOOK_SECONDS))
        if settings.orchestrator:
            await _work(settings, found.name, code_version, compute, store, references, stop)
        else:
            await stop.wait()
        await server.drain()


async def _work(
    settings: WorkerSettings,
    stage: str,
    code_version: str,
    compute: ComputeProcess,
    store: ObjectStore,
    references: WorkReferences,
    stop: asyncio.Event,
) -> None:
    channel = open_channel(settings.orchestrator, settings.client)
    try:
        queue = Queue(
            QueueServiceStub(channel),
            worker=settings.worker_name,
            stage=stage_pb2.Stage.Value(f"STAGE_{stage.upper()}"),
            code_version=code_version,
            memory=settings.memory_limit,
        )
        limits = Limits(leases=settings.leases, memory=settings.memory_limit, grace=settings.grace_seconds)
        supervisor = Supervisor(
            queue=queue,
            compute=compute,
            store=store,
            references=references,
            scratch=settings.scratch / "jobs",
            limits=limits,
            code_version=code_version,
        )
        await supervisor.run(stop)
    finally:
        await channel.close()
