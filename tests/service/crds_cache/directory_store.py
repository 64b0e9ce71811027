"""An object store in a directory: as much of one as references need, and as strict."""

import asyncio
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from jwcal.core.errors import ChecksumMismatch, ObjectExists, ObjectNotFound
from jwcal.crds_cache.store import ObjectRef


class DirectoryStore:
    """Objects are files; they appear by link or rename, so whole, and one alone wins a conditional creation."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.written: list[str] = []

    def path(self, ref: ObjectRef) -> Path:
        """Where an object lies."""
        return self.root / ref.bucket / ref.key

    async def put_file(self, path: Path, to: ObjectRef, *, if_absent: bool = False) -> ObjectRef:
        """Copied in a thread."""

        def write(staged: Path) -> None:
            shutil.copyfile(path, staged)

        await asyncio.to_thread(self._put, to, write, if_absent)
        return to

    async def put_bytes(self, data: bytes, to: ObjectRef, *, if_absent: bool = False) -> ObjectRef:
        """Written in a thread."""

        def write(staged: Path) -> None:
            staged.write_bytes(data)

        await asyncio.to_thread(self._put, to, write, if_absent)
        return to

    def _put(self, ref: ObjectRef, write: Callable[[Path], None], if_absent: bool) -> None:
        target = self.path(ref)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = self.root / f".{uuid.uuid4()}"
        write(staged)
        try:
            if if_absent:
                os.link(staged, target)
                staged.unlink()
            else:
                staged.replace(target)
        except FileExistsError as error:
            staged.unlink()
            raise ObjectExists("there is one", key=ref.key) from error
        self.written.append(ref.key)

    async def get_bytes(self, ref: ObjectRef) -> bytes:
        """Read in a thread."""
        try:
            return await asyncio.to_thread(self.path(ref).read_bytes)
        except FileNotFoundError as error:
            raise ObjectNotFound("there is none", key=ref.key) from error

    async def stat(self, ref: ObjectRef) -> ObjectRef:
        """The size."""
        try:
            size = self.path(ref).stat().st_size
        except FileNotFoundError as error:
            raise ObjectNotFound("there is none", key=ref.key) from error
        if ref.size and size != ref.size:
            raise ChecksumMismatch("another size than announced", key=ref.key, size=size)
        return ObjectRef(ref.bucket, ref.key, size=size)

    async def delete(self, ref: ObjectRef) -> None:
        """Remove the file."""
        self.path(ref).unlink(missing_ok=True)

    async def ping(self, bucket: str) -> None:
        """Always there."""
        del bucket
