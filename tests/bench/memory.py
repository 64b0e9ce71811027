"""A time series larger than the memory limit: peak resident set, and the same products."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from astropy.io import fits

from .exposures import Exposure, provide
from .measuring import OURS, WORK, Result, Store, a_job, digest, passes

LIMIT = 1 << 30
SERIES = Exposure("NIRCam SUB320, 10 groups x 400", "nircam-sw-sub", {"nints": 20}, repeat=20)
WHAT: Any = [SERIES.mode, SERIES.size, SERIES.repeat, LIMIT]
NAME = f"memory limit, {SERIES.name}"


def measure(store: Store) -> None:
    """With and without the limit, each in a fresh process."""
    store.measure(NAME, WHAT, _limited_and_free)


def _limited_and_free() -> Result:
    files = provide(SERIES)
    found: Result = {}
    for name, limit in (("free", None), ("limited", LIMIT)):
        out = WORK / "products" / name
        passes(OURS, [a_job(files.uncal, out, {}, memory_limit=limit)], files.crds)  # compiles
        found[name] = passes(OURS, [a_job(files.uncal, out, {}, memory_limit=limit)], files.crds)
        found[f"{name} products"] = {path.name: _pixels(path) for path in sorted(out.glob("*.fits"))}
    return found


def _pixels(product: Path) -> str:
    """A short name for everything in a product but its headers and metadata, which hold the time it was made."""
    with fits.open(product) as hdus:
        kept = [hdu for hdu in hdus if hdu.name not in ("PRIMARY", "ASDF")]
        return digest([[hdu.name, sha256(hdu.data.tobytes()).hexdigest()] for hdu in kept])


def section(store: Store) -> list[str]:
    """The section of the page."""
    kept = store.find(NAME, WHAT)
    if kept is None:
        return ["## Memory limit", "", "Not measured.", ""]
    free, limited = kept.result["free"], kept.result["limited"]
    same = kept.result["free products"] == kept.result["limited products"]
    below = limited["peak"] * 2**20 < LIMIT
    return [
        "## Memory limit",
        "",
        f"{SERIES.name}{kept.mark}: {SERIES.ramp_bytes / 2**20:.0f} MiB as a ramp in single precision, with "
        f"`--memory-limit {LIMIT // 2**20}MiB` in a fresh process.",
        "",
        "| limit MiB | peak MiB | first pass s | |",
        "|---|---|---|---|",
        f"| none | {free['peak']:.0f} | {free['warm']:.1f} | |",
        f"| {LIMIT // 2**20} | {limited['peak']:.0f} | {limited['warm']:.1f} | below the limit: "
        f"{'yes' if below else '**no**'}; products {'identical' if same else '**different**'} |",
        "",
    ]
