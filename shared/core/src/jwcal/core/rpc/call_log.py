"""The layer that tells the log of every call."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from jwcal.core.rpc.call import Call, Layer

logger = logging.getLogger(__name__)

_QUIET = frozenset({"grpc.health.v1.Health"})  # probes come every few seconds
# Every worker's daily calls, thousands a minute: where they are answered well, the queue's own records tell what came
# of them, by run and job.
_DAILY = frozenset({"LeaseJob", "ExtendLease", "CompleteJob"})


def logging_calls(clock: Callable[[], float]) -> Layer:
    """One record a call, at its end: who, what, how long, how it was answered.  Contents are never told.

    What comes all the time and tells nothing new is told at DEBUG.
    """

    @asynccontextmanager
    async def layer(call: Call) -> AsyncIterator[None]:
        start = clock()
        try:
            yield
        finally:
            fields = {
                "method": call.method,
                "code": call.code,
                "reason": call.reason,
                "seconds": round(clock() - start, 6),
                "request_id": call.request_id,
                "peer": call.context.peer(),
                "principal": call.principal,
            }
            quiet = call.service in _QUIET or (call.name in _DAILY and call.code == "OK")
            level = logging.DEBUG if quiet else logging.INFO
            logger.log(level, "rpc", extra={"fields": {name: value for name, value in fields.items() if value}})

    return layer
