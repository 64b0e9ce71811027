"""The reference service as a real process beside an installation, and workers that have nothing else."""

import asyncio
from pathlib import Path

from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.readiness import wait_until_ready
from jwcal.core.rpc.settings import ClientSettings
from tests.servers.ports import free_ports_with_grpc

from .installation import ROOT, Installation, Process

SERVICE = "jwcal.api.reference.v1.ReferenceService"


class ReferenceService:
    """A process that serves an offline cache, over the store of an installation."""

    def __init__(self, place: Path, crds: Path) -> None:
        place.mkdir(parents=True)
        self.address = f"127.0.0.1:{free_ports_with_grpc(1)[0]}"
        environment = {
            "JWCAL_CRDS_CACHE_SERVER__LISTEN": f'["{self.address}"]',
            "JWCAL_CRDS_CACHE_SERVER__PLAINTEXT": "true",
            "JWCAL_CRDS_CACHE_CRDS_PATH": str(crds),
            "JWCAL_CRDS_CACHE_SCRATCH": str(place / "scratch"),
            "JWCAL_STORE_KIND": "directory",
            "JWCAL_STORE_ROOT": str(place.parent / "objects"),
            "PYTHONPATH": str(ROOT),
        }
        self.process = Process("jwcal.crds_cache", place, environment)

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process.start()
        async with open_channel(self.address, ClientSettings(plaintext=True)) as channel:
            await wait_until_ready(channel, SERVICE, seconds=60)


def a_worker(services: Installation, references: ReferenceService, **settings: str) -> Process:
    """A worker that takes its references from the service."""
    place = Path(references.process.log).parent
    node = {"references": references.address, "reference_cache": str(place / "node")}
    return services.worker(**(node | settings))


async def logged(process: Process, text: str, seconds: float = 300) -> None:
    """Wait until a process has written this to its log."""
    async with asyncio.timeout(seconds):
        while text not in process.log.read_text():
            assert process.running()
            await asyncio.sleep(0.05)
