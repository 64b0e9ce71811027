"""Contexts and builds over gRPC, and fetching ahead."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from jwcal.api.reference.v1 import reference_pb2 as pb
from tests.builders import CONTEXT, in_cache, write_crds_cache, write_gain
from tests.crds_server import CrdsServer, serving
from tests.service.crds_cache.servers import Replica, a_store, reason, replica, some_settings

GAINS = [f"jwst_nircam_gain_{number:04d}.fits" for number in range(1, 13)]
MASK = "jwst_nircam_mask_0001.fits"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Twelve gains of twelve subarrays, a mask, and contexts that differ in nothing but their names."""
    rules: dict[str, Any] = {
        "gain": {("NRCA1", f"SUB{number}"): name for number, name in enumerate(GAINS)},
        "mask": {("NRCA1", "SUB0"): MASK},
        "refpix": "N/A",
    }
    directory = write_crds_cache(tmp_path / "served", rules)
    for name in (*GAINS, MASK):
        write_gain(in_cache(directory, name), shape=(16, 16))
    return directory


def play(tmp_path: Path, scenario: Callable[[Replica], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        chosen = some_settings(tmp_path / "replica", **settings)
        async with a_store(tmp_path / "store") as store, replica(chosen, store) as running:
            await asyncio.wait_for(scenario(running), 120)

    asyncio.run(whole())


def with_server(tmp_path: Path, origin: Path, scenario: Callable[[Replica, CrdsServer], Awaitable[None]]) -> None:
    with serving(origin) as server:
        play(tmp_path, lambda running: scenario(running, server), server_url=server.url)


async def refused(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def add_contexts(cache: Path, *serials: int) -> list[str]:
    names = [f"jwst_{serial:04d}.pmap" for serial in serials]
    for name in names:
        (cache / "mappings" / "jwst" / name).write_text("")
    return names


def test_contexts_are_listed_newest_first_page_by_page(tmp_path: Path, origin: Path) -> None:
    add_contexts(origin, 7, 1293, 1303, 998)

    async def scenario(running: Replica) -> None:
        names, token = [], ""
        while True:
            page = await running.stub.ListContexts(pb.ListContextsRequest(page_size=2, page_token=token))
            assert len(page.contexts) <= 2
            names += [found.name for found in page.contexts]
            token = page.next_page_token
            if not token:
                break
        assert names == ["jwst_1303.pmap", "jwst_1293.pmap", "jwst_0998.pmap", CONTEXT, "jwst_0007.pmap"]
        everything = await running.stub.ListContexts(pb.ListContextsRequest())
        assert [found.name for found in everything.contexts if found.default] == ["jwst_1293.pmap"]
        assert {found.name: list(found.builds) for found in everything.contexts if found.builds} == {
            "jwst_1303.pmap": ["11.1.1"],
            "jwst_1293.pmap": ["11.0.1"],
        }

    play(tmp_path, scenario, crds_path=origin, default_build="11.0.1")


@pytest.mark.parametrize("request_", [{"page_token": "no token"}, {"page_token": "w6k"}, {"page_size": -1}])
def test_a_page_that_cannot_be_is_refused(tmp_path: Path, origin: Path, request_: dict[str, Any]) -> None:
    async def scenario(running: Replica) -> None:
        error = await refused(running.stub.ListContexts(pb.ListContextsRequest(**request_)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT

    play(tmp_path, scenario, crds_path=origin)


def test_a_context_is_available_once_its_rules_are_here(tmp_path: Path, origin: Path) -> None:
    async def scenario(running: Replica, server: CrdsServer) -> None:
        before = await running.stub.GetContext(pb.GetContextRequest())
        assert (before.context.name, before.context.available, before.context.default) == (CONTEXT, False, True)
        header = {"INSTRUME": "NIRCAM"}
        await running.stub.GetBestReferences(pb.GetBestReferencesRequest(header=header, types=["refpix"]))
        assert (await running.stub.GetContext(pb.GetContextRequest(name=CONTEXT))).context.available
        fetched = list(server.downloads)
        await running.stub.GetBestReferences(pb.GetBestReferencesRequest(header=header, types=["refpix"]))
        assert server.downloads == fetched

    with_server(tmp_path, origin, scenario)


def test_the_default_context_stays_when_the_server_moves_on(tmp_path: Path, origin: Path) -> None:
    async def scenario(running: Replica, server: CrdsServer) -> None:
        assert (await running.stub.GetContext(pb.GetContextRequest())).context.name == CONTEXT
        server.config["operational_context"] = "jwst_0099.pmap"
        assert (await running.stub.GetContext(pb.GetContextRequest())).context.name == CONTEXT

    with_server(tmp_path, origin, scenario)


def test_builds_are_found_by_number_and_by_context(tmp_path: Path, origin: Path) -> None:
    async def scenario(running: Replica) -> None:
        table = await running.stub.ListBuilds(pb.ListBuildsRequest())
        assert [(found.name, found.package_version, found.context) for found in table.builds] == [
            ("12.0", "1.20.2", CONTEXT),
            ("11.2", "1.17.1", "jwst_1321.pmap"),
            ("11.1.1", "1.16.1", "jwst_1303.pmap"),
            ("11.0.1", "1.15.1", "jwst_1293.pmap"),
        ]
        by_name = await running.stub.GetBuild(pb.GetBuildRequest(name="11.1.1"))
        by_context = await running.stub.GetBuild(pb.GetBuildRequest(context="jwst_1303.pmap"))
        assert by_name == by_context == pb.GetBuildResponse(build=table.builds[2])
        for unknown in (pb.GetBuildRequest(name="9"), pb.GetBuildRequest(context="jwst_0007.pmap")):
            error = await refused(running.stub.GetBuild(unknown))
            assert (error.code(), reason(error)) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_BUILD")
        assert (await refused(running.stub.GetBuild(pb.GetBuildRequest()))).code() == grpc.StatusCode.INVALID_ARGUMENT

    more = [{"name": "12.0", "package_version": "1.20.2", "context": CONTEXT}]
    play(tmp_path, scenario, crds_path=origin, builds=more)


async def prefetched(running: Replica, **request: Any) -> list[pb.PrefetchReferencesResponse]:
    call = running.stub.PrefetchReferences(pb.PrefetchReferencesRequest(context=CONTEXT, **request))
    return [answer async for answer in call]


def test_all_files_of_an_instrument_are_fetched_ahead(tmp_path: Path, origin: Path) -> None:
    async def scenario(running: Replica, server: CrdsServer) -> None:
        answers = await prefetched(running, instrument="nircam")
        assert [answer.done for answer in answers] == list(range(14))
        assert {answer.total for answer in answers} == {13}
        assert sorted(answer.file for answer in answers[1:]) == sorted([*GAINS, MASK])
        assert answers[-1].bytes == sum(in_cache(origin, name).stat().st_size for name in [*GAINS, MASK])
        fetched = len(server.downloads)
        assert len(await prefetched(running, instrument="NIRCAM")) == 14
        assert len(server.downloads) == fetched

    with_server(tmp_path, origin, scenario)


def test_only_what_a_mode_gets_is_fetched_ahead(tmp_path: Path, origin: Path) -> None:
    dated = {"DETECTOR": "NRCA1", "DATE-OBS": "2024-01-01", "TIME-OBS": "00:00:00"}
    kinds = [pb.ExposureKind(header=dated | {"SUBARRAY": name}) for name in ("SUB0", "SUB3")]

    async def scenario(running: Replica) -> None:
        answers = await prefetched(running, instrument="NIRCAM", kinds=kinds)
        assert sorted(answer.file for answer in answers[1:]) == [GAINS[0], GAINS[3], MASK]
        answers = await prefetched(running, instrument="NIRCAM", kinds=kinds, types=["mask"])
        assert [answer.file for answer in answers] == ["", MASK]

    play(tmp_path, scenario, crds_path=origin)


def test_a_prefetch_that_is_left_asks_for_no_more(tmp_path: Path, origin: Path) -> None:
    async def scenario(running: Replica, server: CrdsServer) -> None:
        await running.stub.GetBestReferences(
            pb.GetBestReferencesRequest(context=CONTEXT, header={"INSTRUME": "NIRCAM"}, names_only=True)
        )
        server.downloads.clear()
        server.gate.clear()
        call = running.stub.PrefetchReferences(pb.PrefetchReferencesRequest(context=CONTEXT, instrument="NIRCAM"))
        assert (await call.read()).total == 13
        call.cancel()
        await running.calls.stream_ended.wait()
        server.gate.set()
        assert len(await prefetched(running, instrument="NIRCAM", types=["mask"])) == 2
        assert len(server.downloads) <= 9

    with_server(tmp_path, origin, scenario)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"instrument": "MIRI"}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"instrument": "NIRCAM", "types": ["dark"]}, grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
def test_a_prefetch_of_what_is_not_there_is_refused(
    tmp_path: Path, origin: Path, request_: dict[str, Any], code: grpc.StatusCode
) -> None:
    async def scenario(running: Replica) -> None:
        assert (await refused(prefetched(running, **request_))).code() == code

    play(tmp_path, scenario, crds_path=origin)
