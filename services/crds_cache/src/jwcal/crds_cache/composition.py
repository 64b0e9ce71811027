"""The service put together over a store."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from jwcal.core.references.publishing import Catalogue
from jwcal.core.rpc.metrics import Metrics
from jwcal.core.storage.port import ObjectStore
from jwcal.crds_cache.claims import Claims
from jwcal.crds_cache.contexts import Contexts
from jwcal.crds_cache.fetching import Fetcher
from jwcal.crds_cache.rules import Rules
from jwcal.crds_cache.servicer import ReferenceServicer
from jwcal.crds_cache.settings import Settings


@dataclass(frozen=True, slots=True)
class References:
    """The servicer, and whether it can do its work."""

    servicer: ReferenceServicer
    contexts: Contexts
    store: ObjectStore
    bucket: str

    async def check(self) -> None:
        """Return where the store has the bucket and the default context can be consulted; a typed error otherwise."""
        await self.store.ping(self.bucket)
        await self.contexts.load_default()


@asynccontextmanager
async def serving_references(settings: Settings, store: ObjectStore, metrics: Metrics) -> AsyncIterator[References]:
    """A servicer ready to be added to a server; at the end what is under way stops and leaves nothing."""
    builds = settings.build_table()
    catalogue = Catalogue(store, settings.place(), clock=time.monotonic)
    claims = Claims(
        store, settings.place(), owner=str(uuid.uuid4()), patience=settings.claim_seconds, clock=time.monotonic
    )
    async with AsyncExitStack() as stack:
        rules = await stack.enter_async_context(Rules(settings.crds_path, settings.server_url))
        fetcher = Fetcher(rules, catalogue, claims, settings.scratch, limits=settings.fetch_limits(), metrics=metrics)
        stack.push_async_callback(fetcher.close)
        contexts = Contexts(rules, builds, settings.pinned_context())
        yield References(ReferenceServicer(rules, contexts, builds, fetcher), contexts, store, settings.bucket)
