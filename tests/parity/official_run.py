"""Run the official pipeline; executed by the interpreter of the official package's own environment.

usage: official_run.py SPEC.json     (a list of jobs; writes a report beside it)
       official_run.py --serve       (jobs on standard input, one a line; their reports on standard output)
"""

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

Job = dict[str, Any]


def peak_mib(*, reset: bool = False) -> float:
    """Peak resident set since the last reset, MiB."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def runner() -> Callable[[Job], dict[str, Any]]:
    """What runs a job and reports on it."""
    started = time.perf_counter()
    import jwst.pipeline  # the official package, only ever in this file
    from stpipe import Pipeline, Step

    imported = time.perf_counter() - started
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    steps: dict[str, float] = {}
    plain_run = Step.run

    def timed_run(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        if isinstance(self, Pipeline):
            return plain_run(self, *args, **kwargs)
        begin = time.perf_counter()
        try:
            return plain_run(self, *args, **kwargs)
        finally:
            steps[self.name] = steps.get(self.name, 0.0) + time.perf_counter() - begin

    Step.run = timed_run

    def run(job: Job) -> dict[str, Any]:
        steps.clear()
        peak_mib(reset=True)
        pipeline = getattr(jwst.pipeline, job["pipeline"])
        wanted = {name: dict(values) for name, values in job["parameters"].items()}
        own = wanted.pop("pipeline", {})
        for name, step in pipeline.step_defs.items():
            if job["save_steps"]:
                wanted.setdefault(name, {})["save_results"] = True
            for reftype, file in job.get("overrides", {}).items():
                if reftype in step.reference_file_types:
                    wanted.setdefault(name, {})[f"override_{reftype}"] = file
        os.chdir(job["output_dir"])  # some optional products go to the working directory
        cpu, begin, error = time.process_time(), time.perf_counter(), ""
        try:
            pipeline.call(job["input"], steps=wanted, output_dir=job["output_dir"], save_results=True, **own)
        except Exception as problem:  # reported to the caller, who decides
            error = f"{type(problem).__name__}: {problem}"
        return {
            "output_dir": job["output_dir"],
            "error": error,
            "wall": time.perf_counter() - begin,
            "cpu": time.process_time() - cpu,
            "peak_mib": peak_mib(),
            "import": imported,
            "steps": dict(steps),
        }

    return run


def serve() -> None:
    """Answer jobs until standard input ends; whatever the pipeline prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run = runner()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


def main() -> None:
    """Run every job of the list in this process."""
    spec_path = Path(sys.argv[1])
    jobs = json.loads(spec_path.read_text())
    run = runner()
    report = []
    for job in jobs:
        for product in Path(job["output_dir"]).glob("*.fits"):
            product.unlink()  # every pass writes new files
        report.append(run(job))
        spec_path.with_suffix(".report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["--serve"] else main()
