"""The official package as oracle: find its environment, run it, keep its products."""

import atexit
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-official" / "bin" / "python"
WORK = ROOT / ".work" / "parity"
RUNNER = Path(__file__).with_name("official_run.py")
MISSING = "the official package is not installed: run 'make official' to compare with it"


def available() -> bool:
    """Whether the official package can be run."""
    return PYTHON.exists()


def crds_environment(crds: Path, context: str) -> dict[str, str]:
    """Environment variables that keep CRDS offline on the cache `crds`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRDS_", "PYTHON"))}
    return kept | {
        "CRDS_PATH": str(crds),
        "CRDS_CONTEXT": context,
        "CRDS_SERVER_URL": "https://crds-serverless-mode.stsci.edu",
        "CRDS_MODE": "local",
        "CRDS_READONLY_CACHE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


class OfficialError(RuntimeError):
    """The official pipeline raised an error."""


class Worker:
    """A process with the official package that takes jobs one after the other, for one CRDS cache and context."""

    def __init__(self, crds: Path, context: str) -> None:
        WORK.mkdir(parents=True, exist_ok=True)
        self._log = WORK / f"official-{context.split('.')[0]}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [str(PYTHON), str(RUNNER), "--serve"],
                env=crds_environment(crds, context),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        self._reports: dict[str, dict[str, Any]] = {}
        atexit.register(self._process.kill)

    @property
    def lives(self) -> bool:
        """Whether it can take another job."""
        return self._process.poll() is None

    def start(self, job: Mapping[str, Any]) -> Callable[[], dict[str, Any]]:
        """Give it a job; what is returned waits for the report."""
        assert self._process.stdin is not None and self._process.stdout is not None
        answers = self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")

        def report() -> dict[str, Any]:
            while job["output_dir"] not in self._reports:
                line = answers.readline()
                if not line:
                    raise RuntimeError(f"the official process ended:\n{self._log.read_text()[-2000:]}")
                found = json.loads(line)
                self._reports[found["output_dir"]] = found
            return self._reports.pop(job["output_dir"])

        return report


@cache
def _worker(crds: Path, context: str, number: int) -> Worker:
    del number
    return Worker(crds, context)


def worker(crds: Path, context: str) -> Worker:
    """The living process for a cache and context."""
    number = 0
    while not (found := _worker(crds, context, number)).lives:
        number += 1
    return found


def start_official(
    uncal: Path,
    crds: Path,
    *,
    context: str,
    parameters: Mapping[str, Mapping[str, Any]],
    pipeline: str,
    overrides: Mapping[str, str] | None = None,
    save_steps: bool = True,
) -> Callable[[], Path]:
    """Start the official run of `uncal`; what is returned waits for the directory with its products.

    Products are made once and kept under ``.work``.  Waiting raises OfficialError where the pipeline did.
    """
    if pipeline == "DarkPipeline":  # the archive's suffix; the official default is the name of the class
        parameters = {**parameters, "pipeline": {"suffix": "dark", **parameters.get("pipeline", {})}}
    asked = [str(uncal), uncal.stat().st_mtime_ns, str(crds), context, parameters, pipeline, overrides, save_steps]
    key = json.dumps(asked, sort_keys=True)
    out = WORK / "official" / hashlib.sha256(key.encode()).hexdigest()[:16]
    done = out / "report.json"

    def known() -> Path:
        error = json.loads(done.read_text())["error"]
        if error:
            raise OfficialError(error)
        return out

    if done.exists():
        return known
    out.mkdir(parents=True, exist_ok=True)
    job = {
        "pipeline": pipeline,
        "input": str(uncal),
        "output_dir": str(out),
        "parameters": parameters,
        "overrides": dict(overrides or {}),
        "save_steps": save_steps,
    }
    report = worker(crds, context).start(job)

    def made() -> Path:
        found = report()
        if found["error"].startswith("OSError"):  # a full disk is no answer to keep
            raise RuntimeError(found["error"])
        done.write_text(json.dumps(found | {"job": job}))
        return known()

    return made


def run_official(uncal: Path, crds: Path, **how: Any) -> Path:
    """Directory with the official products of `uncal`; arguments as of `start_official`."""
    return start_official(uncal, crds, **how)()
