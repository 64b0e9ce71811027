"""What the pipeline asks of an object store."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from jwcal.core.storage.ref import Listed, Location, ObjectRef

BytesListener = Callable[[int], None]
"""Told in the event loop how many more bytes have been transferred."""

MEMORY_LIMIT = 64 << 20
"""Bytes that `ObjectStore.get_bytes` takes into memory unless told otherwise."""


class ObjectStore(Protocol):
    """Objects by bucket and key: whole or not there, checked by SHA-256 on both ways.

    A key that is being written shows its old contents, or none, until the new ones are complete and checked.  Only
    `get_bytes` and `put_bytes` take an object into memory.  What is cancelled leaves nothing behind: no half object,
    no temporary file.  Every method but `list` and `close` may raise `StoreUnavailable` and `StoreDenied`, after the
    adapter has tried again for as long as it is patient; all errors are `jwcal.core.errors.StorageError`, and those of
    the local file of a transfer `OutputError` and `UnreadableFile`.

    The store has no event loop of its own: it may be used from one loop after another.
    """

    async def put_file(
        self,
        path: Path,
        to: ObjectRef,
        *,
        if_absent: bool = False,
        give: bool = False,
        on_bytes: BytesListener | None = None,
    ) -> ObjectRef:
        """Write a file's contents; the reference as it is in the store.

        With `give` nobody will write to the file again, and a store on the same disk may keep it instead of a copy.
        It stays under its path, too.

        Raises
        ------
        ObjectExists
            With `if_absent`, if the key is taken.  Of many that write one key at once, one succeeds.  Only with S3
            servers that check without a lock at the end of a large object (SeaweedFS does, for those of several parts)
            more than one may, and the last one's contents stay: what has to be decided is decided by a small object.
        ChecksumMismatch
            If the contents are not what `to` announces, or changed on the way; nothing is written then.
        """
        ...

    async def put_bytes(self, data: bytes, to: ObjectRef, *, if_absent: bool = False) -> ObjectRef:
        """Write a small object, as `put_file` does."""
        ...

    async def get_file(
        self, ref: ObjectRef, path: Path, *, only_read: bool = False, on_bytes: BytesListener | None = None
    ) -> ObjectRef:
        """Bring an object to `path`, which is replaced once the contents are complete and checked.

        They are checked against the size and checksum of `ref`, and against those that the store remembers.  With
        `only_read` nobody will write to the file, and a store on the same disk may give its own instead of a copy.

        Raises
        ------
        ObjectNotFound, ChecksumMismatch
        """
        ...

    async def get_bytes(
        self, ref: ObjectRef, start: int = 0, end: int | None = None, *, limit: int = MEMORY_LIMIT
    ) -> bytes:
        """Bytes `start` to `end` of an object, as a slice gives them; the checksum is verified if it is all of it.

        Raises
        ------
        ObjectNotFound, ChecksumMismatch
        ObjectTooLarge
            If it would be more than `limit` bytes.
        """
        ...

    async def stat(self, ref: ObjectRef) -> ObjectRef:
        """The reference completed by what the store knows, the checksum empty if that is not known.

        Raises
        ------
        ObjectNotFound
        ChecksumMismatch
            If `ref` announces something else.
        """
        ...

    def list(self, location: Location) -> AsyncIterator[Listed]:
        """The objects under a place, by pages; those with a common folder come together.

        In the order of the keys' bytes, except with S3 servers that order by folders.

        Raises
        ------
        BucketNotFound
        """
        ...

    async def delete(self, ref: ObjectRef) -> None:
        """Remove an object; nothing happens if there is none.

        Raises
        ------
        BucketNotFound
        """
        ...

    async def copy(self, source: ObjectRef, to: ObjectRef) -> ObjectRef:
        """Copy within the store, without the bytes passing here where it can; the copy as it is in the store.

        Raises
        ------
        ObjectNotFound, ChecksumMismatch
        """
        ...

    async def make_bucket(self, bucket: str) -> None:
        """Make a bucket if there is none of this name."""
        ...

    async def ping(self, bucket: str) -> None:
        """Return if the store answers and has the bucket, without trying again.

        Raises
        ------
        BucketNotFound
        """
        ...

    async def close(self) -> None:
        """Let go of threads and connections; the store is not used afterwards."""
        ...
