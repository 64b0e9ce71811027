"""Speed and memory of both programs on the same files, with the check that their products are equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.parity.comparison import compare
from tests.parity.tolerances import DEFAULT, OF_CASES, Tolerance

from .exposures import Exposure, provide
from .measuring import FLOOR, OFFICIAL, OURS, WORK, Result, Store, a_job, command_peak, passes

ON: dict[str, Any] = {"skip": False}
OUR_PASSES, OFFICIAL_PASSES = 5, 2
"""Warm passes, after a first one."""
MEMORY_FACTOR, MEMORY_OFFSET = 2.5, 600e6
"""Goal for the peak resident set: so many times the ramp in single precision, and so many bytes."""

NIRCAM = Exposure("NIRCam full frame, 10 groups", "nircam-sw", {"ngroups": 10})
MIRI = Exposure("MIRI full frame, 40 groups x 2", "miri-fast", {"ngroups": 40, "nints": 2})
IRS2 = Exposure("NIRSpec IRS2 full frame, 10 groups", "nirspec-irs2", {"ngroups": 10})
SERIES = Exposure("NIRCam SUB64P, 8 groups x 1,000", "nircam-tso", {"nints": 100}, repeat=10)


@dataclass(frozen=True)
class Row:
    """An exposure calibrated one way."""

    exposure: Exposure
    variant: str
    goal: float
    """How many times the official speed, warm."""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tolerance: str = ""
    """Key of the table of wider tolerances."""

    @property
    def name(self) -> str:
        """What the measurement is kept under."""
        return f"speed, {self.exposure.name}, {self.variant}"

    @property
    def what(self) -> Any:
        """What it depends on, beside the conditions."""
        exposure = self.exposure
        return [exposure.mode, exposure.size, exposure.repeat, self.parameters, OUR_PASSES, OFFICIAL_PASSES]

    @property
    def memory_goal(self) -> float:
        """MiB."""
        return (MEMORY_FACTOR * self.exposure.ramp_bytes + MEMORY_OFFSET) / 2**20


ROWS = (
    Row(NIRCAM, "default", 15),
    Row(NIRCAM, "LIKELY", 10, {"ramp_fit": {"algorithm": "LIKELY"}}, "likely"),
    Row(NIRCAM, "snowballs", 10, {"jump": {"expand_large_events": True}}),
    Row(NIRCAM, "clean_flicker_noise", 10, {"clean_flicker_noise": ON}),
    Row(MIRI, "default", 15),
    Row(MIRI, "emicorr", 10, {"emicorr": ON}),
    Row(IRS2, "default", 10, tolerance="irs2"),
    Row(SERIES, "default", 15),
)


def measure(store: Store) -> None:
    """Every row, and the floor of every exposure."""
    for row in ROWS:
        store.measure(row.name, row.what, lambda row=row: _both(row))  # type: ignore[misc]
    for exposure in dict.fromkeys((row.exposure.name) for row in ROWS):
        row = next(row for row in ROWS if row.exposure.name == exposure)
        store.measure(floor_name(row.exposure), row.what, lambda row=row: _floor(row.exposure))  # type: ignore[misc]


def floor_name(exposure: Exposure) -> str:
    """What the floor is kept under."""
    return f"floor, {exposure.name}"


def _both(row: Row) -> Result:
    files = provide(row.exposure)
    ours_out, official_out = (_emptied(WORK / "products" / who / row.exposure.mode) for who in ("ours", "official"))
    ours = a_job(files.uncal, ours_out, row.parameters)
    passes(OURS, [ours], files.crds)  # kernels are compiled and kept on disk
    fast = passes(OURS, [ours] * (1 + OUR_PASSES), files.crds)
    slow = passes(OFFICIAL, [a_job(files.uncal, official_out, row.parameters)] * (1 + OFFICIAL_PASSES), files.crds)
    command = command_peak(files.uncal, ours_out, row.parameters, files.crds)
    tolerance = OF_CASES[row.tolerance] if row.tolerance else DEFAULT
    return {
        "ours": fast,
        "official": slow,
        "command": command,
        "differences": differences(official_out, ours_out, tolerance),
    }


def differences(official: Path, ours: Path, tolerance: Tolerance) -> list[str]:
    """What differs between the products of two directories; a missing or surplus file too."""
    expected, found = ({path.name for path in place.glob("*.fits")} for place in (official, ours))
    lines = [f"{name}: only one program wrote it" for name in sorted(expected ^ found)]
    if not expected:
        lines.append("there is no product")
    for name in sorted(expected & found):
        lines += [f"{name}: {line}" for line in compare(official / name, ours / name, tolerance)]
    return lines


def _floor(exposure: Exposure) -> Result:
    files = provide(exposure)
    return passes(FLOOR, [a_job(files.uncal, WORK / "products" / "floor", {})] * (1 + OUR_PASSES), files.crds)


def _emptied(place: Path) -> Path:
    for product in place.glob("*"):
        product.unlink()
    return place


def section(store: Store) -> list[str]:
    """The section of the page."""
    lines = [
        "## Speed",
        "",
        "| exposure | variant | official warm s | jwcal warm s | ratio | goal | official cpu s | jwcal cpu s "
        "| official fresh s | jwcal fresh s | ratio | goal | products |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    details, steps = [], []
    for row in ROWS:
        kept = store.find(row.name, row.what)
        if kept is None:
            lines.append(f"| {row.exposure.name} | {row.variant} | not measured" + " |" * 11)
            continue
        a, b = kept.result["official"], kept.result["ours"]
        warm, fresh = a["warm"] / b["warm"], a["fresh"] / b["fresh"]
        equal = "equal" if not kept.result["differences"] else "**different**"
        lines.append(
            f"| {row.exposure.name} | {row.variant}{kept.mark} | {a['warm']:.2f} | {b['warm']:.3f} | **{warm:.1f}** "
            f"| {row.goal:.0f} x: {_met(warm >= row.goal)} | {a['cpu']:.1f} | {b['cpu']:.2f} "
            f"| {a['fresh']:.1f} | {b['fresh']:.1f} | **{fresh:.1f}** | faster: {_met(fresh > 1)} | {equal} |"
        )
        details += [f"* {row.exposure.name}, {row.variant}: {line}" for line in kept.result["differences"][:5]]
        steps += _steps(row, kept.result)
    if details:
        lines += ["", "Differences:", "", *details]
    return [*lines, "", *_floors(store), *_peaks(store), *steps]


def _met(yes: bool) -> str:
    return "met" if yes else "**not met**"


def _floors(store: Store) -> list[str]:
    lines = [
        "## The floor",
        "",
        "The same exposure read, its references selected (and, in a fresh process, decoded), and products of the same",
        "size written, without any step between; by jwcal.",
        "",
        "| exposure | variant | floor warm s | jwcal warm s | above the floor | floor fresh s | jwcal fresh s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        floor, kept = store.find(floor_name(row.exposure), _first(row).what), store.find(row.name, row.what)
        if floor is None or kept is None:
            continue
        a, b = floor.result, kept.result["ours"]
        lines.append(
            f"| {row.exposure.name} | {row.variant}{floor.mark or kept.mark} | {a['warm']:.3f} | {b['warm']:.3f} "
            f"| {b['warm'] / a['warm']:.1f} x | {a['fresh']:.2f} | {b['fresh']:.2f} |"
        )
    return [*lines, ""]


def _first(row: Row) -> Row:
    return next(other for other in ROWS if other.exposure is row.exposure)


def _peaks(store: Store) -> list[str]:
    lines = [
        "## Memory",
        "",
        "Peak resident set: of the passes above, in whose process the decoded references stay for the next exposure,",
        "and of the command `jwcal run` on one exposure, which must meet the goal: "
        f"{MEMORY_FACTOR:g} times the ramp in",
        f"single precision, plus {MEMORY_OFFSET / 1e6:.0f} MB.",
        "An IRS2 ramp counts as it is read, with its interleaved reference samples (3200 rows); by its 2048 rows of",
        "pixels the goal would be 972 MiB. The time series repeats 100 simulated integrations ten times.",
        "",
        "| exposure | variant | ramp MiB | official MiB | jwcal MiB | jwcal command MiB | goal MiB | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        kept = store.find(row.name, row.what)
        if kept is None:
            continue
        a, b, command = kept.result["official"]["peak"], kept.result["ours"]["peak"], kept.result["command"]
        lines.append(
            f"| {row.exposure.name} | {row.variant}{kept.mark} | {row.exposure.ramp_bytes / 2**20:.0f} | {a:.0f} "
            f"| {b:.0f} | {command:.0f} | {row.memory_goal:.0f} | {_met(command <= row.memory_goal)} |"
        )
    return [*lines, ""]


def _steps(row: Row, result: Result) -> list[str]:
    a, b = result["official"]["steps"], result["ours"]["steps"]
    lines = [f"### Steps: {row.exposure.name}, {row.variant}", "", "| step | official s | jwcal s |", "|---|---|---|"]
    lines += [
        f"| {step} | {a.get(step, 0):.3f} | {b.get(step, 0):.3f} |"
        for step in dict.fromkeys([*a, *b])
        if max(a.get(step, 0), b.get(step, 0)) >= 0.0005
    ]
    for phase, seconds in result["ours"]["timings"].items():
        if phase != "steps":
            lines.append(f"| *{phase}* | | {seconds:.3f} |")
    return [*lines, ""]
