"""What workers depend on goes away and comes back: the orchestrator, the object store, the database."""

import asyncio
import time
import uuid
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.servers.cutting_proxy import cutting_proxy
from tests.servers.ports import free_ports_with_grpc
from tests.servers.postgres import running_postgres
from tests.servers.seaweedfs import seaweedfs

from .accounts import check_accounts
from .installation import Installation, an_installation
from .world import World

pytestmark = pytest.mark.slow

OUTAGE = 30.0
"""Seconds without the object store; workers have the patience for twice as many."""
STAGE_SERVICE = "jwcal.api.detector1.v1.Detector1Service"


async def submit_often(services: Installation, world: World, *, times: int) -> list[str]:
    """So many runs over all exposures, each of which is to be done anew; their names."""
    files = await services.upload(*world.exposures)
    spec = {"context": world.context, "ignore_earlier_results": True}
    return [(await services.submit(files, **spec)).name for _ in range(times)]


async def until_done(services: Installation, run: str, share: float) -> None:
    """Until so much of a run is done."""
    while True:
        jobs = await services.jobs(run)
        if sum(job.HasField("result") for job in jobs) >= share * len(jobs):
            return
        await asyncio.sleep(0.05)


def test_an_orchestrator_killed_with_200_jobs_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        rules = {"lease_duration": "10", "heartbeat": "1"}
        async with an_installation(tmp_path / "services", world.environment, **rules) as services:
            runs = await submit_often(services, world, times=20)
            for _ in range(2):
                services.worker()
            for run in (runs[0], runs[10]):
                await until_done(services, run, 0.5)
                await services.orchestrator.kill()
                services.orchestrator.start()
            jobs = await check_accounts(services, runs, world, tmp_path / "products")
            assert len(jobs) == 200
            assert {job.attempt for job in jobs} == {1}  # it was back before a lease was over

    asyncio.run(test())


def test_an_object_store_that_is_away_for_a_while_is_waited_for(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        with seaweedfs(tmp_path / "s3") as server:
            async with an_installation(tmp_path / "services", world.environment, server=server) as services:
                (port,) = free_ports_with_grpc(1)
                services.worker(server__listen=f'["127.0.0.1:{port}"]', look_seconds="1")
                runs = await submit_often(services, world, times=3)
                await until_done(services, runs[0], 0.5)
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                    health = health_pb2_grpc.HealthStub(channel).Watch(
                        health_pb2.HealthCheckRequest(service=STAGE_SERVICE)
                    )
                    assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
                    began = time.monotonic()
                    await asyncio.to_thread(server.kill)
                    assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                    await asyncio.sleep(began + OUTAGE - time.monotonic())  # the outage itself
                    done = [sum(job.HasField("result") for job in await services.jobs(run)) for run in runs]
                    assert sum(done) < 30
                    await asyncio.to_thread(server.start)
                    assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
                jobs = await check_accounts(services, runs, world, tmp_path / "products")
                assert {job.attempt for job in jobs} == {1}

    asyncio.run(test())


def test_database_connections_that_are_dropped_cost_nothing(world: World, tmp_path: Path) -> None:
    async def test(database: str) -> None:
        rules = {"lease_duration": "10", "heartbeat": "0.2"}
        account, _, address = database.partition("@")
        with cutting_proxy(address, lambda _: False) as proxy:
            through = f"{account}@{proxy.endpoint}/postgres"
            async with an_installation(tmp_path / "services", world.environment, database=through, **rules) as services:
                services.worker()
                runs = await submit_often(services, world, times=4)
                dropped = 0
                for run in runs:
                    await until_done(services, run, 0.3)
                    dropped += proxy.drop()
                assert dropped > 3
                jobs = await check_accounts(services, runs, world, tmp_path / "products")
                assert {job.attempt for job in jobs} == {1}

    with running_postgres() as database:
        asyncio.run(test(database))


def test_two_orchestrators_on_one_database_do_each_job_once(world: World, tmp_path: Path) -> None:
    async def test(database: str) -> None:
        rules = {"lease_duration": "3", "heartbeat": "0.2"}
        address = f"{database}/postgres"
        async with an_installation(
            tmp_path / "services", world.environment, database=address, orchestrators=2, **rules
        ) as services:
            files = await services.upload(*world.exposures)
            spec = {"context": world.context, "ignore_earlier_results": True}
            ids = [str(uuid.uuid4()) for _ in range(4)]
            submitted = await asyncio.gather(  # each run is submitted to both
                *(
                    services.submit(files, orchestrator=number, request_id=request_id, **spec)
                    for request_id in ids
                    for number in range(2)
                )
            )
            runs = sorted({run.name for run in submitted})
            assert len(runs) == 4
            for number in range(2):
                services.worker(orchestrator=number)
            await until_done(services, runs[2], 0.1)
            await services.orchestrators[1].kill()  # the other one takes over what its worker had
            jobs = await check_accounts(services, runs, world, tmp_path / "products")
            assert len(jobs) == 40
            assert {job.worker for job in jobs} == {"worker-0", "worker-1"}
            assert sum(job.attempt - 1 for job in jobs) <= 4  # what the second worker held, at most

    with running_postgres() as database:
        asyncio.run(test(database))
