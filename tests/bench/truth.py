"""Truth: slopes, errors and cosmic rays of simulated exposures, found by both programs on the same file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits

from jwcal.observatory.truth import read_truth, score_jumps, score_ramps, score_rate

from .exposures import Exposure, provide
from .measuring import OFFICIAL, OURS, WORK, Result, Store, a_job, passes

EXPOSURES = (
    Exposure("NIRCam SUB320, 10 groups x 4", "nircam-sw-sub", {"nints": 4}),
    Exposure("NIRCam full frame, 10 groups", "nircam-sw", {"ngroups": 10}),
    Exposure("NIRISS SUB256, 8 groups x 4", "niriss-sub", {"nints": 4}),
    Exposure("MIRI SUB256, 30 groups x 4", "miri-sub", {"ngroups": 30, "nints": 4}),
    Exposure("NIRSpec IRS2 full frame, 10 groups", "nirspec-irs2", {"ngroups": 10}),
)
ALGORITHMS: dict[str, dict[str, dict[str, Any]]] = {
    "OLS_C": {"dark_current": {"save_results": True}, "jump": {"save_results": True}},
    "LIKELY": {
        "dark_current": {"save_results": True},
        "jump": {"skip": True},
        "ramp_fit": {"algorithm": "LIKELY"},
    },
}
"""The likelihood fit searches for jumps itself, so the jump step is left out there.  The ramp before it tells which
groups are usable."""


def parameters(mode: str, algorithm: str) -> dict[str, dict[str, Any]]:
    """Parameters of a run; MIRI's electromagnetic interference is taken away, as in operations."""
    chosen = ALGORITHMS[algorithm]
    return chosen | {"emicorr": {"skip": False}} if mode.startswith("miri") else chosen


@dataclass(frozen=True)
class Run:
    """An exposure fitted by one algorithm."""

    exposure: Exposure
    algorithm: str

    @property
    def name(self) -> str:
        """What it is kept under."""
        return f"truth, {self.exposure.name}, {self.algorithm}"

    @property
    def what(self) -> Any:
        """What it depends on, beside the conditions."""
        return [
            self.exposure.mode,
            self.exposure.size,
            self.exposure.seed,
            parameters(self.exposure.mode, self.algorithm),
        ]


RUNS = tuple(Run(exposure, algorithm) for exposure in EXPOSURES for algorithm in ALGORITHMS)


def measure(store: Store) -> None:
    """Every run, by both programs."""
    for run in RUNS:
        store.measure(run.name, run.what, lambda run=run: _both(run))  # type: ignore[misc]


def _both(run: Run) -> Result:
    files = provide(run.exposure)
    found: Result = {}
    for who, runner in (("jwcal", OURS), ("official", OFFICIAL)):
        out = WORK / "products" / "truth" / who / run.exposure.mode / run.algorithm
        passes(runner, [a_job(files.uncal, out, parameters(run.exposure.mode, run.algorithm))], files.crds)
        found[who] = scores(out, files.truth)
    return found


def scores(products: Path, truth_file: Path) -> Result:
    """Scores of the products in a directory; those of samples where there is a jump product."""
    truth = read_truth(truth_file)
    (rate,), (rateints,) = products.glob("*_rate.fits"), products.glob("*_rateints.fits")
    (before,) = products.glob("*_dark_current.fits")
    flags, groups = fits.getdata(rateints, "DQ").astype("u4"), fits.getdata(before, "GROUPDQ")
    found = {
        "slopes": asdict(score_rate(rate, truth)),
        "hit": asdict(score_rate(rate, truth, with_jumps=True)),
        "ramps": asdict(score_ramps(flags, groups, truth)),
    }
    for jump in products.glob("*_jump.fits"):
        found["samples"] = asdict(score_jumps(fits.getdata(jump, "GROUPDQ"), truth))
    return found


def section(store: Store) -> list[str]:
    """The section of the page."""
    slopes = [
        "## Truth: slopes",
        "",
        "Simulated exposures, whose true rates are known. Pixels that any flag makes doubtful are left out. *bias*:",
        "median of found minus true rate; over the width of these residuals; for the brightest percent, over the rate.",
        "It is a drift of the whole frame, another in each integration, that the few reference pixels of a subarray do",
        "not tell; both programs find the same.",
        "*pull*: width of (found - true) / ERR. *chi squared*: its mean square without the worst percent, which makes",
        "0.93 of a Gaussian of width 1. *about drift*: the same about the median residual of the pixels that drift",
        "together: the whole frame, or an output of MIRI, whose subarrays get no correction by reference pixels.",
        "*hit pixels*: those with a flagged jump; their median residual over the residuals' width, and their pull.",
        "",
        "| exposure | fit | program | pixels | bias DN/s | bias / scatter | bias, brightest | pull | chi squared "
        "| about drift | hit pixels | bias / scatter | pull |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    rays = [
        "## Truth: cosmic rays",
        "",
        "Share of hits found, by the size of their step over the noise of a difference of two groups, and of quiet",
        "samples flagged. *samples*: flags of groups, from the jump step; *ramps*: whether the ramp is flagged in the",
        "rates of the integrations, the only trace that LIKELY leaves (the jump step is skipped for it).",
        "",
        "| exposure | fit | judged by | program | 4-6 sigma | 6-10 | 10-20 | 20-100 | > 100 | alarms | of quiet |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in RUNS:
        kept = store.find(run.name, run.what)
        if kept is None:
            continue
        for who in ("official", "jwcal"):
            found = kept.result[who]
            label = f"| {run.exposure.name} | {run.algorithm}{kept.mark} |"
            slopes.append(f"{label} {who} {_slopes(found['slopes'], found['hit'])}")
            for by in ("samples", "ramps"):
                if by in found:
                    rays += [f"{label} {by} | {who} {_rays(found[by])}"]
    return [*slopes, "", *rays, ""]


def _slopes(found: Result, hit: Result) -> str:
    return (
        f"| {found['pixels']} | {found['bias']:+.4f} | {found['bias'] / found['scatter']:+.3f} "
        f"| {found['relative_bias']:+.2%} | {found['pull_width']:.3f} | {found['reduced_chi_square']:.3f} "
        f"| {found['chi_square_about_drift']:.3f} "
        f"| {hit['pixels']} | {hit['bias'] / hit['scatter']:+.3f} | {hit['pull_width']:.3f} |"
    )


def _rays(found: Result) -> str:
    cells = [f"{caught / hits:.1%} of {hits}" if hits else "-" for _, _, hits, caught in found["by_size"]]
    return f"| {' | '.join(cells)} | {found['false_alarm_rate']:.4%} | {found['samples']} |"
