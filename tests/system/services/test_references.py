"""Exposures through the services, by workers without any CRDS cache: the reference service has the rules and files."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from astropy.io import fits

from jwcal.api.detector1.v1.detector1_pb2 import ProcessRequest
from jwcal.api.detector1.v1.detector1_pb2_grpc import Detector1ServiceStub
from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.product.v1.product_pb2 import ProductRef
from jwcal.client.compare import compare
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.readiness import wait_until_ready
from jwcal.core.rpc.settings import ClientSettings
from jwcal.core.storage.convert import location_to_proto, ref_from_proto
from jwcal.core.storage.ref import Location
from jwcal.detector1 import run
from jwcal.observatory import simulate
from tests.builders import use_crds
from tests.servers.ports import free_ports_with_grpc

from .installation import BUCKET, Installation, an_installation
from .reference_service import ReferenceService, a_worker, logged

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class World:
    """An exposure, its references, and what this process makes of it."""

    exposure: Path
    crds: Path
    context: str
    expected: dict[str, Path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("world")
    made = simulate("nircam-sw-sub", place / "made", seed=1, crds=place / "crds")
    (exposure,) = made.exposures
    with pytest.MonkeyPatch.context() as environment:
        use_crds(place / "crds", environment)
        products = run(exposure, output_dir=place / "expected", context=made.context).products
    yield World(exposure, place / "crds", made.context, {product.name: product for product in products})


@asynccontextmanager
async def services_of(
    world: World, place: Path, **orchestrator: str
) -> AsyncIterator[tuple[Installation, ReferenceService]]:
    """An orchestrator and a reference service; workers find no CRDS cache but an empty one."""
    (place / "nothing").mkdir(parents=True)
    environment = {"CRDS_PATH": str(place / "nothing"), "CRDS_MODE": "local", "CRDS_READONLY_CACHE": "1"}
    async with an_installation(place / "services", environment, **orchestrator) as services:
        references = ReferenceService(place / "services" / "references", world.crds)
        await references.start()
        try:
            yield services, references
        finally:
            await references.process.kill()
    assert list((place / "nothing").iterdir()) == []


async def check_products(services: Installation, products: Sequence[ProductRef], world: World, place: Path) -> None:
    """Every product is there, equal in every bit and reference to what this process makes."""
    refs = [ref_from_proto(message) for message in products]
    assert sorted(ref.name for ref in refs) == sorted(world.expected)
    place.mkdir()
    for ref in refs:
        await services.store.get_file(ref, place / ref.name)
        expected = world.expected[ref.name]
        assert compare(expected, place / ref.name, rtol=0, sigma=0).is_equal(0)
        used = dict(fits.getheader(expected)["R_*"])
        assert len(used) > 5
        assert dict(fits.getheader(place / ref.name)["R_*"]) == used
        assert fits.getheader(place / ref.name)["CRDS_CTX"] == world.context


def test_a_worker_without_crds_makes_the_products_that_this_process_makes(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        builds = f'{{"99.1": "{world.context}"}}'
        async with services_of(world, tmp_path, builds=builds) as (services, references):
            worker = a_worker(services, references)
            files = await services.upload(world.exposure)
            submitted = await services.submit(files, build="99.1")
            ended = await services.ended(submitted.name, seconds=300)
            assert ended.state == pipeline_pb2.STATE_SUCCEEDED, ended
            await check_products(services, ended.products, world, tmp_path / "products")
            (job,) = await services.jobs(submitted.name)
            assert job.result.context == world.context
            # another exposure's worth of work finds its references on the node
            brought = worker.log.read_text().count("reference cached")
            assert brought > 5
            again = await services.submit(files, context=world.context, products=["rate"])
            await services.ended(again.name, seconds=300)
            assert worker.log.read_text().count("reference cached") == brought

    asyncio.run(test())


def test_a_job_waits_for_a_reference_service_that_is_down(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        async with services_of(world, tmp_path) as (services, references):
            worker = a_worker(services, references, reference_patience="0.5")
            await logged(worker, '"event": "ready"')
            await references.process.kill()
            files = await services.upload(world.exposure)
            submitted = await services.submit(files, context=world.context, max_attempts=20)
            await logged(worker, '"event": "not ready"')

            async def failed_once() -> bool:
                (job,) = await services.jobs(submitted.name)
                return job.attempt > 0 and job.failure.reason == "REFERENCE_SERVER_UNAVAILABLE"

            async with asyncio.timeout(60):
                while not await failed_once():
                    await asyncio.sleep(0.1)
            await references.start()
            ended = await services.ended(submitted.name, seconds=300)
            assert ended.state == pipeline_pb2.STATE_SUCCEEDED, ended
            await check_products(services, ended.products, world, tmp_path / "products")
            (job,) = await services.jobs(submitted.name)
            assert job.attempt > 1

    asyncio.run(test())


def test_a_direct_call_gets_its_references_too(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        async with services_of(world, tmp_path) as (services, references):
            address = f"127.0.0.1:{free_ports_with_grpc(1)[0]}"
            a_worker(services, references, server__listen=f'["{address}"]')
            async with open_channel(address, ClientSettings(plaintext=True)) as channel:
                await wait_until_ready(channel, "jwcal.api.detector1.v1.Detector1Service", seconds=300)
                request = ProcessRequest(
                    inputs=await services.upload(world.exposure),
                    output=location_to_proto(Location(BUCKET, "direct")),
                )
                answers = [answer async for answer in Detector1ServiceStub(channel).Process(request)]
            assert answers[-1].result.context == world.context  # of the service: the call names none
            await check_products(services, answers[-1].result.products, world, tmp_path / "products")

    asyncio.run(test())
