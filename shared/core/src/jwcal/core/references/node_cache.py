"""References on the disk of a node, shared by its processes, limited in bytes.

::

    <root>/entries/<sha256>/<name>     a whole, verified file: it is renamed to this place
    <root>/filling/<sha256>.part/      where it is being made
    <root>/filling/<sha256>.lock       held by who makes it; contains the size that it will have
    <root>/room.lock                   held while room is made

All that must survive a killed process is in the names and in ``flock``, which the kernel lets go with the process:
a file in use is locked by its users, shared, and eviction needs it exclusively; a file being made counts with its full
size, and what a dead process left half made counts for nothing and is removed when room is needed.
"""

import errno
import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jwcal.core.errors import InvalidReference, OutputError, ReferenceCacheFull
from jwcal.core.products.replacing import output_error

_logger = logging.getLogger(__name__)
Fill = Callable[[Path], None]
"""Writes the file to a path."""


@dataclass(frozen=True, slots=True)
class CachedFile:
    """What the cache knows a file by."""

    name: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        """Refuse what could lead out of the cache."""
        if Path(self.name).name != self.name or self.name in ("", ".", ".."):
            raise InvalidReference(f"{self.name!r} is not the name of a file")
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise InvalidReference(f"{self.sha256!r} is not a SHA-256", file=self.name)


class HeldFile:
    """A file of the cache that stays until it is released."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let it go when room is needed."""
        if self._descriptor is not None:
            os.close(self._descriptor)  # the lock goes with it
            self._descriptor = None

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *exception: object) -> None:
        self.release()


class NodeCache:
    """A directory of references; safe for many processes and threads."""

    def __init__(self, root: Path, limit: int, *, now: Callable[[], int] = time.time_ns) -> None:
        self.root = root
        self.limit = limit
        self._now = now
        self._entries, self._filling = root / "entries", root / "filling"
        for directory in (self._entries, self._filling):
            directory.mkdir(parents=True, exist_ok=True)

    def get(self, file: CachedFile, fill: Fill) -> HeldFile:
        """The file, held; made by `fill` where it is not there, by one of all that ask.

        Raises
        ------
        InvalidReference
            What `fill` wrote is not the file.
        ReferenceCacheFull
            It does not fit beside the files in use.
        OutputError
            The disk does not take it.
        """
        while True:
            held = self._hold(file)
            if held is not None:
                return held
            with _locked(self._filling / f"{file.sha256}.lock") as lock:
                if not self._path(file).exists():
                    self._make(file, fill, lock)
            # between here and holding it, others may have needed the room: then once more

    def nbytes(self) -> int:
        """Bytes of the files that are here or being made."""
        with _locked(self.root / "room.lock"):
            here = sum(path.stat().st_size for path in self._entries.glob("*/*"))
            return here + self._reserved(remove_dead=False)

    def _path(self, file: CachedFile) -> Path:
        return self._entries / file.sha256 / file.name

    def _hold(self, file: CachedFile) -> HeldFile | None:
        path = self._path(file)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not _is_at(descriptor, path):  # evicted between the two
            os.close(descriptor)
            return None
        os.utime(descriptor, ns=(self._now(), os.fstat(descriptor).st_mtime_ns))
        return HeldFile(path, descriptor)

    def _make(self, file: CachedFile, fill: Fill, lock: int) -> None:
        part = self._filling / f"{file.sha256}.part"
        try:
            shutil.rmtree(part, ignore_errors=True)  # of one that died here,
            os.ftruncate(lock, 0)  # and its claim to room
            with _locked(self.root / "room.lock"):
                self._make_room(file)
                os.pwrite(lock, str(file.size).encode(), 0)
            part.mkdir()
            fill(part / file.name)
            _verify(part / file.name, file)
            with _locked(self.root / "room.lock"):  # eviction removes folders that it finds empty
                self._path(file).parent.mkdir(exist_ok=True)
                (part / file.name).replace(self._path(file))
                os.ftruncate(lock, 0)
        except OSError as error:
            raise _node_error(self._path(file), error) from error
        finally:
            os.ftruncate(lock, 0)
            shutil.rmtree(part, ignore_errors=True)
        _logger.info("reference cached", extra={"fields": {"file": file.name, "bytes": file.size}})

    def _make_room(self, file: CachedFile) -> None:
        """Remove the longest unused until `file` fits."""
        entries = [(path.stat(), path) for path in self._entries.glob("*/*")]
        used = sum(status.st_size for status, _ in entries) + self._reserved(remove_dead=True)
        for status, path in sorted(entries, key=lambda entry: entry[0].st_atime_ns):
            if used + file.size <= self.limit:
                return
            if _evict(path):
                used -= status.st_size
                _logger.info("reference evicted", extra={"fields": {"file": path.name, "bytes": status.st_size}})
        if used + file.size > self.limit:
            raise ReferenceCacheFull(
                f"{file.size} bytes do not fit beside the {used} in use, the limit is {self.limit}",
                file=file.name,
                remedy="raise the limit of the node's cache or run fewer jobs at once on it",
                size=file.size,
                used=used,
                limit=self.limit,
            )

    def _reserved(self, *, remove_dead: bool) -> int:
        """Bytes that files being made will have."""
        reserved = 0
        for path in self._filling.glob("*.lock"):
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                reserved += int(os.pread(descriptor, 32, 0) or b"0")
            else:  # nobody is at it
                if remove_dead:
                    shutil.rmtree(path.with_suffix(".part"), ignore_errors=True)
                    path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        return reserved


def _evict(path: Path) -> bool:
    """Remove a file, unless it is in use."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except BlockingIOError:
        return False
    except OSError as error:  # another file of the same contents lies beside it
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
            raise
    finally:
        os.close(descriptor)
    return True


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The descriptor of a lock file, locked exclusively; waits for others."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, path):
                yield descriptor
                return
        finally:  # else it was removed while this one waited: locks of an unseen file exclude nobody
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _verify(path: Path, file: CachedFile) -> None:
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
        os.fsync(opened.fileno())
    if found != file.sha256:
        raise InvalidReference(
            f"its SHA-256 is {found}, it should be {file.sha256}",
            file=file.name,
            remedy="delete the object from the store: it is fetched again",
        )


def _node_error(path: Path, error: OSError) -> OutputError:
    found = output_error(path, error)
    found.remedy = "free space, or lower the limit of the node's cache below what the disk has"
    return found
