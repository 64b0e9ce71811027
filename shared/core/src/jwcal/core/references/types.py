"""Decoded references: what steps see of a calibration file.

Arrays are already cut to the exposure's subarray (dark and reset must match as they are) and DQ planes are in the
standard flags.  `decode` is given the open stdatamodels model, which no step ever sees.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float32, UInt32
from jwcal.core.metadata import Metadata
from jwcal.core.references.geometry import Subarray, cut


def _origin(model: Any) -> Subarray:
    """Corner and size of a reference; a full frame where the file does not say."""
    sub = model.meta.subarray
    miri = str(model.meta.instrument.name).upper() == "MIRI"
    return Subarray(
        xstart=sub.xstart or 1,
        ystart=sub.ystart or 1,
        xsize=sub.xsize or (1032 if miri else 2048),
        ysize=sub.ysize or (1024 if miri else 2048),
        name=str(sub.name or ""),
    )


def _plane(model: Any, name: str, target: Subarray | None, dtype: Any) -> NDArray[Any]:
    """An array of the model in native order, cut to `target`."""
    array = np.ascontiguousarray(getattr(model, name), dtype=dtype)
    return array if target is None else cut(array, _origin(model), target, file=str(model.meta.filename))


def _plane_or_mean(model: Any, name: str, target: Subarray | None) -> Float32:
    """As `_plane`; its mean everywhere for a stack of strips that lies outside of it."""
    array = np.asarray(getattr(model, name), dtype=np.float32)
    if target is not None and target.stacked:
        own = replace(_origin(model), xsize=array.shape[-1], ysize=array.shape[-2])
        if not own.holds(target):
            return np.full((target.ysize, target.xsize), np.mean(array), np.float32)
    return _plane(model, name, target, np.float32)


def _lower_case(table: NDArray[Any]) -> NDArray[Any]:
    """A table with its column names in lower case."""
    table.dtype.names = tuple(name.lower() for name in table.dtype.names or ())
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Base of the decoded references."""

    reftype: ClassVar[str] = ""
    model: ClassVar[str] = ""
    """stdatamodels class that reads the file."""
    models: ClassVar[dict[str, str]] = {}
    """Classes of instruments that have one of their own."""
    file: str = ""
    """Base name of the file it came from."""

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        """Build from an open model, cut to `target` (None: as it is)."""
        raise NotImplementedError


AnyReference = TypeVar("AnyReference", bound=Reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskReference(Reference):
    """Bad pixels."""

    reftype: ClassVar[str] = "mask"
    model: ClassVar[str] = "MaskModel"
    dq: UInt32

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(dq=_plane(model, "dq", target, np.uint32), file=model.meta.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturationReference(Reference):
    """Saturation thresholds in DN."""

    reftype: ClassVar[str] = "saturation"
    model: ClassVar[str] = "SaturationModel"
    data: Float32
    dq: UInt32

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(
            data=_plane(model, "data", target, np.float32),
            dq=_plane(model, "dq", target, np.uint32),
            file=model.meta.filename,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperbiasReference(Reference):
    """Bias level in DN."""

    reftype: ClassVar[str] = "superbias"
    model: ClassVar[str] = "SuperBiasModel"
    data: Float32
    dq: UInt32

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(
            data=_plane(model, "data", target, np.float32),
            dq=_plane(model, "dq", target, np.uint32),
            file=model.meta.filename,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IpcReference(Reference):
    """Interpixel-capacitance kernel: ``(ky, kx)``, or ``(ky, kx, ny, nx)``, for the whole detector in the file."""

    reftype: ClassVar[str] = "ipc"
    model: ClassVar[str] = "IPCModel"
    data: Float32

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        kernel = np.ascontiguousarray(model.data, dtype=np.float32)
        if (
            kernel.ndim == 4 and target is not None
        ):  # by corner and size, in multistripe readout too; files name no place
            whole = Subarray(xstart=1, ystart=1, xsize=kernel.shape[-1], ysize=kernel.shape[-2])
            kernel = cut(kernel, whole, replace(target, stripes=None), file=str(model.meta.filename))
        return cls(data=kernel, file=model.meta.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearityReference(Reference):
    """Linearity polynomial ``(ncoeffs, ny, nx)``, lowest order first, and its optional inverse."""

    reftype: ClassVar[str] = "linearity"
    model: ClassVar[str] = "LinearityModel"
    coeffs: Float32
    dq: UInt32
    inv_coeffs: Float32 | None = None

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        coeffs = _plane(model, "coeffs", target, np.float32)
        inverse = None
        in_stripes = target is not None and target.stripes is not None and coeffs.shape != model.coeffs.shape
        if model.hasattr("inv_coeffs") and not in_stripes:  # which officially are not cut to stripes
            inverse = _plane(model, "inv_coeffs", target, np.float32)
        return cls(
            coeffs=coeffs,
            dq=_plane(model, "dq", target, np.uint32),
            inv_coeffs=inverse,
            file=model.meta.filename,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DarkReference(Reference):
    """Dark ramp in DN: ``(ngroups, ny, nx)``, MIRI ``(nints, ngroups, ny, nx)``; never cut."""

    reftype: ClassVar[str] = "dark"
    model: ClassVar[str] = "DarkModel"
    models: ClassVar[dict[str, str]] = {"MIRI": "DarkMIRIModel", "NIRSPEC": "DarkNirspecModel"}
    data: Float32
    dq: UInt32
    """``(ny, nx)``, MIRI ``(nints, 1, ny, nx)``."""
    nframes: int
    groupgap: int
    average_dark_current: Float32 | float | None = None
    """e-/s: a plane, a scalar, or None where the file has neither."""
    metadata: Metadata = field(default_factory=lambda: Metadata({}))
    """The file's own, for a dark that is saved."""

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        average: Float32 | float | None = None
        if model.hasattr("average_dark_current") and np.any(np.asarray(model.average_dark_current)):
            average = np.ascontiguousarray(model.average_dark_current, dtype=np.float32)
        elif model.meta.exposure.average_dark_current is not None:
            average = float(model.meta.exposure.average_dark_current)
        return cls(
            data=np.ascontiguousarray(model.data, dtype=np.float32),
            dq=np.ascontiguousarray(model.dq, dtype=np.uint32),
            nframes=int(model.meta.exposure.nframes or 1),
            groupgap=int(model.meta.exposure.groupgap or 0),
            average_dark_current=average,
            metadata=Metadata(model.meta.instance).copy(),
            file=model.meta.filename,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GainReference(Reference):
    """Gain in e-/DN and, for subarrays read at another gain, the factor to apply to rates."""

    reftype: ClassVar[str] = "gain"
    model: ClassVar[str] = "GainModel"
    data: Float32
    gain_factor: float | None = None

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        factor = model.meta.exposure.gain_factor
        return cls(
            data=_plane_or_mean(model, "data", target),
            gain_factor=None if factor is None else float(factor),
            file=model.meta.filename,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadnoiseReference(Reference):
    """Correlated-double-sampling read noise in DN."""

    reftype: ClassVar[str] = "readnoise"
    model: ClassVar[str] = "ReadnoiseModel"
    data: Float32

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(data=_plane_or_mean(model, "data", target), file=model.meta.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetReference(Reference):
    """Reset anomaly of MIRI in DN ``(nints, ngroups, ny, nx)``; never cut."""

    reftype: ClassVar[str] = "reset"
    model: ClassVar[str] = "ResetModel"
    data: Float32
    dq: UInt32

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(
            data=np.ascontiguousarray(model.data, dtype=np.float32),
            dq=np.ascontiguousarray(model.dq, dtype=np.uint32),
            file=model.meta.filename,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RscdReference(Reference):
    """Groups to skip at the start of MIRI integrations."""

    reftype: ClassVar[str] = "rscd"
    model: ClassVar[str] = "RSCDModel"
    rows: tuple[tuple[str, str, int, int], ...]
    """(subarray, readpatt, groups of the first integration, groups of the later ones)."""

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        table = model.rscd_group_skip_table
        rows = tuple(
            (
                str(row["subarray"]).strip(),
                str(row["readpatt"]).strip(),
                int(row["group_skip1"]),
                int(row["group_skip"]),
            )
            for row in table
        )
        return cls(rows=rows, file=model.meta.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmicorrReference(Reference):
    """Waves of MIRI's electromagnetic interference."""

    reftype: ClassVar[str] = "emicorr"
    model: ClassVar[str] = "EmiModel"
    subarray_cases: dict[str, Any]
    """By case: ``rowclocks``, ``frameclocks`` and ``freqs`` (by FAST / SLOW and detector)."""
    frequencies: dict[str, Any]
    """By name: ``frequency`` in Hz and ``phase_amplitudes``, one cycle of the wave."""

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(
            subarray_cases=_plain(model._instance["subarray_cases"]),
            frequencies=_plain(model._instance["frequencies"]),
            file=model.meta.filename,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Irs2Reference(Reference):
    """Fourier weights of the reference output and reference pixels for NIRSpec's IRS2 readout."""

    reftype: ClassVar[str] = "refpix"
    model: ClassVar[str] = "IRS2Model"
    irs2_table: NDArray[Any]
    dq_table: NDArray[Any] | None = None

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        bad = _lower_case(np.array(model.dq_table)) if model.hasattr("dq_table") else None
        return cls(irs2_table=_lower_case(np.array(model.irs2_table)), dq_table=bad, file=model.meta.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class SirsKernelReference(Reference):
    """Frequency responses of the side reference pixels for the SIRS correction."""

    reftype: ClassVar[str] = "sirskernel"
    model: ClassVar[str] = "SIRSKernelModel"
    tree: dict[str, Any]
    """The file's tree without its metadata, arrays decoded."""

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(tree=_plain({k: v for k, v in model._instance.items() if k != "meta"}), file=model.meta.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatReference(Reference):
    """Flat field, unitless."""

    reftype: ClassVar[str] = "flat"
    model: ClassVar[str] = "FlatModel"
    data: Float32
    dq: UInt32
    err: Float32

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(
            data=_plane(model, "data", target, np.float32),
            dq=_plane(model, "dq", target, np.uint32),
            err=_plane(model, "err", target, np.float32),
            file=model.meta.filename,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFrameReference(Reference):
    """Thermal picture frame of NIRSpec, arbitrary scale, full frame."""

    reftype: ClassVar[str] = "pictureframe"
    model: ClassVar[str] = "PictureFrameModel"
    data: Float32

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(data=np.ascontiguousarray(model.data, dtype=np.float32), file=model.meta.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastasossReference(Reference):
    """Order traces of NIRISS SOSS."""

    reftype: ClassVar[str] = "pastasoss"
    model: ClassVar[str] = "PastasossModel"
    traces: list[Any]
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def decode(cls, model: Any, target: Subarray | None) -> Self:
        return cls(
            traces=_plain(model._instance["traces"]), meta=_plain(model._instance["meta"]), file=model.meta.filename
        )


def _plain(node: Any) -> Any:
    """Plain containers and arrays of an asdf tree."""
    if isinstance(node, dict) or hasattr(node, "items"):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if hasattr(node, "__array__") and not np.isscalar(node):
        return np.array(node)
    return node
