"""What this service needs of an object store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object: where it is, and what it holds as far as that is known."""

    bucket: str
    key: str
    version: str = ""
    sha256: str = ""
    size: int = 0
    kind: str = ""


class ReferenceStore(Protocol):
    """A bucket where objects appear whole or not at all, and can be created conditionally."""

    async def put_file(self, path: Path, to: ObjectRef, *, if_absent: bool = False) -> ObjectRef:
        """Store a file; ObjectExists where `if_absent` and there is one."""
        ...

    async def put_bytes(self, data: bytes, to: ObjectRef, *, if_absent: bool = False) -> ObjectRef:
        """Store some bytes; ObjectExists where `if_absent` and there are some."""
        ...

    async def get_bytes(self, ref: ObjectRef) -> bytes:
        """The contents; ObjectNotFound where there is no object."""
        ...

    async def stat(self, ref: ObjectRef) -> ObjectRef:
        """What the store knows; ObjectNotFound where there is no object, ChecksumMismatch where it is another one."""
        ...

    async def delete(self, ref: ObjectRef) -> None:
        """Remove an object; nothing where there is none."""
        ...

    async def ping(self, bucket: str) -> None:
        """Return where the store answers; StoreUnavailable otherwise."""
        ...
