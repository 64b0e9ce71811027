"""Where exceptions end: the layer that answers a call with the status of what was raised."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
from grpc_status import rpc_status

from jwcal.core.errors import JwcalError
from jwcal.core.rpc.call import Call, Layer, expired
from jwcal.core.rpc.status import internal_status, to_status

logger = logging.getLogger(__name__)


def answering_errors(new_id: Callable[[], str]) -> Layer:
    """Typed errors become their status; others INTERNAL with an id under which the log has the exception."""

    @asynccontextmanager
    async def layer(call: Call) -> AsyncIterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            call.code = "DEADLINE_EXCEEDED" if expired(call.context) else "CANCELLED"
            raise
        except JwcalError as error:
            call.code, call.reason = error.grpc_code, error.reason
            status = to_status(error)
        except Exception as error:
            if isinstance(error, grpc.aio.BaseError) and not isinstance(error, grpc.aio.UsageError):
                # Aborted by a servicer of gRPC's own, or the client is gone and takes no answer.
                code = call.context.code()
                call.code = code.name if isinstance(code, grpc.StatusCode) else "CANCELLED"
                raise
            call.code, call.reason = "INTERNAL", "INTERNAL"
            error_id = new_id()
            fields = {"error_id": error_id, "request_id": call.request_id, "method": call.method}
            story = "".join(traceback.format_exception(error))
            logger.error("internal_error", extra={"fields": fields | {"traceback": story}})
            status = internal_status(error_id)
        else:
            call.code = "OK"
            return
        await call.context.abort_with_status(rpc_status.to_status(status))

    return layer
