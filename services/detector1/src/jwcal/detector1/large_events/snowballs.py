"""Snowballs: large charge deposits in near-infrared detectors, with a saturated core and a halo.

Source: Regan 2024, JWST-STScI-008545, "Detection and Flagging of Showers and Snowballs in JWST".
"""

from typing import Protocol

import numpy as np

from jwcal.core import dqflags
from jwcal.core.array_types import Bool, UInt8
from jwcal.detector1.kernels.regions import any_within
from jwcal.detector1.large_events.ellipses import Ellipse, cover, grown_axes
from jwcal.detector1.large_events.regions import Regions, find_regions

_SATURATED = np.uint8(dqflags.SATURATED)
_JUMP = np.uint8(dqflags.JUMP_DET)


class SnowballParameters(Protocol):
    """The parameters of jump that concern snowballs."""

    min_sat_area: float
    min_jump_area: float
    expand_factor: float
    sat_required_snowball: bool
    min_sat_radius_extend: float
    sat_expand: int
    edge_size: int
    mask_snowball_core_next_int: bool
    snowball_time_masked_next_int: int
    max_extended_radius: int


def flag_snowballs(groupdq: UInt8, params: SnowballParameters, group_time: float) -> int:
    """Flag halos and cores in ``(nints, ngroups, ny, nx)``; returns the number of snowballs."""
    nints, ngroups, ny, nx = groupdq.shape
    cores = np.zeros((nints, ny, nx), bool)
    total = 0
    for index, flags in enumerate(groupdq):
        for group in range(1, ngroups):
            jumps = find_regions(flags[group], _JUMP, params.min_jump_area)
            if params.sat_required_snowball:
                here = _new_cores(flags, group, params)
                later = _new_cores(flags, group + 1, params) if group < ngroups - 1 and len(jumps) else []
                events = _snowballs(jumps, here + later, ny, params.edge_size)
                _extend_cores(flags, group, here, cores[index], params)
            else:
                events = jumps.ellipses()
            total += len(events)
            for event in events:
                _flag_halo(flags[group], event, params)
    if params.mask_snowball_core_next_int:
        last = min(int(params.snowball_time_masked_next_int // group_time), ngroups)
        for index in range(1, nints):
            if cores[index - 1].any():
                groupdq[index, 1:last] |= cores[index - 1].astype(np.uint8) * _JUMP
    return total


def _new_cores(flags: UInt8, group: int, params: SnowballParameters) -> list[Ellipse]:
    """Regions that saturate in `group`."""
    return find_regions(
        flags[group], _SATURATED, params.min_sat_area, without=(flags[group - 1], _SATURATED)
    ).ellipses()


def _snowballs(jumps: Regions, cores: list[Ellipse], ny: int, edge: int) -> list[Ellipse]:
    """Regions of jumps near the edge, or around the centre of a saturated core."""
    low, high = edge, max(0, ny - edge)
    x, y = jumps.x, jumps.y
    at_edge = (x < low) | (y < low) | (x > high) | (y > high)
    center_y, center_x = np.array([[core.y, core.x] for core in cores]).reshape(-1, 2).T
    near = any_within(y, x, jumps.largest_axis / 2, center_y, center_x)
    found = jumps.ellipses(np.flatnonzero(at_edge))
    for event in jumps.ellipses(np.flatnonzero(near & ~at_edge)):
        if any(event.contains(core.x, core.y) for core in cores):
            found.append(event)
    return found


def _extend_cores(flags: UInt8, group: int, cores: list[Ellipse], seen: Bool, params: SnowballParameters) -> None:
    """Saturate a margin around large cores to the end of the ramp; remember the cores in `seen`."""
    shape = flags.shape[1:]
    limit = 2 * params.max_extended_radius
    for core in cores:
        if min(core.minor, core.major) <= params.min_sat_radius_extend:
            continue
        width = min(core.minor + 2 * params.sat_expand, limit)
        height = min(core.major + 2 * params.sat_expand, limit)
        window, inside = cover((shape[0], shape[1]), core.x, core.y, width, height, core.angle)
        for plane in flags[group:]:
            plane[window][inside] = _SATURATED
        window, inside = cover((shape[0], shape[1]), core.x, core.y, core.minor, core.major, core.angle)
        seen[window][inside] = True


def _flag_halo(plane: UInt8, event: Ellipse, params: SnowballParameters) -> None:
    width, height = grown_axes(event, params.expand_factor, 2 * params.max_extended_radius)
    window, inside = cover((plane.shape[0], plane.shape[1]), event.x, event.y, width, height, event.angle)
    part = plane[window]
    part[inside & ((part & _SATURATED) == 0)] |= _JUMP
