"""Workers that die, hang, run out of disk or get bad input: it costs time, and nothing else."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from jwcal.core.storage.convert import ref_from_proto
from tests.servers.seaweedfs import seaweedfs

from .accounts import check_accounts
from .installation import an_installation
from .world import World

pytestmark = pytest.mark.slow

QUICK = {"lease_duration": "3", "heartbeat": "0.05"}
"""Leases end soon, so that a lost worker is noticed within seconds."""


def test_a_killed_worker_costs_time_and_nothing_else(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        with seaweedfs(tmp_path / "s3") as server:
            async with an_installation(tmp_path / "services", world.environment, server=server, **QUICK) as services:
                first = services.worker()
                run = await services.submit(await services.upload(*world.exposures[:4]), context=world.context)
                await services.until_computing(run.name)
                children = psutil.Process(first.pid).children(recursive=True)
                await first.kill()
                _, alive = await asyncio.to_thread(psutil.wait_procs, children, 10)
                assert alive == []
                services.worker()
                jobs = await check_accounts(services, [run.name], world, tmp_path / "products")
                assert max(job.attempt for job in jobs) == 2

    asyncio.run(test())


def test_a_killed_compute_process_costs_one_attempt(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        async with an_installation(tmp_path / "services", world.environment, **QUICK) as services:
            worker = services.worker()
            run = await services.submit(await services.upload(*world.exposures[:4]), context=world.context)
            await services.until_computing(run.name)
            (child,) = psutil.Process(worker.pid).children()
            child.kill()
            jobs = await check_accounts(services, [run.name], world, tmp_path / "products")
            assert sorted(job.attempt for job in jobs) == [1, 1, 1, 2]
            assert {job.worker for job in jobs} == {"worker-0"}
            assert worker.running()
            assert '"how": "CHILD_CRASHED"' in worker.log.read_text()

    asyncio.run(test())


def test_a_frozen_worker_comes_back_too_late(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        async with an_installation(tmp_path / "services", world.environment, **QUICK, max_attempts="5") as services:
            first = services.worker()
            run = await services.submit(await services.upload(*world.exposures[:2]), context=world.context)
            await services.until_computing(run.name)
            frozen = psutil.Process(first.pid)
            for process in (frozen, *frozen.children()):
                process.suspend()
            services.worker()
            before = await check_accounts(services, [run.name], world, tmp_path / "before")
            for process in (*frozen.children(), frozen):
                process.resume()
            await first.logged("lease lost")
            after = await check_accounts(services, [run.name], world, tmp_path / "after")
            assert before == after  # what it made meanwhile changed nothing
            assert "worker-1" in {job.worker for job in after}
            more = await services.submit(await services.upload(world.exposures[2]), context=world.context)
            await check_accounts(services, [more.name], world, tmp_path / "more")  # it is a worker like before
            assert first.running()

    asyncio.run(test())


def test_a_damaged_input_fails_at_once_and_the_others_are_done(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        with seaweedfs(tmp_path / "s3") as server:
            async with an_installation(tmp_path / "services", world.environment, server=server, **QUICK) as services:
                files = await services.upload(*world.exposures[:3])
                run = await services.submit(files, context=world.context)
                damaged = bytearray(world.exposures[1].read_bytes())
                damaged[-3000] ^= 1
                ref = ref_from_proto(files[1])
                await services.store.put_bytes(bytes(damaged), type(ref)(ref.bucket, ref.key))
                services.worker()
                root = ref.name.removesuffix("_uncal.fits")
                failed = {root: "CHECKSUM_MISMATCH"}
                jobs = await check_accounts(services, [run.name], world, tmp_path / "products", failed=failed)
                assert [job.attempt for job in jobs] == [1, 1, 1]  # no try is wasted on it

    asyncio.run(test())


SMALL_DISK = """
mkdir -p "$JWCAL_SCRATCH" && mount -t tmpfs -o size=4m scratch "$JWCAL_SCRATCH" && exec "$@"
"""
LEFT = 150_000
"""Bytes: room for an exposure, not for its products."""


def fill(directory: Path) -> Path:
    """Fill the disk of a directory, but for `LEFT` bytes; the file that does."""
    filler = directory / "filler"
    room = os.statvfs(directory)
    filler.write_bytes(bytes(room.f_bavail * room.f_frsize - LEFT))
    return filler


def test_a_worker_with_a_full_disk_leaves_its_jobs_to_others_until_there_is_room(world: World, tmp_path: Path) -> None:
    within = [shutil.which("unshare") or "unshare", "--map-root-user", "--mount"]
    tried = subprocess.run([*within, "mount", "-t", "tmpfs", "none", str(tmp_path)], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {tried.stderr.decode().strip()}")

    async def test() -> None:
        rules = QUICK | {"max_attempts": "10"}
        async with an_installation(tmp_path / "services", world.environment, **rules) as services:
            small = services.worker(within=[*within, "sh", "-c", SMALL_DISK, "sh"], rest_seconds="3")
            await small.logged('"ready"')
            disk = Path(f"/proc/{small.pid}/root{tmp_path}/services/worker-0/scratch")  # as the worker sees it
            filler = fill(disk)
            files = await services.upload(*world.exposures[:4])
            spec = {"context": world.context, "ignore_earlier_results": True}
            run = await services.submit(files, **spec)
            await small.logged("resting")
            other = services.worker()
            jobs = await check_accounts(services, [run.name], world, tmp_path / "products")
            assert {job.worker for job in jobs} == {"worker-1"}
            assert '"how": "SCRATCH_FAILURE"' in small.log.read_text()
            assert await other.stop() == 0
            filler.unlink()
            run = await services.submit(files, **spec)
            jobs = await check_accounts(services, [run.name], world, tmp_path / "more")
            assert {job.worker for job in jobs} == {"worker-0"}
            assert await small.stop() == 0

    asyncio.run(test())
