"""A real server with both services on loopback, and a channel to it."""

import contextlib
import json
import os
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from jwcal.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from jwcal.api.product.v1 import product_pb2
from jwcal.api.queue.v1 import queue_pb2, queue_pb2_grpc
from jwcal.api.stage.v1 import stage_pb2
from jwcal.core.errors import JwcalError
from jwcal.core.storage.opening import StoreSettings
from jwcal.orchestrator.identifiers import uuid7
from jwcal.orchestrator.service import Orchestrator, orchestrating
from jwcal.orchestrator.settings import Settings
from jwcal.orchestrator.store.database import Database
from jwcal.orchestrator.store.sql import SqlJobStore
from jwcal.orchestrator.submission import UnknownInputs


class StatusOfErrors(grpc.aio.ServerInterceptor):
    """Answers with the status of typed errors."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(details)
        if handler.response_streaming:

            async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
                try:
                    async for response in handler.unary_stream(request, context):
                        yield response
                except JwcalError as error:
                    await context.abort_with_status(rpc_status.to_status(status_of(error)))

            return grpc.unary_stream_rpc_method_handler(
                stream, handler.request_deserializer, handler.response_serializer
            )

        async def unary(request: Any, context: Any) -> Any:
            try:
                return await handler.unary_unary(request, context)
            except JwcalError as error:
                await context.abort_with_status(rpc_status.to_status(status_of(error)))

        return grpc.unary_unary_rpc_method_handler(unary, handler.request_deserializer, handler.response_serializer)


def status_of(error: JwcalError) -> status_pb2.Status:
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain="jwcal", metadata=error.metadata()))
    number = getattr(grpc.StatusCode, error.grpc_code).value[0]
    return status_pb2.Status(code=number, message=str(error), details=[detail])


@dataclass(frozen=True)
class Served:
    """A server's stubs and what lies behind them."""

    address: str
    channel: grpc.aio.Channel
    pipeline: Any
    queue: Any
    store: SqlJobStore
    orchestrator: Orchestrator

    async def submit(self, *names: str, request_id: str = "", **spec: Any) -> pipeline_pb2.Run:
        files = [product_pb2.ProductRef(bucket="jwcal", key=f"raw/{name}_uncal.fits", kind="uncal") for name in names]
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
async def serving(address: str, **settings: Any) -> AsyncIterator[Served]:
    """Serve on a free port of loopback over the database of this address."""
    database = Database(address)
    await database.migrate()
    rules = Settings(**{"objects": StoreSettings(kind="memory")} | settings)
    store = SqlJobStore(
        database,
        rules.policy(),
        identify=lambda moment: uuid7(moment, os.urandom(10)),
        jitter=random.Random(1).random,
    )
    try:
        async with orchestrating(store, rules, UnknownInputs(), owner=lambda _: "tester") as orchestrator:
            server = grpc.aio.server(interceptors=[StatusOfErrors()])
            orchestrator.add_to(server)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Served(
                    f"127.0.0.1:{port}",
                    channel,
                    pipeline_pb2_grpc.PipelineServiceStub(channel),
                    queue_pb2_grpc.QueueServiceStub(channel),
                    store,
                    orchestrator,
                )
            await server.stop(None)
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
