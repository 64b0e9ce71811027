"""Measure stage 1 against the official package and write BENCHMARKS.md.

usage: bench.py [--quick] [--only NAME ...]

Both programs run on the same files and cores in the same session, one after the other: a fresh process with two passes
over the exposure.  The first pass gives the time of a whole fresh process, the second the warm time in process.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.parity import oracle

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".work" / "bench"
CONTEXT = "jwst_0001.pmap"


@dataclass(frozen=True)
class Bench:
    """An exposure and the ways it is run."""

    name: str
    mode: str
    size: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"default": {}})


ON: dict[str, Any] = {"skip": False}
BENCHES = (
    Bench(
        "NIRCam full frame, 10 groups",
        "nircam-sw",
        {"ngroups": 10},
        {
            "default": {},
            "LIKELY": {"ramp_fit": {"algorithm": "LIKELY"}},
            "snowballs": {"jump": {"expand_large_events": True}},
            "clean_flicker_noise": {"clean_flicker_noise": ON},
        },
    ),
    Bench(
        "MIRI full frame, 40 groups x 2",
        "miri-fast",
        {"ngroups": 40, "nints": 2},
        {"default": {}, "emicorr": {"emicorr": ON}},
    ),
    Bench("NIRSpec IRS2 full frame, 10 groups", "nirspec-irs2", {"ngroups": 10}),
    Bench("NIRCam subarray, 1,000 integrations", "nircam-tso", {"nints": 1000}),
)


def exposure(bench: Bench) -> tuple[Path, Path]:
    """The raw exposure and its CRDS cache, simulated once."""
    from jwcal.observatory import simulate

    out = WORK / f"{bench.mode}-{'-'.join(f'{k}{v}' for k, v in bench.size.items())}"
    marker = out / "uncal.txt"
    if not marker.exists():
        program = simulate(bench.mode, out, seed=3, crds=out / "crds", **bench.size)
        marker.write_text(str(program.exposures[0]))
    return Path(marker.read_text()), out / "crds"


def measure(runner: list[str], jobs: list[dict[str, Any]], label: str, crds: Path) -> dict[str, Any]:
    """Run the jobs in a fresh process; its report, wall time and first and last pass."""
    spec = WORK / f"{label}.json"
    spec.write_text(json.dumps(jobs))
    begin = time.perf_counter()
    process = subprocess.run(
        [*runner, str(spec)],
        env=oracle.crds_environment(crds, CONTEXT),
        cwd=WORK,
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - begin
    if process.returncode:
        raise RuntimeError(process.stderr[-2000:])
    report = json.loads(spec.with_suffix(".report.json").read_text())
    for entry in report:
        if entry["error"]:
            raise RuntimeError(entry["error"])
    warm = report[-1]
    fresh = wall - sum(entry["wall"] for entry in report[1:])
    return {
        "warm": warm["wall"],
        "cpu": warm["cpu"],
        "fresh": fresh,
        "peak": max(e["peak_mib"] for e in report),
        "steps": warm["steps"],
        "timings": warm.get("timings", {}),
    }


def main() -> None:
    """Measure and write the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", nargs="*", default=[])
    arguments.add_argument("--out", type=Path, default=ROOT / "BENCHMARKS.md")
    chosen = arguments.parse_args()
    if not oracle.available():
        raise SystemExit(oracle.MISSING)
    WORK.mkdir(parents=True, exist_ok=True)
    rows = []
    for bench in BENCHES:
        if chosen.only and bench.mode not in chosen.only:
            continue
        uncal, crds = exposure(bench)
        for variant, parameters in bench.variants.items():
            out = WORK / "out"
            out.mkdir(exist_ok=True)
            job = {
                "pipeline": "Detector1Pipeline",
                "input": str(uncal),
                "output_dir": str(out),
                "parameters": parameters,
                "save_steps": False,
            }
            label = f"{bench.mode}-{variant}"
            ours_runner = [sys.executable, str(Path(__file__).with_name("ours_run.py"))]
            official_runner = [str(oracle.PYTHON), str(ROOT / "tests" / "parity" / "official_run.py")]
            measure(ours_runner, [job], f"{label}-compile", crds)  # compiled kernels are cached on disk once
            ours = measure(ours_runner, [job, job, job], f"{label}-ours", crds)
            official = measure(official_runner, [job, job], f"{label}-official", crds)
            rows.append((bench.name, variant, official, ours, uncal.stat().st_size))
            print(
                f"{bench.name} / {variant}: official {official['warm']:.2f} s, jwcal {ours['warm']:.2f} s, "
                f"{official['warm'] / ours['warm']:.1f} x",
                flush=True,
            )
            chosen.out.write_text(render(rows))


def render(rows: list[tuple[str, str, dict[str, Any], dict[str, Any], int]]) -> str:
    """The page."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`: official and jwcal on the same files and cores in one session. *warm*: wall seconds of",
        "one exposure, file to files, in a process that has done one before. *fresh*: a whole new process (start,",
        "imports, one exposure; compiled kernels come from the on-disk cache). *peak*: resident set.",
        "",
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, numba {version('numba')}, "
        f"official package jwst 3.0.0.",
        "",
        "| exposure | variant | official warm s | jwcal warm s | ratio | official cpu s | jwcal cpu s "
        "| official fresh s | jwcal fresh s | ratio | official peak MiB | jwcal peak MiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, variant, a, b, _ in rows:
        lines.append(
            f"| {name} | {variant} | {a['warm']:.2f} | {b['warm']:.2f} | **{a['warm'] / b['warm']:.1f}** "
            f"| {a['cpu']:.1f} | {b['cpu']:.1f} | {a['fresh']:.1f} | {b['fresh']:.1f} "
            f"| **{a['fresh'] / b['fresh']:.1f}** | {a['peak']:.0f} | {b['peak']:.0f} |"
        )
    lines += [
        "",
        "## Steps",
        "",
        "Warm wall seconds; `open` (headers, parameters, best references), `read` and `write` are the "
        "floor outside the steps.",
        "",
    ]
    for name, variant, a, b, _ in rows:
        lines += [f"### {name}, {variant}", "", "| step | official | jwcal |", "|---|---|---|"]
        for step in dict.fromkeys([*a["steps"], *b["steps"]]):
            lines.append(f"| {step} | {a['steps'].get(step, 0):.3f} | {b['steps'].get(step, 0):.3f} |")
        for phase, seconds in b["timings"].items():
            if phase != "steps":
                lines.append(f"| *{phase}* | | {seconds:.3f} |")
        lines.append("")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
