"""Products check their shapes where they are made."""

import numpy as np
import pytest

from jwcal.core.data import Ramp
from jwcal.core.errors import InvalidData
from jwcal.core.metadata import Metadata
from tests.builders import NCOLUMNS, NROWS, a_ramp


def test_a_ramp_knows_its_integrations_and_groups() -> None:
    ramp = a_ramp(nints=2, ngroups=7)
    assert (ramp.nints, ramp.ngroups) == (2, 7)


def test_a_ramp_of_three_axes_is_refused_with_its_file() -> None:
    plane = np.zeros((NROWS, NCOLUMNS), np.uint32)
    cube = np.zeros((3, NROWS, NCOLUMNS), np.float32)
    with pytest.raises(InvalidData, match=r"a\.fits: ramp data have 3 axes"):
        Ramp(data=cube, groupdq=cube.astype(np.uint8), pixeldq=plane, metadata=Metadata(source="a.fits"))


def test_group_flags_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidData, match="GROUPDQ"):
        a_ramp(groupdq=np.zeros((2, 4, NROWS, NCOLUMNS), np.uint8))


def test_pixel_flags_of_another_frame_are_refused() -> None:
    with pytest.raises(InvalidData, match="PIXELDQ"):
        a_ramp(pixeldq=np.zeros((NCOLUMNS, NROWS), np.uint32))


def test_pixel_flags_may_have_a_plane_for_each_stripe() -> None:
    planes = np.zeros((4, NROWS, NCOLUMNS), np.uint32)
    assert a_ramp(pixeldq=planes).pixeldq.shape == planes.shape


def test_ramps_do_not_share_their_tables() -> None:
    one, other = a_ramp(), a_ramp()
    one.tables["group"] = np.zeros(1)
    one.side_products["mask"] = None  # type: ignore[assignment]
    assert other.tables == {}
    assert other.side_products == {}
