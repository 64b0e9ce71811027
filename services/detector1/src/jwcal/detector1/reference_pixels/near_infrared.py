"""Reference pixels of HAWAII-2RG detectors in conventional readout."""

from typing import Any, Protocol

import numpy as np

from jwcal.core import dqflags
from jwcal.core.array_types import Float32, Float64, UInt32
from jwcal.core.metadata import Metadata
from jwcal.core.references.types import SirsKernelReference
from jwcal.detector1.kernels import refpix as kernels
from jwcal.detector1.reference_pixels.axes import FULL, DetectorAxes, PixelSets
from jwcal.detector1.reference_pixels.sirs import Templates

BORDER = 4
AMPLIFIER_WIDTH = 512
_OUTPUTS = 4
EDGELESS = ("SUB512", "SUB512S", "SUB32")
"""NIRSpec subarrays without reference pixels: the outermost columns serve as such."""


class Options(Protocol):
    """The parameters of refpix that matter here."""

    odd_even_columns: bool
    use_side_ref_pixels: bool
    side_smoothing_length: int
    side_gain: float
    siglimit: float
    sigreject: float
    gaussmooth: float
    halfwidth: int


def correct_frames(
    frames: Float32,
    pixeldq: UInt32,
    metadata: Metadata,
    options: Options,
    sirs: SirsKernelReference | None,
    *,
    starts: bool,
) -> None:
    """Correct the frames ``(n, ny, nx)`` of an exposure in place.

    `pixeldq` has one plane, or one for each superstripe.  `starts` says that the first frame is that of the exposure,
    which the official step works in single precision where the others are worked in double.
    """
    ny, nx = frames.shape[-2:]
    axes = DetectorAxes.of(metadata, ny, nx)
    if metadata.get("subarray.multistripe_reads1") is not None:
        _multistripe(frames, pixeldq, axes, metadata, options)
    elif (ny, nx) == (FULL, FULL) or metadata.get("exposure.noutputs") == _OUTPUTS:
        templates = None if sirs is None else Templates.of(sirs, metadata.detector, options)
        _four_outputs(frames, pixeldq, axes, options, templates, starts)
    else:
        _one_output(frames, pixeldq, axes, metadata, options)


def _one_output(frames: Float32, pixeldq: UInt32, axes: DetectorAxes, metadata: Metadata, options: Options) -> None:
    """Subarrays read through one output: every reference pixel counts, by the parity of its detector column."""
    fast, _ = axes.planes()
    reference = (pixeldq & np.uint32(dqflags.REFERENCE_PIXEL)) != 0
    if str(metadata.get("subarray.name", "")).upper() in EDGELESS:
        reference[:, :BORDER] = True
        reference[:, -BORDER:] = True
    masks = [reference & (fast % 2 == parity) for parity in (0, 1)] if options.odd_even_columns else [reference]
    sets = PixelSets.of(masks, pixeldq, dqflags.DO_NOT_USE, axes)
    if sets.rows.size == 0:
        return
    by_fast, none = axes.fast % len(masks), np.zeros(axes.slow.size, np.int64)
    along = (none, by_fast) if axes.fast_is_x else (by_fast, none)
    kernels.subtract_clipped_means(frames, sets.rows, sets.columns, sets.bounds, options.siglimit, *along)


def _four_outputs(
    frames: Float32,
    pixeldq: UInt32,
    axes: DetectorAxes,
    options: Options,
    templates: Templates | None,
    starts: bool,
) -> None:
    """Full frames and subarrays of four outputs: top and bottom rows for each output, then the side columns."""
    _, slow = axes.planes()
    parities = 2 if options.odd_even_columns else 1
    label = parities * (axes.fast // AMPLIFIER_WIDTH) + axes.fast % parities
    along = label[None, :] if axes.fast_is_x else label[:, None]
    edges = (slow < BORDER, slow >= FULL - BORDER)
    masks = [edge & (along == k) for edge in edges for k in range(parities * _OUTPUTS)]
    sets = PixelSets.of(masks, pixeldq, dqflags.DO_NOT_USE, axes)
    means = np.empty(len(masks))
    side = None
    if options.use_side_ref_pixels:
        side = _SideColumns(pixeldq, axes, options, templates)
    flat = np.zeros(axes.slow.size)
    for index, frame in enumerate(frames):
        single = side is None or (starts and index == 0)
        kernels.clipped_means(frame, sets.rows, sets.columns, sets.bounds, options.siglimit, single, means)
        bottom, top = means.reshape(2, -1)
        both = 0.5 * (bottom + top)
        both = np.where(np.isfinite(both), both, np.where(np.isfinite(bottom), bottom, top))
        offsets = _offsets(both.astype(np.float32).astype(np.float64) if single else both, label)
        if side is not None and side.templates is None and not single:
            kernels.subtract_lines(frame, *axes.lines(offsets, side.signal(frame, offsets)))
            continue
        kernels.subtract_lines(frame, *axes.lines(offsets, flat))
        nothing = np.zeros_like(offsets)
        if side is not None and side.templates is None:
            kernels.subtract_lines(frame, *axes.lines(nothing, side.signal(frame, nothing)))
        elif side is not None and side.templates is not None:
            left, right = side.columns(frame, nothing)
            side.templates.subtract(frame if axes.fast_is_x else frame.T, axes, left, right)


class _SideColumns:
    """The four reference columns at either end of the fast axis, for every position along the slow axis."""

    def __init__(self, pixeldq: UInt32, axes: DetectorAxes, options: Options, templates: Templates | None) -> None:
        self._axes = axes
        self._gain = options.side_gain
        self._length = options.side_smoothing_length
        self.templates = templates
        usable = (pixeldq & np.uint32(dqflags.DO_NOT_USE)) == 0
        self._usable = self._blocks(usable if axes.fast_is_x else usable.T, False)

    def _blocks(self, upright: np.ndarray, fill: Any) -> tuple[np.ndarray, np.ndarray]:
        """The two blocks ``(2048, 4)`` of a frame ``(slow, fast)`` in detector order; `fill` where it has none."""
        axes = self._axes
        left, right = (np.full((FULL, BORDER), fill) for _ in range(2))
        for block, start in ((left, 0), (right, FULL - BORDER)):
            here = np.flatnonzero((axes.fast >= start) & (axes.fast < start + BORDER))
            block[axes.slow[:, None], (axes.fast[here] - start)[None, :]] = upright[:, here]
        return left, right

    def columns(self, frame: Float32, offsets: Float64) -> tuple[np.ndarray, np.ndarray]:
        """Left and right block ``(2048, 4)`` of a frame less `offsets` at each position along the fast axis."""
        upright = frame if self._axes.fast_is_x else frame.T
        left, right = self._blocks(upright, 0.0)
        along = np.zeros(FULL)
        along[self._axes.fast] = offsets
        return left - along[:BORDER], right - along[-BORDER:]

    def signal(self, frame: Float32, offsets: Float64) -> Float64:
        """What to subtract at each frame position along the slow axis."""
        smooth = np.empty((2, FULL))
        for block, usable, result in zip(self.columns(frame, offsets), self._usable, smooth, strict=True):
            kernels.running_median(block, usable, self._length, result)
        left, right = smooth
        both = 0.5 * (left + right)
        both = np.where(np.isfinite(both), both, np.where(np.isfinite(left), left, right))
        signal: Float64 = self._gain * np.nan_to_num(both)[self._axes.slow]
        return signal


def _multistripe(frames: Float32, pixeldq: UInt32, axes: DetectorAxes, metadata: Metadata, options: Options) -> None:
    """Multistripe readout: the flagged reference pixels of the frame, by amplifier and column parity.

    As in the official step the amplifier comes from the start of the frame, parity from the position in it, and the
    first plane of a superstripe's `pixeldq` serves all.
    """
    start = int(metadata.require("subarray.xstart" if axes.fast_is_x else "subarray.ystart")) - 1
    count = axes.fast.size
    order = np.arange(count) if axes.fast[-1] >= axes.fast[0] else np.arange(count)[::-1]
    amplifier = (order + start) // AMPLIFIER_WIDTH
    parities = 2 if options.odd_even_columns else 1
    label = parities * amplifier + order % parities
    dq = pixeldq if pixeldq.ndim == 2 else pixeldq[0]
    reference = (dq & np.uint32(dqflags.REFERENCE_PIXEL)) != 0
    along = label[None, :] if axes.fast_is_x else label[:, None]
    size = parities * _OUTPUTS
    sets = PixelSets.of([reference & (along == k) for k in range(size)], dq, dqflags.DO_NOT_USE, axes)
    means = np.empty(size)
    flat = np.zeros(axes.slow.size)
    for frame in frames:
        kernels.clipped_means(frame, sets.rows, sets.columns, sets.bounds, options.siglimit, True, means)
        kernels.subtract_lines(frame, *axes.lines(_offsets(means, label), flat))


def _offsets(means: Float64, label: np.ndarray) -> Float64:
    """Offset at each position along the fast axis; an amplifier that lacks one of its means gets none."""
    by_amplifier = means.reshape(_OUTPUTS, -1)
    complete = np.isfinite(by_amplifier).all(axis=1, keepdims=True)
    values: Float64 = np.where(complete, by_amplifier, 0.0).ravel()[label]
    return values
