"""Simulated exposures with their offline CRDS cache, made once and kept under ``.work``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import oracle


def exposure(mode: str, size: Mapping[str, Any] | None = None) -> tuple[Path, Path]:
    """The raw exposure of a mode of the observatory, and its CRDS cache; `size` has ngroups, nints."""
    from jwcal.observatory import simulate

    size = size or {}
    out = oracle.WORK / "exposures" / f"{mode}-{'-'.join(f'{k}{v}' for k, v in size.items()) or 'default'}"
    crds = out / "crds"
    marker = out / "uncal.txt"
    if not marker.exists():
        made = simulate(mode, out, seed=5, crds=crds, **size)
        marker.write_text(str(made.exposures[0]))
    return Path(marker.read_text()), crds
