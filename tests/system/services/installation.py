"""The services as real processes on loopback, for tests that kill them."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
from pydantic import SecretStr

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.pipeline.v1.pipeline_pb2_grpc import PipelineServiceStub
from jwcal.api.product.v1.product_pb2 import ProductRef
from jwcal.api.queue.v1.queue_pb2_grpc import QueueServiceStub
from jwcal.core.storage.convert import ref_to_proto
from jwcal.core.storage.opening import StoreSettings, open_store
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import ObjectRef
from tests.servers.ports import free_ports_with_grpc
from tests.servers.seaweedfs import SeaweedServer

ROOT = Path(__file__).parents[3]
BUCKET = "jwcal"
ENDED = (pipeline_pb2.STATE_SUCCEEDED, pipeline_pb2.STATE_FAILED, pipeline_pb2.STATE_CANCELLED)


class Process:
    """A service of ours; its log is kept in a file."""

    def __init__(self, module: str, place: Path, environment: Mapping[str, str], *, within: Sequence[str] = ()) -> None:
        self._command = [*within, sys.executable, "-m", module]
        self.log = place / f"{module.rpartition('.')[2]}.log"
        self._environment = dict(environment)
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

    async def logged(self, text: str, seconds: float = 100) -> None:
        """Until its log has this text."""
        async with asyncio.timeout(seconds):
            while text not in self.log.read_text():
                await asyncio.sleep(0.05)

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen is not None and self._popen.poll() is None


class Installation:
    """Orchestrators over one database, an object store, and workers."""

    def __init__(
        self,
        place: Path,
        environment: Mapping[str, str],
        *,
        server: SeaweedServer | None = None,
        database: str = "",
        orchestrators: int = 1,
        **orchestrator: str,
    ) -> None:
        """The store is the S3 server, where there is one, else a directory; the database PostgreSQL's, else a file."""
        self._place = place
        self._addresses = [f"127.0.0.1:{port}" for port in free_ports_with_grpc(orchestrators)]
        self.store_settings = _store(place, server)
        self._environment = dict(environment) | _as_environment(self.store_settings) | {"PYTHONPATH": str(ROOT)}
        self.orchestrators = []
        for number, address in enumerate(self._addresses):
            folder = place / f"orchestrator-{number}"
            folder.mkdir(parents=True)
            settings = {
                "server__listen": f'["{address}"]',
                "server__plaintext": "true",
                "database": database or f"sqlite:///{place}/jobs.db",
            } | orchestrator
            own = {f"JWCAL_ORCHESTRATOR_{name.upper()}": value for name, value in settings.items()}
            self.orchestrators.append(Process("jwcal.orchestrator", folder, self._environment | own))
        self.workers: list[Process] = []
        self.store: ObjectStore = open_store(self.store_settings)
        self._channels: list[grpc.aio.Channel] = []

    @property
    def orchestrator(self) -> Process:
        """The first one."""
        return self.orchestrators[0]

    def worker(
        self, module: str = "jwcal.detector1", *, orchestrator: int = 0, within: Sequence[str] = (), **settings: str
    ) -> Process:
        """Another worker, started; `within` is a command that runs it."""
        place = self._place / f"worker-{len(self.workers)}"
        place.mkdir()
        own = {
            "worker_name": place.name,
            "orchestrator": self._addresses[orchestrator],
            "server__plaintext": "true",
            "client__plaintext": "true",
            "scratch": str(place / "scratch"),
        } | settings
        environment = self._environment | {f"JWCAL_{name.upper()}": value for name, value in own.items()}
        process = Process(module, place, environment, within=within)
        process.start()
        self.workers.append(process)
        return process

    async def open(self) -> None:
        """Start the orchestrators and wait until they answer."""
        await self.store.make_bucket(BUCKET)
        for process, address in zip(self.orchestrators, self._addresses, strict=True):
            process.start()
            channel = grpc.aio.insecure_channel(address)
            self._channels.append(channel)
            await asyncio.wait_for(channel.channel_ready(), 60)

    async def close(self) -> None:
        """Kill everything."""
        for process in (*self.workers, *self.orchestrators):
            await process.kill()
        for channel in self._channels:
            await channel.close()
        await self.store.close()

    @property
    def pipeline(self) -> Any:
        """Stub of the first orchestrator's PipelineService."""
        return self.pipeline_of(0)

    def pipeline_of(self, orchestrator: int) -> Any:
        """Stub of an orchestrator's PipelineService."""
        return PipelineServiceStub(self._channels[orchestrator])  # type: ignore[arg-type]

    @property
    def queue(self) -> Any:
        """Stub of the first orchestrator's QueueService."""
        return QueueServiceStub(self._channels[0])  # type: ignore[arg-type]

    async def upload(self, *files: Path) -> list[ProductRef]:
        """Put raw exposures into the store."""
        refs = [await self.store.put_file(file, ObjectRef(BUCKET, f"raw/{file.name}", kind="uncal")) for file in files]
        return [ref_to_proto(ref) for ref in refs]

    async def submit(
        self, files: Sequence[ProductRef], *, orchestrator: int = 0, request_id: str = "", **spec: Any
    ) -> pipeline_pb2.Run:
        """Submit exposures."""
        request = pipeline_pb2.CreateRunRequest(
            spec=pipeline_pb2.RunSpec(exposures=pipeline_pb2.Exposures(files=files), **spec),
            request_id=request_id or str(uuid.uuid4()),
        )
        return (await self.pipeline_of(orchestrator).CreateRun(request)).run  # type: ignore[no-any-return]

    async def jobs(self, run: str) -> list[pipeline_pb2.Job]:
        """Jobs of a run."""
        request = pipeline_pb2.ListJobsRequest(run=run, page_size=1000)
        return list((await _patiently(lambda: self.pipeline.ListJobs(request))).jobs)

    async def until_computing(self, run: str, seconds: float = 100) -> None:
        """Until a step of one of the run's jobs is done and the job is not."""
        async with asyncio.timeout(seconds):
            while True:
                jobs = await self.jobs(run)
                if any(job.state == pipeline_pb2.STATE_RUNNING and job.progress.steps_done for job in jobs):
                    return
                assert not all(job.state in ENDED for job in jobs), "the jobs ended before they were seen at work"
                await asyncio.sleep(0.02)

    async def ended(self, run: str, seconds: float = 200) -> pipeline_pb2.Run:
        """The run when it has ended, by the stream of its changes, however often that breaks."""

        async def ask() -> Any:
            return await self.pipeline.GetRun(pipeline_pb2.GetRunRequest(name=run))

        async def follow() -> pipeline_pb2.Run:
            cursor = 0
            while True:
                with suppress_away():
                    async for change in self.pipeline.WatchRun(pipeline_pb2.WatchRunRequest(name=run, cursor=cursor)):
                        cursor = change.cursor
                found: pipeline_pb2.Run = (await _patiently(ask)).run
                if found.state in ENDED:
                    return found

        return await asyncio.wait_for(follow(), seconds)


@contextmanager
def suppress_away() -> Iterator[None]:
    """An orchestrator that is away is nothing to fail about here."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise


async def _patiently(call: Callable[[], Awaitable[Any]]) -> Any:
    """The answer, from an orchestrator that may be away for a while."""
    while True:
        with suppress_away():
            return await call()
        await asyncio.sleep(0.1)


@asynccontextmanager
async def an_installation(place: Path, environment: Mapping[str, str], **settings: Any) -> AsyncIterator[Installation]:
    """One that is running, killed at the end."""
    installation = Installation(place, environment, **settings)
    try:
        await installation.open()
        yield installation
    finally:
        await installation.close()


def _store(place: Path, server: SeaweedServer | None) -> StoreSettings:
    if server is None:
        return StoreSettings(kind="directory", root=place / "objects")
    return StoreSettings(
        kind="s3",
        endpoint=server.endpoint,
        secure=False,
        access_key=SecretStr(server.access_key),
        secret_key=SecretStr(server.secret_key),
    )


def _as_environment(store: StoreSettings) -> dict[str, str]:
    given = store.model_dump(exclude_unset=True)
    plain = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in given.items()}
    return {
        f"JWCAL_STORE_{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in plain.items()
    }
