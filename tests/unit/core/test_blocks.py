"""A ramp piece by piece: the same ramp, whatever the pieces."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jwcal.core.blocks import integration_blocks, row_blocks, row_ranges
from jwcal.core.data import Ramp
from jwcal.core.scratch import Scratch
from tests.builders import some_metadata

SHAPE = (3, 4, 700, 100)
"""1.4 MB with flags in each integration, 4.2 MB together: five blocks of rows of at most 1 MiB."""


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    made = Scratch(1, tmp_path)
    yield made
    made.close()


def a_large_ramp(scratch: Scratch | None) -> Ramp:
    """A ramp of different numbers, in a scratch file if there is one."""
    data, groupdq = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.uint8)
    if scratch is not None:
        data = scratch.zeros(SHAPE, np.float32, spill=True)
        groupdq = scratch.zeros(SHAPE, np.uint8, spill=True)
    data[...] = np.arange(data.size, dtype=np.float32).reshape(SHAPE)
    return Ramp(
        data=data,
        groupdq=groupdq,
        pixeldq=np.zeros(SHAPE[-2:], np.uint32),
        zeroframe=data[:, 0].copy(),
        metadata=some_metadata(),
        scratch=scratch,
    )


def test_in_memory_there_is_one_block_and_no_copy() -> None:
    ramp = a_large_ramp(None)
    (block,) = row_blocks(ramp)
    assert block.data is ramp.data
    assert block.groupdq is ramp.groupdq
    assert list(integration_blocks(ramp)) == [slice(0, 3)]


def test_blocks_of_rows_are_bounded_whole_and_in_order(scratch: Scratch) -> None:
    ramp = a_large_ramp(scratch)
    blocks = list(row_blocks(ramp))
    assert len(blocks) == 5
    assert [block.rows for block in blocks] == list(row_ranges(ramp))
    assert all(block.data.nbytes + block.groupdq.nbytes <= scratch.block_bytes for block in blocks)
    assert all(block.data.flags.c_contiguous for block in blocks)
    np.testing.assert_array_equal(np.concatenate([block.data for block in blocks], axis=2), ramp.data)
    frames = [block.zeroframe for block in blocks if block.zeroframe is not None]
    np.testing.assert_array_equal(np.concatenate(frames, axis=1), ramp.zeroframe)


def test_flags_set_in_a_block_reach_the_ramp(scratch: Scratch) -> None:
    ramp = a_large_ramp(scratch)
    for number, block in enumerate(row_blocks(ramp), start=1):
        block.groupdq[1, 2] = number
    expected = np.zeros(SHAPE, np.uint8)
    for number, rows in enumerate(row_ranges(ramp), start=1):
        expected[1, 2, rows] = number
    np.testing.assert_array_equal(ramp.groupdq, expected)


def test_runs_of_integrations_cover_the_exposure(scratch: Scratch) -> None:
    ramp = a_large_ramp(scratch)
    runs = list(integration_blocks(ramp))
    assert len(runs) == 3
    assert [index for run in runs for index in range(run.start, run.stop)] == [0, 1, 2]


@pytest.mark.parametrize("spilled", [False, True])
def test_new_arrays_lie_where_the_ramp_does(scratch: Scratch, spilled: bool) -> None:
    array = a_large_ramp(scratch if spilled else None).new_array((2, 3), np.uint32)
    assert (array.shape, array.dtype) == ((2, 3), np.uint32)
    assert array.flags.owndata is not spilled
