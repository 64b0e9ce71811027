"""What is compared with the official pipeline: an exposure, and one way to run it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CODE_DEFAULTS = "jwst_0001.pmap"
OPERATIONS = "jwst_0002.pmap"

ON: dict[str, Any] = {"skip": False}


@dataclass(frozen=True, slots=True)
class Place:
    """What a maker of input files has at hand."""

    mode: str
    exposure: Path
    crds: Path


Maker = Callable[[Place, Path], None]
"""Writes one more input file."""
Change = Callable[[Any], None]
"""Alters the raw exposure, an open list of HDUs."""


@dataclass(frozen=True)
class Case:
    """One exposure run one way."""

    name: str
    mode: str
    """Mode of the synthetic observatory."""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By step; ``pipeline`` has those of the pipeline.  ``{name}`` in a value is the path of an input file."""
    context: str = CODE_DEFAULTS
    size: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `simulate`: ngroups, nints, segments."""
    segment: int = 1
    """Which file of a segmented exposure."""
    pipeline: str = "Detector1Pipeline"
    change: Change | None = None
    """What is done to the exposure before."""
    files: Mapping[str, Maker] = field(default_factory=dict)
    """More input files by the name with which they are made; see `inputs`."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """References by type, as ``{name}`` or ``N/A``."""
    status: Mapping[str, str | None] = field(default_factory=dict)
    """What the official run says of steps that have parameters here; COMPLETE for those not named."""
    error: str = ""
    """Part of the error that the official pipeline raises; ours must refuse the exposure too ..."""
    ours_works: bool = False
    """... unless it calibrates what the official one breaks on, with the reason in docs/parity.md."""
    nothing: bool = False
    """The official pipeline makes no rate; ours must say so in an error."""
    extra: frozenset[str] = frozenset()
    """Suffixes of products that only we write, each with its reason in docs/parity.md."""
