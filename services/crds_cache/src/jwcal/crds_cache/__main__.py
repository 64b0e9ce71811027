"""``python -m jwcal.crds_cache``: the composition root; its settings are in `jwcal.crds_cache.settings`."""

import asyncio
import logging
import sys
from contextlib import AsyncExitStack
from functools import partial

from jwcal.api.reference.v1.reference_pb2_grpc import add_ReferenceServiceServicer_to_server
from jwcal.core.logs import log_to
from jwcal.core.rpc.observability import observing
from jwcal.core.rpc.readiness import following
from jwcal.core.rpc.server import Service, build_server, serve_until_stopped, stop_requests
from jwcal.core.rpc.tokens import token_verifier
from jwcal.core.storage.opening import opened_store
from jwcal.crds_cache.composition import serving_references
from jwcal.crds_cache.settings import Settings

_logger = logging.getLogger(__name__)
_SERVICE = "jwcal.api.reference.v1.ReferenceService"


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or an interrupt."""
    async with AsyncExitStack() as resources:
        stop = await resources.enter_async_context(stop_requests())
        observed = resources.enter_context(observing(settings.observability, "crds_cache"))
        store = await resources.enter_async_context(opened_store(settings.objects))
        references = await resources.enter_async_context(serving_references(settings, store, observed.metrics))
        server = build_server(
            [Service(_SERVICE, partial(add_ReferenceServiceServicer_to_server, references.servicer))],
            settings.server,
            verifier=token_verifier(settings.tokens),
            metrics=observed.metrics,
            tracing=observed.tracing,
        )
        await resources.enter_async_context(server)
        _logger.info("listening", extra={"fields": {"addresses": [str(address) for address in server.addresses]}})
        await resources.enter_async_context(
            following(references.check, server.set_ready, seconds=settings.check_seconds)
        )
        await serve_until_stopped(server, stop)


if __name__ == "__main__":
    log_to(sys.stderr)
    asyncio.run(serve(Settings()))
