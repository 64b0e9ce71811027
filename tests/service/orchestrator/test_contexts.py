"""A run's context is pinned when it is submitted, by the reference service where there is one."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from jwcal.core.storage.memory import MemoryStore
from jwcal.orchestrator.contexts import ServiceContexts
from tests.builders import CONTEXT, write_crds_cache
from tests.service.crds_cache.servers import replica, some_settings
from tests.service.event_loop import in_event_loop
from tests.service.orchestrator.server import Served, reason_of, serving


async def with_references(tmp_path: Path, scenario: Callable[[Served], Awaitable[None]], default: str = "") -> None:
    """An orchestrator that asks a real reference service, which knows one context and the table of builds."""
    cache = write_crds_cache(tmp_path / "crds", {"refpix": "N/A"})
    settings = some_settings(tmp_path / "replica", crds_path=cache, default_context=CONTEXT)
    async with replica(settings, MemoryStore()) as references:
        contexts = ServiceContexts(references.stub, default)
        async with serving(f"sqlite:///{tmp_path / 'jobs.db'}", contexts=contexts) as served:
            await scenario(served)


@in_event_loop
async def test_a_run_that_names_no_context_gets_the_services_default_and_keeps_it(tmp_path: Path) -> None:
    async def scenario(served: Served) -> None:
        run = await served.submit("a")
        assert run.context == CONTEXT
        lease = (await served.lease()).lease
        assert lease.job.processing.context == CONTEXT
        await served.complete(lease)
        again = await served.submit("a")
        assert again.jobs == {"STATE_SUCCEEDED": 1}  # the context is known, so the job is known to be the same

    await with_references(tmp_path, scenario)


@in_event_loop
async def test_a_build_is_resolved_to_its_context(tmp_path: Path) -> None:
    async def scenario(served: Served) -> None:
        assert (await served.submit("a", build="11.1.1")).context == "jwst_1303.pmap"

    await with_references(tmp_path, scenario)


@in_event_loop
async def test_a_build_and_a_context_that_the_service_does_not_know_are_refused(tmp_path: Path) -> None:
    async def scenario(served: Served) -> None:
        for unknown in ({"build": "1.0"}, {"context": "jwst_9999.pmap"}):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await served.submit("a", **unknown)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND, unknown

    await with_references(tmp_path, scenario)


@in_event_loop
async def test_where_the_reference_service_is_away_the_caller_shall_come_again(tmp_path: Path) -> None:
    cache = write_crds_cache(tmp_path / "crds", {"refpix": "N/A"})
    settings = some_settings(tmp_path / "replica", crds_path=cache, default_context=CONTEXT)
    async with replica(settings, MemoryStore()) as references:
        address = references.address
    async with grpc.aio.insecure_channel(address) as channel:
        from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceStub

        contexts = ServiceContexts(ReferenceServiceStub(channel))
        async with serving(f"sqlite:///{tmp_path / 'jobs.db'}", contexts=contexts) as served:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await served.submit("a")
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@in_event_loop
async def test_without_a_reference_service_the_table_of_the_settings_decides(tmp_path: Path) -> None:
    settings = {"context": "jwst_1293.pmap", "builds": {"11.2": "jwst_1321.pmap"}}
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}", **settings) as served:
        assert (await served.submit("a")).context == "jwst_1293.pmap"
        assert (await served.submit("b", build="11.2")).context == "jwst_1321.pmap"
        assert (await served.submit("c", context="jwst_1303.pmap", build="11.2")).context == "jwst_1303.pmap"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.submit("d", build="1.0")
        assert reason_of(refused.value) == "INVALID_REQUEST"


@in_event_loop
async def test_a_run_whose_context_nobody_knows_is_never_taken_for_an_earlier_one(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        await served.submit("a")
        await served.complete((await served.lease()).lease)
        assert (await served.submit("a")).jobs == {"STATE_QUEUED": 1}
