"""A worker that has nothing but the reference service and its node's cache."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from astropy.io import fits

from jwcal.api.product.v1.product_pb2 import ProductRef
from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceStub
from jwcal.client.compare import compare
from jwcal.core.errors import InvalidReference, MissingReference, ReferenceServerUnavailable
from jwcal.core.references.load import ReferenceCache
from jwcal.core.references.node_cache import NodeCache
from jwcal.core.references.service import ServiceReferences
from jwcal.detector1.process import run
from jwcal.observatory import simulate
from tests.builders import CONTEXT, in_cache, some_metadata, use_crds, write_crds_cache, write_gain
from tests.service.crds_cache.directory_store import DirectoryStore
from tests.service.crds_cache.servers import replica, some_settings

GAIN = "jwst_nircam_gain_0001.fits"
GIB = 1 << 30


@contextmanager
def service(tmp_path: Path, **settings: Any) -> Iterator[str]:
    """The address of a service that runs in a thread of its own."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    started: list[str] = []
    ready = threading.Event()

    async def serve() -> None:
        store = DirectoryStore(tmp_path / "store")
        async with replica(some_settings(tmp_path / "replica", **settings), store) as running:
            started.append(running.address)
            ready.set()
            await stop.wait()

    def work() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        yield started[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join()


@contextmanager
def worker(tmp_path: Path, address: str, brought: list[str] | None = None) -> Iterator[ServiceReferences]:
    """What a compute process has."""
    store = DirectoryStore(tmp_path / "store")

    def bring(ref: ProductRef, path: Path) -> None:
        path.write_bytes((store.root / ref.bucket / ref.key).read_bytes())
        if brought is not None:
            brought.append(path.name)

    with (
        grpc.insecure_channel(address) as channel,
        ServiceReferences(
            ReferenceServiceStub(channel), NodeCache(tmp_path / "node", GIB), bring, timeout=60
        ) as references,
    ):
        yield references


@pytest.fixture
def no_crds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Leaves the process without any CRDS cache."""
    return lambda: use_crds(tmp_path / "nothing", monkeypatch)


@pytest.mark.slow  # compiles the kernels
def test_a_worker_makes_the_products_that_the_crds_library_would_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_crds: Callable[[], None]
) -> None:
    made = simulate("nircam-tso", tmp_path / "made", crds=tmp_path / "crds", nints=3, ngroups=5)
    exposure, context = made.exposures[0], "jwst_0002.pmap"
    (tmp_path / "own").mkdir()
    (tmp_path / "served").mkdir()
    use_crds(tmp_path / "crds", monkeypatch)
    own = run(exposure, output_dir=tmp_path / "own", context=context, cache=ReferenceCache())
    brought: list[str] = []
    with service(tmp_path, crds_path=tmp_path / "crds") as address:
        no_crds()
        for _ in range(2):
            with worker(tmp_path, address, brought) as references:
                served = run(
                    exposure, output_dir=tmp_path / "served", context=context, cache=ReferenceCache(), finder=references
                )
    assert len(brought) == len(set(brought))
    assert any("pars-" in name for name in brought)
    assert [path.name for path in served.products] == [path.name for path in own.products]
    for ours, theirs in zip(own.products, served.products, strict=True):
        assert compare(ours, theirs, rtol=0, sigma=0).is_equal(0)
        used = dict(fits.getheader(ours)["R_*"])
        assert len(used) > 5
        assert dict(fits.getheader(theirs)["R_*"]) == used


@pytest.fixture
def gain_cache(tmp_path: Path) -> Path:
    """A cache with one gain."""
    cache = write_crds_cache(
        tmp_path / "crds", {"gain": {("NRCA1", "SUB160"): GAIN}, "mask": {("X", "Y"): GAIN}, "refpix": "N/A"}
    )
    write_gain(in_cache(cache, GAIN), shape=(16, 16))
    return cache


def test_plain_answers_are_those_of_the_library(tmp_path: Path, gain_cache: Path) -> None:
    with service(tmp_path, crds_path=gain_cache) as address, worker(tmp_path, address) as references:
        assert references.default_context() == CONTEXT
        found = references.recommendations(some_metadata(), ["gain", "mask", "refpix", "dark"], CONTEXT)
    assert (found["gain"], found["refpix"]) == (GAIN, "N/A")
    assert str(found["mask"]).startswith("NOT FOUND ")
    assert str(found["dark"]).startswith("NOT FOUND ")


def test_a_file_stays_while_the_job_runs(tmp_path: Path, gain_cache: Path) -> None:
    with service(tmp_path, crds_path=gain_cache) as address:
        with worker(tmp_path, address) as references:
            references.recommendations(some_metadata(), ["gain"], CONTEXT)
            path = references.locate(GAIN, CONTEXT)
            assert references.locate(GAIN, CONTEXT) == path
            assert path.read_bytes() == in_cache(gain_cache, GAIN).read_bytes()
            with pytest.raises(MissingReference, match="was not among the answers"):
                references.locate("jwst_nircam_gain_0099.fits", CONTEXT)
        assert path.exists()


def test_an_object_that_is_damaged_in_the_store_is_refused(tmp_path: Path, gain_cache: Path) -> None:
    with service(tmp_path, crds_path=gain_cache) as address, worker(tmp_path, address) as references:
        references.recommendations(some_metadata(), ["gain"], CONTEXT)
        (stored,) = (tmp_path / "store").rglob(f"sha256/*/*/{GAIN}")
        stored.write_bytes(b"something else")
        with pytest.raises(InvalidReference, match="SHA-256"):
            references.locate(GAIN, CONTEXT)


def test_a_service_that_is_gone_can_be_asked_again(tmp_path: Path, gain_cache: Path) -> None:
    with service(tmp_path, crds_path=gain_cache) as address:
        gone = address
    with worker(tmp_path, gone) as references:
        for call in (
            references.default_context,
            lambda: references.recommendations(some_metadata(), ["gain"], CONTEXT),
        ):
            with pytest.raises(ReferenceServerUnavailable, match="UNAVAILABLE") as caught:
                call()
            assert caught.value.retryable


def test_what_the_service_refuses_is_told_with_its_words(tmp_path: Path, gain_cache: Path) -> None:
    with (
        service(tmp_path, crds_path=gain_cache) as address,
        worker(tmp_path, address) as references,
        pytest.raises(MissingReference, match=r"jwst_9999\.pmap"),
    ):
        references.recommendations(some_metadata(), ["gain"], "jwst_9999.pmap")
