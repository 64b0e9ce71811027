"""The services against the same work in one process: ``python -m tests.bench.services [--exposures N] [--rounds N]``.

Overhead: wall time of a run of N exposures through orchestrator, object store and one worker, from submission to the
end, against N exposures one after the other in a process that is as warm; both read N files and keep what they make.
Busy: the share of that time in which the compute process was at work; with prefetch it waits for nothing.  Cold start:
from the start of a worker's process until it is ready.  Prints a table and writes it into BENCHMARKS.md.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.core.storage.convert import ref_to_proto
from jwcal.core.storage.ref import ObjectRef
from tests.servers.seaweedfs import seaweedfs
from tests.system.services.installation import BUCKET, Installation, an_installation

from . import page, services_page
from .exposures import Exposure, Files, provide
from .measuring import CONTEXT, ROOT, Store

EXPOSURES = (Exposure("NIRCam, full frame", "nircam-sw"), Exposure("NIRCam, SUB320", "nircam-sw-sub"))
WAYS = (("directory", 2), ("s3", 1), ("s3", 2))
"""Object store, and jobs that the worker holds until they are computed: with one there is no prefetch."""
IN_PROCESS = """
import json, shutil, sys, time
from pathlib import Path
from jwcal.detector1 import run
from jwcal.detector1.warm_up import warm_up
warm_up()
file, out, context, times, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
files = [Path(out, str(number), Path(file).name) for number in range(times)]
for one in files:
    one.parent.mkdir(parents=True)
    shutil.copyfile(file, one)
run(file, output_dir=out + "/first", context=context)
for attempt in range(rounds):
    begun = time.perf_counter()
    for number, one in enumerate(files):
        run(one, output_dir=f"{out}/{number}/{attempt}", context=context)
    print(json.dumps(time.perf_counter() - begun), flush=True)
"""


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jwcal-bench-") as name:
        place = Path(name)
        report: dict[str, Any] = {
            "exposures": options.exposures,
        }
        report["overhead"] = [
            _overhead(exposure, place / str(number), options.exposures, options.rounds)
            for number, exposure in enumerate(EXPOSURES)
        ]
        report["cold_start"] = asyncio.run(_cold_starts(place / "cold"))
    print("\n".join(services_page.services_table(report)))
    store = Store(only_read=True)
    store.keep(services_page.SERVICES, None, report)
    page.write(store, ROOT / "BENCHMARKS.md")


def _overhead(exposure: Exposure, place: Path, times: int, rounds: int) -> dict[str, Any]:
    files = provide(exposure)
    place.mkdir()
    bare = _in_process(files, place, times, rounds)
    ways = []
    for store, leases in WAYS:
        with ExitStack() as stack:
            server = stack.enter_context(seaweedfs(place / f"s3-{leases}")) if store == "s3" else None
            before = _processor_seconds(server)
            through = asyncio.run(_through_services(files, place / f"{store}-{leases}", times, rounds, leases, server))
            through["server"] = (_processor_seconds(server) - before) / (rounds + 1 / times)
        ways.append({"adapter": store, "leases": leases, "overhead": through["wall"] / bare - 1} | through)
        print(exposure.name, store, leases, json.dumps(through), f"in one process {bare:.2f} s", file=sys.stderr)
    megabytes = files.uncal.stat().st_size / 1e6
    return {"exposure": exposure.name, "megabytes": megabytes, "process": bare, "ways": ways}


def _in_process(files: Files, place: Path, times: int, rounds: int) -> float:
    """Seconds for all exposures, the median of the rounds."""
    command = [
        sys.executable,
        "-c",
        IN_PROCESS,
        str(files.uncal),
        str(place / "bare"),
        CONTEXT,
        str(times),
        str(rounds),
    ]
    done = subprocess.run(command, env=os.environ | _references(files), check=True, capture_output=True, text=True)
    return median(map(float, done.stdout.split()))


def _processor_seconds(server: Any) -> float:
    """Of the S3 server so far; 0 where there is none."""
    return sum(psutil.Process(server.pid).cpu_times()[:2]) if server else 0.0


async def _through_services(
    files: Files, place: Path, times: int, rounds: int, leases: int, server: Any
) -> dict[str, float]:
    """Median wall seconds of a run over all exposures, the share in which something computed, and where it went."""
    async with an_installation(place, _references(files), server=server, context=CONTEXT) as services:
        services.worker(leases=str(leases))
        inputs = [
            await services.store.put_file(
                files.uncal, ObjectRef(BUCKET, f"raw/{number}/{files.uncal.name}", kind="uncal")
            )
            for number in range(times)
        ]
        messages = [ref_to_proto(ref) for ref in inputs]
        await _timed_run(services, messages[:1])  # from here on the references are decoded
        measured = [await _timed_run(services, messages) for _ in range(rounds)]
    return {name: median(one[name] for one in measured) for name in measured[0]}


async def _timed_run(services: Installation, files: list[Any]) -> dict[str, float]:
    begun = time.perf_counter()
    run = await services.submit(files, context=CONTEXT, ignore_earlier_results=True)
    ended = await services.ended(run.name, seconds=600)
    wall = time.perf_counter() - begun
    assert ended.state == pipeline_pb2.STATE_SUCCEEDED, ended
    jobs = await services.jobs(run.name)
    phases = {name: sum(job.result.seconds[name] for job in jobs) for name in ("fetch", "compute", "steps", "store")}
    return {"wall": wall, "busy": phases["compute"] / wall} | phases


async def _cold_starts(place: Path) -> dict[str, float]:
    """Seconds until a worker is ready, with the compiled kernels on disk and without."""
    files = provide(EXPOSURES[1])
    place.mkdir()
    found = {}
    for name, cache in (("without", place / "kernels"), ("with", place / "kernels")):  # the first fills it
        async with an_installation(place / name, _references(files) | {"NUMBA_CACHE_DIR": str(cache)}) as services:
            begun = time.perf_counter()
            await services.worker().logged('"ready"', seconds=400)
            found[name] = time.perf_counter() - begun
    return found


def _references(files: Files) -> Mapping[str, str]:
    return {"CRDS_PATH": str(files.crds), "CRDS_MODE": "local", "CRDS_READONLY_CACHE": "1"}


if __name__ == "__main__":
    main()
