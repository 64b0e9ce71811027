"""Objects in the memory of this process: for tests and notebooks."""

import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jwcal.core.errors import BucketNotFound, ObjectExists, ObjectNotFound
from jwcal.core.products.replacing import replacing
from jwcal.core.storage.contents import BLOCK, copy_blocks, sha256_of, source_file
from jwcal.core.storage.port import MEMORY_LIMIT, BytesListener
from jwcal.core.storage.ref import Listed, Location, ObjectRef, check_bucket
from jwcal.core.storage.slices import clip
from jwcal.core.storage.threads import Stop, Threads, from_threads


@dataclass(frozen=True, slots=True)
class _Held:
    data: bytes
    sha256: str
    modified: datetime


class MemoryStore:
    """The port over a dictionary; its objects are gone with it."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, dict[str, _Held]] = {}
        self._threads = Threads(4, "memory-store")

    async def put_file(
        self,
        path: Path,
        to: ObjectRef,
        *,
        if_absent: bool = False,
        give: bool = False,  # noqa: ARG002  what is sent elsewhere is a copy
        on_bytes: BytesListener | None = None,
    ) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.put_file`."""
        told = from_threads(on_bytes)

        def read(stop: Stop) -> tuple[bytes, str]:
            data = bytearray()
            with source_file(path, to) as source:
                sha256 = copy_blocks(source.blocks(stop), data.extend, told)
                source.check_unchanged()
            return bytes(data), sha256

        return self._put(*await self._threads.run(read), to, if_absent)

    async def put_bytes(self, data: bytes, to: ObjectRef, *, if_absent: bool = False) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.put_bytes`."""
        return self._put(data, sha256_of(data), to, if_absent)

    async def get_file(
        self,
        ref: ObjectRef,
        path: Path,
        *,
        only_read: bool = False,  # noqa: ARG002  what comes from elsewhere is a copy
        on_bytes: BytesListener | None = None,
    ) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.get_file`."""
        held = self._held(ref)
        found = ref.found(sha256=held.sha256, size=len(held.data))
        told = from_threads(on_bytes)

        def write(stop: Stop) -> None:
            with staging.open("wb") as file:
                for offset in range(0, len(held.data), BLOCK):
                    stop.check()
                    told(file.write(held.data[offset : offset + BLOCK]))

        with replacing(path) as staging:
            await self._threads.run(write)
        return found

    async def get_bytes(
        self, ref: ObjectRef, start: int = 0, end: int | None = None, *, limit: int = MEMORY_LIMIT
    ) -> bytes:
        """See `jwcal.core.storage.port.ObjectStore.get_bytes`."""
        held = self._held(ref)
        first, last = clip(ref.found(sha256=held.sha256, size=len(held.data)), start, end, limit)
        return held.data[first:last]

    async def stat(self, ref: ObjectRef) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.stat`."""
        held = self._held(ref)
        return ref.found(sha256=held.sha256, size=len(held.data))

    async def list(self, location: Location) -> AsyncIterator[Listed]:
        """See `jwcal.core.storage.port.ObjectStore.list`."""
        with self._lock:
            bucket = self._bucket(location.bucket)
            found = sorted(
                ((key, held) for key, held in bucket.items() if key.startswith(location.folder)),
                key=lambda item: item[0].encode(),
            )
        for key, held in found:
            yield Listed(ObjectRef(location.bucket, key, size=len(held.data)), held.modified)

    async def delete(self, ref: ObjectRef) -> None:
        """See `jwcal.core.storage.port.ObjectStore.delete`."""
        with self._lock:
            self._bucket(ref.bucket).pop(ref.key, None)

    async def copy(self, source: ObjectRef, to: ObjectRef) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.copy`."""
        held = self._held(source)
        source.found(sha256=held.sha256, size=len(held.data))
        return self._put(held.data, held.sha256, to, if_absent=False)

    async def make_bucket(self, bucket: str) -> None:
        """See `jwcal.core.storage.port.ObjectStore.make_bucket`."""
        with self._lock:
            self._buckets.setdefault(check_bucket(bucket), {})

    async def ping(self, bucket: str) -> None:
        """See `jwcal.core.storage.port.ObjectStore.ping`."""
        with self._lock:
            self._bucket(bucket)

    async def close(self) -> None:
        """See `jwcal.core.storage.port.ObjectStore.close`."""
        self._threads.close()

    def _put(self, data: bytes, sha256: str, to: ObjectRef, if_absent: bool) -> ObjectRef:
        written = to.found(sha256=sha256, size=len(data))
        with self._lock:
            bucket = self._bucket(to.bucket)
            if if_absent and to.key in bucket:
                raise ObjectExists(f"{to.uri} exists already", uri=to.uri)
            bucket[to.key] = _Held(data, sha256, self._clock())
        return written

    def _held(self, ref: ObjectRef) -> _Held:
        with self._lock:
            held = self._bucket(ref.bucket).get(ref.key)
        if held is None or ref.version:
            raise ObjectNotFound(f"{ref.uri} does not exist", uri=ref.uri, version=ref.version or None)
        return held

    def _bucket(self, name: str) -> dict[str, _Held]:
        try:
            return self._buckets[name]
        except KeyError:
            raise BucketNotFound(f"there is no bucket {name!r}", bucket=name) from None
