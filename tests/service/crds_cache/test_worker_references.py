"""A worker that has nothing but the reference service, the store and its node's cache."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from jwcal.api.reference.v1 import reference_pb2 as pb
from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceStub
from jwcal.core.errors import (
    ChecksumMismatch,
    MissingReference,
    ReferenceCacheFull,
    ReferenceServerUnavailable,
    UnknownContext,
)
from jwcal.core.references.best import selection_header
from jwcal.core.references.node_cache import NodeCache
from jwcal.core.references.resolved import ResolvedReferences, WantedReferences
from jwcal.core.references.service import ServiceReferences
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.metrics import Metrics
from jwcal.core.rpc.settings import ClientSettings
from jwcal.core.storage.ref import ObjectRef
from tests.builders import CONTEXT, in_cache, some_metadata, write_crds_cache, write_gain
from tests.servers.ports import free_ports_with_grpc
from tests.service.crds_cache.servers import Replica, StoreOnDisk, a_store, replica, some_settings
from tests.service.event_loop import in_event_loop

GAIN, OTHER_GAIN = "jwst_nircam_gain_0001.fits", "jwst_nircam_mask_0001.fits"
METADATA = some_metadata()
GIB = 1 << 30


def wanted(*types: str) -> WantedReferences:
    return WantedReferences(selection_header(METADATA), types)


def asking(*types: str) -> pb.GetBestReferencesRequest:
    return pb.GetBestReferencesRequest(context=CONTEXT, header=selection_header(METADATA), types=types)


def is_held(path: Path) -> bool:
    """Whether a file of the node's cache is in use."""
    with path.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with two files for the exposure."""
    rules: dict[str, Any] = {
        "gain": {("NRCA1", "SUB160"): GAIN},
        "mask": {("NRCA1", "SUB160"): OTHER_GAIN},
        "dark": {("X", "Y"): GAIN},
        "refpix": "N/A",
    }
    path = write_crds_cache(tmp_path / "crds", rules)
    for name, value in ((GAIN, 2.0), (OTHER_GAIN, 3.0)):
        write_gain(in_cache(path, name), value, shape=(16, 16))
    return path


class SlowStore(StoreOnDisk):
    """The store, whose transfers to files wait for a gate and are counted."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gate = asyncio.Event()
        self.gate.set()
        self.brought: list[str] = []
        self.metrics = Metrics(CollectorRegistry())
        self.begun = asyncio.Event()

    async def get_file(self, ref: ObjectRef, path: Path, **options: Any) -> ObjectRef:
        self.begun.set()
        await self.gate.wait()
        found = await super().get_file(ref, path, **options)
        self.brought.append(ref.name)
        return found


@asynccontextmanager
async def a_service(place: Path, cache: Path) -> AsyncIterator[Replica]:
    chosen = some_settings(place / "replica", crds_path=cache)
    async with a_store(place / "store") as store, replica(chosen, store) as running:
        yield running


@asynccontextmanager
async def a_worker(
    place: Path, address: str, *, limit: int = GIB, patience: float = 0.0
) -> AsyncIterator[tuple[ServiceReferences, SlowStore]]:
    """What a supervisor has."""
    store = SlowStore(place / "store")
    async with open_channel(address, ClientSettings(plaintext=True), retries=None) as channel:
        references = ServiceReferences(
            ReferenceServiceStub(channel),
            store,
            NodeCache(place / "node", limit),
            metrics=store.metrics,
            patience=patience,
        )
        try:
            yield references, store
        finally:
            await references.close()
            await store.close()


@in_event_loop
async def test_one_question_gives_all_answers_and_files(tmp_path: Path, cache: Path) -> None:
    async with a_service(tmp_path, cache) as service, a_worker(tmp_path, service.address) as (references, store):
        for _ in range(2):
            async with references.resolved(wanted("gain", "mask", "dark", "refpix"), "") as found:
                assert found.default_context() == CONTEXT
                answers = found.recommendations(METADATA, ["gain", "dark", "refpix"], CONTEXT)
                assert (answers["gain"], answers["refpix"]) == (GAIN, "N/A")
                assert str(answers["dark"]).startswith("NOT FOUND ")
                for name in (GAIN, OTHER_GAIN):
                    assert found.locate(name, CONTEXT).read_bytes() == in_cache(cache, name).read_bytes()
        assert service.calls.counts == {"GetBestReferences": 2}
        assert sorted(store.brought) == [GAIN, OTHER_GAIN]
        shown = store.metrics.registry.get_sample_value
        assert shown("jwcal_reference_cache_total", {"result": "miss"}) == 2
        assert shown("jwcal_reference_cache_total", {"result": "hit"}) == 2
        size = sum(in_cache(cache, name).stat().st_size for name in (GAIN, OTHER_GAIN))
        assert shown("jwcal_reference_bytes_total", {"source": "store"}) == size


@in_event_loop
async def test_files_stay_while_the_job_runs_and_may_go_afterwards(tmp_path: Path, cache: Path) -> None:
    limit = in_cache(cache, GAIN).stat().st_size + 100  # one of them fits
    async with a_service(tmp_path, cache) as service, a_worker(tmp_path, service.address, limit=limit) as (worker, _):
        async with worker.resolved(wanted("gain"), CONTEXT) as first:
            with pytest.raises(ReferenceCacheFull) as caught:
                async with worker.resolved(wanted("mask"), CONTEXT):
                    pass
            assert caught.value.retryable
            assert first.locate(GAIN, CONTEXT).exists()
        async with worker.resolved(wanted("mask"), CONTEXT) as second:
            assert second.locate(OTHER_GAIN, CONTEXT).exists()
            assert not first.locate(GAIN, CONTEXT).exists()


@in_event_loop
async def test_a_file_that_fails_lets_the_others_go(tmp_path: Path, cache: Path) -> None:
    async with a_service(tmp_path, cache) as service, a_worker(tmp_path, service.address) as (worker, _):
        async with worker.resolved(wanted("mask"), CONTEXT) as found:
            here = found.locate(OTHER_GAIN, CONTEXT)
            assert is_held(here)
            await service.stub.GetBestReferences(asking("gain"))
        (stored,) = (tmp_path / "store").rglob(f"sha256/*/*/{GAIN}")
        stored.write_bytes(b"x" * stored.stat().st_size)
        with pytest.raises(ChecksumMismatch):
            async with worker.resolved(wanted("gain", "mask"), CONTEXT):
                pass
        assert not is_held(here)


@in_event_loop
async def test_two_jobs_that_want_a_file_bring_it_once(tmp_path: Path, cache: Path) -> None:
    async with a_service(tmp_path, cache) as service, a_worker(tmp_path, service.address) as (worker, store):

        async def job() -> bytes:
            async with worker.resolved(wanted("gain"), CONTEXT) as found:
                return found.locate(GAIN, CONTEXT).read_bytes()

        store.gate.clear()
        jobs = [asyncio.create_task(job()) for _ in range(5)]
        await store.begun.wait()
        store.gate.set()
        assert set(await asyncio.gather(*jobs)) == {in_cache(cache, GAIN).read_bytes()}
        assert store.brought == [GAIN]


@in_event_loop
async def test_a_job_that_is_stopped_stops_no_other_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    async with a_service(tmp_path, cache) as service, a_worker(tmp_path, service.address) as (worker, store):

        async def job() -> bytes:
            async with worker.resolved(wanted("gain"), CONTEXT) as found:
                return found.locate(GAIN, CONTEXT).read_bytes()

        store.gate.clear()
        stopped = asyncio.create_task(job())
        await store.begun.wait()
        staying = asyncio.create_task(job())
        stopped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopped
        store.gate.set()
        assert await staying == in_cache(cache, GAIN).read_bytes()
        assert not list((tmp_path / "node" / "filling").glob("*.part"))


@in_event_loop
async def test_a_service_that_is_gone_is_asked_again_as_long_as_there_is_patience(tmp_path: Path, cache: Path) -> None:
    address = f"127.0.0.1:{free_ports_with_grpc(1)[0]}"
    async with a_worker(tmp_path, address) as (impatient, _):
        with pytest.raises(ReferenceServerUnavailable) as caught:
            async with impatient.resolved(wanted("gain"), CONTEXT):
                pass
        assert caught.value.retryable
    async with a_worker(tmp_path, address, patience=60) as (patient, _):

        async def job() -> str:
            async with patient.resolved(wanted("gain"), CONTEXT) as found:
                return found.answers["gain"]

        waiting = asyncio.create_task(job())
        served = some_settings(tmp_path / "replica", crds_path=cache, server={"listen": [address], "plaintext": True})
        async with a_store(tmp_path / "store") as store, replica(served, store):
            assert await waiting == GAIN


@in_event_loop
async def test_what_the_service_refuses_is_the_job_s_error(tmp_path: Path, cache: Path) -> None:
    async with a_service(tmp_path, cache) as service, a_worker(tmp_path, service.address) as (worker, _):
        with pytest.raises(UnknownContext, match="not the name of a context"):
            async with worker.resolved(wanted("gain"), "../../etc/passwd"):
                pass
        in_cache(cache, GAIN).unlink()
        with pytest.raises(MissingReference, match=GAIN):
            async with worker.resolved(wanted("gain"), CONTEXT):
                pass


def test_what_was_not_asked_for_is_missing() -> None:
    found = ResolvedReferences(context=CONTEXT, answers={"gain": GAIN}, files={})
    for ask in (
        lambda: found.recommendations(METADATA, ["gain", "dark"], CONTEXT),
        lambda: found.recommendations(METADATA, ["gain"], "jwst_0099.pmap"),
        lambda: found.locate(GAIN, CONTEXT),
    ):
        with pytest.raises(MissingReference):
            ask()
