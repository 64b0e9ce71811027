"""Connected regions against scikit-image, and snowballs against the same rule with its regions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from jwcal.detector1.kernels.regions import any_within
from jwcal.detector1.large_events.ellipses import Ellipse
from jwcal.detector1.large_events.regions import find_regions

some = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32)


def ellipses_of_skimage(mask: np.ndarray, min_area: float) -> list[Ellipse]:
    return [
        Ellipse(
            x=region.centroid[1],
            y=region.centroid[0],
            minor=region.axis_minor_length - 1,
            major=region.axis_major_length - 1,
            angle=float(np.degrees(region.orientation)),
        )
        for region in regionprops(label(mask))
        if region.area_filled >= min_area
    ]


@some
@given(seeds, st.integers(1, 24), st.integers(1, 24), st.floats(0, 1), st.integers(1, 40))
def test_regions_and_their_ellipses_are_those_of_scikit_image(
    seed: int, ny: int, nx: int, density: float, min_area: int
) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.integers(0, 256, (ny, nx), np.uint8) & np.uint8(0b11111011)
    mask = rng.random((ny, nx)) < density
    plane[mask] |= np.uint8(4)
    found = find_regions(plane, np.uint8(4), min_area)
    assert found.ellipses() == ellipses_of_skimage(mask, min_area)


@some
@given(seeds, st.floats(0, 1))
def test_what_another_plane_has_is_left_out(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    plane, before = rng.integers(0, 8, (2, 15, 19)).astype(np.uint8)
    before[rng.random(before.shape) < density] = 0
    mask = ((plane & 2) != 0) & ((before & 2) == 0)
    found = find_regions(plane, np.uint8(2), 1, without=(before, np.uint8(2)))
    assert found.ellipses() == ellipses_of_skimage(mask, 1)
    drawn = np.zeros(mask.shape, bool)
    for index, row in enumerate(found.table):
        drawn[row[1] : row[2], row[3] : row[4]] |= found.mask(index)
    np.testing.assert_array_equal(drawn, mask)


def test_a_ring_counts_with_its_hole() -> None:
    plane = np.zeros((7, 7), np.uint8)
    plane[1:6, 1:6] = 4
    plane[2:5, 2:5] = 0
    assert len(find_regions(plane, np.uint8(4), 25)) == 1
    plane[1, 1] = 0  # the hole leaks through the corner
    assert len(find_regions(plane, np.uint8(4), 17)) == 0


@some
@given(seeds)
def test_no_ellipse_reaches_beyond_the_largest_axis(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = (rng.random((20, 30)) < 0.3).astype(np.uint8)
    found = find_regions(plane, np.uint8(1), 1)
    for ellipse, limit in zip(found.ellipses(), found.largest_axis, strict=True):
        assert max(abs(ellipse.minor), abs(ellipse.major)) <= limit


@some
@given(seeds, st.integers(0, 6), st.integers(0, 6))
def test_points_within_reach_are_found(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    y, x, reach = rng.uniform(0, 10, (3, n))
    other_y, other_x = rng.uniform(0, 10, (2, m))
    expected = (np.hypot(y[:, None] - other_y, x[:, None] - other_x) <= reach[:, None]).any(axis=1)
    np.testing.assert_array_equal(any_within(y, x, reach, other_y, other_x), expected)
