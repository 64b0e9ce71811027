"""Medians and sorting networks against numpy's sort."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jwcal.detector1.kernels.networks import apply_network, median_ranks, network
from jwcal.detector1.kernels.selection import insertion_sort, median, select

from .random_arrays import many, numbers, seeds, some

FINITE_EXTREMES = (np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0, 0.0)
lengths = st.integers(1, 70)


@many
@given(seeds, lengths)
def test_insertion_sort_sorts_the_first_values_and_leaves_the_rest(seed: int, n: int) -> None:
    values = numbers(np.random.default_rng(seed), (n + 3,), odd=FINITE_EXTREMES)
    expected = np.concatenate((np.sort(values[:n]), values[n:]))
    insertion_sort(values, n)
    np.testing.assert_array_equal(values, expected)


@many
@given(seeds, lengths, st.data())
def test_selection_gives_the_value_of_a_rank_and_parts_the_others(seed: int, n: int, data: st.DataObject) -> None:
    values = numbers(np.random.default_rng(seed), (n,), odd=FINITE_EXTREMES)
    rank, expected = data.draw(st.integers(0, n - 1)), np.sort(values)
    assert select(values, n, rank) == expected[rank]
    assert (values[:rank] <= expected[rank]).all()
    assert (values[rank:] >= expected[rank]).all()
    np.testing.assert_array_equal(np.sort(values), expected)


@some
@given(seeds, st.sampled_from([np.float32, np.float64]))
def test_the_median_is_numpys_in_double_precision(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    for n in range(1, 60):
        values = numbers(rng, (n,), odd=FINITE_EXTREMES).astype(dtype)
        with np.errstate(invalid="ignore"):  # the mean of two infinities of either sign
            expected = np.median(values.astype(np.float64))
        np.testing.assert_array_equal(median(values.copy(), n), expected)


def test_the_median_of_nothing_is_nan() -> None:
    assert np.isnan(median(np.ones(3, np.float32), 0))


@many
@given(seeds, st.integers(1, 90), st.integers(1, 20), st.data())
def test_a_network_brings_the_wanted_ranks_to_their_places(seed: int, n: int, pixels: int, data: st.DataObject) -> None:
    values = numbers(np.random.default_rng(seed), (n, pixels), odd=FINITE_EXTREMES)
    ranks = tuple(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4)))
    expected = np.sort(values, axis=0)
    apply_network(values, network(n, ranks))
    np.testing.assert_array_equal(values[list(ranks)], expected[list(ranks)])


@many
@given(seeds, st.integers(1, 90))
def test_the_median_ranks_are_those_of_the_median(seed: int, n: int) -> None:
    values = numbers(np.random.default_rng(seed), (n,)).astype(np.float64)
    assert 0.5 * np.sort(values)[list(median_ranks(n))].sum() == np.median(values)


def test_a_network_of_every_small_size_sorts_every_pattern_of_zeros_and_ones() -> None:
    """Enough for any values, by the zero-one principle (Knuth, The Art of Computer Programming 3, 5.3.4)."""
    for n in range(2, 13):
        patterns = (np.arange(2**n)[None] >> np.arange(n)[:, None] & 1).astype(np.float32)
        expected = np.sort(patterns, axis=0)
        apply_network(patterns, network(n, tuple(range(n))))
        np.testing.assert_array_equal(patterns, expected)
