"""The S3 adapter while its server, its connections and its keys fail."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig
from pydantic import SecretStr

from jwcal.core.errors import JwcalError, ObjectExists, ObjectNotFound, StoreDenied, StoreUnavailable
from jwcal.core.storage.opening import StoreSettings, open_store, opened_store
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location, ObjectRef
from tests.contract.storage.backstage import S3Backstage
from tests.contract.storage.conftest import BUCKET, s3_settings
from tests.contract.storage.test_store import LARGE, PART, a_file, keys, sha256
from tests.servers.cutting_proxy import cutting_proxy
from tests.servers.loopback_certificate import make_loopback_certificate
from tests.servers.seaweedfs import SeaweedServer, seaweedfs


@asynccontextmanager
async def a_store(server: SeaweedServer, **changes: object) -> AsyncIterator[ObjectStore]:
    async with opened_store(s3_settings(server, **changes)) as store:
        await store.make_bucket(BUCKET)
        yield store


def once(wanted: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    """True for the first request that is wanted."""
    seen: list[bytes] = []

    def cuts(first_line: bytes) -> bool:
        if seen or not wanted(first_line):
            return False
        seen.append(first_line)
        return True

    return cuts


def is_put(first_line: bytes) -> bool:
    return first_line.startswith(b"PUT /contract/") and b"partNumber" not in first_line


def is_completion(first_line: bytes) -> bool:
    return first_line.startswith(b"POST ") and b"uploadId" in first_line


@pytest.mark.slow
async def test_a_download_outlives_the_death_of_the_server(tmp_path: Path) -> None:
    with seaweedfs(tmp_path / "server") as server:
        async with a_store(server) as store:
            source = a_file(tmp_path, 200 << 20)
            ref = await store.put_file(source, ObjectRef(BUCKET, "large"))
            begun = asyncio.Event()
            received: list[int] = []

            def told(count: int) -> None:
                received.append(count)
                begun.set()

            target = tmp_path / "target"
            download = asyncio.create_task(store.get_file(ref, target, on_bytes=told))
            await begun.wait()
            server.kill()
            before = sum(received)
            assert not download.done()
            await asyncio.to_thread(server.restart)
            assert await download == ref
            assert before < ref.size
            assert sum(received) == ref.size  # nothing was brought twice
            assert sha256(target.read_bytes()) == ref.sha256


@pytest.mark.slow
async def test_an_upload_outlives_the_death_of_the_server(tmp_path: Path) -> None:
    with seaweedfs(tmp_path / "server") as server:
        async with a_store(server) as store:
            source = a_file(tmp_path, 100 << 20)
            begun = asyncio.Event()
            upload = asyncio.create_task(
                store.put_file(source, ObjectRef(BUCKET, "large"), if_absent=True, on_bytes=lambda _: begun.set())
            )
            await begun.wait()
            server.kill()
            assert not upload.done()
            await asyncio.to_thread(server.restart)
            ref = await upload
            await store.get_file(ref, tmp_path / "target")
            assert sha256((tmp_path / "target").read_bytes()) == sha256(source.read_bytes())


@pytest.mark.parametrize("if_absent", [False, True])
async def test_a_write_whose_answer_is_lost_is_a_success(
    server: SeaweedServer, place: Location, if_absent: bool
) -> None:
    with cutting_proxy(server.endpoint, once(is_put)) as proxy:
        async with opened_store(s3_settings(server, endpoint=proxy.endpoint)) as store:
            ref = await store.put_bytes(b"contents", place.object("a"), if_absent=if_absent)
            assert await store.get_bytes(ref) == b"contents"
        assert len(proxy.cut) == 1


async def test_the_same_contents_of_another_writer_are_no_success(server: SeaweedServer, place: Location) -> None:
    async with a_store(server) as store:
        await store.put_bytes(b"contents", place.object("a"))
    with cutting_proxy(server.endpoint, once(is_put)) as proxy:
        async with opened_store(s3_settings(server, endpoint=proxy.endpoint)) as store:
            with pytest.raises(ObjectExists):
                await store.put_bytes(b"contents", place.object("a"), if_absent=True)
        assert len(proxy.cut) == 1


@pytest.mark.parametrize("if_absent", [False, True])
async def test_a_large_write_whose_last_answer_is_lost_is_a_success(
    server: SeaweedServer, place: Location, tmp_path: Path, if_absent: bool
) -> None:
    with cutting_proxy(server.endpoint, once(is_completion)) as proxy:
        async with opened_store(s3_settings(server, endpoint=proxy.endpoint)) as store:
            ref = await store.put_file(a_file(tmp_path, LARGE), place.object("a"), if_absent=if_absent)
            assert await store.get_file(ref, tmp_path / "target") == ref
        assert len(proxy.cut) == 1


async def test_a_connection_lost_on_the_way_is_taken_up_again(
    server: SeaweedServer, place: Location, tmp_path: Path
) -> None:
    def is_get(first_line: bytes) -> bool:
        return first_line.startswith(b"GET /contract/")

    async with a_store(server) as store:
        ref = await store.put_file(a_file(tmp_path, LARGE), place.object("a"))
    with cutting_proxy(server.endpoint, once(is_get)) as proxy:
        async with opened_store(s3_settings(server, endpoint=proxy.endpoint)) as store:
            assert await store.get_file(ref, tmp_path / "target") == ref
        assert len(proxy.cut) == 1


async def test_a_store_that_stays_away_is_unavailable(place: Location, tmp_path: Path) -> None:
    with seaweedfs(tmp_path) as server:
        store = open_store(s3_settings(server, patience=0.3))
        server.kill()
        for attempt in (
            store.ping(BUCKET),
            store.stat(place.object("a")),
            store.put_bytes(b"x", place.object("a")),
            store.get_file(place.object("a"), tmp_path / "target"),
        ):
            with pytest.raises(StoreUnavailable) as away:
                await attempt
            assert away.value.retryable
        await store.close()


async def test_waiting_for_a_store_that_is_away_can_be_cancelled(place: Location, tmp_path: Path) -> None:
    with seaweedfs(tmp_path) as server:
        store = open_store(s3_settings(server, patience=600))
        server.kill()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.stat(place.object("a")), 0.5)
        await store.close()


@pytest.mark.parametrize("key", ["access_key", "secret_key"])
async def test_wrong_keys_are_denied_and_not_told(
    server: SeaweedServer, place: Location, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = s3_settings(server, **{key: SecretStr("wrong-and-secret")})
    async with opened_store(settings) as store:
        told = [repr(settings), str(settings), repr(store), settings.model_dump_json()]
        for attempt in (
            store.ping(BUCKET),
            store.put_bytes(b"x", place.object("a")),
            store.get_bytes(place.object("a")),
            keys(store, place),
        ):
            with pytest.raises(StoreDenied) as denied:
                await attempt
            error: BaseException | None = denied.value
            assert isinstance(error, JwcalError)
            told += [str(error.metadata())]
            while error is not None:
                told += [str(error), repr(error)]
                error = error.__cause__
    told.append(caplog.text)
    assert not any("wrong-and-secret" in text or server.secret_key in text for text in told)


async def test_keys_in_files_are_read_again_when_they_change(
    server: SeaweedServer, place: Location, tmp_path: Path
) -> None:
    access_key, secret_key = tmp_path / "access", tmp_path / "secret"
    access_key.write_text(f"{server.access_key}\n")
    secret_key.write_text("of yesterday\n")
    files = {"access_key_file": access_key, "secret_key_file": secret_key}
    async with opened_store(s3_settings(server, access_key=None, secret_key=None, **files)) as store:
        with pytest.raises(StoreDenied):
            await store.put_bytes(b"x", place.object("a"))
        secret_key.write_text(f"{server.secret_key}\n")
        os.utime(secret_key, ns=(1, 1))
        await store.put_bytes(b"x", place.object("a"))
        secret_key.unlink()
        with pytest.raises(StoreDenied):
            await store.stat(place.object("a"))


async def test_a_version_names_contents_that_were_replaced(server: SeaweedServer, tmp_path: Path) -> None:
    settings: StoreSettings = s3_settings(server)
    async with opened_store(settings) as store:
        await store.make_bucket("versioned")
        S3Backstage(settings).client.set_bucket_versioning("versioned", VersioningConfig(ENABLED))
        first = await store.put_bytes(b"first", ObjectRef("versioned", "a"))
        large = await store.put_file(a_file(tmp_path, PART + 1), ObjectRef("versioned", "b"))
        second = await store.put_bytes(b"second", ObjectRef("versioned", "a"))
        await store.put_bytes(b"small", ObjectRef("versioned", "b"))
        assert first.version
        assert first.version != second.version
        assert await store.get_bytes(first) == b"first"
        assert await store.get_bytes(second) == b"second"
        assert await store.get_bytes(ObjectRef("versioned", "a")) == b"second"
        assert await store.get_file(large, tmp_path / "target") == large
        with pytest.raises(ObjectNotFound):
            await store.get_bytes(ObjectRef("versioned", "a", version="0" * 32))


async def test_transfers_are_encrypted_for_a_server_that_is_known(place: Location, tmp_path: Path) -> None:
    certificate = make_loopback_certificate(tmp_path / "known")
    other = make_loopback_certificate(tmp_path / "other")
    with seaweedfs(tmp_path / "server", certificate) as server:
        async with a_store(server, secure=True, ca_file=certificate.authority) as store:
            source = a_file(tmp_path, LARGE)
            large = await store.put_file(source, place.object("large"), if_absent=True)
            assert await store.get_file(large, tmp_path / "target") == large
            for contents in (b"", b"small"):
                small = await store.put_bytes(contents, place.object("small"))
                assert await store.get_bytes(small) == contents
            assert await store.copy(large, place.object("copy")) == replace(large, key=place.object("copy").key)
        for ca_file in (other.authority, None):
            async with opened_store(s3_settings(server, secure=True, ca_file=ca_file, patience=600)) as store:
                with pytest.raises(StoreDenied):
                    await store.stat(place.object("large"))
