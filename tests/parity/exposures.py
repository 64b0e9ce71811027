"""Simulated exposures with their offline CRDS cache, made once and kept under ``.work``."""

import hashlib
import inspect
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from astropy.io import fits

from . import oracle
from .case import Case, Change, Maker, Place


@cache
def world() -> Path:
    """Where the exposures and references of this version of the observatory lie."""
    from jwcal import observatory

    sources = sorted(Path(observatory.__file__).parent.glob("*.py"))
    version = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    return oracle.WORK / f"world-{version}"


def exposure(mode: str, size: Mapping[str, Any] | None = None, *, segment: int = 1) -> tuple[Path, Path]:
    """The raw exposure of a mode of the observatory, and the CRDS cache; `size` has ngroups, nints, segments."""
    from jwcal.observatory import simulate

    size = size or {}
    out = world() / "exposures" / f"{mode}-{'-'.join(f'{k}{v}' for k, v in size.items()) or 'default'}"
    crds = world() / "crds"
    marker = out / "uncal.txt"
    if not marker.exists():
        made = simulate(mode, out, seed=5, crds=crds, **size)
        marker.write_text("\n".join(map(str, made.exposures)))
    return Path(marker.read_text().splitlines()[segment - 1]), crds


def changed(uncal: Path, change: Change) -> Path:
    """A copy of an exposure that `change` has altered."""
    out = uncal.parent / f"{change.__name__}-{_version(change)}" / uncal.name
    if not out.exists():
        out.parent.mkdir(exist_ok=True)
        staging = out.with_suffix(".staging")
        shutil.copyfile(uncal, staging)
        with fits.open(staging, mode="update") as hdus:
            change(hdus)
        staging.rename(out)
    return out


def input_file(name: str, make: Maker, place: Place) -> Path:
    """One more input file of a case."""
    folder = place.exposure.parent / "files" / f"{make.__name__}-{_version(make)}-{place.exposure.stem}"
    if not folder.exists():
        staging = folder.with_suffix(".staging")
        staging.mkdir(parents=True, exist_ok=True)
        make(place, staging / name)
        staging.rename(folder)
    return folder / name


def _version(function: Change | Maker) -> str:
    """Changes with the text of a function."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:8]


def prepare(case: Case) -> tuple[Path, Path, dict[str, dict[str, Any]], dict[str, str]]:
    """Exposure, CRDS cache, parameters and overrides of a case, its input files made."""
    uncal, crds = exposure(case.mode, case.size, segment=case.segment)
    if case.change is not None:
        uncal = changed(uncal, case.change)
    place = Place(case.mode, uncal, crds)
    paths = {name: str(input_file(name, make, place)) for name, make in case.files.items()}

    def filled(value: Any) -> Any:
        return paths[value[1:-1]] if isinstance(value, str) and value[1:-1] in paths else value

    parameters = {step: {key: filled(value) for key, value in own.items()} for step, own in case.parameters.items()}
    return uncal, crds, parameters, {reftype: filled(value) for reftype, value in case.overrides.items()}
