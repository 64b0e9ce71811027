"""Objects in an S3 server: large ones by parts, several at once, and everything again while the server is away."""

import asyncio
import hashlib
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from jwcal.core.errors import (
    BucketNotFound,
    ChecksumMismatch,
    InvalidKey,
    JwcalError,
    ObjectExists,
    ObjectNotFound,
)
from jwcal.core.products.replacing import replacing
from jwcal.core.storage.contents import BLOCK, SourceFile, sha256_of, source_file
from jwcal.core.storage.port import MEMORY_LIMIT, BytesListener
from jwcal.core.storage.ref import Listed, Location, ObjectRef
from jwcal.core.storage.retrying import Retrying
from jwcal.core.storage.s3_client import S3Client, S3Object
from jwcal.core.storage.slices import clip
from jwcal.core.storage.threads import Stop, Threads, from_threads, in_order

logger = logging.getLogger(__name__)
T = TypeVar("T")

_MOST_PARTS = 10_000
"""The limit of S3."""


class S3Store:
    """The port over S3.

    The checksum of the whole stands in the object's metadata.  Each write has a name, kept there too: an answer that is
    lost, then repeated and refused, is so known to have been a success.

    A process that is killed leaves the parts it has sent: give the bucket a rule that ends incomplete uploads.

    Parameters
    ----------
    part_size
        Bytes of a part of a large object; `parallel` of them are in memory at most.
    parallel
        Parts of one object that are transferred at once.
    """

    def __init__(
        self,
        client: S3Client,
        *,
        part_size: int = 8 << 20,
        parallel: int = 4,
        threads: int = 16,
        retrying: Retrying = Retrying(),  # noqa: B008 - frozen
        unique: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._client = client
        self._part_size = part_size
        self._parallel = parallel
        self._retrying = retrying
        self._unique = unique
        self._threads = Threads(threads, "s3-store")

    def __repr__(self) -> str:
        return f"S3Store({self._client!r})"

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
        with source_file(path, to) as source:
            sha256 = await self._threads.run(source.sha256)
            written = to.found(sha256=sha256, size=source.size)
            if source.size <= self._part_size:
                data = await self._threads.run(lambda _: source.read(0, source.size))
                if sha256_of(data) != sha256:
                    raise ChecksumMismatch("the file was changed while it was read", file=path)
                found = await self._put(data, written, if_absent)
                from_threads(on_bytes)(source.size)
                return found
            if if_absent:
                await self._check_absent(to)  # the server would say so after the last part only
            return await self._put_parts(source, written, if_absent, from_threads(on_bytes))

    async def put_bytes(self, data: bytes, to: ObjectRef, *, if_absent: bool = False) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.put_bytes`."""
        return await self._put(data, to.found(sha256=sha256_of(data), size=len(data)), if_absent)

    async def get_file(
        self,
        ref: ObjectRef,
        path: Path,
        *,
        only_read: bool = False,  # noqa: ARG002  what comes from elsewhere is a copy
        on_bytes: BytesListener | None = None,
    ) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.get_file`."""
        there = await self._stat(ref)
        ref.found(sha256=there.sha256, size=there.size)
        told = from_threads(on_bytes)
        digest = hashlib.sha256()

        def hash_part(descriptor: int, part: range, stop: Stop) -> None:
            for offset in range(part.start, part.stop, BLOCK):
                stop.check()
                digest.update(os.pread(descriptor, min(BLOCK, part.stop - offset), offset))

        with replacing(path) as staging:
            descriptor = os.open(staging, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                os.truncate(descriptor, there.size)
                jobs = (partial(self._get_part, ref, there, part, descriptor, told) for part in self._parts(there.size))
                async with aclosing(in_order(jobs, at_once=self._parallel)) as parts:
                    async for part in parts:
                        await self._threads.run(partial(hash_part, descriptor, part))
            finally:
                os.close(descriptor)
            return _checked(ref, there, digest.hexdigest())

    async def get_bytes(
        self, ref: ObjectRef, start: int = 0, end: int | None = None, *, limit: int = MEMORY_LIMIT
    ) -> bytes:
        """See `jwcal.core.storage.port.ObjectStore.get_bytes`."""
        there = await self._stat(ref)
        first, last = clip(ref.found(sha256=there.sha256, size=there.size), start, end, limit)
        if first == last:
            return b""
        data = bytearray()

        def read(stop: Stop) -> None:
            with self._client.read(ref, there.etag, first + len(data), last) as blocks:
                for block in blocks:
                    data.extend(block)
                    stop.check()

        await self._retrying(partial(self._threads.run, read), progress=lambda: len(data))
        if (first, last) == (0, there.size):
            _checked(ref, there, sha256_of(data))
        return bytes(data)

    async def stat(self, ref: ObjectRef) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.stat`."""
        there = await self._stat(ref)
        return ref.found(sha256=there.sha256, size=there.size, version=there.version)

    async def list(self, location: Location) -> AsyncIterator[Listed]:
        """See `jwcal.core.storage.port.ObjectStore.list`."""
        after = ""
        while page := await self._request(partial(self._client.page, location, after)):
            for key, size, modified in page:
                with suppress(InvalidKey):  # written by others under a name that cannot be asked for
                    yield Listed(ObjectRef(location.bucket, key, size=size), modified)
            after = page[-1][0]

    async def delete(self, ref: ObjectRef) -> None:
        """See `jwcal.core.storage.port.ObjectStore.delete`."""
        try:
            await self._request(partial(self._client.delete, ref))
        except BucketNotFound:
            raise
        except ObjectNotFound:
            return

    async def copy(self, source: ObjectRef, to: ObjectRef) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.copy`."""
        there = await self._stat(source)
        origin = source.found(sha256=there.sha256, size=there.size, version=source.version)
        written = to.found(sha256=there.sha256, size=there.size)
        write = self._unique()
        await self._request(partial(self._client.copy, origin, to, sha256=there.sha256, write=write))
        return await self._verified(written, write) or written

    async def make_bucket(self, bucket: str) -> None:
        """See `jwcal.core.storage.port.ObjectStore.make_bucket`."""
        await self._request(partial(self._client.make_bucket, bucket))

    async def ping(self, bucket: str) -> None:
        """See `jwcal.core.storage.port.ObjectStore.ping`."""
        await self._threads.run(lambda _: self._client.check_bucket(bucket))

    async def close(self) -> None:
        """See `jwcal.core.storage.port.ObjectStore.close`."""
        self._threads.close()
        self._client.close()

    async def _put(self, data: bytes, to: ObjectRef, if_absent: bool) -> ObjectRef:
        write = self._unique()
        put = partial(self._client.put, to, data, sha256=to.sha256, write=write, if_absent=if_absent)
        await self._write_once(put, to, write)
        return await self._verified(to, write) or to

    async def _put_parts(
        self, source: SourceFile, to: ObjectRef, if_absent: bool, told: Callable[[int], None]
    ) -> ObjectRef:
        write = self._unique()
        upload = await self._begin_parts(to, write)
        try:
            jobs = (
                partial(self._put_part, source, to, upload, number, part, told)
                for number, part in enumerate(self._parts(source.size), start=1)
            )
            async with aclosing(in_order(jobs, at_once=self._parallel)) as parts:
                etags = [etag async for etag in parts]
            source.check_unchanged()
            complete = partial(self._client.complete_parts, to, upload, etags, if_absent=if_absent)
            await self._write_once(complete, to, write)
        except BaseException:  # also when cancelled: parts of an upload that is given up would be kept and paid for
            await self._threads.finish(partial(self._abort, to, upload))
            raise
        found = await self._verified(to, write)
        if found is None and if_absent:  # the server let another writer in between its check and its write
            raise ObjectExists(f"{to.uri} exists already", uri=to.uri)
        return found or to

    async def _begin_parts(self, to: ObjectRef, write: str) -> str:
        """The upload that has been begun; when cancelled in between, it is given up."""
        begun: list[str] = []

        def begin(_: Stop) -> None:
            begun.append(self._client.begin_parts(to, sha256=to.sha256, write=write))

        try:
            await self._retrying(partial(self._threads.run, begin))
        except asyncio.CancelledError:
            for upload in begun:
                await self._threads.finish(partial(self._abort, to, upload))
            raise
        return begun[-1]

    async def _put_part(
        self, source: SourceFile, to: ObjectRef, upload: str, number: int, part: range, told: Callable[[int], None]
    ) -> str:
        def put(_: Stop) -> str:
            return self._client.put_part(to, upload, number, source.read(part.start, len(part)))

        etag = await self._retrying(partial(self._threads.run, put))
        told(len(part))
        return etag

    async def _get_part(
        self, ref: ObjectRef, there: S3Object, part: range, descriptor: int, told: Callable[[int], None]
    ) -> range:
        """Bring a part to its place in a file, going on from where a lost connection left it."""
        position = part.start

        def get(stop: Stop) -> None:
            nonlocal position
            with self._client.read(ref, there.etag, position, part.stop) as blocks:
                for block in blocks:
                    rest = memoryview(block)
                    while rest:
                        count = os.pwrite(descriptor, rest, position)
                        rest, position = rest[count:], position + count
                    told(len(block))
                    stop.check()

        await self._retrying(partial(self._threads.run, get), progress=lambda: position)
        return part

    async def _write_once(self, request: Callable[[], object], to: ObjectRef, write: str) -> None:
        """Make a write, again if need be; one that is refused because it has happened already is good."""
        attempts = 0

        def attempt(_: Stop) -> None:
            nonlocal attempts
            attempts += 1
            request()

        try:
            await self._retrying(partial(self._threads.run, attempt))
        except (ObjectExists, ObjectNotFound):  # ObjectNotFound: the upload is gone once it is completed
            if attempts == 1 or (await self._stat(to)).write != write:
                raise

    async def _verified(self, to: ObjectRef, write: str) -> ObjectRef | None:
        """The reference to what was written, if it is there as it was sent; None if it has been replaced since."""
        there = await self._stat(ObjectRef(to.bucket, to.key))
        if there.write != write:
            return None
        return to.found(sha256=there.sha256, size=there.size, version=there.version)

    async def _check_absent(self, to: ObjectRef) -> None:
        with suppress(ObjectNotFound):
            await self._stat(ObjectRef(to.bucket, to.key))
            raise ObjectExists(f"{to.uri} exists already", uri=to.uri)

    async def _stat(self, ref: ObjectRef) -> S3Object:
        return await self._request(partial(self._client.stat, ref))

    async def _request(self, request: Callable[[], T]) -> T:
        return await self._retrying(partial(self._threads.run, lambda _: request()))

    def _parts(self, size: int) -> Iterator[range]:
        step = max(self._part_size, -(-size // _MOST_PARTS))
        return (range(start, min(start + step, size)) for start in range(0, size, step))

    def _abort(self, to: ObjectRef, upload: str) -> None:
        try:
            self._client.abort_parts(to, upload)
        except JwcalError as error:  # the server's own rule for old uploads has to remove it
            logger.warning("upload_left", extra={"fields": {"uri": to.uri, "upload": upload, "error": str(error)}})


def _checked(ref: ObjectRef, there: S3Object, sha256: str) -> ObjectRef:
    """The reference to what was read, if it is what was written and what is announced."""
    if there.sha256 and there.sha256 != sha256:
        raise ChecksumMismatch(
            f"{ref.uri} is not what was written", uri=ref.uri, expected_sha256=there.sha256, sha256=sha256
        )
    return ref.found(sha256=sha256, size=there.size, version=there.version)
