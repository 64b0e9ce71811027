"""BENCHMARKS.md, made of whatever was measured."""

from pathlib import Path

from . import memory, scaling, services_page, speed, truth
from .measuring import Store, conditions

SECTIONS = (speed.section, memory.section, scaling.section, truth.section, services_page.section)


def render(store: Store) -> str:
    """The page."""
    now = conditions()
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`: the official package and jwcal on the same simulated exposures and cores, one after the",
        "other. *warm*: wall seconds of one exposure, file to files, in a process that has done one before; median of",
        f"{speed.OUR_PASSES} passes of jwcal, of {speed.OFFICIAL_PASSES} of the official package. *fresh*: a whole new",
        "process (start, imports, one exposure; compiled kernels come from the cache on disk). *products*: whether",
        "those of the same runs agree within the [tolerances](docs/parity.md).",
        "",
        f"{now['cores']} cores ({now['processor']}), Python {now['python']}, numpy {now['numpy']}, "
        f"numba {now['numba']}, official package jwst {now['official']}.",
        "",
    ]
    body = [line for section in SECTIONS for line in section(store)]
    if any("†" in line for line in body):
        lines += ["† measured before the last change of the code, or on another machine.", ""]
    return "\n".join([*lines, *body]).rstrip() + "\n"


def write(store: Store, path: Path) -> None:
    """Write the page."""
    path.write_text(render(store))
