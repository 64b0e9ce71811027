"""How the cost grows with groups, integrations and threads."""

from dataclasses import dataclass
from typing import Any

from .exposures import Exposure, provide
from .measuring import OFFICIAL, OURS, WORK, Result, Store, a_job, passes

FRAME = 320 * 320


@dataclass(frozen=True)
class Point:
    """One measurement of a series."""

    series: str
    value: int
    exposure: Exposure
    threads: int = 2
    official: bool = True
    """Whether the official package is measured too."""

    @property
    def name(self) -> str:
        """What it is kept under."""
        return f"scaling, {self.series} {self.value}"

    @property
    def what(self) -> Any:
        """What it depends on, beside the conditions."""
        return [self.exposure.mode, self.exposure.size, self.exposure.repeat, self.threads, self.official]


def _sub(ngroups: int, nints: int) -> Exposure:
    return Exposure(
        f"NIRCam SUB320, {ngroups} groups x {nints}", "nircam-sw-sub", {"ngroups": ngroups, "nints": 1}, repeat=nints
    )


_FULL = Exposure("NIRCam full frame, 10 groups", "nircam-sw", {"ngroups": 10})
POINTS = (
    *(Point("groups", n, _sub(n, 2), official=n <= 40) for n in (5, 10, 20, 40, 80)),
    *(Point("integrations", n, _sub(10, n), official=n <= 16) for n in (1, 4, 16, 64)),
    *(Point("threads", n, _FULL, threads=n) for n in (1, 2)),
)


def measure(store: Store) -> None:
    """Every point."""
    for point in POINTS:
        store.measure(point.name, point.what, lambda point=point: _point(point))  # type: ignore[misc]


def _point(point: Point) -> Result:
    files = provide(point.exposure)
    out = WORK / "products" / "scaling"
    job = a_job(files.uncal, out, {}, threads=point.threads)
    passes(OURS, [job], files.crds)  # compiles
    found = {"jwcal": passes(OURS, [job] * 4, files.crds)}
    if point.official:
        cores: dict[str, Any] = {"maximum_cores": str(point.threads)} if point.series == "threads" else {}
        several = {"jump": cores, "ramp_fit": cores} if cores else {}
        found["official"] = passes(OFFICIAL, [a_job(files.uncal, out, several)] * 2, files.crds)
    return found


def series(store: Store, name: str) -> list[tuple[Point, Result, str]]:
    """Points of a series that were measured: point, result, mark."""
    kept = [(point, store.find(point.name, point.what)) for point in POINTS if point.series == name]
    return [(point, found.result, found.mark) for point, found in kept if found is not None]


def section(store: Store) -> list[str]:
    """The section of the page."""
    lines = [
        "## Scaling",
        "",
        "![cost against groups, integrations and threads](docs/scaling.png)",
        "",
        "Warm wall seconds. Groups: NIRCam SUB320, 2 integrations; integrations: the same, 10 groups; threads: NIRCam",
        "full frame, 10 groups (the official package with `maximum_cores` of as many, for jump and ramp_fit).",
        "",
        "| | value | official s | jwcal s | jwcal ns per sample |",
        "|---|---|---|---|---|",
    ]
    for name in ("groups", "integrations", "threads"):
        for point, result, mark in series(store, name):
            ours, official = result["jwcal"]["warm"], result.get("official", {}).get("warm")
            samples = point.exposure.ramp_bytes / 4
            lines.append(
                f"| {name}{mark} | {point.value} | {'-' if official is None else f'{official:.2f}'} | {ours:.3f} "
                f"| {1e9 * ours / samples:.1f} |"
            )
    return [*lines, ""]
