"""Who fetches a file, among replicas that share nothing but the object store.

A claim is an object created conditionally, ``<place>/claims/<name>/<generation>``, that its owner rewrites as long as
it works.  Others see that by the contents changing, with their own clock: clocks of machines are not compared.  One
that has not changed for `patience` seconds is of a dead owner, and the next generation may be created, again by one
alone.
Claims only save work: what is published is right whoever fetched it, and however often.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from jwcal.core.errors import ChecksumMismatch, ObjectExists, ObjectNotFound, StorageError
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location, ObjectRef

_logger = logging.getLogger(__name__)


class Claims:
    """Claims of one replica, known to others as `owner`."""

    def __init__(
        self,
        store: ObjectStore,
        place: Location,
        *,
        owner: str,
        patience: float,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._place = place.under("claims")
        self._owner = owner
        self._patience = patience
        self._clock = clock
        self._seen: dict[str, tuple[bytes, float]] = {}

    @asynccontextmanager
    async def claim(self, name: str) -> AsyncIterator[bool]:
        """Whether the file is this replica's to fetch, for as long as the context lasts."""
        taken = await self._take(name)
        if taken is None:
            yield False
            return
        ref, generation = taken
        beating = asyncio.create_task(self._beat(ref))
        try:
            yield True
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating
            await self._give_back(name, generation)

    def forget(self, name: str) -> None:
        """The file is there: what was seen of claims to it does not matter any more."""
        folder = self._place.under(name).folder
        for key in [key for key in self._seen if key.startswith(folder)]:
            del self._seen[key]

    async def _take(self, name: str) -> tuple[ObjectRef, int] | None:
        generation = 1
        while True:
            ref = self._ref(name, generation)
            try:
                content = await self._store.get_bytes(ref)
            except ObjectNotFound:
                break
            except ChecksumMismatch:  # rewritten while it was read: other contents than before and after
                content = b""
            if self._alive(ref, content):
                return None
            generation += 1
        try:
            await self._store.put_bytes(self._content(0), ref, if_absent=True)
        except ObjectExists:
            return None
        return ref, generation

    def _alive(self, ref: ObjectRef, content: bytes) -> bool:
        now = self._clock()
        before, since = self._seen.get(ref.key, (None, now))
        if before != content:
            since = now
        self._seen[ref.key] = (content, since)
        return now - since < self._patience

    async def _beat(self, ref: ObjectRef) -> None:
        beat = 0
        while True:
            await asyncio.sleep(self._patience / 4)
            beat += 1
            try:
                await self._store.put_bytes(self._content(beat), ref)
            except StorageError as error:  # the next beat, or the publication, will tell
                _logger.warning("claim not renewed", extra={"fields": {"key": ref.key, "reason": error.reason}})

    async def _give_back(self, name: str, generation: int) -> None:
        """Remove the claim, and those of the dead before it."""
        for older in range(generation, 0, -1):
            try:
                await self._store.delete(self._ref(name, older))
            except StorageError as error:  # it ages
                _logger.warning("claim not removed", extra={"fields": {"file": name, "reason": error.reason}})

    def _ref(self, name: str, generation: int) -> ObjectRef:
        return self._place.object(f"{name}/{generation}", kind="claim")

    def _content(self, beat: int) -> bytes:
        return f"{self._owner} {beat}".encode()
