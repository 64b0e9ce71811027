"""Exposures through the services, against the same exposures in this process."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from astropy.io import fits

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.core.storage.convert import ref_from_proto
from jwcal.detector1 import run
from jwcal.observatory import simulate
from tests.builders import use_crds

from .installation import Installation, an_installation

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class World:
    """Exposures, their references, and the rates they have."""

    exposures: tuple[Path, ...]
    environment: dict[str, str]
    context: str
    expected: dict[str, list[Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("world")
    made = [simulate("nircam-sw-sub", place / str(seed), seed=seed, crds=place / "crds") for seed in (1, 2)]
    exposures = []
    for number, simulation in enumerate(made):
        (file,) = simulation.exposures
        exposures.append(file.rename(file.with_name(file.name.replace("_00001_", f"_0000{number + 1}_"))))
    with pytest.MonkeyPatch.context() as environment:
        use_crds(place / "crds", environment)
        expected = {}
        for file in exposures:
            for product in run(file, output_dir=place / "expected", context=made[0].context).products:
                expected[product.name] = pixels(product)
    offline = {"CRDS_PATH": str(place / "crds"), "CRDS_MODE": "local", "CRDS_READONLY_CACHE": "1"}
    yield World(tuple(exposures), offline, made[0].context, expected)


def pixels(product: Path) -> list[Any]:
    with fits.open(product) as hdus:
        return [np.array(hdu.data) for hdu in hdus if hdu.name in ("SCI", "ERR", "DQ", "VAR_POISSON", "VAR_RNOISE")]


async def check_products(services: Installation, ended: pipeline_pb2.Run, world: World, place: Path) -> None:
    """Every product is there once, with the pixels that this process makes."""
    refs = [ref_from_proto(message) for message in ended.products]
    assert sorted(ref.name for ref in refs) == sorted(world.expected)
    place.mkdir()
    for ref in refs:
        await services.store.get_file(ref, place / ref.name)  # checks size and checksum
        for found, expected in zip(pixels(place / ref.name), world.expected[ref.name], strict=True):
            np.testing.assert_array_equal(found, expected)


async def until(condition: Any, seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


def test_a_run_makes_the_products_that_this_process_makes(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        async with an_installation(tmp_path / "services", world.environment) as services:
            services.worker()
            submitted = await services.submit(await services.upload(*world.exposures), context=world.context)
            ended = await services.ended(submitted.name)
            assert ended.state == pipeline_pb2.STATE_SUCCEEDED, ended
            await check_products(services, ended, world, tmp_path / "products")
            again = await services.submit(await services.upload(*world.exposures), context=world.context)
            ended = await services.ended(again.name, seconds=10)
            assert [job.reused for job in await services.jobs(again.name)] == [True, True]
            await check_products(services, ended, world, tmp_path / "again")

    asyncio.run(test())


def test_a_killed_worker_costs_time_and_nothing_else(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        rules = {"lease_duration": "3", "heartbeat": "0.5"}
        async with an_installation(tmp_path / "services", world.environment, **rules) as services:
            first = services.worker()
            submitted = await services.submit(await services.upload(*world.exposures), context=world.context)

            async def computing() -> bool:
                return any(job.progress.steps_done > 0 for job in await services.jobs(submitted.name))

            await until(computing)
            children = psutil.Process(first.pid).children(recursive=True)
            await first.kill()
            _, alive = await asyncio.to_thread(psutil.wait_procs, children, 10)
            assert alive == []
            services.worker()
            ended = await services.ended(submitted.name)
            assert ended.state == pipeline_pb2.STATE_SUCCEEDED, ended
            assert max(job.attempt for job in await services.jobs(submitted.name)) == 2
            await check_products(services, ended, world, tmp_path / "products")

    asyncio.run(test())


def test_a_frozen_worker_comes_back_too_late(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        rules = {"lease_duration": "3", "heartbeat": "0.5"}
        async with an_installation(tmp_path / "services", world.environment, **rules) as services:
            first = services.worker()
            submitted = await services.submit(await services.upload(*world.exposures[:1]), context=world.context)

            async def computing() -> bool:
                return any(job.progress.steps_done > 0 for job in await services.jobs(submitted.name))

            await until(computing)
            first.send(signal.SIGSTOP)
            services.worker()
            ended = await services.ended(submitted.name)
            first.send(signal.SIGCONT)
            assert ended.state == pipeline_pb2.STATE_SUCCEEDED, ended

            async def refused() -> bool:
                return "lease lost" in first.log.read_text()

            await until(refused)
            (job,) = await services.jobs(submitted.name)
            assert job.worker == "worker-1"
            assert first.running()
            assert len(ended.products) == 2

    asyncio.run(test())
