"""An orchestrator as its ``__main__`` puts it together, in this process, with a store in a directory; and a worker."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from jwcal.api.queue.v1 import queue_pb2
from jwcal.api.queue.v1.queue_pb2_grpc import QueueServiceStub
from jwcal.api.stage.v1 import stage_pb2
from jwcal.client import AsyncClient, Connection
from jwcal.client.local.readiness import serving
from jwcal.core.rpc.settings import ClientSettings, ServerSettings
from jwcal.core.storage.convert import ref_from_proto, ref_to_proto
from jwcal.core.storage.opening import StoreSettings, open_store
from jwcal.core.storage.ref import Location
from jwcal.orchestrator.__main__ import serve
from jwcal.orchestrator.settings import Settings
from tests.servers.ports import free_ports_with_grpc

BUCKET = "jwcal"
SERVICE = "jwcal.api.pipeline.v1.PipelineService"


@dataclass
class Orchestration:
    """An orchestrator that can be stopped and started again at its address."""

    place: Path
    address: str = field(default_factory=lambda: f"127.0.0.1:{free_ports_with_grpc(1)[0]}")
    _serving: "asyncio.Task[None] | None" = None

    @property
    def store(self) -> StoreSettings:
        """Where products are."""
        return StoreSettings(kind="directory", root=self.place / "objects")

    @property
    def connection(self) -> Connection:
        """How clients reach it."""
        return Connection(server=self.address, client=ClientSettings(plaintext=True), store=self.store)

    async def start(self) -> None:
        """Serve, ready when this returns."""
        settings = Settings(
            server=ServerSettings(listen=(self.address,), plaintext=True),
            objects=self.store,
            database=f"sqlite:///{self.place}/jobs.db",
        )
        self._serving = asyncio.create_task(serve(settings))
        ready = asyncio.create_task(serving(self.address, SERVICE))
        await asyncio.wait((self._serving, ready), return_when=asyncio.FIRST_COMPLETED)
        assert not self._serving.done(), self._serving.exception()
        await ready

    async def stop(self) -> None:
        """Serve no more."""
        assert self._serving is not None
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving


@dataclass(frozen=True)
class AWorker:
    """Takes jobs and makes of each input a product that says where it comes from."""

    orchestration: Orchestration
    queue: Any

    async def lease(self) -> queue_pb2.Lease:
        """Take a job that is there."""
        request = queue_pb2.LeaseJobRequest(
            worker="a-worker", stage=stage_pb2.STAGE_DETECTOR1, request_id=str(uuid.uuid4())
        )
        request.wait.FromSeconds(20)
        answer = await self.queue.LeaseJob(request)
        assert answer.HasField("lease")
        return answer.lease

    async def report(self, lease: queue_pb2.Lease, fraction: float) -> None:
        """Say how far it is."""
        progress = stage_pb2.Progress(phase="jump", fraction=fraction, steps_done=3, steps_total=15)
        await self.queue.ExtendLease(
            queue_pb2.ExtendLeaseRequest(job=lease.job.name, token=lease.token, progress=progress)
        )

    async def complete(self, lease: queue_pb2.Lease, kinds: tuple[str, ...] = ("rate",)) -> None:
        """Store its products and end the job."""
        store = open_store(self.orchestration.store)
        place = Location(lease.output.bucket, lease.output.prefix)
        (given,) = (ref_from_proto(message) for message in lease.inputs)
        made = [
            await store.put_bytes(
                f"{kind} of {given.name}".encode(), place.object(f"{lease.job.title}_{kind}.fits", kind=kind)
            )
            for kind in kinds
        ]
        log = await store.put_bytes(b"all went well\n", place.object("job.log", kind="log"))
        result = stage_pb2.Result(
            products=[ref_to_proto(ref) for ref in made],
            steps=[
                stage_pb2.StepReport(step="jump", outcome=stage_pb2.STEP_OUTCOME_COMPLETE, seconds=0.5),
                stage_pb2.StepReport(step="persistence", outcome=stage_pb2.STEP_OUTCOME_SKIPPED, reason="by default"),
            ],
            plan="NEAR_INFRARED",
            log=ref_to_proto(log),
        )
        await store.close()
        await self.queue.CompleteJob(queue_pb2.CompleteJobRequest(job=lease.job.name, token=lease.token, result=result))

    async def fail(self, lease: queue_pb2.Lease) -> None:
        """End the job for good."""
        failure = stage_pb2.Failure(reason="INVALID_DATA", message="the pixels are upside down")
        await self.queue.FailJob(queue_pb2.FailJobRequest(job=lease.job.name, token=lease.token, failure=failure))


@contextlib.asynccontextmanager
async def orchestrated(place: Path, **options: Any) -> AsyncIterator[tuple[Orchestration, AsyncClient, AWorker]]:
    """A running orchestrator, a client of it, and a worker."""
    orchestration = Orchestration(place)
    store = open_store(orchestration.store)
    await store.make_bucket(BUCKET)
    await store.close()
    await orchestration.start()
    try:
        async with (
            AsyncClient(orchestration.connection, **options) as client,
            grpc.aio.insecure_channel(orchestration.address) as channel,
        ):
            yield orchestration, client, AWorker(orchestration, QueueServiceStub(channel))
    finally:
        await orchestration.stop()


def an_exposure(place: Path, number: int = 1) -> Path:
    """A file with the name of one."""
    path = place / f"jw09999002001_02101_{number:05d}_nrcb1_uncal.fits"
    path.write_bytes(f"exposure {number}".encode() * 1000)
    return path
