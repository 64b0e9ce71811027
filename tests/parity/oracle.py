"""The official package as oracle: find its environment, run it, compare products with ours."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-official" / "bin" / "python"
WORK = ROOT / ".work" / "parity"
MISSING = "the official package is not installed: run 'make official' to compare with it"

IGNORED_KEYWORDS = {
    # what must differ: who made the file, when, in which file
    "DATE",
    "CAL_VER",
    "CAL_VCS",
    "CRDS_VER",
    "FILENAME",
    "CHECKSUM",
    "DATASUM",
    "HISTORY",
    "COMMENT",
    "",
}


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


def run_official(
    uncal: Path,
    crds: Path,
    *,
    context: str,
    parameters: Mapping[str, Mapping[str, Any]],
    pipeline: str,
    save_steps: bool = True,
) -> Path:
    """Directory with the official products of `uncal`; made once and kept under ``.work``."""
    key = json.dumps([str(uncal), uncal.stat().st_mtime_ns, context, parameters, pipeline, save_steps], sort_keys=True)
    out = WORK / "official" / hashlib.sha256(key.encode()).hexdigest()[:16]
    if (out / "done").exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    job = {
        "pipeline": pipeline,
        "input": str(uncal),
        "output_dir": str(out),
        "parameters": parameters,
        "save_steps": save_steps,
    }
    run_jobs([job], out / "spec.json", crds, context)
    (out / "done").touch()
    return out


def run_jobs(jobs: list[dict[str, Any]], spec: Path, crds: Path, context: str) -> list[dict[str, Any]]:
    """Run official jobs in one process; the report of each. Fails where one failed."""
    spec.write_text(json.dumps(jobs))
    process = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name("official_run.py")), str(spec)],
        env=crds_environment(crds, context),
        cwd=spec.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"the official pipeline failed:\n{process.stderr[-2000:]}")
    report: list[dict[str, Any]] = json.loads(spec.with_suffix(".report.json").read_text())
    for job, entry in zip(jobs, report, strict=True):
        if entry["error"]:
            raise RuntimeError(f"the official pipeline failed on {job['input']}: {entry['error']}")
    return report


@dataclass(frozen=True)
class Tolerance:
    """How far a product may be from the official one."""

    relative: float = 1e-5
    sigma: float = 1e-3
    """Or this fraction of the pixel's own error."""
    fraction: float = 0.9999
    """Of finite pixels that must agree, and of pixels whose DQ must be equal bit for bit."""
    reason: str = ""
    """Why it is wider than the default."""


def compare(official: Path, ours: Path, tolerance: Tolerance) -> list[str]:
    """Differences between two products beyond the tolerance, one line each."""
    found: list[str] = []
    with fits.open(official) as a, fits.open(ours) as b:
        names = [hdu.name for hdu in a if hdu.name not in ("PRIMARY", "ASDF")]
        others = [hdu.name for hdu in b if hdu.name not in ("PRIMARY", "ASDF")]
        if sorted(names) != sorted(others):
            found.append(f"extensions differ: {names} and {others}")
        error = _array(a, "ERR")
        for name in names:
            if name in others:
                found += [f"{name}: {line}" for line in _compare_hdu(a[name], b[name], error, tolerance)]
        for index in ("PRIMARY", "SCI"):
            if index in a:
                found += compare_headers(a[index].header, b[index].header)
    return found


def compare_headers(official: fits.Header, ours: fits.Header) -> list[str]:
    """Keywords of the official header that ours lacks or gives another value."""
    found = []
    for keyword in official:
        if keyword in IGNORED_KEYWORDS:
            continue
        expected, value = official[keyword], ours.get(keyword)
        same = expected == value
        if isinstance(expected, float) and isinstance(value, int | float):
            same = bool(np.isclose(expected, value, rtol=1e-5, atol=1e-12))
        if not same:
            found.append(f"keyword {keyword}: {expected!r} and {value!r}")
    return found


def _array(hdus: Any, name: str) -> Any:
    return np.asarray(hdus[name].data) if name in hdus and hdus[name].data is not None else None


def _compare_hdu(official: Any, ours: Any, error: Any, tolerance: Tolerance) -> list[str]:
    a, b = np.asarray(official.data), np.asarray(ours.data)
    if a.dtype.names is not None:
        return [] if a.dtype.names == b.dtype.names and len(a) == len(b) else ["tables differ"]
    if a.shape != b.shape:
        return [f"shapes {a.shape} and {b.shape}"]
    if a.dtype.kind in "iub":
        wrong = np.count_nonzero(a != b)
        if wrong <= (1 - tolerance.fraction) * a.size:
            return []
        bits = {
            1 << bit: int(np.count_nonzero((a ^ b) & a.dtype.type(1 << bit)))
            for bit in range(a.dtype.itemsize * 8 - (a.dtype.kind == "i"))
        }
        return [f"{wrong} of {a.size} flags differ, by bit { ({k: v for k, v in bits.items() if v}) }"]
    return list(_compare_values(a.astype(float), b.astype(float), error, tolerance))


def _compare_values(a: Any, b: Any, error: Any, tolerance: Tolerance) -> list[str]:
    found = []
    finite = np.isfinite(a) & np.isfinite(b)
    pattern = np.count_nonzero(np.isfinite(a) != np.isfinite(b))
    if pattern > (1 - tolerance.fraction) * a.size:
        found.append(f"NaN patterns differ on {pattern} of {a.size}")
    with np.errstate(invalid="ignore"):
        near = (a == b) | (np.abs(a - b) <= tolerance.relative * np.abs(a))
        if error is not None and error.shape == a.shape:
            near |= np.abs(a - b) <= tolerance.sigma * error
    wrong = np.count_nonzero(finite & ~near)
    if wrong > (1 - tolerance.fraction) * max(1, np.count_nonzero(finite)):
        worst = np.max(np.abs(a - b), where=finite, initial=0)
        found.append(f"{wrong} of {np.count_nonzero(finite)} values differ, by up to {worst:.4g}")
    return found
