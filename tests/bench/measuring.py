"""Measurements: made in fresh processes, kept as JSON with what they depend on."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from tests.parity import oracle

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".work" / "bench"
OFFICIAL_VERSION = "3.0.0"
OURS = (sys.executable, str(Path(__file__).with_name("ours_run.py")))
FLOOR = (sys.executable, str(Path(__file__).with_name("floor_run.py")))
OFFICIAL = (str(oracle.PYTHON), str(ROOT / "tests" / "parity" / "official_run.py"))
FORM = 1
"""Of the results as they are kept: those of another form are measured anew."""
CONTEXT = "jwst_0001.pmap"
"""Code defaults: no ``pars-*`` references."""

Result = dict[str, Any]


def digest(what: Any) -> str:
    """A short name for anything JSON can hold."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:12]


@cache
def source_digest(*folders: str) -> str:
    """A short name for the source below these folders."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / folder / "src").rglob("*.py")):
            total.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return total.hexdigest()[:12]


@cache
def conditions() -> dict[str, Any]:
    """What every measurement depends on: code, official package, machine."""
    return {
        "jwcal": source_digest("shared/core", "shared/observatory", "services/detector1"),
        "official": OFFICIAL_VERSION,
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "numba": version("numba"),
        "numpy": version("numpy"),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@dataclass(frozen=True)
class Stored:
    """A result that is kept."""

    result: Result
    conditions: dict[str, Any]
    current: bool
    """Whether it was made under the present conditions, and as it would be made now."""

    @property
    def mark(self) -> str:
        """A dagger where it was not."""
        return "" if self.current else " †"


class Store:
    """One JSON file a measurement, by name, in ``.work/bench/results``."""

    def __init__(self, *, again: bool = False, only: Sequence[str] = (), only_read: bool = False) -> None:
        self._again, self._only, self._only_read = again, [word.lower() for word in only], only_read
        self.failed: list[str] = []

    def _path(self, name: str) -> Path:
        slug = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        return WORK / "results" / f"{slug}.json"

    def find(self, name: str, what: Any) -> Stored | None:
        """What is kept under this name, made now or earlier."""
        path = self._path(name)
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        if kept.get("form") != FORM:
            return None
        current = kept["what"] == digest(what) and kept["conditions"] == conditions()
        return Stored(kept["result"], kept["conditions"], current)

    def measure(self, name: str, what: Any, make: Callable[[], Result]) -> None:
        """Make and keep a result, unless a current one is there; a failure is told and does not stop the others."""
        if self._only_read or (self._only and not any(word in name.lower() for word in self._only)):
            return
        kept = self.find(name, what)
        if kept is not None and kept.current and not self._again:
            print(f"{name}: kept", flush=True)
            return
        begin = time.perf_counter()
        try:
            result = make()
        except Exception as error:  # the next measurement shall have its turn
            self.failed.append(name)
            print(f"{name}: failed: {error}", file=sys.stderr, flush=True)
            return
        self.keep(name, what, result)
        print(f"{name}: measured in {time.perf_counter() - begin:.0f} s", flush=True)

    def keep(self, name: str, what: Any, result: Result) -> None:
        """Keep a result that was made now."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = json.dumps({"form": FORM, "what": digest(what), "conditions": conditions(), "result": result}, indent=1)
        staging = path.with_suffix(".part")
        staging.write_text(whole)
        staging.replace(path)


def a_job(uncal: Path, out: Path, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """One pass over an exposure, as both runners take it."""
    out.mkdir(parents=True, exist_ok=True)
    return {
        "pipeline": "Detector1Pipeline",
        "input": str(uncal),
        "output_dir": str(out),
        "parameters": {step: dict(values) for step, values in parameters.items()},
        "save_steps": False,
    } | more


_LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(usage.ru_maxrss)
sys.exit(process.returncode)
"""
"""Runs a command and prints its peak resident set in KiB.

The kernel counts that of the process that starts the command as well, so a small one must do it.
"""


def command_peak(uncal: Path, out: Path, parameters: Mapping[str, Mapping[str, Any]], crds: Path) -> float:
    """Peak resident set of ``jwcal run`` on one exposure, MiB."""
    settings = [f"{step}.{name}={value}" for step, values in parameters.items() for name, value in values.items()]
    options = [part for setting in settings for part in ("--set", setting)]
    command = [str(Path(sys.executable).with_name("jwcal")), "run", "detector1", str(uncal), "-o", str(out), "-q"]
    process = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *command, *options],
        env=oracle.crds_environment(crds, CONTEXT),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"jwcal run ended with status {process.returncode}: {process.stderr[-2000:]}")
    return int(process.stdout) / 1024


def passes(runner: Sequence[str], jobs: Sequence[Mapping[str, Any]], crds: Path, context: str = CONTEXT) -> Result:
    """Run the jobs one after the other in one fresh process.

    ``fresh`` is the wall time of that process without all but the first job.  The others are the warm passes: ``warm``
    and ``cpu`` are medians over them, ``steps`` and ``timings`` those of the median pass; ``peak`` is the largest
    resident set of any pass, MiB.
    """
    spec = WORK / "spec" / f"{digest([*runner, *jobs])}.json"
    spec.parent.mkdir(parents=True, exist_ok=True)
    spec.write_text(json.dumps(jobs))
    begin = time.perf_counter()
    process = subprocess.run(
        [*runner, str(spec)],
        env=oracle.crds_environment(crds, context),
        cwd=spec.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - begin
    if process.returncode:
        raise RuntimeError(process.stderr[-2000:] or f"exit status {process.returncode}")
    report = json.loads(spec.with_suffix(".report.json").read_text())
    for entry in report:
        if entry["error"]:
            raise RuntimeError(entry["error"])
    warm = report[1:] or report
    typical = sorted(warm, key=lambda entry: entry["wall"])[(len(warm) - 1) // 2]
    return {
        "warm": median(entry["wall"] for entry in warm),
        "walls": [entry["wall"] for entry in warm],
        "cpu": median(entry["cpu"] for entry in warm),
        "fresh": wall - sum(entry["wall"] for entry in report[1:]),
        "peak": max(entry["peak_mib"] for entry in report),
        "steps": typical["steps"],
        "timings": typical.get("timings", {}),
    }
