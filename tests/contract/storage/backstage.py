"""What lies behind an adapter: to damage it, and to look for what should not be left."""

import io
import os
from pathlib import Path
from typing import Protocol

import pytest
from minio import Minio

from jwcal.core.storage.opening import StoreSettings
from jwcal.core.storage.ref import ObjectRef


class Backstage(Protocol):
    """The same on every adapter."""

    def damage(self, ref: ObjectRef) -> None:
        """Change the middle byte of an object behind the store's back, as a bad disk does."""
        ...

    def left_over(self) -> list[str]:
        """Whatever is there of writes that did not come to their end."""
        ...


class MemoryBackstage:
    """Nothing: the objects are in the store and nowhere else."""

    def damage(self, ref: ObjectRef) -> None:
        """See `Backstage.damage`."""
        pytest.skip(f"nothing damages {ref.uri} in memory behind the store's back")

    def left_over(self) -> list[str]:
        """See `Backstage.left_over`."""
        return []


class DirectoryBackstage:
    """The files themselves."""

    def __init__(self, settings: StoreSettings) -> None:
        assert settings.root is not None
        self.root: Path = settings.root

    def damage(self, ref: ObjectRef) -> None:
        """See `Backstage.damage`."""
        path = self.root / ref.bucket / ref.key
        before = path.stat()
        with path.open("r+b") as file:
            file.seek(before.st_size // 2)
            byte = file.read(1)
            file.seek(before.st_size // 2)
            file.write(bytes([byte[0] ^ 1]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def left_over(self) -> list[str]:
        """See `Backstage.left_over`."""
        return [path.name for path in (self.root / ".jwcal-staging").iterdir()]


class S3Backstage:
    """Another client of the same server."""

    def __init__(self, settings: StoreSettings) -> None:
        assert settings.access_key is not None
        assert settings.secret_key is not None
        self.client = Minio(
            settings.endpoint,
            access_key=settings.access_key.get_secret_value(),
            secret_key=settings.secret_key.get_secret_value(),
            region=settings.region,
            secure=settings.secure,
        )

    def damage(self, ref: ObjectRef) -> None:
        """See `Backstage.damage`."""
        metadata = self.client.stat_object(ref.bucket, ref.key).metadata
        assert metadata is not None
        answer = self.client.get_object(ref.bucket, ref.key)
        data = bytearray(answer.read())
        answer.close()
        answer.release_conn()
        data[len(data) // 2] ^= 1
        kept = {"sha256": metadata["x-amz-meta-sha256"], "write": metadata["x-amz-meta-write"]}
        self.client.put_object(ref.bucket, ref.key, io.BytesIO(data), len(data), metadata=dict(kept))

    def left_over(self) -> list[str]:
        """See `Backstage.left_over`."""
        uploads = self.client._list_multipart_uploads("contract").uploads
        return [upload.object_name for upload in uploads]
