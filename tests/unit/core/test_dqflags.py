"""Flag mnemonics are those of the JWST products."""

import numpy as np
from stdatamodels.jwst.datamodels import dqflags as official

from jwcal.core import dqflags


def test_every_flag_has_its_official_bit() -> None:
    assert {name: official.pixel[name] for name in dqflags.PIXEL_FLAGS} == dqflags.PIXEL_FLAGS


def test_group_flags_fit_a_byte() -> None:
    assert set(dqflags.GROUP_FLAGS.values()) == {1 << bit for bit in range(8)}


def test_flags_are_counted_by_mnemonic() -> None:
    dq = np.array([0, 1, 5, 2**31, 2**31 + 1], np.uint32)
    assert dqflags.flag_counts(dq) == {"DO_NOT_USE": 3, "JUMP_DET": 1, "REFERENCE_PIXEL": 2}


def test_flags_of_a_group_plane_are_counted() -> None:
    assert dqflags.flag_counts(np.array([[6, 2]], np.uint8)) == {"SATURATED": 2, "JUMP_DET": 1}
