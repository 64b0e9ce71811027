"""Best references over gRPC: resolved, fetched once, verified, published."""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jwcal.api.reference.v1 import reference_pb2 as pb
from jwcal.client.bundle_command import load, make_bundle
from jwcal.core.errors import ChecksumMismatch
from jwcal.core.storage.ref import ObjectRef
from tests.builders import CONTEXT, in_cache, use_crds, write_crds_cache, write_gain, write_manifest
from tests.crds_server import CrdsServer, serving
from tests.service.crds_cache.servers import Replica, StoreOnDisk, a_store, reason, replica, some_settings

GAIN, OTHER_GAIN, DARK = "jwst_nircam_gain_0001.fits", "jwst_nircam_gain_0002.fits", "jwst_nircam_dark_0001.fits"
RULES: dict[str, Any] = {
    "gain": {("NRCA1", "SUB160"): GAIN, ("NRCA1", "FULL"): OTHER_GAIN},
    "dark": {("NRCA1", "SUB160"): DARK},
    "mask": {("NRCB1", "FULL"): "jwst_nircam_mask_0001.fits"},
    "refpix": "N/A",
}
HEADER = {
    "META.INSTRUMENT.NAME": "NIRCAM",
    "META.INSTRUMENT.DETECTOR": "NRCA1",
    "META.SUBARRAY.NAME": "SUB160",
    "META.OBSERVATION.DATE": "2024-01-01",
    "META.OBSERVATION.TIME": "00:00:00",
}
LARGE = 200 << 20
Scenario = Callable[[Replica, StoreOnDisk], Awaitable[None]]


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """What the server has; the dark is large."""
    directory = write_crds_cache(tmp_path / "served", RULES)
    for name in (GAIN, OTHER_GAIN):
        write_gain(in_cache(directory, name), shape=(16, 16))
    with in_cache(directory, DARK).open("wb") as file:
        file.write(b"a dark")
        file.truncate(LARGE)
    return directory


@pytest.fixture
def server(origin: Path) -> Iterator[CrdsServer]:
    with serving(origin) as running:
        yield running


@pytest.fixture
def play(tmp_path: Path, server: CrdsServer) -> Callable[..., StoreOnDisk]:
    """Plays a scenario with one replica that has a server."""

    def run(scenario: Scenario, **settings: Any) -> StoreOnDisk:
        chosen = some_settings(tmp_path / "replica", **({"server_url": server.url} | settings))

        async def whole() -> StoreOnDisk:
            async with a_store(tmp_path / "store") as store, replica(chosen, store) as running:
                await asyncio.wait_for(scenario(running, store), 120)
            return store

        return asyncio.run(whole())

    return run


def asking(*types: str, **changes: Any) -> pb.GetBestReferencesRequest:
    return pb.GetBestReferencesRequest(**({"context": CONTEXT, "header": HEADER, "types": types} | changes))


def references(answer: pb.GetBestReferencesResponse) -> dict[str, pb.Reference]:
    return {found.type: found for found in answer.references}


async def refused(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def leftovers(tmp_path: Path, store: StoreOnDisk) -> list[str]:
    """Half files and claims that nobody owns any more."""
    found = [*(tmp_path / "replica" / "scratch").rglob("*"), *store.root.glob(".*/*"), *store.root.rglob("claims/*/*")]
    return [str(path) for path in found]


def test_the_answer_names_files_that_are_in_the_store(
    play: Callable[..., StoreOnDisk], origin: Path, tmp_path: Path
) -> None:
    whole = in_cache(origin, GAIN).read_bytes()

    async def scenario(running: Replica, store: StoreOnDisk) -> None:
        answer = await running.stub.GetBestReferences(asking("gain", "refpix", "mask"))
        assert answer.context == CONTEXT
        found = references(answer)
        gain, digest = found["gain"], hashlib.sha256(whole).hexdigest()
        assert (gain.file, gain.sha1) == (GAIN, hashlib.sha1(whole).hexdigest())
        assert gain.object.key == f"references/sha256/{digest[:2]}/{digest}/{GAIN}"
        assert (gain.object.bucket, gain.object.sha256, gain.object.size) == ("jwcal", digest, len(whole))
        assert (store.root / "jwcal" / gain.object.key).read_bytes() == whole
        assert (found["refpix"].file, found["refpix"].HasField("object")) == ("N/A", False)
        assert found["mask"].file == ""
        assert "NRCB1" in found["mask"].not_found

    store = play(scenario)
    entry = json.loads((store.root / "jwcal" / "references" / "index" / f"{GAIN}.json").read_text())
    assert entry["sha1"] == hashlib.sha1(whole).hexdigest()
    assert leftovers(tmp_path, store) == []


def test_without_types_all_of_the_instrument_are_answered(play: Callable[..., StoreOnDisk]) -> None:
    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        assert set(references(await running.stub.GetBestReferences(asking(names_only=True)))) == set(RULES)

    play(scenario)


def test_keywords_of_fits_choose_as_well(play: Callable[..., StoreOnDisk]) -> None:
    header = {"INSTRUME": "NIRCAM", "DETECTOR": "NRCA1", "SUBARRAY": "FULL", "DATE-OBS": "2024-01-01"}

    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        answer = await running.stub.GetBestReferences(
            asking("gain", header=header | {"TIME-OBS": "00:00:00", "OBSERVER": "nobody"}, names_only=True)
        )
        assert references(answer)["gain"].file == OTHER_GAIN

    play(scenario)


def test_names_alone_fetch_nothing(play: Callable[..., StoreOnDisk], server: CrdsServer) -> None:
    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        found = references(await running.stub.GetBestReferences(asking("gain", names_only=True)))["gain"]
        assert (found.file, found.HasField("object"), found.sha1) == (GAIN, False, "")

    assert play(scenario).objects() == []
    assert GAIN not in server.downloads


def peak_memory() -> int:
    """Bytes at most in memory since the last call of `forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def forget_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def test_a_hundred_that_ask_for_one_large_missing_file_cause_one_download(
    play: Callable[..., StoreOnDisk], server: CrdsServer, tmp_path: Path
) -> None:
    async def scenario(running: Replica, store: StoreOnDisk) -> None:
        server.gate.clear()
        before = forget_peak()
        asks = [asyncio.create_task(_answer(running, "dark")) for _ in range(100)]
        await running.calls.reached("GetBestReferences", 100)
        server.gate.set()
        answers = await asyncio.gather(*asks)
        grown = peak_memory() - before
        print(f"{len(asks)} askers, {LARGE >> 20} MiB, memory grew by {grown >> 20} MiB")
        assert grown < 64 << 20
        assert {answer.object.size for answer in answers} == {LARGE}
        assert store.path(_ref(answers[0])).stat().st_size == LARGE
        assert running.metric("jwcal_reference_downloads_total", result="done") == 1
        assert running.metric("jwcal_reference_bytes_total", source="server") == LARGE
        assert running.metric("jwcal_reference_cache_total", result="miss") == 100

    store = play(scenario)
    assert server.downloads.count(DARK) == 1
    assert store.objects().count(DARK) == 1
    assert leftovers(tmp_path, store) == []


async def _answer(running: Replica, reftype: str) -> pb.Reference:
    return references(await running.stub.GetBestReferences(asking(reftype)))[reftype]


def _ref(reference: pb.Reference) -> Any:
    return reference.object


def test_two_replicas_that_are_asked_at_once_download_once(
    tmp_path: Path, server: CrdsServer, play: Callable[..., StoreOnDisk]
) -> None:
    async def scenario(first: Replica, store: StoreOnDisk) -> None:
        async with replica(some_settings(tmp_path / "second", server_url=server.url), store) as second:
            server.gate.clear()
            asks = [asyncio.create_task(_answer(one, "dark")) for one in (first, second) for _ in range(20)]
            for one in (first, second):
                await one.calls.reached("GetBestReferences", 20)
            server.gate.set()
            assert len({answer.object.key for answer in await asyncio.gather(*asks)}) == 1

    store = play(scenario)
    assert server.downloads.count(DARK) == 1
    assert leftovers(tmp_path, store) == []


def test_a_replica_takes_over_from_one_that_died(
    tmp_path: Path, server: CrdsServer, play: Callable[..., StoreOnDisk]
) -> None:
    claim = tmp_path / "store" / "jwcal" / "references" / "claims" / GAIN / "1"
    claim.parent.mkdir(parents=True)
    claim.write_text("a dead one 7")

    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        assert (await _answer(running, "gain")).file == GAIN

    store = play(scenario, claim_seconds=0.4)
    assert server.downloads.count(GAIN) == 1
    assert leftovers(tmp_path, store) == []


def test_a_claim_that_is_damaged_is_given_up(
    tmp_path: Path, server: CrdsServer, play: Callable[..., StoreOnDisk]
) -> None:
    async def scenario(running: Replica, store: StoreOnDisk) -> None:
        claim = ObjectRef("jwcal", f"references/claims/{GAIN}/1")
        await store.put_bytes(b"a replica 7", claim)
        before = store.path(claim).stat()
        store.path(claim).write_bytes(b"a replica 8")  # other contents than its checksum says
        os.utime(store.path(claim), ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(ChecksumMismatch):
            await store.get_bytes(claim)
        assert (await _answer(running, "gain")).file == GAIN

    store = play(scenario, claim_seconds=0.4)
    assert server.downloads.count(GAIN) == 1
    assert leftovers(tmp_path, store) == []


def test_what_another_replica_has_published_is_not_fetched(
    tmp_path: Path, server: CrdsServer, play: Callable[..., StoreOnDisk]
) -> None:
    async def scenario(running: Replica, store: StoreOnDisk) -> None:
        expected = await _answer(running, "gain")
        async with replica(some_settings(tmp_path / "second", server_url=server.url), store) as second:
            assert await _answer(second, "gain") == expected

    play(scenario)
    assert server.downloads.count(GAIN) == 1


@pytest.mark.parametrize("lost", ["contents", "index", "damaged index", "half of the contents"])
def test_what_the_store_lost_is_fetched_again(
    tmp_path: Path, server: CrdsServer, play: Callable[..., StoreOnDisk], lost: str
) -> None:
    async def scenario(running: Replica, store: StoreOnDisk) -> None:
        expected = await _answer(running, "gain")
        path = store.path(_ref(expected))
        index = store.root / "jwcal" / "references" / "index" / f"{GAIN}.json"
        whole = path.read_bytes()
        match lost:
            case "contents":
                path.unlink()
            case "index":
                index.unlink()
            case "damaged index":
                index.write_text("{")
            case _:
                path.write_bytes(whole[: len(whole) // 2])
        async with replica(some_settings(tmp_path / "second", server_url=server.url), store) as second:
            assert await _answer(second, "gain") == expected
        assert path.read_bytes() == whole

    play(scenario)
    assert server.downloads.count(GAIN) == 2


def test_a_damaged_download_is_refused_and_tried_again(
    tmp_path: Path, server: CrdsServer, play: Callable[..., StoreOnDisk]
) -> None:
    server.damaged.add(GAIN)
    server.mends = True

    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        assert (await _answer(running, "gain")).file == GAIN

    store = play(scenario)
    assert server.downloads.count(GAIN) == 2
    assert leftovers(tmp_path, store) == []


def test_a_file_that_always_comes_damaged_is_an_error_and_is_not_published(
    tmp_path: Path, server: CrdsServer, play: Callable[..., StoreOnDisk]
) -> None:
    server.damaged.add(GAIN)

    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        error = await refused(_answer(running, "gain"))
        assert (error.code(), reason(error)) == (grpc.StatusCode.FAILED_PRECONDITION, "INVALID_REFERENCE")
        assert GAIN in str(error.details())
        server.damaged.clear()
        assert (await _answer(running, "gain")).file == GAIN

    store = play(scenario, attempts=2)
    assert server.downloads.count(GAIN) == 3
    assert leftovers(tmp_path, store) == []


def test_a_server_that_fails_is_unavailable_with_a_remedy(
    tmp_path: Path, server: CrdsServer, play: Callable[..., StoreOnDisk]
) -> None:
    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        await running.stub.GetBestReferences(asking("gain", names_only=True))  # the rules are here
        server.failing = 503
        error = await refused(_answer(running, "gain"))
        assert (error.code(), reason(error)) == (grpc.StatusCode.UNAVAILABLE, "REFERENCE_SERVER_UNAVAILABLE")
        assert "remedy: " in str(error.details())
        server.failing = None
        assert (await _answer(running, "gain")).file == GAIN

    store = play(scenario)
    assert leftovers(tmp_path, store) == []


def test_a_server_that_is_gone_is_unavailable_with_a_remedy(tmp_path: Path, origin: Path) -> None:
    with serving(origin) as server:
        gone = server.url

    async def scenario() -> None:
        settings = some_settings(tmp_path / "replica", server_url=gone)
        async with a_store(tmp_path / "store") as store, replica(settings, store) as running:
            for call in (
                running.stub.GetBestReferences(asking("gain")),
                running.stub.ListContexts(pb.ListContextsRequest()),
                running.stub.GetContext(pb.GetContextRequest()),
            ):
                error = await refused(call)
                assert (error.code(), reason(error)) == (grpc.StatusCode.UNAVAILABLE, "REFERENCE_SERVER_UNAVAILABLE")
                assert "remedy: " in str(error.details())

    asyncio.run(scenario())


def test_rules_that_came_damaged_are_fetched_anew(server: CrdsServer, play: Callable[..., StoreOnDisk]) -> None:
    server.damaged.add("jwst_nircam_gain_0042.rmap")
    server.mends = True

    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        error = await refused(_answer(running, "gain"))
        assert reason(error) == "INVALID_REFERENCE"
        assert (await _answer(running, "gain")).file == GAIN

    play(scenario)


def test_who_leaves_stops_nobody_else(server: CrdsServer, play: Callable[..., StoreOnDisk]) -> None:
    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        server.gate.clear()
        leaving, staying = (asyncio.create_task(_answer(running, "gain")) for _ in range(2))
        await running.calls.reached("GetBestReferences", 2)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        server.gate.set()
        assert (await staying).file == GAIN

    play(scenario)
    assert server.downloads.count(GAIN) == 1


def test_a_context_that_nobody_knows_is_not_found(play: Callable[..., StoreOnDisk]) -> None:
    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        for name in ("jwst_9999.pmap", "../../etc/passwd", "latest"):
            for call in (
                running.stub.GetBestReferences(asking("gain", context=name)),
                running.stub.GetContext(pb.GetContextRequest(name=name)),
            ):
                error = await refused(call)
                assert (error.code(), reason(error)) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CONTEXT")

    play(scenario)


def test_a_header_without_an_instrument_is_refused(play: Callable[..., StoreOnDisk]) -> None:
    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        for types in ([], ["gain"]):
            error = await refused(running.stub.GetBestReferences(asking(*types, header={"FILTER": "F200W"})))
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT

    play(scenario)


def test_an_instrument_that_the_context_does_not_know_is_missing(play: Callable[..., StoreOnDisk]) -> None:
    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        for types in ([], ["gain"]):
            error = await refused(
                running.stub.GetBestReferences(asking(*types, header=HEADER | {"META.INSTRUMENT.NAME": "MIRI"}))
            )
            assert (error.code(), reason(error)) == (grpc.StatusCode.FAILED_PRECONDITION, "MISSING_REFERENCE")

    play(scenario)


def test_what_is_no_type_is_refused(play: Callable[..., StoreOnDisk]) -> None:
    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        error = await refused(running.stub.GetBestReferences(asking("../dark")))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT

    play(scenario)


def offline(tmp_path: Path, cache: Path, scenario: Scenario, **settings: Any) -> None:
    async def whole() -> None:
        chosen = some_settings(tmp_path / "replica", crds_path=cache, **settings)
        async with a_store(tmp_path / "store") as store, replica(chosen, store) as running:
            await scenario(running, store)

    asyncio.run(whole())


def test_an_offline_cache_is_published_verified_by_its_manifest(tmp_path: Path, origin: Path) -> None:
    write_manifest(origin, GAIN, DARK)
    with in_cache(origin, DARK).open("ab") as file:
        file.write(b"more")

    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        assert (await _answer(running, "gain")).file == GAIN
        error = await refused(_answer(running, "dark"))
        assert reason(error) == "INVALID_REFERENCE"

    offline(tmp_path, origin, scenario)


def test_a_loaded_bundle_is_all_that_a_replica_needs(
    tmp_path: Path, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_crds(origin, monkeypatch)
    write_gain(in_cache(origin, DARK), shape=(16, 16))  # small enough for a bundle, too
    write_gain(in_cache(origin, "jwst_nircam_mask_0001.fits"), shape=(16, 16))
    make_bundle(tmp_path / "nircam.tar", context=CONTEXT, instrument="NIRCAM", exposures=(), as_json=True)
    monkeypatch.setenv("JWCAL_STORE_ROOT", str(tmp_path / "store"))
    (tmp_path / "store" / "jwcal").mkdir(parents=True)
    load(tmp_path / "nircam.tar", into=tmp_path / "loaded", store="s3://jwcal/references", as_json=True)
    shutil.rmtree(tmp_path / "loaded" / "references")

    async def scenario(running: Replica, store: StoreOnDisk) -> None:
        answer = await _answer(running, "gain")
        assert store.path(answer.object).read_bytes() == in_cache(origin, GAIN).read_bytes()
        assert running.metric("jwcal_reference_cache_total", result="hit") == 1
        assert running.metric("jwcal_reference_downloads_total", result="done") == 0

    offline(tmp_path, tmp_path / "loaded", scenario)


def test_a_file_that_an_offline_cache_lacks_is_missing(tmp_path: Path, origin: Path) -> None:
    in_cache(origin, GAIN).unlink()

    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        error = await refused(_answer(running, "gain"))
        assert (error.code(), reason(error)) == (grpc.StatusCode.FAILED_PRECONDITION, "MISSING_REFERENCE")
        assert "remedy" in str(error.details())

    offline(tmp_path, origin, scenario)


MAPPINGS = (
    Path(os.environ.get("JWCAL_REAL_DATA", Path(__file__).parents[4] / "shared" / "real-data"))
    / "spacetelescope-crds-cache-test"
)
TRUTH = MAPPINGS / "bestrefs_truth_jwst_0541.json"


@pytest.mark.skipif(not TRUTH.is_file(), reason="the real mappings are not here: set JWCAL_REAL_DATA")
def test_the_rules_of_operations_give_the_known_references(tmp_path: Path) -> None:
    cache = write_crds_cache(tmp_path / "operations", {})
    for mapping in (MAPPINGS / "mappings" / "jwst").iterdir():
        shutil.copy(mapping, cache / "mappings" / "jwst")
    cases = json.loads(TRUTH.read_text())["cases"]
    assert len(cases) > 20

    async def scenario(running: Replica, _: StoreOnDisk) -> None:
        for name, case in cases.items():
            request = pb.GetBestReferencesRequest(
                context="jwst_0541.pmap", header=case["header"], types=case["bestrefs"], names_only=True
            )
            found = references(await running.stub.GetBestReferences(request))
            plain = {kind: "NOT FOUND" if answer.not_found else answer.file for kind, answer in found.items()}
            assert plain == {kind: _plain(answer) for kind, answer in case["bestrefs"].items()}, name

    offline(tmp_path, cache, scenario)


def _plain(answer: str) -> str:
    if answer == "NOT FOUND n/a":
        return "N/A"
    return "NOT FOUND" if answer.startswith("NOT FOUND") else answer
