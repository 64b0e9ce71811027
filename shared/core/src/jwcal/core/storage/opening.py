"""The store that the settings ask for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, Self

from minio.credentials.providers import Provider, StaticProvider
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jwcal.core.storage.directory import DirectoryStore
from jwcal.core.storage.memory import MemoryStore
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.retrying import Patience, Retrying
from jwcal.core.storage.s3 import S3Store
from jwcal.core.storage.s3_client import S3Client, S3Endpoint
from jwcal.core.storage.s3_credentials import FileCredentials

_LEAST_PART = 5 << 20
"""Bytes: S3 takes no smaller parts but the last."""


class StoreSettings(BaseSettings):
    """Which object store, and how it is reached: from the environment, ``JWCAL_STORE_KIND`` and so on."""

    model_config = SettingsConfigDict(
        env_prefix="JWCAL_STORE_",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # it holds the keys
    )

    kind: Literal["directory", "memory", "s3"] = "directory"
    root: Path | None = None
    """Of a directory."""
    durable: bool = True
    """Whether a directory's files are synced to the disk before they are there."""
    endpoint: str = ""
    """Host and port of an S3 server."""
    region: str = "us-east-1"
    secure: bool = True
    """TLS; without it, keys are not sent, but products can be read on the way."""
    ca_file: Path | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    access_key_file: Path | None = None
    """Instead of `access_key`; read again when it changes."""
    secret_key_file: Path | None = None
    part_size: int = Field(default=8 << 20, ge=_LEAST_PART)
    parallel: int = Field(default=4, ge=1, le=64)
    timeout: float = Field(default=30.0, gt=0)
    """Seconds of silence after which a connection to the server is given up; a cancellation may wait for as long."""
    patience: float = Field(default=60.0, ge=0)
    """Seconds for which something is tried again while the server is away."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "directory" and self.root is None:
            raise ValueError("a directory store needs its root")
        if self.kind == "s3":
            if not self.endpoint or "/" in self.endpoint:
                raise ValueError("an S3 store needs its endpoint as host:port")
            keys = self.access_key is not None and self.secret_key is not None
            files = self.access_key_file is not None and self.secret_key_file is not None
            if keys == files:
                raise ValueError("an S3 store needs its two keys, or the two files that hold them")
        return self


def open_store(settings: StoreSettings) -> ObjectStore:
    """The store of these settings; to be closed.  No server is asked yet."""
    if settings.kind == "memory":
        return MemoryStore()
    if settings.kind == "directory":
        assert settings.root is not None
        return DirectoryStore(settings.root, durable=settings.durable)
    endpoint = S3Endpoint(
        address=settings.endpoint,
        region=settings.region,
        secure=settings.secure,
        ca_file=str(settings.ca_file) if settings.ca_file else None,
        read_seconds=settings.timeout,
    )
    return S3Store(
        S3Client(endpoint, _credentials(settings)),
        part_size=settings.part_size,
        parallel=settings.parallel,
        retrying=Retrying(Patience(seconds=settings.patience)),
    )


@asynccontextmanager
async def opened_store(settings: StoreSettings) -> AsyncIterator[ObjectStore]:
    """The store of these settings, closed in the end."""
    store = open_store(settings)
    try:
        yield store
    finally:
        await store.close()


def _credentials(settings: StoreSettings) -> Provider:
    if settings.access_key_file is not None and settings.secret_key_file is not None:
        return FileCredentials(settings.access_key_file, settings.secret_key_file)
    assert settings.access_key is not None
    assert settings.secret_key is not None
    return StaticProvider(settings.access_key.get_secret_value(), settings.secret_key.get_secret_value())
