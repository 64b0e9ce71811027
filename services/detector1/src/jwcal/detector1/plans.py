"""Step order by detector family: a plan is data."""

from typing import Final

from jwcal.core.errors import InvalidKeyword
from jwcal.core.metadata import Metadata
from jwcal.core.products.read import GUIDER_TYPES

_RATES: Final = (
    "charge_migration",
    "jump",
    "picture_frame",
    "clean_flicker_noise",
    "persistence",
    "ramp_fit",
    "gain_scale",
)
_NEAR_INFRARED_RAMP: Final = (
    "group_scale",
    "dq_init",
    "saturation",
    "ipc",
    "superbias",
    "refpix",
    "linearity",
)
_MID_INFRARED_RAMP: Final = (
    "group_scale",
    "dq_init",
    "emicorr",
    "saturation",
    "ipc",
    "firstframe",
    "lastframe",
    "reset",
    "linearity",
    "rscd",
)

NEAR_INFRARED: Final = (*_NEAR_INFRARED_RAMP, "dark_current", *_RATES)
MID_INFRARED: Final = (*_MID_INFRARED_RAMP, "dark_current", "refpix", *_RATES)
NEAR_INFRARED_DARK: Final = _NEAR_INFRARED_RAMP
MID_INFRARED_DARK: Final = _MID_INFRARED_RAMP
GUIDER: Final = ("dq_init", "guider_cds", "flat_field")

PLANS: Final[dict[str, tuple[str, ...]]] = {
    "NEAR_INFRARED": NEAR_INFRARED,
    "MID_INFRARED": MID_INFRARED,
    "NEAR_INFRARED_DARK": NEAR_INFRARED_DARK,
    "MID_INFRARED_DARK": MID_INFRARED_DARK,
    "GUIDER": GUIDER,
}
"""Every plan by name."""

OFFICIAL_PIPELINES: Final = {
    "NEAR_INFRARED": "calwebb_detector1",
    "MID_INFRARED": "calwebb_detector1",
    "NEAR_INFRARED_DARK": "calwebb_dark",
    "MID_INFRARED_DARK": "calwebb_dark",
    "GUIDER": "calwebb_guider",
}
"""The official pipeline that each plan answers to."""


def choose_plan(metadata: Metadata, *, dark: bool = False) -> str:
    """Name of the plan for an exposure; `dark` asks for the ramp of a dark exposure."""
    guider = metadata.exposure_type in GUIDER_TYPES
    if guider and dark:
        raise InvalidKeyword(
            f"EXP_TYPE {metadata.exposure_type} is a guide-star exposure, not a dark",
            file=metadata.source,
            keyword="EXP_TYPE",
            remedy="run the guider plan",
        )
    if guider:
        return "GUIDER"
    family = "MID_INFRARED" if metadata.instrument == "MIRI" else "NEAR_INFRARED"
    return f"{family}_DARK" if dark else family
