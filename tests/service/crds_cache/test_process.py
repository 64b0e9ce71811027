"""The service as a process of its own: ready when it can work, drained when it is asked to stop."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jwcal.api.reference.v1 import reference_pb2 as pb
from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceStub
from jwcal.core.errors import DeadlineExceeded
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.readiness import wait_until_ready
from jwcal.core.rpc.settings import ClientSettings
from tests.builders import CONTEXT, in_cache, write_crds_cache, write_gain
from tests.crds_server import serving
from tests.servers.ports import free_ports_with_grpc
from tests.service.crds_cache.servers import SERVICE
from tests.service.event_loop import in_event_loop

GAIN = "jwst_nircam_gain_0001.fits"
HEADER = {"INSTRUME": "NIRCAM", "DETECTOR": "NRCA1", "SUBARRAY": "SUB160", "DATE-OBS": "2024-01-01"}
ASKING = pb.GetBestReferencesRequest(header=HEADER | {"TIME-OBS": "00:00:00"}, types=["gain"])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of one gain."""
    path = write_crds_cache(tmp_path / "crds", {"gain": {("NRCA1", "SUB160"): GAIN}})
    write_gain(in_cache(path, GAIN), shape=(16, 16))
    return path


@asynccontextmanager
async def a_process(place: Path, **settings: str) -> AsyncIterator[tuple[Process, grpc.aio.Channel, int]]:
    """The program, a channel to it, and the port of its metrics."""
    port, metrics = free_ports_with_grpc(2)
    own = {
        "SERVER__LISTEN": f'["127.0.0.1:{port}"]',
        "SERVER__PLAINTEXT": "true",
        "OBSERVABILITY__METRICS_LISTEN": f"127.0.0.1:{metrics}",
        "SCRATCH": str(place / "scratch"),
        "CHECK_SECONDS": "0.1",
    }
    environment = {f"JWCAL_CRDS_CACHE_{name}": value for name, value in (own | settings).items()}
    store = {"JWCAL_STORE_KIND": "directory", "JWCAL_STORE_ROOT": str(place / "objects")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jwcal.crds_cache", env=os.environ | environment | store
    )
    try:
        async with open_channel(f"127.0.0.1:{port}", ClientSettings(plaintext=True)) as channel:
            yield process, channel, metrics
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def becomes(channel: grpc.aio.Channel, status: int) -> None:
    """Wait until the service says so of itself."""
    watch = health_pb2_grpc.HealthStub(channel).Watch(
        health_pb2.HealthCheckRequest(service=SERVICE), timeout=30, wait_for_ready=True
    )
    async for answer in watch:
        if answer.status == status:
            watch.cancel()
            return


@in_event_loop
async def test_it_is_ready_while_its_store_and_its_context_can_be_had(tmp_path: Path, cache: Path) -> None:
    hidden = tmp_path / "hidden"
    cache.rename(hidden)
    (tmp_path / "objects" / "jwcal").mkdir(parents=True)
    async with a_process(tmp_path, CRDS_PATH=str(cache)) as (_, channel, _metrics):
        await wait_until_ready(channel, "", seconds=30)  # alive
        with pytest.raises(DeadlineExceeded):
            await wait_until_ready(channel, SERVICE, seconds=2)
        shutil.rmtree(cache, ignore_errors=True)  # the library may have made folders of its own
        hidden.rename(cache)
        await becomes(channel, health_pb2.HealthCheckResponse.SERVING)
        (tmp_path / "objects" / "jwcal").rename(tmp_path / "objects" / "elsewhere")
        await becomes(channel, health_pb2.HealthCheckResponse.NOT_SERVING)


@in_event_loop
async def test_it_finishes_what_it_was_asked_before_it_ends(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "objects" / "jwcal").mkdir(parents=True)
    with serving(cache) as server:
        settings = {"CRDS_PATH": str(tmp_path / "own"), "SERVER_URL": server.url, "DEFAULT_CONTEXT": CONTEXT}
        async with a_process(tmp_path, **settings) as (process, channel, _metrics):
            await wait_until_ready(channel, SERVICE, seconds=30)
            watch = health_pb2_grpc.HealthStub(channel).Watch(
                health_pb2.HealthCheckRequest(service=SERVICE), timeout=50
            )
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            server.gate.clear()
            call = asyncio.ensure_future(ReferenceServiceStub(channel).GetBestReferences(ASKING))
            while GAIN not in server.downloads:
                await asyncio.sleep(0.01)  # the server runs in threads: it tells no loop
            process.send_signal(signal.SIGTERM)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            server.gate.set()
            assert (await call).references[0].object.size == in_cache(cache, GAIN).stat().st_size
            assert await process.wait() == 0
    assert list((tmp_path / "scratch").iterdir()) == []


@in_event_loop
async def test_it_counts_what_it_brings(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "objects" / "jwcal").mkdir(parents=True)
    async with a_process(tmp_path, CRDS_PATH=str(cache)) as (_, channel, metrics):
        await wait_until_ready(channel, SERVICE, seconds=30)
        for _ in range(3):
            await ReferenceServiceStub(channel).GetBestReferences(ASKING)

        def shown() -> list[str]:
            with urlopen(f"http://127.0.0.1:{metrics}/metrics") as answer:
                return answer.read().decode().splitlines()

        lines = await asyncio.to_thread(shown)
        assert 'jwcal_reference_cache_total{result="miss"} 1.0' in lines
        assert 'jwcal_reference_cache_total{result="hit"} 2.0' in lines
        assert 'jwcal_reference_downloads_total{result="done"} 1.0' in lines
        assert f'jwcal_reference_bytes_total{{source="cache"}} {float(in_cache(cache, GAIN).stat().st_size)}' in lines
