"""Reference files in the object store: contents by checksum, and an index by CRDS name.

::

    <place>/sha256/<aa>/<digest>/<name>     the contents
    <place>/index/<name>.json               checksums, size and place; written last, so what it names is there

A CRDS name is never used for other contents, so both are written once and never changed.
"""

import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from jwcal.core.errors import ChecksumMismatch, ObjectExists, ObjectNotFound
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location, ObjectRef, content_addressed

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checksums:
    """What a file's contents came to."""

    sha1: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Published:
    """A reference file in the store."""

    name: str
    sha1: str
    object: ObjectRef


class Catalogue:
    """What is published, and how something becomes so.

    Parameters
    ----------
    recheck_seconds
        How long a file that was seen in the store is believed to be there.
    """

    def __init__(
        self,
        store: ObjectStore,
        place: Location,
        *,
        clock: Callable[[], float],
        recheck_seconds: float = 300,
        remembered: int = 20_000,
    ) -> None:
        self._store = store
        self._place = place
        self._clock = clock
        self._recheck_seconds = recheck_seconds
        self._limit = remembered
        self._seen: OrderedDict[str, tuple[float, Published]] = OrderedDict()

    async def find(self, name: str) -> Published | None:
        """A published file; None where there is none, or its contents were removed from the store."""
        when, found = self._seen.get(name, (0.0, None))
        if found is not None and self._clock() - when < self._recheck_seconds:
            return found
        self._seen.pop(name, None)
        try:
            entry = json.loads(await self._store.get_bytes(self._index(name)))
            ref = self._contents(name, Checksums(entry["sha1"], entry["sha256"], entry["size"]))
            await self._store.stat(ref)
        except ObjectNotFound:
            return None
        except (ValueError, KeyError, TypeError, ChecksumMismatch) as error:
            _logger.warning("damaged in the store", extra={"fields": {"file": name, "error": str(error)}})
            return None
        return self._remember(Published(name, entry["sha1"], ref))

    async def publish(self, name: str, path: Path, checksums: Checksums) -> Published:
        """Put a verified file into the store; harmless where it is there already."""
        ref = self._contents(name, checksums)
        try:
            await self._store.put_file(path, ref, if_absent=True)
        except ObjectExists:
            try:
                await self._store.stat(ref)
            except ChecksumMismatch:
                await self._store.put_file(path, ref)
        entry = {"name": name, "key": ref.key, "sha1": checksums.sha1, "sha256": ref.sha256, "size": ref.size}
        await self._store.put_bytes(json.dumps(entry).encode(), self._index(name))
        _logger.info("reference published", extra={"fields": {"file": name, "bytes": ref.size, "key": ref.key}})
        return self._remember(Published(name, checksums.sha1, ref))

    def _remember(self, found: Published) -> Published:
        self._seen[found.name] = (self._clock(), found)
        self._seen.move_to_end(found.name)
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)
        return found

    def _index(self, name: str) -> ObjectRef:
        return self._place.object(f"index/{name}.json", kind="json")

    def _contents(self, name: str, checksums: Checksums) -> ObjectRef:
        ref = content_addressed(self._place, checksums.sha256, name)
        return replace(ref, size=checksums.size, kind="reference")
