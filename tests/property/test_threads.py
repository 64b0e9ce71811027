"""Every parallel kernel gives the same bytes on any number of threads.

Those of interference and likelihood are run as whole corrections, in the tests of their own.
"""

import copy
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
import pytest

from jwcal.detector1 import kernels
from jwcal.detector1.fitting.least_squares import slope_coefficients
from jwcal.detector1.kernels import (
    buckets,
    capacitance,
    flags,
    irs2,
    jump,
    jump_clip,
    linearity,
    networks,
    ramp_fit,
    ramp_fit_details,
    refpix,
    regions,
    saturation,
    stripes,
    subtract,
)

from .random_arrays import flags as some_flags
from .random_arrays import numbers

THREADS = range(2, numba.config.NUMBA_NUM_THREADS + 1)
NINTS, NGROUPS, NY, NX = 2, 8, 37, 83
"""Neither rows nor columns divide evenly among threads or tiles."""
PLANE, CUBE, RAMP = (NY, NX), (NGROUPS, NY, NX), (NINTS, NGROUPS, NY, NX)
Arguments = tuple[Any, ...]
CALLS: dict[tuple[Any, str], Callable[[np.random.Generator], Arguments]] = {}


def call(module: Any, *names: str) -> Callable[[Callable[[np.random.Generator], Arguments]], None]:
    """Note arguments for kernels of a module."""

    def note(make: Callable[[np.random.Generator], Arguments]) -> None:
        CALLS.update({(module, name): make for name in names})

    return note


def dq(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return some_flags(rng, shape, (1, 2, 4, 32), 0.05)


def mask(rng: np.random.Generator, shape: tuple[int, ...] = PLANE, share: float = 0.3) -> Any:
    return rng.random(shape) < share


def doubles(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.normal(0, 100, shape)


def _sorted_roughly(rng: np.random.Generator) -> tuple[Any, ...]:
    image = numbers(rng, PLANE, odd=(np.nan, 0.0))
    return image, image.view(np.uint32), mask(rng, share=0.8), np.uint32(1 << 31), np.uint32(16)


@call(buckets, "count")
def _(rng: np.random.Generator) -> Arguments:
    return _sorted_roughly(rng)


@call(buckets, "distribute")
def _(rng: np.random.Generator) -> Arguments:
    arguments = _sorted_roughly(rng)
    counts = buckets.count(*arguments)
    places = np.cumsum(counts.T).reshape(counts.T.shape).T - counts
    return *arguments, places, np.zeros(int(counts.sum()), np.float32)


@call(buckets, "add_up")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, (400,)), np.sort(rng.integers(0, 401, 51)), np.zeros(50), np.zeros(50)


@call(buckets, "narrow")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, PLANE), mask(rng, share=0.8), 110.0, 120.0


@call(buckets, "subtract_and_narrow")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, PLANE), mask(rng, share=0.8), np.float32(10), 90.0, 120.0


@call(regions, "find_runs")
def _(rng: np.random.Generator) -> Arguments:
    return dq(rng, PLANE), np.uint8(4), dq(rng, PLANE), np.uint8(2)


@call(capacitance, "convolve_frames")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE), numbers(rng, (3, 3, NY, NX)), True, np.arange(NY), 2, NY - 1, 3, NX


@call(flags, "set_group_flags")
def _(rng: np.random.Generator) -> Arguments:
    return dq(rng, CUBE), dq(rng, PLANE)


@call(flags, "first_above")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE), dq(rng, CUBE), np.float32(120), np.zeros(PLANE, np.int64)


@call(flags, "flag_from_first")
def _(rng: np.random.Generator) -> Arguments:
    return dq(rng, CUBE), rng.integers(0, NGROUPS + 5, PLANE), np.uint8(129)


@call(flags, "skip_first_groups")
def _(rng: np.random.Generator) -> Arguments:
    return some_flags(rng, RAMP, (2,), 0.6), 3, np.zeros(PLANE, bool), np.zeros(PLANE, bool)


@call(flags, "open_windows")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE), dq(rng, CUBE), doubles(rng, PLANE), 10.0, 5.0, 20.0, 150.0, np.uint8(32)


@call(irs2, "mean_frame")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE), np.zeros(PLANE)


def _lines(rng: np.random.Generator) -> tuple[Any, Any]:
    places = rng.choice(5 * 20, NY, replace=False)
    return places // 20, places % 20


@call(irs2, "to_series")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, PLANE), doubles(rng, PLANE), *_lines(rng), True, np.ones((5, NX, 20), np.float32)


@call(irs2, "from_series")
def _(rng: np.random.Generator) -> Arguments:
    series, corrections = numbers(rng, (5, NX, 20)), numbers(rng, (4, NX, 20))
    result = np.zeros((20, NX), np.float32)
    return series, corrections, doubles(rng, PLANE), np.arange(0, 20), *_lines(rng), mask(rng, (20,)), True, result


@call(irs2, "remove_lines")
def _(rng: np.random.Generator) -> Arguments:
    return (numbers(rng, (5, NX, 20)) * mask(rng, (5, NX, 20), 0.8),)


@call(irs2, "fill_gaps")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, (9999,)) * mask(rng, (9999,), 0.3), rng.random(31), np.zeros(9999, np.float32)


@call(irs2, "restore_samples")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, PLANE), numbers(rng, PLANE), np.flatnonzero(mask(rng, (NX,)))


@call(irs2, "reference_series")
def _(rng: np.random.Generator) -> Arguments:
    targets = np.flatnonzero(mask(rng, (NX,)))
    return numbers(rng, PLANE), targets, rng.integers(0, NX, targets.size), np.ones(PLANE, np.float32)


@call(irs2, "pair_statistics")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE), np.arange(0, NY - 1, 2), np.zeros((NY // 2, 3))


@call(jump, "find_jumps")
def _(rng: np.random.Generator) -> Arguments:
    method = int(rng.integers(2))
    n = NINTS * (NGROUPS - 1)
    return (
        np.cumsum(numbers(rng, RAMP), axis=1, dtype=np.float32),
        dq(rng, RAMP),
        np.full(PLANE, 1.5, np.float32),
        np.full(PLANE, 12, np.float32),
        2.0,
        method,
        np.array([3.0, 2.5, 2.0]),
        np.array([2.5, 100.0]),
        np.arange(n),
        np.arange(0),
        networks.network(n, tuple(range(n))),
        np.zeros(NY, np.int64),
        np.zeros((NINTS, NGROUPS, NY), bool),
    )


@call(jump_clip, "clip_jumps")
def _(rng: np.random.Generator) -> Arguments:
    return (
        np.cumsum(numbers(rng, RAMP), axis=1, dtype=np.float32),
        dq(rng, RAMP),
        np.full(PLANE, 1.5, np.float32),
        np.full(PLANE, 12, np.float32),
        2.0,
        bool(rng.integers(2)),
        1.5,
        np.array([0.5, 100.0]),
        np.zeros(NY, np.int64),
        np.zeros((NINTS, NGROUPS, NY), bool),
    )


@call(jump, "spread_to_neighbours", "clear_marks")
def _(rng: np.random.Generator) -> Arguments:
    groupdq = some_flags(rng, RAMP, (1, 2, 4, 16), 0.1)
    return groupdq, (groupdq & 16 > 0).any(axis=3)


@call(jump, "flag_after_jumps")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, RAMP), dq(rng, RAMP), np.ones(PLANE, np.float32), 30.0, 1, 150.0, 4


@call(jump, "clear_jumps")
def _(rng: np.random.Generator) -> Arguments:
    return (dq(rng, PLANE),)


@call(jump, "drop_conflicts")
def _(rng: np.random.Generator) -> Arguments:
    return (dq(rng, RAMP),)


@call(linearity, "find_usable")
def _(rng: np.random.Generator) -> Arguments:
    coeffs = numbers(rng, (4, NY, NX), odd=(np.nan, 0.0))
    return coeffs, some_flags(rng, PLANE, (1, 1 << 20), 0.1, np.uint32), mask(rng), np.zeros(PLANE, np.uint32)


@call(linearity, "make_identity")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, (4, NY, NX)), mask(rng), np.zeros((4, NY, NX), np.float32)


@call(linearity, "correct_groups")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE), dq(rng, CUBE), numbers(rng, (4, NY, NX), 0.01), mask(rng, share=0.8)


@call(linearity, "correct_reads")
def _(rng: np.random.Generator) -> Arguments:
    forward, backward = numbers(rng, (4, NY, NX), 0.01), numbers(rng, (3, NY, NX), 0.01)
    return numbers(rng, CUBE), dq(rng, CUBE), forward, backward, 4, 2.5 + 4.0 * np.arange(NGROUPS)


def _results(count: int = 4) -> Arguments:
    planes = (*(np.zeros(PLANE, np.float32) for _ in range(count)), np.zeros(PLANE, np.uint32))
    cubes = (*(np.zeros((NINTS, NY, NX), np.float32) for _ in range(count)), np.zeros((NINTS, NY, NX), np.uint32))
    return planes, cubes


TIMES, GROUPS = (10.0, 7.5, 5.0), (0, NGROUPS, False)


def _fitted(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    groupdq = dq(rng, RAMP)
    groupdq[..., :50] = 0  # without flags
    zeroframe = numbers(rng, (NINTS, NY, NX))
    return np.cumsum(numbers(rng, RAMP) + 50, axis=1, dtype=np.float32), groupdq, zeroframe


@call(ramp_fit, "fit_ramps")
def _(rng: np.random.Generator) -> Arguments:
    data, groupdq, zeroframe = _fitted(rng)
    network = networks.network(NGROUPS - 1, networks.median_ranks(NGROUPS - 1))
    return (
        data,
        groupdq,
        some_flags(rng, PLANE, (1, 2), 0.05, np.uint32),
        zeroframe,
        np.full(PLANE, 1.5, np.float32),
        np.full(PLANE, 12, np.float32),
        np.full(PLANE, 0.1, np.float32),
        slope_coefficients(NGROUPS),
        np.array([[0, NGROUPS, 0, len(network)]] * NINTS),
        network,
        TIMES,
        GROUPS,
        False,
        *_results(),
    )


@call(ramp_fit_details, "count_details")
def _(rng: np.random.Generator) -> Arguments:
    return *_fitted(rng), TIMES, GROUPS, False, np.zeros(NY, np.int64), np.zeros(NY, np.int64)


@call(ramp_fit_details, "fit_details")
def _(rng: np.random.Generator) -> Arguments:
    details = [np.zeros((NINTS, NGROUPS, NY, NX), np.float32) for _ in range(9)]
    details[7] = np.zeros((NINTS, NY, NX), np.float32)
    planes = (np.full(PLANE, value, np.float32) for value in (1.5, 12, 0.1))
    slopes = numbers(rng, (NINTS, NY, NX), odd=(np.nan,))
    table = slope_coefficients(NGROUPS)
    return *_fitted(rng), *planes, table, TIMES, GROUPS, False, slopes, 1.5, tuple(details)


@call(refpix, "running_median")
def _(rng: np.random.Generator) -> Arguments:
    return doubles(rng, (NX, 4)), mask(rng, (NX, 4), 0.9), 11, np.zeros(NX)


@call(refpix, "subtract_lines")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, PLANE), doubles(rng, (2, NX)), doubles(rng, (NY,))


@call(refpix, "subtract_clipped_means")
def _(rng: np.random.Generator) -> Arguments:
    rows, columns = rng.integers(0, NY, 60), rng.integers(0, NX, 60)
    return numbers(rng, CUBE), rows, columns, np.array([0, 25, 60]), 3.0, np.zeros(NY, np.int64), np.arange(NX) % 2


@call(refpix, "subtract_above")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, PLANE), numbers(rng, PLANE), doubles(rng, (2, NX))


@call(saturation, "grow_inplace")
def _(rng: np.random.Generator) -> Arguments:
    grown = mask(rng, share=0.05)
    return grown, grown.any(axis=1), dq(rng, PLANE), np.uint8(2), 2


@call(saturation, "flag_ramps")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, RAMP), dq(rng, RAMP), np.full(PLANE, 120, np.float32), np.zeros(RAMP[:3], bool)


@call(saturation, "partly_saturated")
def _(rng: np.random.Generator) -> Arguments:
    threshold = np.full(PLANE, 120, np.float32)
    return numbers(rng, PLANE), dq(rng, PLANE), dq(rng, PLANE), threshold, mask(rng), 0.6, mask(rng), mask(rng, (NY,))


@call(saturation, "flag_second_group")
def _(rng: np.random.Generator) -> Arguments:
    ramp, bias = doubles(rng, CUBE).astype(np.float32), numbers(rng, PLANE, 5.0)
    return ramp, dq(rng, CUBE), np.full(PLANE, 200, np.float32), bias, 2.5, 12, 4


@call(stripes, "subtract_row_medians", "subtract_column_medians")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, PLANE), mask(rng, share=0.8), 1


@call(subtract, "subtract_plane")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE), numbers(rng, PLANE, odd=(np.nan,))


@call(subtract, "subtract_ramp")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE), numbers(rng, CUBE, odd=(np.nan,)), 5


@call(subtract, "subtract_extrapolated_ramp")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE), numbers(rng, (3, NY, NX), odd=(np.nan,))


@call(subtract, "average_frames")
def _(rng: np.random.Generator) -> Arguments:
    return numbers(rng, CUBE, odd=(np.nan,)), 5, NGROUPS + 2, np.zeros(PLANE, np.float32)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """The number of threads as it was, afterwards."""
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


def arrays(arguments: Any) -> list[Any]:
    """The arrays among arguments, in tuples too."""
    if isinstance(arguments, np.ndarray):
        return [arguments]
    return [array for one in arguments for array in arrays(one)] if isinstance(arguments, tuple) else []


def parallel_kernels() -> set[tuple[str, str]]:
    """(Module, name) of all."""
    found = set()
    for info in pkgutil.iter_modules(kernels.__path__):
        module = importlib.import_module(f"{kernels.__name__}.{info.name}")
        for name, value in vars(module).items():
            if getattr(value, "targetoptions", {}).get("parallel") and value.__module__ == module.__name__:
                found.add((info.name, name))
    return found


def test_no_parallel_kernel_is_forgotten_here() -> None:
    elsewhere = {"interference", "likelihood"}
    called = {(module.__name__.rsplit(".", 1)[-1], name) for module, name in CALLS}
    assert called == {(module, name) for module, name in parallel_kernels() if module not in elsewhere}


@pytest.mark.skipif(not THREADS, reason="one processor")
@pytest.mark.parametrize(("module", "name"), CALLS, ids=lambda part: str(part) if isinstance(part, str) else "")
def test_a_kernel_gives_the_same_bytes_on_any_number_of_threads(module: Any, name: str) -> None:
    kernel, changed = getattr(module, name), False
    for seed in range(5):
        given_arguments = CALLS[module, name](np.random.default_rng(seed))
        numba.set_num_threads(1)
        expected = made(kernel, given_arguments)
        changed |= expected != contents(given_arguments)
        for threads in THREADS:
            numba.set_num_threads(threads)
            assert made(kernel, given_arguments) == expected
    assert changed, "there was nothing to compare"


def made(kernel: Callable[..., Any], given_arguments: Arguments) -> list[bytes]:
    """What a kernel makes of copies of its arguments, and what it returns."""
    arguments = copy.deepcopy(given_arguments)
    result = kernel(*arguments)
    return contents(arguments) + contents(result if isinstance(result, tuple) else (result,))


def contents(arguments: Arguments) -> list[bytes]:
    """The bytes of all arrays among arguments."""
    return [array.tobytes() for array in arrays(arguments)]
