"""Objects as files of a directory: ``root/bucket/key``.

A file is written under another name, synced to the disk, and linked or moved to its own.  Its checksum stands in an
extended attribute, with the size and time of change it was taken at: a file that was put or changed here by other means
has none, and its checksum is computed when it is asked for.
"""

import errno
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

from jwcal.core.errors import (
    BucketNotFound,
    InvalidKey,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StoreDenied,
    StoreUnavailable,
)
from jwcal.core.products.replacing import replacing
from jwcal.core.storage import folders
from jwcal.core.storage.contents import BLOCK, SourceFile, copy_blocks, descriptor_blocks, sha256_of, source_file
from jwcal.core.storage.port import MEMORY_LIMIT, BytesListener
from jwcal.core.storage.ref import Listed, Location, ObjectRef, check_bucket, check_key
from jwcal.core.storage.slices import clip
from jwcal.core.storage.threads import Stop, Threads, from_threads

_STAGING = ".jwcal-staging"
"""No bucket has this name, so no key leads there."""
_LEFT_AFTER_SECONDS = 24 * 3600
"""Age at which a file in staging belongs to a process that was killed."""
_CHECKSUM = "user.jwcal.sha256"
_PAGE = 1000
_WRITE_ATTEMPTS = 100
"""How often a folder is entered again that others remove because it is empty."""


class DirectoryStore:
    """The port over a directory, which many processes and stores may use at once.

    A key cannot lie under another object's key, as ``a/b`` under ``a``: a file is no folder.  Symbolic links are not
    followed, and no objects.
    """

    def __init__(
        self,
        root: Path,
        *,
        threads: int = 8,
        unique: Callable[[], str] = lambda: uuid.uuid4().hex,
        durable: bool = True,
    ) -> None:
        self._root = root
        self._unique = unique
        self._durable = durable
        self._threads = Threads(threads, "directory-store")
        with _storage_errors():
            (root / _STAGING).mkdir(parents=True, exist_ok=True)
            _remove_left_files(root / _STAGING, now=time.time())

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self._root)!r})"

    async def put_file(
        self,
        path: Path,
        to: ObjectRef,
        *,
        if_absent: bool = False,
        give: bool = False,
        on_bytes: BytesListener | None = None,
    ) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.put_file`."""
        told = from_threads(on_bytes)

        def write(stop: Stop) -> ObjectRef:
            with source_file(path, to) as source:
                given = source if give else None
                return self._write(source.blocks(stop), to, if_absent, stop, told, source.check_unchanged, given=given)

        return await self._threads.run(write)

    async def put_bytes(self, data: bytes, to: ObjectRef, *, if_absent: bool = False) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.put_bytes`."""
        blocks = (data[offset : offset + BLOCK] for offset in range(0, len(data), BLOCK))
        return await self._threads.run(lambda stop: self._write(blocks, to, if_absent, stop))

    async def get_file(
        self, ref: ObjectRef, path: Path, *, only_read: bool = False, on_bytes: BytesListener | None = None
    ) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.get_file`."""
        told = from_threads(on_bytes)

        def read(stop: Stop) -> ObjectRef:
            with self._opened(ref) as descriptor:
                recorded = _recorded(descriptor)
                if only_read and _linked(descriptor, self._root / ref.bucket / ref.key, staging):
                    sha256 = copy_blocks(_blocks(descriptor, stop), lambda _: None, told)
                    return _found(ref, sha256, recorded, os.fstat(descriptor).st_size)
                with staging.open("wb") as file:
                    sha256 = copy_blocks(_blocks(descriptor, stop), file.write, told)
                    return _found(ref, sha256, recorded, file.tell())

        with replacing(path) as staging:
            return await self._threads.run(read)

    async def get_bytes(
        self, ref: ObjectRef, start: int = 0, end: int | None = None, *, limit: int = MEMORY_LIMIT
    ) -> bytes:
        """See `jwcal.core.storage.port.ObjectStore.get_bytes`."""

        def read(stop: Stop) -> bytes:
            with self._opened(ref) as descriptor:
                recorded = _recorded(descriptor)
                size = os.fstat(descriptor).st_size
                first, last = clip(ref.found(sha256="", size=size), start, end, limit)
                os.lseek(descriptor, first, os.SEEK_SET)
                data = bytearray()
                while len(data) < last - first:
                    stop.check()
                    with _storage_errors(ref):
                        block = os.read(descriptor, min(BLOCK, last - first - len(data)))
                    if not block:
                        break
                    data += block
                if (first, last) == (0, size):
                    _found(ref, sha256_of(data), recorded, len(data))
                return bytes(data)

        return await self._threads.run(read)

    async def stat(self, ref: ObjectRef) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.stat`."""

        def look(stop: Stop) -> ObjectRef:
            with self._opened(ref) as descriptor:
                size = os.fstat(descriptor).st_size
                ref.check_size(size)
                sha256 = _recorded(descriptor)
                if not sha256:
                    sha256 = copy_blocks(_blocks(descriptor, stop), lambda _: None)
                return ref.found(sha256=sha256, size=size)

        return await self._threads.run(look)

    async def list(self, location: Location) -> AsyncIterator[Listed]:
        """See `jwcal.core.storage.port.ObjectStore.list`."""
        objects = self._objects(location)

        def page(stop: Stop) -> tuple[Listed, ...]:
            stop.check()
            with _storage_errors():
                return tuple(islice(objects, _PAGE))

        try:
            while found := await self._threads.run(page):
                for listed in found:
                    yield listed
        finally:
            objects.close()

    async def delete(self, ref: ObjectRef) -> None:
        """See `jwcal.core.storage.port.ObjectStore.delete`."""

        def remove(_: Stop) -> None:
            with _storage_errors():
                self._check_bucket(ref.bucket)
                folders.remove(self._root, [ref.bucket, *ref.key.split("/")], keep=1)

        await self._threads.run(remove)

    async def copy(self, source: ObjectRef, to: ObjectRef) -> ObjectRef:
        """See `jwcal.core.storage.port.ObjectStore.copy`."""

        def copy(stop: Stop) -> ObjectRef:
            with self._opened(source) as descriptor:
                recorded = _recorded(descriptor)
                return self._write(
                    _blocks(descriptor, stop),
                    to,
                    False,
                    stop,
                    check=lambda: None,
                    accept=lambda sha256, size: _found(source, sha256, recorded, size),
                )

        return await self._threads.run(copy)

    async def make_bucket(self, bucket: str) -> None:
        """See `jwcal.core.storage.port.ObjectStore.make_bucket`."""

        def make(_: Stop) -> None:
            with _storage_errors():
                (self._root / check_bucket(bucket)).mkdir(exist_ok=True)

        await self._threads.run(make)

    async def ping(self, bucket: str) -> None:
        """See `jwcal.core.storage.port.ObjectStore.ping`."""
        await self._threads.run(lambda _: self._check_bucket(bucket))

    async def close(self) -> None:
        """See `jwcal.core.storage.port.ObjectStore.close`."""
        self._threads.close()

    def _write(
        self,
        blocks: Iterator[bytes],
        to: ObjectRef,
        if_absent: bool,
        stop: Stop,
        told: BytesListener = lambda _: None,
        check: Callable[[], None] = lambda: None,
        accept: Callable[[str, int], object] = lambda _sha256, _size: None,
        given: SourceFile | None = None,
    ) -> ObjectRef:
        self._check_bucket(to.bucket)
        staged = self._root / _STAGING / self._unique()
        with _storage_errors(to):
            try:
                kept = given is not None and _given(given, staged)
                with staged.open("rb" if kept else "xb", buffering=0) as file:
                    sha256 = copy_blocks(blocks, (lambda _: None) if kept else partial(_write_all, file.fileno()), told)
                    check()
                    size = os.fstat(file.fileno()).st_size
                    accept(sha256, size)
                    written = to.found(sha256=sha256, size=size)
                    _record(file.fileno(), sha256)
                    if self._durable:
                        os.fsync(file.fileno())
                stop.check()
                self._publish(staged, to, if_absent)
            finally:
                staged.unlink(missing_ok=True)
        return written

    def _publish(self, staged: Path, to: ObjectRef, if_absent: bool) -> None:
        *above, name = to.key.split("/")
        for attempt in range(_WRITE_ATTEMPTS):
            try:
                with folders.entered(self._root, [to.bucket, *above], create=True) as folder:
                    if if_absent:
                        os.link(staged, name, dst_dir_fd=folder)
                    else:
                        os.replace(staged, name, dst_dir_fd=folder)
                    if self._durable:
                        os.fsync(folder)
                return
            except FileNotFoundError:  # removed by a delete that found the folder empty
                if attempt == _WRITE_ATTEMPTS - 1:
                    raise

    @contextmanager
    def _opened(self, ref: ObjectRef) -> Iterator[int]:
        self._check_bucket(ref.bucket)
        *above, name = ref.key.split("/")
        with _storage_errors(ref):
            try:
                if ref.version:
                    raise FileNotFoundError(errno.ENOENT, "a directory keeps no versions")
                with folders.entered(self._root, [ref.bucket, *above]) as folder:
                    descriptor = folders.open_file(folder, name)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise ObjectNotFound(f"{ref.uri} does not exist", uri=ref.uri, version=ref.version or None) from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _objects(self, location: Location) -> Generator[Listed, None, None]:
        self._check_bucket(location.bucket)
        parts = location.prefix.split("/") if location.prefix else []
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            folders.entered(self._root, [location.bucket, *parts]) as folder,
        ):
            for path, status in folders.files(folder, location.folder):
                with suppress(InvalidKey):  # put here by other means under a name that cannot be asked for
                    ref = ObjectRef(location.bucket, check_key(path), size=status.st_size)
                    yield Listed(ref, datetime.fromtimestamp(status.st_mtime, UTC))

    def _check_bucket(self, bucket: str) -> None:
        with _storage_errors():
            try:
                with folders.entered(self._root, [check_bucket(bucket)]):
                    pass
            except (FileNotFoundError, NotADirectoryError) as error:
                raise BucketNotFound(f"there is no bucket {bucket!r}", bucket=bucket) from error


def _blocks(descriptor: int, stop: Stop) -> Iterator[bytes]:
    with _storage_errors():
        yield from descriptor_blocks(descriptor, stop)


def _found(ref: ObjectRef, sha256: str, recorded: str, size: int) -> ObjectRef:
    """The reference to what was read, if it is what was written and what is announced."""
    if recorded:
        ObjectRef(ref.bucket, ref.key, sha256=recorded).check_sha256(sha256)
    return ref.found(sha256=sha256, size=size)


def _record(descriptor: int, sha256: str) -> None:
    status = os.fstat(descriptor)
    with suppress(OSError, AttributeError):  # not everywhere are there attributes: the checksum is computed then
        os.setxattr(descriptor, _CHECKSUM, f"{sha256} {status.st_size} {status.st_mtime_ns}".encode())


def _recorded(descriptor: int) -> str:
    """The checksum that was written with the file, or nothing if there is none or the file was changed since."""
    try:
        sha256, size, modified = os.getxattr(descriptor, _CHECKSUM).decode("ascii").split()
    except (OSError, AttributeError, ValueError):
        return ""
    status = os.fstat(descriptor)
    return sha256 if (size, modified) == (str(status.st_size), str(status.st_mtime_ns)) else ""


def _given(source: SourceFile, staged: Path) -> bool:
    """Whether the file itself could be had under the name `staged`: it is on the same disk and has no other name."""
    return os.fstat(source.descriptor).st_nlink == 1 and _linked(source.descriptor, source.path, staged)


def _linked(descriptor: int, path: Path, name: Path) -> bool:
    """Whether the open file, which is at `path`, could be given another name."""
    with suppress(OSError, NotImplementedError):
        os.link(path, name, follow_symlinks=False)
        if os.path.samestat(os.fstat(descriptor), os.lstat(name)):
            return True
        name.unlink()
    return False


def _write_all(descriptor: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _remove_left_files(staging: Path, now: float) -> None:
    for path in staging.iterdir():
        with suppress(FileNotFoundError):
            if now - path.stat().st_mtime > _LEFT_AFTER_SECONDS:
                path.unlink()


@contextmanager
def _storage_errors(to: ObjectRef | None = None) -> Iterator[None]:
    uri = to.uri if to is not None else None
    try:
        yield
    except FileExistsError as error:
        raise ObjectExists(f"{uri} exists already", uri=uri) from error
    except (NotADirectoryError, IsADirectoryError) as error:
        raise InvalidKey(
            f"{uri}: a part of the key is an object, or the key is a folder of objects",
            remedy="choose another key",
            uri=uri,
        ) from error
    except PermissionError as error:
        raise StoreDenied(f"no permission in the store: {error.strerror}", uri=uri) from error
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise InvalidKey(f"{uri} is a folder of objects", remedy="choose another key", uri=uri) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreUnavailable("the store's disk is full", remedy="free space", uri=uri) from error
        raise StorageError(f"the store's directory cannot be used: {error.strerror or error}", uri=uri) from error
