"""A real server with both services on loopback, and a channel to it."""

import asyncio
import contextlib
import json
import os
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry

from jwcal.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from jwcal.api.product.v1 import product_pb2
from jwcal.api.queue.v1 import queue_pb2, queue_pb2_grpc
from jwcal.api.stage.v1 import stage_pb2
from jwcal.core.rpc.metrics import Metrics
from jwcal.core.rpc.principal import Principal, current_principal
from jwcal.core.rpc.server import RpcServer, Service, build_server
from jwcal.core.rpc.settings import ServerSettings
from jwcal.core.rpc.traces import Tracing
from jwcal.core.storage.convert import ref_to_proto
from jwcal.core.storage.memory import MemoryStore
from jwcal.core.storage.opening import StoreSettings
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import ObjectRef
from jwcal.orchestrator.contexts import Contexts, ContextTable
from jwcal.orchestrator.identifiers import uuid7
from jwcal.orchestrator.observation import Observation
from jwcal.orchestrator.service import Orchestrator, orchestrating
from jwcal.orchestrator.settings import Settings
from jwcal.orchestrator.store.database import Database
from jwcal.orchestrator.store.sql import SqlJobStore
from jwcal.orchestrator.stored_inputs import StoredInputs

PIPELINE, QUEUE = "jwcal.api.pipeline.v1.PipelineService", "jwcal.api.queue.v1.QueueService"


@dataclass(frozen=True)
class Served:
    """A server's stubs and what lies behind them."""

    address: str
    channel: grpc.aio.Channel
    pipeline: Any
    queue: Any
    store: SqlJobStore
    objects: ObjectStore
    orchestrator: Orchestrator
    server: RpcServer
    metrics: Metrics

    def metric(self, name: str, **labels: str) -> float:
        """A sample of the metrics; 0 where there is none."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def upload(self, *names: str) -> list[product_pb2.ProductRef]:
        """Files under ``raw/``, each with contents of its own."""
        refs = [ObjectRef("jwcal", f"raw/{name}", kind="uncal") for name in names]
        for ref in refs:
            await self.objects.put_bytes(ref.key.encode(), ref)
        return [ref_to_proto(ref) for ref in refs]

    async def submit(self, *names: str, request_id: str = "", **spec: Any) -> pipeline_pb2.Run:
        files = await self.upload(*(f"{name}_uncal.fits" for name in names))
        request = pipeline_pb2.CreateRunRequest(
            spec=pipeline_pb2.RunSpec(exposures=pipeline_pb2.Exposures(files=files), **spec),
            request_id=request_id or str(uuid.uuid4()),
        )
        return (await self.pipeline.CreateRun(request)).run

    async def lease(self, worker: str = "w1", *, wait: int = 0, **more: Any) -> queue_pb2.LeaseJobResponse:
        request = queue_pb2.LeaseJobRequest(worker=worker, stage=stage_pb2.STAGE_DETECTOR1, **more)
        request.wait.FromSeconds(wait)
        return await self.queue.LeaseJob(request)

    async def complete(self, lease: queue_pb2.Lease) -> pipeline_pb2.Job:
        result = stage_pb2.Result(
            products=[product_pb2.ProductRef(bucket="jwcal", key=f"{lease.output.prefix}/a_rate.fits", kind="rate")]
        )
        request = queue_pb2.CompleteJobRequest(job=lease.job.name, token=lease.token, result=result)
        return (await self.queue.CompleteJob(request)).job


@contextlib.asynccontextmanager
async def serving(
    address: str,
    *,
    contexts: Contexts | None = None,
    inputs: ObjectStore | None = None,
    tracing: Tracing | None = None,
    principal: Principal | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Serve on a free port of loopback over the database of this address; `inputs` has the exposures of its runs."""
    database = Database(address)
    await database.migrate()
    objects = MemoryStore()
    await objects.make_bucket("jwcal")
    rules = Settings(**{"objects": StoreSettings(kind="memory")} | settings)
    metrics = Metrics(CollectorRegistry())
    observation = Observation(metrics)
    store = SqlJobStore(
        database,
        rules.policy(),
        identify=lambda moment: uuid7(moment, os.urandom(10)),
        jitter=random.Random(1).random,
        listener=observation.tell,
    )
    try:
        async with orchestrating(
            store,
            rules,
            StoredInputs(inputs or objects),
            contexts or ContextTable(rules.builds, rules.context),
            observation=observation,
            tracing=tracing,
            principal=(lambda: principal) if principal else current_principal,
        ) as orchestrator:
            services = [Service(PIPELINE, orchestrator.add_to), Service(QUEUE, lambda _: None)]
            where = ServerSettings(listen=("127.0.0.1:0",), plaintext=True)
            server = build_server(services, where, verifier=None, metrics=metrics, tracing=tracing)
            async with server:
                ending = asyncio.create_task(orchestrator.end_waiting(server.draining))
                found = str(server.addresses[0])
                async with grpc.aio.insecure_channel(found) as channel:
                    yield Served(
                        found,
                        channel,
                        pipeline_pb2_grpc.PipelineServiceStub(channel),
                        queue_pb2_grpc.QueueServiceStub(channel),
                        store,
                        objects,
                        orchestrator,
                        server,
                        metrics,
                    )
                ending.cancel()
    finally:
        await store.close()


def an_association(*members: str, kind: str = "image2", **changes: Any) -> str:
    product = {"name": "product", "members": [{"expname": name, "exptype": "science"} for name in members]}
    return json.dumps({"asn_type": kind, "asn_rule": "Asn_Lv2Image", "products": [product], **changes})


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The ErrorInfo's reason."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info.reason
