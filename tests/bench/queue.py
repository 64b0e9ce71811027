"""The queue under load: ``python -m tests.bench.queue [--database sqlite|postgresql ...] [--jobs N] [--workers N]``.

An orchestrator as a process of its own on loopback; workers that do nothing but take and complete jobs; reads beside
them all the time; then the same again with watchers, one of which is slow.  Prints JSON, a line a measurement, and a
table of them all, which BENCHMARKS.md takes over.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import psutil

from jwcal.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from jwcal.core.storage.convert import ref_to_proto
from jwcal.core.storage.opening import StoreSettings, opened_store
from jwcal.core.storage.ref import ObjectRef
from tests.bench import page, queue_clients, services_page
from tests.bench.measuring import ROOT, Store
from tests.servers.ports import free_ports_with_grpc
from tests.servers.postgres import running_postgres

BUCKET = "jwcal"


@contextlib.asynccontextmanager
async def orchestrator(database: str, objects: Path) -> AsyncIterator[tuple[str, int]]:
    """A process that serves; its address and process id."""
    address = f"127.0.0.1:{free_ports_with_grpc(1)[0]}"
    settings = {
        "JWCAL_ORCHESTRATOR_SERVER__LISTEN": f'["{address}"]',
        "JWCAL_ORCHESTRATOR_SERVER__PLAINTEXT": "true",
        "JWCAL_ORCHESTRATOR_DATABASE": database,
        "JWCAL_STORE_KIND": "directory",
        "JWCAL_STORE_ROOT": str(objects),
    }
    with (objects.parent / "orchestrator.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jwcal.orchestrator", env=os.environ | settings, stderr=log
        )
    try:
        yield address, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def upload(objects: Path, first: int, number: int) -> list[Any]:
    """So many exposures, each with contents of its own, so that no job's result can be another's."""
    async with opened_store(StoreSettings(kind="directory", root=objects, durable=False)) as store:
        await store.make_bucket(BUCKET)
        made = []
        for which in range(first, first + number):
            name = f"raw/jw01234001001_02101_{which:05d}_nrcb1_uncal.fits"
            made.append(await store.put_bytes(str(which).encode(), ObjectRef(BUCKET, name, kind="uncal")))
    return [ref_to_proto(ref) for ref in made]


async def submit(channel: grpc.aio.Channel, files: Sequence[Any], times: queue_clients.Times, size: int) -> list[str]:
    """Runs of this many exposures; their names."""
    pipeline: Any = pipeline_pb2_grpc.PipelineServiceStub(channel)
    runs = []
    for first in range(0, len(files), size):
        exposures = pipeline_pb2.Exposures(files=files[first : first + size])
        request = pipeline_pb2.CreateRunRequest(
            spec=pipeline_pb2.RunSpec(exposures=exposures, program="01234"), request_id=str(uuid.uuid4())
        )
        runs.append((await times.of(pipeline.CreateRun, request)).run.name)
    return runs


@contextlib.asynccontextmanager
async def watching(address: str, runs: Sequence[str], watchers: int) -> AsyncIterator[Any]:
    """A process of watchers, all of whose streams have begun; gives a call that waits for what it tells in the end."""
    if not watchers:
        yield None
        return
    command = (sys.executable, "-m", "tests.bench.queue_clients", address, str(watchers), *runs)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"watching\n"

    async def told() -> dict[str, Any]:
        return json.loads(await process.stdout.read())  # type: ignore[no-any-return, union-attr]

    try:
        yield told
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


class Memory:
    """Resident memory of a process, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.first = self.most = self._now()

    def _now(self) -> float:
        return float(self._process.memory_info().rss) / 2**20

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self.most = max(self.most, self._now())
            await asyncio.sleep(0.2)


async def load(address: str, pid: int, objects: Path, asked: argparse.Namespace, *, watchers: int) -> dict[str, Any]:
    """Submit, work it all off, and tell how it went."""
    times = queue_clients.Times()
    files = await upload(objects, asked.jobs if watchers else 0, asked.jobs)
    async with grpc.aio.insecure_channel(address) as channel, grpc.aio.insecure_channel(address) as other:
        await channel.channel_ready()
        runs = await submit(channel, files, times, asked.run_size)
        memory = Memory(pid)
        began = time.perf_counter()
        async with watching(address, runs, watchers) as told:
            connected = time.perf_counter() - began
            beside = [
                asyncio.create_task(queue_clients.read(other, times, runs)),
                asyncio.create_task(memory.watch()),
            ]
            processor = psutil.Process(pid).cpu_times()
            began = time.perf_counter()
            done = await queue_clients.work(channel, times, workers=asked.workers)
            seconds, ended = time.perf_counter() - began, time.time()
            used = psutil.Process(pid).cpu_times()
            spent = used.user + used.system - processor.user - processor.system
            streams = await told() if told else None
            for task in beside:
                task.cancel()
        pipeline: Any = pipeline_pb2_grpc.PipelineServiceStub(channel)
        states = {(await pipeline.GetRun(pipeline_pb2.GetRunRequest(name=run))).run.state for run in runs}
    assert states == {pipeline_pb2.STATE_SUCCEEDED}, states
    assert done == asked.jobs, done
    answer: dict[str, Any] = {
        "jobs": asked.jobs,
        "run_size": asked.run_size,
        "workers": asked.workers,
        "watchers": watchers,
        "claims_per_second": round(done / seconds, 1),
        "server_cpu_ms_per_job": round(spent / done * 1e3, 2),
        "server_cpu_share": round(spent / seconds, 2),
        "memory_before_mib": round(memory.first),
        "memory_most_mib": round(memory.most),
        "calls": times.summary(),
    }
    if streams is not None:
        answer |= {
            "watchers_that_saw_the_end": streams["saw_the_end"],
            "messages_to_watchers": streams["messages"],
            "seconds_until_all_watched": round(connected, 1),
            "seconds_until_quick_watchers_saw_the_end": round(streams["quick_ended_at"] - ended, 1),
            "seconds_until_the_slow_one_did": round(streams["slow_ended_at"] - ended, 1),
        }
    return answer


async def measure(database: str, place: Path, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Without watchers, and with them, on one orchestrator."""
    found = []
    async with orchestrator(database, place / "objects") as (address, pid):
        for watchers in dict.fromkeys((0, asked.watchers)):
            answer = await load(address, pid, place / "objects", asked, watchers=watchers)
            found.append({"database": database.partition(":")[0].partition("+")[0], **answer})
            print(json.dumps(found[-1]), flush=True)
    return found


@contextlib.contextmanager
def a_database(kind: str, place: Path) -> Iterator[str]:
    """The address of a fresh one."""
    if kind == "sqlite":
        yield f"sqlite:///{place / 'jobs.db'}"
        return
    with running_postgres() as server:
        yield f"{server}/postgres"


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.queue", description=__doc__)
    parser.add_argument("--database", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--run-size", type=int, default=100, help="exposures of one run")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--watchers", type=int, default=500)
    asked = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    found: list[dict[str, Any]] = []
    for kind in asked.database:
        with tempfile.TemporaryDirectory() as folder, a_database(kind, Path(folder)) as address:
            found += asyncio.run(measure(address, Path(folder), asked))
    print("\n".join(services_page.queue_table(found)))
    if vars(asked) == vars(parser.parse_args([])):  # what the page is about
        store = Store(only_read=True)
        store.keep(services_page.QUEUE, None, {"measured": found})
        page.write(store, ROOT / "BENCHMARKS.md")


if __name__ == "__main__":
    main()
