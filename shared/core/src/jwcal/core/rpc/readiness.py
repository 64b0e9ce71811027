"""Readiness: of a service of another process, waited for; of this one, told by what it depends on."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jwcal.core.errors import JwcalError, Unavailable
from jwcal.core.rpc.status import remote_errors

_logger = logging.getLogger(__name__)
Check = Callable[[], Awaitable[None]]
"""Returns where a thing that is needed is there; raises `JwcalError` where it is not."""


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


@asynccontextmanager
async def following(check: Check, tell: Callable[[bool], Awaitable[None]], *, seconds: float) -> AsyncIterator[None]:
    """While the context lasts, `tell` whether `check` passes: at once, then every so many seconds."""
    task = asyncio.create_task(_follow(check, tell, seconds))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(check: Check, tell: Callable[[bool], Awaitable[None]], seconds: float) -> None:
    ready: bool | None = None
    while True:
        missing = await _missing(check)
        if ready is not (missing is None):
            ready = missing is None
            fields = {} if missing is None else {"reason": missing.reason, "error": str(missing)}
            _logger.info("ready" if ready else "not ready", extra={"fields": fields})
            await tell(ready)
        await asyncio.sleep(seconds)


async def _missing(check: Check) -> JwcalError | None:
    try:
        await check()
    except JwcalError as error:
        return error
    except Exception as error:  # a boundary: else nobody would look any more
        _logger.exception("readiness could not be checked")
        return Unavailable("readiness could not be checked", cause=type(error).__name__)
    return None
