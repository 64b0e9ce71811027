"""Where exceptions end: the layer that answers a call with the status of what was raised."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from jwcal.core.errors import JwcalError
from jwcal.core.rpc.call import Call, Layer, current_task, expired
from jwcal.core.rpc.status import internal_status, to_status

logger = logging.getLogger(__name__)


def answering_errors(new_id: Callable[[], str]) -> Layer:
    """Typed errors become their status; others INTERNAL with an id under which the log has the exception."""

    @asynccontextmanager
    async def layer(call: Call) -> AsyncIterator[None]:
        try:
            yield
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and current_task().cancelling():
                call.code = "DEADLINE_EXCEEDED" if expired(call.context) else "CANCELLED"
                raise
            if isinstance(error, grpc.aio.BaseError) and not isinstance(error, grpc.aio.UsageError):
                # Aborted by a servicer of gRPC's own, or the client is gone and takes no answer.
                code = call.context.code()
                call.code = code.name if isinstance(code, grpc.StatusCode) else "CANCELLED"
                raise
            status = _status_of(_sole(error), call, new_id)
        else:
            call.code = "OK"
            return
        await call.context.abort_with_status(rpc_status.to_status(status))

    return layer


def _sole(error: BaseException) -> BaseException:
    """What was raised in a group of tasks where one of them failed."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error


def _status_of(error: BaseException, call: Call, new_id: Callable[[], str]) -> status_pb2.Status:
    if isinstance(error, JwcalError):
        call.code, call.reason = error.grpc_code, error.reason
        return to_status(error)
    # A task that was cancelled without the call being so is a defect too: nobody would answer the caller.
    call.code, call.reason = "INTERNAL", "INTERNAL"
    error_id = new_id()
    fields = {"error_id": error_id, "request_id": call.request_id, "method": call.method}
    story = "".join(traceback.format_exception(error))
    logger.error("internal_error", extra={"fields": fields | {"traceback": story}})
    return internal_status(error_id)
