"""The only place that wires the service's parts."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from jwcal.crds_cache.claims import Claims
from jwcal.crds_cache.contexts import Contexts
from jwcal.crds_cache.fetching import Fetcher
from jwcal.crds_cache.publishing import Catalogue
from jwcal.crds_cache.rules import Rules
from jwcal.crds_cache.servicer import ReferenceServicer
from jwcal.crds_cache.settings import Settings
from jwcal.crds_cache.store import ReferenceStore


@asynccontextmanager
async def reference_servicer(settings: Settings, store: ReferenceStore) -> AsyncIterator[ReferenceServicer]:
    """A servicer ready to be added to a server; at the end what is under way stops and leaves nothing."""
    builds = settings.build_table()
    bucket, prefix = settings.bucket, settings.prefix
    catalogue = Catalogue(store, bucket=bucket, prefix=prefix, clock=time.monotonic)
    claims = Claims(
        store,
        bucket=bucket,
        prefix=prefix,
        owner=str(uuid.uuid4()),
        patience=settings.claim_seconds,
        clock=time.monotonic,
    )
    async with AsyncExitStack() as stack:
        rules = await stack.enter_async_context(Rules(settings.crds_path, settings.server_url))
        fetcher = Fetcher(rules, catalogue, claims, settings.scratch, limits=settings.fetch_limits())
        stack.push_async_callback(fetcher.close)
        yield ReferenceServicer(rules, Contexts(rules, builds, settings.pinned_context()), builds, fetcher)
