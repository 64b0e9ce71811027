"""The services as real processes on loopback, for tests that kill them."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.pipeline.v1.pipeline_pb2_grpc import PipelineServiceStub
from jwcal.api.product.v1.product_pb2 import ProductRef
from jwcal.api.queue.v1.queue_pb2_grpc import QueueServiceStub
from jwcal.core.storage.convert import ref_to_proto
from jwcal.core.storage.opening import StoreSettings, open_store
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import ObjectRef
from tests.servers.ports import free_ports_with_grpc

ROOT = Path(__file__).parents[3]
BUCKET = "jwcal"
ENDED = (pipeline_pb2.STATE_SUCCEEDED, pipeline_pb2.STATE_FAILED, pipeline_pb2.STATE_CANCELLED)


class Process:
    """A service of ours; its log is kept in a file."""

    def __init__(self, module: str, place: Path, environment: dict[str, str]) -> None:
        self._command = [sys.executable, "-m", module]
        self.log = place / f"{module.rpartition('.')[2]}.log"
        self._environment = environment
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command, env=os.environ | self._environment, cwd=ROOT, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._popen is not None
        return self._popen.pid

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """Kill it at once."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.kill()
            await asyncio.to_thread(self._popen.wait)

    async def stop(self, seconds: float = 60) -> int:
        """Ask it to end, and wait; its exit status."""
        assert self._popen is not None
        if self._popen.poll() is None:
            self._popen.terminate()
        return await asyncio.to_thread(self._popen.wait, seconds)

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen is not None and self._popen.poll() is None


class Installation:
    """An orchestrator, an object store in a directory, and workers."""

    def __init__(self, place: Path, environment: dict[str, str], **orchestrator: str) -> None:
        self._place = place
        self._address = f"127.0.0.1:{free_ports_with_grpc(1)[0]}"
        self._environment = environment | {
            "JWCAL_STORE_KIND": "directory",
            "JWCAL_STORE_ROOT": str(place / "objects"),
            "PYTHONPATH": str(ROOT),
        }
        (place / "orchestrator").mkdir(parents=True)
        self.orchestrator = Process(
            "jwcal.orchestrator",
            place / "orchestrator",
            self._environment
            | {
                "JWCAL_ORCHESTRATOR_SERVER__LISTEN": f'["{self._address}"]',
                "JWCAL_ORCHESTRATOR_SERVER__PLAINTEXT": "true",
                "JWCAL_ORCHESTRATOR_DATABASE": f"sqlite:///{place}/jobs.db",
            }
            | {f"JWCAL_ORCHESTRATOR_{name.upper()}": value for name, value in orchestrator.items()},
        )
        self.workers: list[Process] = []
        self.store: ObjectStore = open_store(StoreSettings(kind="directory", root=place / "objects"))
        self._channel: grpc.aio.Channel | None = None

    def worker(self, module: str = "jwcal.detector1", **settings: str) -> Process:
        """Another worker, started."""
        place = self._place / f"worker-{len(self.workers)}"
        place.mkdir()
        environment = self._environment | {
            "JWCAL_WORKER_NAME": place.name,
            "JWCAL_ORCHESTRATOR": self._address,
            "JWCAL_SERVER__PLAINTEXT": "true",
            "JWCAL_CLIENT__PLAINTEXT": "true",
            "JWCAL_SCRATCH": str(place / "scratch"),
        }
        process = Process(
            module, place, environment | {f"JWCAL_{name.upper()}": value for name, value in settings.items()}
        )
        process.start()
        self.workers.append(process)
        return process

    async def open(self) -> None:
        """Start the orchestrator and wait until it answers."""
        await self.store.make_bucket(BUCKET)
        self.orchestrator.start()
        self._channel = grpc.aio.insecure_channel(self._address)
        await asyncio.wait_for(self._channel.channel_ready(), 60)

    async def close(self) -> None:
        """Kill everything."""
        for process in (*self.workers, self.orchestrator):
            await process.kill()
        if self._channel is not None:
            await self._channel.close()
        await self.store.close()

    @property
    def pipeline(self) -> Any:
        """Stub of PipelineService."""
        return PipelineServiceStub(self._channel)  # type: ignore[arg-type]

    @property
    def queue(self) -> Any:
        """Stub of QueueService."""
        return QueueServiceStub(self._channel)  # type: ignore[arg-type]

    async def upload(self, *files: Path) -> list[ProductRef]:
        """Put raw exposures into the store."""
        refs = [await self.store.put_file(file, ObjectRef(BUCKET, f"raw/{file.name}", kind="uncal")) for file in files]
        return [ref_to_proto(ref) for ref in refs]

    async def submit(self, files: Sequence[ProductRef], **spec: Any) -> pipeline_pb2.Run:
        """Submit exposures."""
        request = pipeline_pb2.CreateRunRequest(
            spec=pipeline_pb2.RunSpec(exposures=pipeline_pb2.Exposures(files=files), **spec),
            request_id=str(uuid.uuid4()),
        )
        return (await self.pipeline.CreateRun(request)).run  # type: ignore[no-any-return]

    async def jobs(self, run: str) -> list[pipeline_pb2.Job]:
        """Jobs of a run."""
        return list((await self.pipeline.ListJobs(pipeline_pb2.ListJobsRequest(run=run, page_size=1000))).jobs)

    async def ended(self, run: str, seconds: float = 100) -> pipeline_pb2.Run:
        """The run when it has ended, by the stream of its changes."""

        async def follow() -> pipeline_pb2.Run:
            cursor = 0
            while True:
                try:
                    async for change in self.pipeline.WatchRun(pipeline_pb2.WatchRunRequest(name=run, cursor=cursor)):
                        cursor = change.cursor
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    await asyncio.sleep(0.2)
                    continue
                found: pipeline_pb2.Run = (await self.pipeline.GetRun(pipeline_pb2.GetRunRequest(name=run))).run
                if found.state in ENDED:
                    return found

        return await asyncio.wait_for(follow(), seconds)


@asynccontextmanager
async def an_installation(place: Path, environment: dict[str, str], **orchestrator: str) -> AsyncIterator[Installation]:
    """One that is running, killed at the end."""
    installation = Installation(place, environment, **orchestrator)
    await installation.open()
    try:
        yield installation
    finally:
        await installation.close()
