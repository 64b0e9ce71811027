"""Files into the store, each fetched once however many ask: in this process, and among replicas."""

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from jwcal.core.errors import InvalidReference, ReferenceFailure, ReferenceServerUnavailable
from jwcal.core.references.contents import CataloguedFile, check_name
from jwcal.core.references.publishing import Catalogue, Checksums, Published
from jwcal.core.rpc.metrics import Metrics
from jwcal.crds_cache.claims import Claims
from jwcal.crds_cache.downloading import download, measure
from jwcal.crds_cache.rules import Rules

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How much at once, and how patiently."""

    parallel: int = 4
    """Files at once."""
    attempts: int = 3
    """For one file, before who asks is told of the failure."""
    backoff_seconds: float = 1.0
    """Before the second attempt; twice that before the third, and so on."""
    timeout_seconds: float = 60.0
    """Without a byte from the server."""
    look_seconds: float = 1.0
    """Between looks whether another replica has finished: a store tells nobody."""


class Fetcher:
    """Sees to it that files are in the store; close it to stop what is under way."""

    def __init__(
        self,
        rules: Rules,
        catalogue: Catalogue,
        claims: Claims,
        scratch: Path,
        *,
        limits: FetchLimits,
        metrics: Metrics,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._rules = rules
        self._catalogue = catalogue
        self._claims = claims
        self._scratch = scratch
        self._limits = limits
        self._metrics = metrics
        self._jitter = jitter
        self._slots = asyncio.Semaphore(limits.parallel)
        self._flights: dict[str, asyncio.Task[Published]] = {}
        self._stop = threading.Event()

    async def fetch(self, name: str) -> Published:
        """A file in the store.  Who stops waiting stops nobody else, and not the fetching.

        Raises
        ------
        MissingReference, InvalidReference, ReferenceServerUnavailable
            It cannot be had; all that wait are told the same, the next to ask makes a new attempt.
        """
        check_name(name)
        found = await self._catalogue.find(name)
        self._metrics.reference_cache.labels("miss" if found is None else "hit").inc()
        if found is not None:
            return found
        flight = self._flights.get(name)
        if flight is None:
            flight = asyncio.create_task(self._fly(name), name=f"fetch {name}")
            self._flights[name] = flight
            flight.add_done_callback(lambda done: self._landed(name, done))
        return await asyncio.shield(flight)

    async def close(self) -> None:
        """Stop all fetching; half files and claims are removed."""
        self._stop.set()
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, name: str, flight: asyncio.Task[Published]) -> None:
        del self._flights[name]
        self._claims.forget(name)
        if not flight.cancelled() and flight.exception() is not None:  # seen here: perhaps nobody waits any more
            _logger.warning("reference not fetched", extra={"fields": {"file": name, "error": str(flight.exception())}})

    async def _fly(self, name: str) -> Published:
        while True:
            async with self._slots, self._claims.claim(name) as mine:
                found = await self._catalogue.find(name)  # a replica may have finished since
                if found is not None:
                    return found
                if mine:
                    return await self._try(name)
            await asyncio.sleep(self._limits.look_seconds)

    async def _try(self, name: str) -> Published:
        file = await self._rules.catalogued(name)
        for attempt in range(1, self._limits.attempts + 1):
            try:
                published = await self._once(file)
            except (InvalidReference, ReferenceServerUnavailable) as error:
                self._metrics.reference_downloads.labels("failed").inc()
                if attempt == self._limits.attempts or not file.url:
                    raise
                _log_attempt(file, attempt, error)
            else:
                self._metrics.reference_downloads.labels("done").inc()
                return published
            await asyncio.sleep(self._limits.backoff_seconds * 2 ** (attempt - 1) * (0.5 + self._jitter()))
        raise AssertionError("attempts are at least one")

    async def _once(self, file: CataloguedFile) -> Published:
        if file.path is not None:
            try:
                checksums = await _in_thread(measure, file, file.path, stop=self._stop)
                self._metrics.reference_bytes.labels("cache").inc(checksums.size)
                return await self._catalogue.publish(file.name, file.path, checksums)
            except InvalidReference as error:
                if not file.url:
                    raise
                _log_attempt(file, 0, error)
        with self._directory() as directory:
            path = Path(directory) / file.name
            checksums = await _in_thread(download, file, path, timeout=self._limits.timeout_seconds, stop=self._stop)
            self._metrics.reference_bytes.labels("server").inc(checksums.size)
            return await self._catalogue.publish(file.name, path, checksums)

    def _directory(self) -> AbstractContextManager[str]:
        self._scratch.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix="fetching-", dir=self._scratch, ignore_cleanup_errors=True)


async def _in_thread(function: Callable[..., Checksums], *arguments: object, **named: object) -> Checksums:
    """Run in a thread, and wait for its end even when cancelled: it writes to what is removed afterwards."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **named))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise


def _log_attempt(file: CataloguedFile, attempt: int, error: ReferenceFailure) -> None:
    fields = {"file": file.name, "attempt": attempt, "reason": error.reason, "error": str(error)}
    _logger.warning("attempt failed", extra={"fields": fields})
