"""What the client asks of the service of references."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jwcal.client import AsyncClient, Client, Connection
from jwcal.core.errors import InvalidParameter, JwcalError
from jwcal.core.rpc.settings import ClientSettings
from jwcal.core.storage.opening import StoreSettings, opened_store
from jwcal.observatory import MODES
from jwcal.observatory.references import provide
from tests.service.crds_cache.servers import replica, some_settings
from tests.service.event_loop import in_event_loop

MODE = MODES["nircam-tso"]
CONTEXT = "jwst_0001.pmap"
HEADER = {
    "META.INSTRUMENT.NAME": "NIRCAM",
    "META.INSTRUMENT.DETECTOR": MODE.detector.name,
    "META.EXPOSURE.TYPE": MODE.exposure_type,
    "META.EXPOSURE.READPATT": MODE.readpatt,
    "META.SUBARRAY.NAME": MODE.subarray,
    "META.OBSERVATION.DATE": "2024-04-18",
    "META.OBSERVATION.TIME": "03:00:00",
}


@asynccontextmanager
async def a_client(place: Path) -> AsyncIterator[AsyncClient]:
    provide(MODE, place / "crds")
    settings = some_settings(place, crds_path=place / "crds", default_context=CONTEXT)
    async with opened_store(StoreSettings(kind="memory")) as store, replica(settings, store) as running:
        connection = Connection(server="127.0.0.1:1", client=ClientSettings(plaintext=True), references=running.address)
        async with AsyncClient(connection, page_size=1) as client:
            yield client


@in_event_loop
async def test_contexts_and_builds_are_told(tmp_path: Path) -> None:
    async with a_client(tmp_path) as client:
        builds = {build.name: build for build in await client.references.builds()}
        assert (builds["11.2"].package_version, builds["11.2"].context) == ("1.17.1", "jwst_1321.pmap")
        default = await client.references.context()
        assert (default.name, default.is_default, default.is_available) == (CONTEXT, True, True)
        assert CONTEXT in [context.name async for context in client.references.contexts()]


@in_event_loop
async def test_best_references_are_told_by_type(tmp_path: Path) -> None:
    async with a_client(tmp_path) as client:
        best = await client.references.best(HEADER, types=["mask", "gain"], names_only=True)
        assert set(best) == {"mask", "gain"}
        assert best["mask"].file.endswith((".fits", ".asdf"))
        assert best["mask"].object is None
        with pytest.raises(JwcalError):
            await client.references.best(HEADER, context="jwst_9999.pmap", names_only=True)


@in_event_loop
async def test_without_an_address_there_are_no_references() -> None:
    async with AsyncClient(Connection(server="127.0.0.1:1", client=ClientSettings(plaintext=True))) as client:
        with pytest.raises(InvalidParameter, match="JWCAL_REFERENCES"):
            await client.references.builds()


@in_event_loop
async def test_a_program_without_an_event_loop_asks_too(tmp_path: Path) -> None:
    async with a_client(tmp_path) as asynchronous:

        def program() -> None:
            with Client(asynchronous.connection) as client:
                assert "11.2" in [build.name for build in client.builds()]
                assert CONTEXT in [context.name for context in client.contexts()]
                assert set(client.best_references(HEADER, types=["gain"], names_only=True)) == {"gain"}

        await asyncio.to_thread(program)
