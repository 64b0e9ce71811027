"""Contents of local files as they go to a store and come from it: by blocks, with their checksum."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jwcal.core.errors import ChecksumMismatch, UnreadableFile
from jwcal.core.storage.ref import ObjectRef
from jwcal.core.storage.threads import Stop

BLOCK = 1 << 20
"""Bytes read or written at once."""


@dataclass(frozen=True)
class SourceFile:
    """An open file that is to be written to a store."""

    path: Path
    descriptor: int
    size: int
    _modified: int

    def blocks(self, stop: Stop) -> Iterator[bytes]:
        """All of it, block by block."""
        for offset in range(0, self.size, BLOCK):
            stop.check()
            yield self.read(offset, min(BLOCK, self.size - offset))

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`.

        Raises
        ------
        ChecksumMismatch
            If the file has become shorter.
        UnreadableFile
        """
        try:
            data = os.pread(self.descriptor, count, offset)
        except OSError as error:
            raise UnreadableFile(f"cannot be read: {error.strerror}", file=self.path) from error
        if len(data) < count:  # a read of a regular file is short only at its end
            raise self._changed()
        return data

    def sha256(self, stop: Stop) -> str:
        """Checksum of all of it."""
        digest = hashlib.sha256()
        for block in self.blocks(stop):
            digest.update(block)
        return digest.hexdigest()

    def check_unchanged(self) -> None:
        """Refuse a file that was written to after it had been opened.

        Raises
        ------
        ChecksumMismatch
        """
        now = os.fstat(self.descriptor)
        if (now.st_size, now.st_mtime_ns) != (self.size, self._modified):
            raise self._changed()

    def _changed(self) -> ChecksumMismatch:
        return ChecksumMismatch("the file was changed while it was read", file=self.path)


@contextmanager
def source_file(path: Path, to: ObjectRef) -> Iterator[SourceFile]:
    """The file at `path`, of the size that `to` announces.

    Raises
    ------
    UnreadableFile
        For any OSError on opening.
    ChecksumMismatch
        For another size.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}", file=path) from error
    try:
        status = os.fstat(descriptor)
        to.check_size(status.st_size)
        yield SourceFile(path, descriptor, status.st_size, status.st_mtime_ns)
    finally:
        os.close(descriptor)


def copy_blocks(
    blocks: Iterator[bytes], write: Callable[[bytes], object], told: Callable[[int], None] = lambda _: None
) -> str:
    """Write every block; the checksum of all."""
    digest = hashlib.sha256()
    for block in blocks:
        write(block)
        digest.update(block)
        told(len(block))
    return digest.hexdigest()


def descriptor_blocks(descriptor: int, stop: Stop) -> Iterator[bytes]:
    """An open file from where it stands to its end."""
    while True:
        stop.check()
        block = os.read(descriptor, BLOCK)
        if not block:
            return
        yield block


def sha256_of(data: bytes | bytearray) -> str:
    """Checksum of bytes in memory."""
    return hashlib.sha256(data).hexdigest()
