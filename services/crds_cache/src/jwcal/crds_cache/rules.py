"""The CRDS library in a process of its own.

Its calls block, and it keeps the environment, the mappings it has read, its connection and the standard error stream as
state of the process: one process does one call after the other, and the service never waits inside the library.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from jwcal.core.errors import Cancelled, MissingKeyword
from jwcal.core.references import best, contents
from jwcal.core.references.contents import CataloguedFile

_logger = logging.getLogger(__name__)
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Rules:
    """Asks the library; use as an async context manager.

    Parameters
    ----------
    cache
        Directory of mappings, written by this process alone; offline it holds the references too.
    server
        Address of a CRDS server; offline when empty.
    """

    def __init__(self, cache: Path, server: str) -> None:
        self._settings = (cache, server)
        self._closed = False
        self._begin()

    async def __aenter__(self) -> "Rules":
        await asyncio.wrap_future(self._started)  # a process is there before the first request
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._closed = True
        if self._started.done() and self._started.exception() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._started.result(), signal.SIGKILL)  # it may wait for a server without end
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def default_context(self) -> str:
        """What the server, or the cache, has as default."""
        return await self._ask(best.default_context)

    async def load(self, context: str) -> None:
        """Read a context, fetched where it is missing."""
        await self._ask(_load, context)

    async def best(self, header: Mapping[str, str], types: Sequence[str], context: str) -> dict[str, str | None]:
        """Plain answers by type; all types of the instrument when none is given."""
        return await self._ask(_best, dict(header), tuple(types), context)

    async def files(self, context: str, instrument: str, types: Sequence[str]) -> tuple[str, ...]:
        """All files for an instrument."""
        return await self._ask(contents.reference_files, context, instrument, tuple(types))

    async def catalogued(self, name: str) -> CataloguedFile:
        """Where a file can be had, and its checksum."""
        return await self._ask(contents.catalogued, name)

    async def local_contexts(self) -> tuple[str, ...]:
        """Contexts that are in the cache."""
        return await self._ask(contents.local_contexts)

    async def known_contexts(self) -> tuple[str, ...]:
        """Contexts of the cache and the server."""
        return await self._ask(contents.known_contexts)

    async def _ask(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, function, *arguments)
        except BrokenProcessPool:
            if self._closed:
                raise Cancelled("the service stops") from None
            _logger.warning("rules process restarted")
            if self._pool_is_broken():
                self._begin()
            return await loop.run_in_executor(self._pool, function, *arguments)

    def _pool_is_broken(self) -> bool:
        try:
            self._pool.submit(os.getpid)
        except BrokenProcessPool:
            return True
        return False  # somebody else has replaced it

    def _begin(self) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=spawning, initializer=_begin, initargs=self._settings)
        self._started = self._pool.submit(os.getpid)


def _begin(cache: Path, server: str) -> None:
    """In the process: point the library at its cache and server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the service decides when to end
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in [name for name in os.environ if name.startswith("CRDS_")]:
        del os.environ[name]
    cache.mkdir(parents=True, exist_ok=True)
    if server:
        os.environ["CRDS_SERVER_URL"] = server.rstrip("/")
        os.environ["CRDS_CLIENT_RETRY_COUNT"] = "1"  # one call holds up all others: who asks may ask again
        os.environ["CRDS_CLIENT_TIMEOUT_SECONDS"] = "60"
    best.use_cache(cache, offline=not server)


def _end_with_parent() -> None:
    """Do not outlive a service that was killed: it can no longer tell."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _load(context: str) -> None:
    contents.load_context(context)  # what it returns does not leave the process


def _best(header: dict[str, str], types: tuple[str, ...], context: str) -> dict[str, str | None]:
    instrument = _instrument(header)
    contents.load_context(context)
    return best.recommendations_for(header, types or contents.reference_types(context, instrument), context)


def _instrument(header: Mapping[str, str]) -> str:
    for name in ("META.INSTRUMENT.NAME", "INSTRUME"):
        for key, value in header.items():
            if key.upper() == name:
                return value
    raise MissingKeyword("the header names no instrument", keyword="INSTRUME", remedy="add it")
