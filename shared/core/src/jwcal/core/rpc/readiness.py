"""Waiting for a service of another process to be ready."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jwcal.core.errors import Unavailable
from jwcal.core.rpc.status import remote_errors


async def wait_until_ready(channel: grpc.aio.Channel, service: str, *, seconds: float) -> None:
    """Until the server is there and says that `service` (full name; "" for the process itself) can take work.

    Raises
    ------
    DeadlineExceeded
        When it does not within so many seconds.
    """
    request = health_pb2.HealthCheckRequest(service=service)
    watch = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=seconds, wait_for_ready=True)
    try:
        with remote_errors():
            async for answer in watch:
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
        raise Unavailable("the server ended its account of its health", service=service)
    finally:
        watch.cancel()
