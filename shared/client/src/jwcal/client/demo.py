"""``jwcal demo``: a small exposure from the sky to the count rate, held against the truth."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jwcal.client import exit_codes
from jwcal.client.output import print_json, print_table
from jwcal.client.progress import display

if TYPE_CHECKING:
    from jwcal.detector1 import RunResult
    from jwcal.observatory import Simulation
    from jwcal.observatory.truth import JumpScore, SlopeScore, Truth

MODE: Final = "nircam-sw-sub"
_SAVED: Final = ("jump",)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run found, against the truth."""

    truth: "Truth"
    jumps: "JumpScore"
    slopes: "SlopeScore"

    @property
    def caught(self) -> int:
        """Detectable cosmic-ray hits that were flagged."""
        return round(self.jumps.completeness * self.jumps.hits) if self.jumps.hits else 0


def run_demo(out: Path, *, seed: int, as_json: bool) -> int:
    """Simulate, calibrate, compare, draw."""
    from jwcal.client.figure import draw, read_products
    from jwcal.core.products.write import check_directory

    check_directory(out)
    if not as_json:
        print(f"Simulating a NIRCam exposure of stars, galaxies and cosmic rays ({MODE}, seed {seed}).", flush=True)
    simulation = _simulate(out / "input", seed)
    if not as_json:
        print("Calibrating it. The very first run compiles its kernels, which takes a minute or two.", flush=True)
    result = _calibrate(simulation, out / "products")
    products = {path.stem.rsplit("_", 1)[-1]: path for path in result.products}
    shown = read_products(products["jump"], products["rate"], products["rateints"])
    findings = _judge(simulation, products["rate"], shown.groupdq)
    picture = out / "demo.png"
    draw(shown, f"jwcal demo: NIRCam B1, SUB320, F200W (simulated, seed {seed})", picture)
    if as_json:
        print_json(_document(result, findings, picture))
    else:
        _print(result, findings, picture)
    return exit_codes.DONE


def _simulate(out: Path, seed: int) -> "Simulation":
    from jwcal.core.references.best import use_cache
    from jwcal.observatory import simulate

    simulation = simulate(MODE, out, seed=seed)
    use_cache(simulation.crds.resolve(), offline=True)
    return simulation


def _calibrate(simulation: "Simulation", out: Path) -> "RunResult":
    from jwcal.detector1 import run

    file = simulation.exposures[0]
    with display(quiet=not sys.stderr.isatty()) as progress:  # the table of steps follows
        progress.begin(file)
        result = run(
            file,
            output_dir=out,
            context=simulation.context,
            parameters={name: {"save_results": True} for name in _SAVED},
            on_event=progress.event,
        )
        progress.done(f"{file.name}: calibrated in {result.seconds:.2f} s")
    return result


def _judge(simulation: "Simulation", rate: Path, groupdq: Any) -> Findings:
    from jwcal.observatory.truth import read_truth, score_jumps, score_rate

    truth = read_truth(simulation.truth)
    return Findings(truth, score_jumps(groupdq, truth), score_rate(rate, truth))


def _document(result: "RunResult", findings: Findings, picture: Path) -> dict[str, Any]:
    return {
        "run": result.as_dict(),
        "stars": len(findings.truth.stars),
        "cosmic_rays": asdict(findings.jumps) | {"caught": findings.caught},
        "slopes": asdict(findings.slopes),
        "picture": str(picture),
    }


def _print(result: "RunResult", findings: Findings, picture: Path) -> None:
    jumps, slopes = findings.jumps, findings.slopes
    steps = [(step.name, step.status, f"{step.seconds:.2f}", step.reason) for step in result.steps]
    print_table("Steps", ("step", "status", "seconds", "reason"), steps)
    rows = [
        ("stars in the field", str(len(findings.truth.stars)), ""),
        ("cosmic-ray samples above 6 sigma", str(jumps.hits), "group by group"),
        ("  caught", str(findings.caught), f"{jumps.completeness:.1%}"),
        ("  missed", str(jumps.hits - findings.caught), ""),
        ("false alarms", f"{jumps.false_alarm_rate:.3%}", f"of {jumps.samples} quiet samples"),
        ("slope bias", f"{slopes.bias:+.4f} DN/s", f"median of {slopes.pixels} good pixels"),
        ("slope bias of bright pixels", f"{slopes.relative_bias:+.2%}", "brightest percent"),
        ("slope scatter", f"{slopes.scatter:.4f} DN/s", ""),
        ("scatter over stated error", f"{slopes.pull_width:.3f}", "1 for honest errors"),
        ("reduced chi-square", f"{slopes.reduced_chi_square:.3f}", "worst percent clipped"),
    ]
    print_table("Found against the truth", ("quantity", "value", ""), rows)
    for path in (*result.products, picture):
        print(path)
