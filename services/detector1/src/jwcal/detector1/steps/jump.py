"""Cosmic rays and other jumps in ramps."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from jwcal.core import dqflags
from jwcal.core.array_types import Float32
from jwcal.core.blocks import integration_blocks, of_integrations, row_blocks
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import GainReference, ReadnoiseReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.kernels import jump as kernels
from jwcal.detector1.kernels import networks
from jwcal.detector1.kernels.flags import planes_mostly_with, planes_with
from jwcal.detector1.kernels.jump_clip import clip_jumps
from jwcal.detector1.kernels.jump_screens import ITERATIVE, SINGLE_PASS
from jwcal.detector1.large_events.showers import flag_showers
from jwcal.detector1.large_events.snowballs import flag_snowballs
from jwcal.detector1.superstripes import check_collated


class JumpParameters(StepParameters):
    """Parameters of jump."""

    rejection_threshold: float = Field(default=4.0, ge=0)
    """Size of a jump in sigma, with four or more usable differences."""
    three_group_rejection_threshold: float = Field(default=6.0, ge=0)
    """The same with two usable differences."""
    four_group_rejection_threshold: float = Field(default=5.0, ge=0)
    """The same with three usable differences."""
    maximum_cores: str = "1"
    """Accepted for compatibility: threads are set for the whole run."""
    flag_4_neighbors: bool = True
    """Flag the four neighbours of jumps within the two limits below."""
    max_jump_to_flag_neighbors: float = 1000.0
    """Largest jump in sigma whose neighbours are flagged."""
    min_jump_to_flag_neighbors: float = 10.0
    """Smallest jump in sigma whose neighbours are flagged."""
    after_jump_flag_dn1: float = 0.0
    """Jump in DN after which groups are flagged, first pair."""
    after_jump_flag_time1: float = 0.0
    """Seconds flagged after such a jump, first pair."""
    after_jump_flag_dn2: float = 0.0
    """Jump in DN after which groups are flagged, second pair."""
    after_jump_flag_time2: float = 0.0
    """Seconds flagged after such a jump, second pair."""
    expand_large_events: bool = False
    """Find snowballs and flag their halos (near-infrared detectors)."""
    min_sat_area: float = 1.0
    """Smallest saturated core of a snowball in pixels."""
    min_jump_area: float = 5.0
    """Smallest area of a large event in pixels."""
    expand_factor: float = 2.0
    """Growth of the flagged ellipse around a snowball."""
    use_ellipses: bool = False
    """Deprecated, without effect."""
    sat_required_snowball: bool = True
    """A snowball must have a saturated core."""
    min_sat_radius_extend: float = 2.5
    """Smallest core (pixels) whose saturation is extended."""
    sat_expand: int = 2
    """Pixels added to the radius of a saturated core."""
    edge_size: int = 25
    """Distance from the edge (pixels) within which no saturated core is required."""
    mask_snowball_core_next_int: bool = True
    """Flag the cores in the next integration."""
    snowball_time_masked_next_int: int = 4000
    """Seconds for which they are flagged there."""
    find_showers: bool = False
    """Find showers (MIRI)."""
    max_shower_amplitude: float = 4.0
    """Documented limit in DN/s; see the notes: the official step does not use it."""
    extend_snr_threshold: float = 1.2
    """Signal to noise of a shower after smoothing."""
    extend_min_area: int = 90
    """Smallest shower in pixels."""
    extend_inner_radius: float = 1.0
    """Inner radius of the smoothing ring in pixels."""
    extend_outer_radius: float = 2.6
    """Width of the smoothing ring in pixels."""
    extend_ellipse_expand_ratio: float = 1.1
    """Growth of the flagged ellipse around a shower."""
    time_masked_after_shower: float = 15.0
    """Seconds flagged after a shower."""
    min_diffs_single_pass: int = 10
    """Usable differences from which one pass suffices."""
    max_extended_radius: int = 200
    """Largest radius of a large event in pixels."""
    minimum_groups: int = 3
    """Accepted for compatibility: the official step always takes 3."""
    minimum_sigclip_groups: int = 100
    """Integrations (or groups) from which sigma clipping replaces the noise model."""
    only_use_ints: bool = True
    """Clip each group over the integrations; otherwise over all groups and integrations."""


@step("jump", params=JumpParameters, references=(GainReference, ReadnoiseReference), official="jwst.jump.JumpStep")
def detect_jumps(ramp: Ramp, params: JumpParameters, refs: ReferenceSet) -> Ramp:
    """Find cosmic-ray hits as outliers among the differences of successive groups, and flag them JUMP_DET.

    In electrons, the noise of a difference is ``sigma = sqrt(|m| + RN^2 / NFRAMES)``, with ``m`` the pixel's median
    difference over all integrations and RN the CDS read noise.  With `min_diffs_single_pass` or more usable
    differences every one further from ``m`` than `rejection_threshold` sigma is flagged at once.  With fewer, the
    largest outlier is flagged and the rest looked at again until none is left.  With `minimum_sigclip_groups` or
    more integrations (groups, without `only_use_ints`) differences are sigma-clipped instead.
    The method is that of Anderson & Gordon 2011, PASP 123, 1237.

    Then neighbours of sizeable jumps, groups after large ones, snowballs and showers are flagged as the parameters
    say.  JUMP_DET never stands beside SATURATED or DO_NOT_USE.  The header gets the rates of jumps (PRIMECRS, per
    1000 pixels and second) and of large events (EXTNCRS, per million pixels and second).

    Reproduced behaviour of the official step: `max_shower_amplitude` and `minimum_groups` have no effect.
    """
    nints, ngroups, ny, nx = ramp.data.shape
    if ngroups <= 2:
        raise Skip("fewer than 3 groups")
    check_collated(ramp)
    gain, noise = refs.require(GainReference).data, refs.require(ReadnoiseReference).data
    bad_gain = ~(gain > 0)
    ramp.pixeldq[..., bad_gain] |= np.uint32(dqflags.NO_GAIN_VALUE | dqflags.DO_NOT_USE)
    noise_electrons = noise * gain
    group_time = ramp.metadata.require_number("exposure.group_time", positive=True)
    cosmic_rays = _find(ramp, params, gain, noise_electrons, group_time)
    for block in integration_blocks(ramp):
        kernels.drop_conflicts(ramp.groupdq[block])
    events = 0
    if params.expand_large_events:
        events = flag_snowballs(ramp.groupdq, params, group_time)
    if params.find_showers:
        events = flag_showers(ramp, params, gain, noise_electrons, group_time)
    unusable = int(_planes_with(ramp, kernels.DO_NOT_USE).sum())
    groups = nints * ngroups - unusable - nints
    if groups >= 1:
        exposure = group_time * groups * ny * nx
        ramp.metadata.set("exposure.primary_cosmic_rays", 1000 * cosmic_rays / exposure)
        ramp.metadata.set("exposure.extended_emission_events", 1e6 * events / exposure)
    return ramp


def _find(ramp: Ramp, params: JumpParameters, gain: Float32, noise: Float32, group_time: float) -> int:
    """All but the large events; returns the number of jumps before neighbours are flagged."""
    nints, ngroups, ny, _nx = ramp.data.shape
    unusable = _planes_with(ramp, kernels.DO_NOT_USE)
    clips = (nints if params.only_use_ints else np.count_nonzero(~unusable)) >= params.minimum_sigclip_groups
    fewest = ngroups - unusable.sum(axis=1).max()
    if fewest < 3 and not clips:
        return -99  # what the official step then puts into PRIMECRS
    nframes = float(ramp.metadata.require("exposure.nframes"))
    spread = np.zeros(2)
    if params.flag_4_neighbors:
        spread[:] = params.min_jump_to_flag_neighbors, params.max_jump_to_flag_neighbors
    groups1 = int(params.after_jump_flag_time1 // group_time)
    groups2 = int(params.after_jump_flag_time2 // group_time)
    jumps = np.zeros(ny, np.int64)
    marked = np.zeros((nints, ngroups, ny), bool)
    method = SINGLE_PASS if fewest - 1 >= params.min_diffs_single_pass else ITERATIVE
    limits = (params.three_group_rejection_threshold, params.four_group_rejection_threshold, params.rejection_threshold)
    chosen = (method, np.array(limits), spread, *_to_screen(ramp, method))
    for block in row_blocks(ramp):
        rows = block.rows
        marks = np.ascontiguousarray(marked[:, :, rows])
        inputs = (block.data, block.groupdq, gain[rows], noise[rows], nframes)
        if clips:
            clip_jumps(*inputs, params.only_use_ints, params.rejection_threshold, spread, jumps[rows], marks)
        else:
            kernels.find_jumps(*inputs, *chosen, jumps[rows], marks)
        marked[:, :, rows] = marks
    if clips:
        jumps[0] -= _clear_flagged_groups(ramp)
    if marked.any():
        for part in integration_blocks(ramp):
            kernels.spread_to_neighbours(ramp.groupdq[part], marked[part])
            kernels.clear_marks(ramp.groupdq[part], marked[part])
    if groups1 > 0 or groups2 > 0:
        middle_gain = float(np.nanmedian(gain))
        for block in row_blocks(ramp):
            kernels.flag_after_jumps(
                block.data,
                block.groupdq,
                gain[block.rows],
                params.after_jump_flag_dn1 * middle_gain,
                groups1,
                params.after_jump_flag_dn2 * middle_gain,
                groups2,
            )
    return int(jumps.sum())


def _planes_with(ramp: Ramp, flag: np.uint8) -> NDArray[np.bool_]:
    """Which planes ``(nints, ngroups)`` have one of the bits `flag` in every pixel."""
    return of_integrations(ramp, lambda groupdq: planes_with(groupdq, flag))


def _to_screen(ramp: Ramp, method: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The differences by which many pixels are screened at once, the others, and the first ones' sorting network."""
    unusable = of_integrations(ramp, lambda groupdq: planes_mostly_with(groupdq, kernels.DO_NOT_USE))
    in_most = ~(unusable[:, 1:] | unusable[:, :-1])
    usable, idle = np.flatnonzero(in_most), np.flatnonzero(~in_most)
    n = usable.size
    if not 4 <= n <= networks.LONGEST:
        return usable[:0], idle[:0], networks.network(0, ())
    ranks = (0, (n - 2) // 2, (n - 1) // 2, n - 2, n - 1) if method == ITERATIVE else networks.median_ranks(n)
    return usable, idle, networks.network(n, ranks)


def _clear_flagged_groups(ramp: Ramp) -> int:
    """After clipping: groups whose every pixel is flagged lose their JUMP_DET; returns how many flags went."""
    cleared = 0
    for i, g in np.argwhere(_planes_with(ramp, kernels.JUMP_DET | kernels.DO_NOT_USE)):
        plane = ramp.groupdq[i, g]
        before = int(np.count_nonzero(plane & kernels.JUMP_DET))
        kernels.clear_jumps(plane)
        cleared += before - int(np.count_nonzero(plane & kernels.JUMP_DET))
    return cleared
