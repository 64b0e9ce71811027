"""Exposures through the services, against the same exposures in this process."""

import asyncio
from pathlib import Path

import pytest

from .accounts import check_accounts
from .installation import an_installation
from .world import World

pytestmark = pytest.mark.slow


def test_a_run_makes_the_products_that_this_process_makes(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        async with an_installation(tmp_path / "services", world.environment) as services:
            services.worker()
            files = await services.upload(*world.exposures[:3])
            first = await services.submit(files, context=world.context)
            await check_accounts(services, [first.name], world, tmp_path / "first")
            again = await services.submit(files, context=world.context)
            ended = await services.ended(again.name, seconds=10)
            assert [job.reused for job in await services.jobs(again.name)] == [True] * 3
            assert [ref.key for ref in ended.products] == [
                ref.key for ref in (await services.ended(first.name)).products
            ]

    asyncio.run(test())


def test_a_worker_that_is_asked_to_end_ends_well_and_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        async with an_installation(tmp_path / "services", world.environment, heartbeat="0.05") as services:
            first = services.worker()
            files = await services.upload(*world.exposures)
            run = await services.submit(files, context=world.context)
            await services.until_computing(run.name)
            assert await first.stop() == 0
            attempts = [job.attempt for job in await services.jobs(run.name)]
            assert 0 in attempts  # there was more to do
            services.worker()
            jobs = await check_accounts(services, [run.name], world, tmp_path / "products")
            assert {job.attempt for job in jobs} == {1}  # nothing was spent

    asyncio.run(test())
