"""File names of stage 1 products."""

import re
from pathlib import Path

_SUFFIXES = (
    "uncal|ramp|dark|rate|rateints|cal|fitopt|jump|linearity|saturation|dq_init|superbias|refpix|dark_current|group_scale|ipc|"
    "gain_scale|gain_scaleints|lastframe|firstframe|reset|rscd|emicorr|persistence|charge_migration|picture_frame|"
    "clean_flicker_noise|trapsfilled|[01]_ramp_fit"
)
_KNOWN = re.compile(rf"_({_SUFFIXES})$")


def root_name(path: Path) -> str:
    """The exposure's name: the file name without its product suffix."""
    return _KNOWN.sub("", path.stem)


def product_path(directory: Path, root: str, suffix: str, extension: str = "fits") -> Path:
    """Path of the product `suffix` of exposure `root`."""
    return directory / f"{root}_{suffix}.{extension}"
