"""The whole worker: settings in, a server and a supervisor out.  The stages' ``__main__`` call `run_worker`."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from jwcal.api.queue.v1.queue_pb2_grpc import QueueServiceStub
from jwcal.api.stage.v1 import stage_pb2
from jwcal.core.errors import StoreUnavailable
from jwcal.core.logs import log_to
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.observability import Observability, observing
from jwcal.core.rpc.readiness import following
from jwcal.core.rpc.server import RpcServer, Service, build_server, stop_requests
from jwcal.core.rpc.tokens import token_verifier
from jwcal.core.storage.opening import open_store
from jwcal.core.worker.attempt import Workshop, clear_directory
from jwcal.core.worker.child import find_stage
from jwcal.core.worker.compute import ComputeProcess
from jwcal.core.worker.leases import Queue
from jwcal.core.worker.references import opened_references
from jwcal.core.worker.servicer import StageServicer
from jwcal.core.worker.settings import WorkerSettings
from jwcal.core.worker.supervisor import Limits, Supervisor

_logger = logging.getLogger(__name__)
_PING_SECONDS = 5.0
"""After which a store that does not answer counts as away."""


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

        def workshop(purpose: str) -> Workshop:
            scratch = settings.scratch / purpose
            clear_directory(scratch)
            compute = ComputeProcess(stage, memory_limit=settings.memory_limit, environment=_environment(scratch))
            resources.push_async_callback(compute.close)
            return Workshop(
                compute=compute,
                store=store,
                references=references,
                scratch=scratch,
                code_version=code_version,
                metrics=observed.metrics,
                tracing=observed.tracing,
                memory_limit=settings.memory_limit,
            )

        queued, direct = workshop("jobs"), workshop("direct")
        servicer = StageServicer(found, messages, workshop=direct, buckets={settings.bucket, *settings.buckets})
        server = build_server(
            [Service(service, lambda server: register(servicer, server))],
            settings.server,
            verifier=token_verifier(settings.tokens),
            metrics=observed.metrics,
            tracing=observed.tracing,
        )
        await resources.enter_async_context(server)
        _logger.info("listening", extra={"fields": {"addresses": [str(address) for address in server.addresses]}})
        if await _started(queued.compute, stop):
            await _serve(settings, found.name, queued, server, observed, stop)
        await server.drain()


async def _started(compute: ComputeProcess, stop: asyncio.Event) -> bool:
    """Start the compute process, which takes a while where kernels have to be compiled; not if `stop` is set first."""
    starting, stopping = asyncio.create_task(compute.start()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            return False
        await starting
        return True
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)


async def _serve(
    settings: WorkerSettings,
    stage: str,
    workshop: Workshop,
    server: RpcServer,
    observed: Observability,
    stop: asyncio.Event,
) -> None:
    """Ready as long as all that is needed is there, and at work where there is an orchestrator."""
    cold, able = True, asyncio.Event()

    async def tell(ready: bool) -> None:
        nonlocal cold
        if ready:
            able.set()
        else:
            able.clear()
        if ready and cold:
            observed.metrics.cold_start_seconds.set(time.time() - psutil.Process().create_time())
            cold = False
        await server.set_ready(ready)

    async def needed() -> None:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await workshop.store.ping(settings.bucket)
        except TimeoutError:
            raise StoreUnavailable(f"the store does not answer in {_PING_SECONDS:g} s") from None
        await workshop.references.check()

    async with AsyncExitStack() as looking:
        await looking.enter_async_context(following(needed, tell, seconds=settings.look_seconds))

        async def not_ready() -> None:
            await looking.aclose()
            await server.set_ready(False)

        if settings.orchestrator:
            await _work(settings, stage, workshop, observed, stop, able, not_ready)
        else:
            await stop.wait()
            await not_ready()


async def _work(
    settings: WorkerSettings,
    stage: str,
    workshop: Workshop,
    observed: Observability,
    stop: asyncio.Event,
    able: asyncio.Event,
    on_end: Callable[[], Any],
) -> None:
    channel = open_channel(settings.orchestrator, settings.client, tracing=observed.tracing)
    try:
        queue = Queue(
            QueueServiceStub(channel),
            worker=settings.worker_name,
            stage=stage_pb2.Stage.Value(f"STAGE_{stage.upper()}"),
            code_version=workshop.code_version,
            memory=settings.memory_limit,
        )
        limits = Limits(leases=settings.leases, grace=settings.grace_seconds, rest=settings.rest_seconds)
        await Supervisor(
            queue=queue, workshop=workshop, limits=limits, able=able, on_end=on_end, tracing=observed.tracing
        ).run(stop)
    finally:
        await channel.close()


def _environment(scratch: Path) -> dict[str, str]:
    """The compute process puts temporary files, such as ramps beyond its memory, where its jobs are."""
    return dict(os.environ) | {"TMPDIR": str(scratch)}
