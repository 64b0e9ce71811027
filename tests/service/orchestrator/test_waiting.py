"""Workers that wait for a job: who is given one, and how often they look."""

import asyncio
from pathlib import Path

from jwcal.api.queue.v1 import queue_pb2
from jwcal.api.stage.v1 import stage_pb2
from tests.service.event_loop import in_event_loop
from tests.service.orchestrator.server import serving

GIB = 2**30
NEEDS = {"detector1": stage_pb2.Processing(required_memory=8 * GIB)}


@in_event_loop
async def test_a_waiting_worker_with_memory_enough_gets_the_job_and_the_other_waits_on(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        small = asyncio.create_task(served.lease("small", wait=20, memory=4 * GIB))
        large = asyncio.create_task(served.lease("large", wait=20, memory=16 * GIB))
        while len((await served.queue.ListWorkers(queue_pb2.ListWorkersRequest())).workers) < 2:
            await asyncio.sleep(0)
        await served.submit("a", processing=NEEDS)
        assert (await large).lease.job.title == "a"
        await served.submit("b")
        assert (await small).lease.job.title == "b"


@in_event_loop
async def test_a_worker_for_whom_no_job_is_does_not_look_at_every_change(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        await served.submit("large", processing=NEEDS)
        looks = 0
        lease = served.store.lease

        async def counted(demand: object) -> object:
            nonlocal looks
            looks += 1
            return await lease(demand)

        served.store.lease = counted
        waiting = asyncio.create_task(served.lease("small", wait=2, memory=GIB))
        while not waiting.done():
            served.orchestrator.signal.changed()
            await asyncio.sleep(0.005)
        assert not (await waiting).HasField("lease")
        assert looks <= 10  # 0, 0, 20, 40 ms and so on behind each other, and the last one
