"""The inputs of runs in the object store."""

import asyncio
import dataclasses

from jwcal.core.errors import ObjectNotFound
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import ObjectRef
from jwcal.orchestrator.errors import InvalidExposure

_AT_ONCE = 16


class StoredInputs:
    """Reads associations, and completes references by what the store knows."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def read(self, reference: ObjectRef, *, limit: int) -> bytes:
        """A small object's contents."""
        return await self._store.get_bytes(reference, limit=limit)

    async def describe(self, references: tuple[ObjectRef, ...]) -> tuple[ObjectRef, ...]:
        """The references with checksum, size and version.

        Raises
        ------
        InvalidExposure
            One of them is not there.
        """
        return tuple(await asyncio.gather(*map(self._describe, references)))

    async def _describe(self, reference: ObjectRef) -> ObjectRef:
        async with self._free:
            try:
                found = await self._store.stat(reference)
            except ObjectNotFound as error:
                raise InvalidExposure(
                    "the exposure is not in the store", remedy="upload it first", key=reference.key
                ) from error
        return dataclasses.replace(reference, sha256=found.sha256, size=found.size, version=found.version)
