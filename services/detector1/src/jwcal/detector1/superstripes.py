"""Put superstripes together: frames of the whole field from the stripes that were read one after the other."""

from math import ceil
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jwcal.core import dqflags
from jwcal.core.data import Ramp
from jwcal.core.errors import InvalidData
from jwcal.core.metadata import Metadata
from jwcal.core.stripes import DETECTOR_LINES, Stripe, StripeReadout, stripe_readout, superstripe_positions
from jwcal.detector1.read_times import stripe_read_times

_READOUT_KEYWORDS: Final = (
    "multistripe_reads1",
    "multistripe_skips1",
    "multistripe_reads2",
    "multistripe_skips2",
    "repeat_stripe",
    "interleave_reads1",
    "superstripe_step",
    "num_superstripe",
)
_TIMES: Final = ("MJD_UTC", "BJD_TDB")


def check_collated(ramp: Ramp) -> None:
    """Refuse a ramp of superstripes that are still apart."""
    if superstripe_positions(ramp.metadata):
        raise InvalidData(
            "the superstripes of this exposure are not put together",
            file=ramp.metadata.source,
            remedy="let refpix run, which does it at its end",
        )


def collate(ramp: Ramp) -> Ramp:
    """The ramp ``(nints, ngroups, ny, nx)`` that superstripes ``(nints * positions, ...)`` make up.

    Lines that no stripe holds are NaN, their PIXELDQ is REFERENCE_PIXEL.  Where a frame reads its stripe several times
    every read becomes a group of its own, and the ramp gets read times.  INT_TIMES goes over to the new integrations,
    the times of the stripes to INT_TIMES_STRIPE.

    Behaviour of the official step that is kept: a group holds only the stripe of its own read, so that interleaved
    stripes leave the rest of it NaN; the zero frame is that of the last read; group and frame times stay those of
    the frames.  The GROUP table, which tells of the stripes' groups, is left out.
    """
    ny, nx = ramp.data.shape[-2:]
    readout = stripe_readout(ramp.metadata, ny, nx)
    if readout is None or readout.superstripes == 0:
        raise InvalidData("this is no superstripe exposure", file=ramp.metadata.source)
    stripes = [readout.stripes(position) for position in range(readout.positions)]
    first, count = readout.field(str(ramp.metadata.get("subarray.name", "")))
    repeats = len(stripes[0])
    nints, ngroups = ramp.nints // readout.positions, ramp.ngroups * repeats
    frame = (count, nx) if readout.slow_is_y else (ny, count)

    data = ramp.new_array((nints, ngroups, *frame), np.float32)
    data[...] = np.nan
    groupdq = ramp.new_array((nints, ngroups, *frame), np.uint8)
    pixeldq = np.full(frame, dqflags.REFERENCE_PIXEL, np.uint32)
    zeroframe = None if ramp.zeroframe is None else np.full((nints, *frame), np.nan, np.float32)
    for repeat in range(repeats):  # where stripes overlap the last one wins
        for position, of_position in enumerate(stripes):
            move = _Move(readout, of_position[repeat], first)
            planes = slice(position, nints * readout.positions, readout.positions)
            for old, new in ((ramp.data, data), (ramp.groupdq, groupdq)):
                for integration in range(nints):
                    move.lines(old[planes][integration], new[integration, repeat::repeats])
            move.lines(ramp.pixeldq[position], pixeldq)
            if zeroframe is not None and ramp.zeroframe is not None:
                move.lines(ramp.zeroframe[planes], zeroframe)

    read_times = stripe_read_times(ramp, readout) if repeats > 1 else None
    tables = {name: table for name, table in ramp.tables.items() if name != "group"} | _times(ramp, readout.positions)
    _describe(ramp.metadata, readout, first, data.shape)
    return Ramp(
        data=data,
        groupdq=groupdq,
        pixeldq=pixeldq,
        metadata=ramp.metadata,
        zeroframe=zeroframe,
        read_times=read_times,
        tables=tables,
        extra=ramp.extra,
        side_products=ramp.side_products,
        scratch=ramp.scratch,
    )


class _Move:
    """Copies one stripe from the frames it was read in to the frames it belongs to, which begin at line `first`."""

    def __init__(self, readout: StripeReadout, stripe: Stripe, first: int) -> None:
        self._readout = readout
        self._from = slice(stripe.frame, stripe.frame + stripe.lines)
        self._to = slice(stripe.detector - first, stripe.detector - first + stripe.lines)

    def lines(self, old: NDArray[Any], new: NDArray[Any]) -> None:
        """From arrays ``(..., ny, nx)`` to arrays of the same kind."""
        view = self._readout.in_readout_order
        view(new)[..., self._to, :] = view(old)[..., self._from, :]


def _describe(metadata: Metadata, readout: StripeReadout, first: int, shape: tuple[int, ...]) -> None:
    """Rewrite the metadata to those of an ordinary exposure of `shape` ``(nints, ngroups, ny, nx)``."""
    nints = int(metadata.require_number("exposure.nints"))
    bounds = {
        "integration_start": int(metadata.get("exposure.integration_start", 1)),
        "integration_end": int(metadata.get("exposure.integration_end", nints)),
        "nints": nints,
    }
    for name, value in bounds.items():
        metadata.set(f"exposure.{name}", ceil(value / readout.positions))
    metadata.set("exposure.ngroups", shape[1])
    for name in _READOUT_KEYWORDS:
        metadata.discard(f"subarray.{name}")
    metadata.set("subarray.ysize", shape[-2])
    metadata.set("subarray.xsize", shape[-1])
    count = shape[-2] if readout.slow_is_y else shape[-1]
    start = DETECTOR_LINES - first - count if readout.backwards else first
    metadata.set("subarray.ystart" if readout.slow_is_y else "subarray.xstart", start + 1)


def _times(ramp: Ramp, positions: int) -> dict[str, NDArray[Any]]:
    """INT_TIMES of the integrations, first start to last end, and INT_TIMES_STRIPE with the times of each stripe."""
    table = ramp.tables.get("int_times")
    if table is None or len(table) == 0:
        return {}
    nints, rest = divmod(len(table), positions)
    if rest:
        raise InvalidData(
            f"INT_TIMES has {len(table)} rows, not whole sets of {positions} superstripes", file=ramp.metadata.source
        )
    number = np.arange(nints) + ceil(int(ramp.metadata.get("exposure.integration_start", 1)) / positions)
    moments = [name for name in table.dtype.names if name.startswith("int_")]
    of_stripes = np.zeros(
        len(table), [("integration_number", "i4"), ("stripe_number", "i4"), *((name, "f8") for name in moments)]
    )
    of_stripes["integration_number"] = np.repeat(number, positions)
    of_stripes["stripe_number"] = np.arange(len(table)) % positions + 1
    for name in moments:
        of_stripes[name] = table[name]
    whole = np.zeros(nints, table.dtype)
    whole["integration_number"] = number
    for scale in _TIMES:
        start, end = table[f"int_start_{scale}"][::positions], table[f"int_end_{scale}"][positions - 1 :: positions]
        whole[f"int_start_{scale}"], whole[f"int_end_{scale}"] = start, end
        whole[f"int_mid_{scale}"] = (end - start) / 2 + start
    return {"int_times": whole, "int_times_stripe": of_stripes}
