"""Exposures through the services, against the same exposures in this process."""

import asyncio
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.servers.ports import free_ports_with_grpc

from .accounts import check_accounts
from .installation import an_installation
from .world import World

pytestmark = pytest.mark.slow


def metrics(port: int) -> dict[str, float]:
    """What a process shows at this port."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_a_run_makes_the_products_that_this_process_makes(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        async with an_installation(tmp_path / "services", world.environment) as services:
            (port,) = free_ports_with_grpc(1)
            services.worker(observability__metrics_listen=f"127.0.0.1:{port}")
            files = await services.upload(*world.exposures[:3])
            first = await services.submit(files, context=world.context)
            await check_accounts(services, [first.name], world, tmp_path / "first")
            numbers = await asyncio.to_thread(metrics, port)
            assert 0 < numbers["jwcal_cold_start_seconds"] < 100
            assert numbers['jwcal_bytes_total{direction="in"}'] == sum(ref.size for ref in files)
            assert numbers['jwcal_prefetch_total{result="hit"}'] >= 1
            assert numbers['jwcal_step_seconds_count{step="ramp_fit"}'] == 3
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


def test_a_worker_that_is_asked_to_end_while_it_warms_up_does_not_finish_that_first(
    world: World, tmp_path: Path
) -> None:
    async def test() -> None:
        async with an_installation(tmp_path / "services", world.environment) as services:
            worker = services.worker()
            await worker.logged('"listening"')
            assert await worker.stop() == 0
            assert "compute process ready" not in worker.log.read_text()

    asyncio.run(test())
