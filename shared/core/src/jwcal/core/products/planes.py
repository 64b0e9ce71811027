"""Read single planes that a user supplies by path."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from jwcal.core.array_types import UInt32
from jwcal.core.errors import UnreadableFile


def read_array(path: Path) -> NDArray[Any]:
    """The first image of a FITS file, in native byte order."""
    try:
        array = np.asarray(fits.getdata(path))
    except FileNotFoundError:
        raise UnreadableFile("there is no such file", file=path, remedy="check the path") from None
    except (OSError, IndexError) as error:
        raise UnreadableFile(f"no image can be read ({error})", file=path, remedy="give a FITS image") from error
    return array.astype(array.dtype.newbyteorder("="))


def read_dq_plane(path: Path) -> UInt32:
    """The first image of a FITS file as DQ flags."""
    return read_array(path).astype(np.uint32)
