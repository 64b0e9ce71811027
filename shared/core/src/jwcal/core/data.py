"""The products that steps work on: plain dataclasses over numpy arrays.

Shapes: ``nints`` integrations, ``ngroups`` groups, ``ny`` rows, ``nx`` columns, in the science (DMS)
orientation.  Superstripe exposures keep ``num_superstripe`` planes in `Ramp.pixeldq`.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float32, Float64, UInt8, UInt32
from jwcal.core.errors import InvalidData
from jwcal.core.metadata import Metadata
from jwcal.core.scratch import Scratch


@dataclass(slots=True, kw_only=True)
class SideProduct:
    """An optional product that a step makes beside its result (fitopt, masks, averaged dark ...).

    `model` names the stdatamodels class that is written, `arrays` its array attributes by name and
    `metadata` its own metadata (None: the exposure's).
    """

    model: str
    arrays: dict[str, Any]
    metadata: Metadata | None = None
    extension: str = "fits"
    file: str = ""
    """Name of its own, in the output directory; empty takes the exposure's name and the suffix."""


@dataclass(slots=True, kw_only=True)
class Ramp:
    """Up-the-ramp exposure of shape ``(nints, ngroups, ny, nx)`` in DN.

    Steps consume a ramp: they rewrite its arrays in place, and the caller does not look back.
    """

    data: Float32
    groupdq: UInt8
    pixeldq: UInt32
    metadata: Metadata
    zeroframe: Float32 | None = None
    """First frame of each integration ``(nints, ny, nx)`` DN; exactly 0 means no usable value."""
    refout: Float32 | None = None
    """MIRI reference output ``(nints, ngroups, ny, nx / 4)`` DN."""
    average_dark_current: Float32 | None = None
    """Dark current ``(ny, nx)`` in e-/s that adds to the Poisson variance of the fit."""
    read_times: Float64 | None = None
    """Irregular sampling: start times of the reads of each group ``(ngroups, nreads)`` in s."""
    tables: dict[str, Any] = field(default_factory=dict)
    """Tables carried along (``int_times``, ``group`` ...), by official attribute name."""
    extra: Any = None
    """HDUs and keywords of the input that the schema does not know, carried to the output."""
    side_products: dict[str, SideProduct] = field(default_factory=dict)
    """Optional products by file suffix."""
    scratch: Scratch | None = None
    """Where the arrays lie if they are too large for the memory; None where they are in memory."""

    def __post_init__(self) -> None:
        if self.data.ndim != 4:
            raise InvalidData(
                f"ramp data have {self.data.ndim} axes, not 4",
                file=self.metadata.source,
                remedy="give an exposure of shape (integrations, groups, rows, columns)",
            )
        if self.groupdq.shape != self.data.shape:
            raise InvalidData(
                f"GROUPDQ has shape {self.groupdq.shape}, SCI {self.data.shape}", file=self.metadata.source
            )
        if self.pixeldq.shape[-2:] != self.data.shape[-2:]:
            raise InvalidData(
                f"PIXELDQ has shape {self.pixeldq.shape}, SCI {self.data.shape}", file=self.metadata.source
            )

    @property
    def nints(self) -> int:
        """Integrations held (of this segment)."""
        return int(self.data.shape[0])

    @property
    def ngroups(self) -> int:
        """Groups in each integration."""
        return int(self.data.shape[1])

    def new_array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A zeroed array that lies where the ramp's own do."""
        return np.zeros(shape, dtype) if self.scratch is None else self.scratch.zeros(shape, dtype, spill=True)


@dataclass(slots=True, kw_only=True)
class RateImage:
    """Count rate of an exposure ``(ny, nx)`` in DN/s."""

    data: Float32
    err: Float32
    dq: UInt32
    var_poisson: Float32
    var_rnoise: Float32
    metadata: Metadata


@dataclass(slots=True, kw_only=True)
class RateCube:
    """Count rates of the integrations ``(nints, ny, nx)`` in DN/s."""

    data: Float32
    err: Float32
    dq: UInt32
    var_poisson: Float32
    var_rnoise: Float32
    metadata: Metadata
    tables: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Rates:
    """What ramp fitting makes of a ramp: the exposure's rate and each integration's."""

    rate: RateImage | None
    """None when no pixel could be fitted."""
    rateints: RateCube | None
    metadata: Metadata
    tables: dict[str, Any] = field(default_factory=dict)
    extra: Any = None
    side_products: dict[str, SideProduct] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class GuiderRamp:
    """Guide-star exposure in DN: ``(nints, ngroups, ny, nx)`` with one DQ plane ``(ny, nx)``."""

    data: Float32
    dq: UInt32
    metadata: Metadata
    tables: dict[str, Any] = field(default_factory=dict)
    extra: Any = None
    side_products: dict[str, SideProduct] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class GuiderCube:
    """Guide-star images ``(nimages, ny, nx)`` in DN/s."""

    data: Float32
    err: Float32
    dq: UInt32
    metadata: Metadata
    tables: dict[str, Any] = field(default_factory=dict)
    extra: Any = None
    side_products: dict[str, SideProduct] = field(default_factory=dict)


Product = Ramp | Rates | GuiderRamp | GuiderCube
"""What a plan carries from step to step."""
