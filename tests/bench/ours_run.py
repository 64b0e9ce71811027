"""Run jwcal on a list of jobs in one process and report time and memory; the counterpart of the official runner.

usage: ours_run.py SPEC.json
"""

import json
import sys
import time
from pathlib import Path


def peak_mib(*, reset: bool = False) -> float:
    """Peak resident set since the last reset, MiB."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> None:
    """Run every job of the list in this process."""
    spec_path = Path(sys.argv[1])
    jobs = json.loads(spec_path.read_text())
    started = time.perf_counter()
    from jwcal.detector1 import run

    imported = time.perf_counter() - started
    report = []
    for job in jobs:
        for product in Path(job["output_dir"]).glob("*.fits"):
            product.unlink()  # every pass writes new files
        peak_mib(reset=True)
        cpu, begin = time.process_time(), time.perf_counter()
        result = run(
            job["input"],
            output_dir=job["output_dir"],
            parameters=job["parameters"],
            threads=job.get("threads"),
            memory_limit=job.get("memory_limit"),
        )
        report.append(
            {
                "error": "",
                "wall": time.perf_counter() - begin,
                "cpu": time.process_time() - cpu,
                "peak_mib": peak_mib(),
                "import": imported,
                "steps": {r.name: r.seconds for r in result.steps},
                "timings": result.timings,
            }
        )
        spec_path.with_suffix(".report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
