"""Every adapter of the object store, the S3 one in front of a real server; tests that are coroutines."""

import asyncio
import inspect
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from jwcal.core.storage.opening import StoreSettings, open_store, opened_store
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location
from tests.contract.storage.backstage import Backstage, DirectoryBackstage, MemoryBackstage, S3Backstage
from tests.servers.seaweedfs import SeaweedServer, seaweedfs

BUCKET = "contract"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    """Run a test that is a coroutine in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    """One S3 server with a bucket for all tests, which leave it running."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        asyncio.run(_make_bucket(s3_settings(running)))
        yield running


async def _make_bucket(settings: StoreSettings) -> None:
    async with opened_store(settings) as store:
        await store.make_bucket(BUCKET)


def s3_settings(server: SeaweedServer, **changes: Any) -> StoreSettings:
    """Settings for the server."""
    settings: dict[str, Any] = {
        "kind": "s3",
        "endpoint": server.endpoint,
        "region": server.region,
        "secure": False,
        "access_key": SecretStr(server.access_key),
        "secret_key": SecretStr(server.secret_key),
    }
    return StoreSettings(**(settings | changes))


@pytest.fixture(params=["memory", "directory", "s3"])
def adapter(request: pytest.FixtureRequest) -> str:
    """The name of the adapter under test."""
    return str(request.param)


@pytest.fixture
def settings(adapter: str, request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """Settings of the adapter under test."""
    if adapter == "s3":
        return s3_settings(request.getfixturevalue("server"))
    return StoreSettings(kind=adapter, root=tmp_path / "store")  # type: ignore[arg-type]


@pytest.fixture
def store(settings: StoreSettings) -> Iterator[ObjectStore]:
    """The adapter under test, with a bucket."""
    opened = open_store(settings)
    asyncio.run(opened.make_bucket(BUCKET))
    yield opened
    asyncio.run(opened.close())


@pytest.fixture
def place() -> Location:
    """A place of the test's own."""
    return Location(BUCKET, f"test-{uuid.uuid4().hex}")


@pytest.fixture
def backstage(settings: StoreSettings) -> Backstage:
    """A look behind the adapter."""
    if settings.kind == "memory":
        return MemoryBackstage()
    return S3Backstage(settings) if settings.kind == "s3" else DirectoryBackstage(settings)
