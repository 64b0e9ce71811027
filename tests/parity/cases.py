"""All cases: small frames, guide-star exposures, full frames."""

from . import inputs
from .case import ON, OPERATIONS, Case
from .cases_mid_infrared import MID_INFRARED_CASES
from .cases_near_infrared import NEAR_INFRARED_CASES
from .cases_stripes import STRIPE_CASES

_GUIDER = "GuiderPipeline"

GUIDER_CASES = (
    Case("fgs image", "fgs-id-image", pipeline=_GUIDER),
    Case("fgs stack", "fgs-id-stack", pipeline=_GUIDER),
    Case(
        "fgs stack with gain of another size",
        "fgs-id-stack",
        pipeline=_GUIDER,
        files={"gain.fits": inputs.small_gain},
        overrides={"gain": "{gain.fits}"},
    ),
    Case("fgs acq1", "fgs-acq1", pipeline=_GUIDER),
    Case(
        "fgs acq1, user's flat",
        "fgs-acq1",
        {"flat_field": {"user_supplied_flat": "{flat.fits}"}, "dq_init": {"user_supplied_dq": "{dq.fits}"}},
        pipeline=_GUIDER,
        files={"flat.fits": inputs.another_flat, "dq.fits": inputs.user_dq},
    ),
    Case("fgs acq1, multiplied", "fgs-acq1", {"flat_field": {"inverse": True}}, pipeline=_GUIDER),
    Case("fgs track", "fgs-track", pipeline=_GUIDER),
    Case("fgs fine guide", "fgs-fineguide", pipeline=_GUIDER),
)

CASES = (*NEAR_INFRARED_CASES, *MID_INFRARED_CASES, *STRIPE_CASES, *GUIDER_CASES)
"""Small frames: the fast part of the suite."""

_SAVED = {"save_mask": True, "save_background": True, "save_noise": True}

_OFF = {"skip": True}
_AFTER_REFPIX = ("linearity", "dark_current", "jump", "ramp_fit")

FULL_FRAME_CASES = (
    Case("nircam superstripe full", "nircam-superstripe-full"),
    Case("nircam full", "nircam-sw", size={"ngroups": 4}),
    Case(
        "nircam full refpix options, flicker by channel",
        "nircam-sw",
        {
            "refpix": {"side_smoothing_length": 6, "side_gain": 0.7, "odd_even_columns": False},
            "clean_flicker_noise": ON
            | {"fit_by_channel": True, "background_method": "model", "apply_flat_field": True},
        },
        size={"ngroups": 3},
    ),
    Case(
        "nircam full sirs",
        "nircam-sw",
        {"refpix": {"refpix_algorithm": "sirs", "halfwidth": 20, "gaussmooth": 2.0, "sigreject": 3.0}},
        size={"ngroups": 3},
    ),
    Case(
        "nircam long-wave full, no side pixels",
        "nircam-lw",
        {"refpix": {"use_side_ref_pixels": False, "siglimit": 2.0}},
        size={"ngroups": 3},
    ),
    Case("niriss full, operations", "niriss", context=OPERATIONS, size={"ngroups": 4}),
    Case("miri fast", "miri-fast", size={"ngroups": 8}),
    Case("miri fast, operations", "miri-fast", {"refpix": {"odd_even_rows": False}}, OPERATIONS, size={"ngroups": 12}),
    Case("miri slow", "miri-slow", {"emicorr": ON}, size={"ngroups": 6}),
    Case("miri slow emi sequential", "miri-slow", {"emicorr": ON | {"algorithm": "sequential"}}, size={"ngroups": 6}),
    Case("nirspec full, operations", "nirspec", context=OPERATIONS, size={"ngroups": 4}),
    Case(
        "nirspec picture frame, flicker by fft",
        "nirspec",
        {
            "picture_frame": ON
            | {"mask_science_regions": False, "n_sigma": 3.0, "save_mask": True, "save_correction": True},
            "clean_flicker_noise": ON | {"fit_method": "fft"},
        },
        size={"ngroups": 3},
    ),
    Case("nirspec irs2", "nirspec-irs2", size={"ngroups": 4}),
    Case(
        "nirspec irs2 reference pixels kept",
        "nirspec-irs2",
        {"refpix": {"preserve_irs2_refpix": True}} | dict.fromkeys(_AFTER_REFPIX, _OFF),
        size={"ngroups": 2},
        status=dict.fromkeys(_AFTER_REFPIX, "SKIPPED") | {"dark_current": None},
    ),
    Case(
        "nirspec irs2 options",
        "nirspec-irs2",
        {"refpix": {"irs2_mean_subtraction": True, "ovr_corr_mitigation_ftr": 2.0}},
        size={"ngroups": 3},
    ),
)
"""Full frames: a minute each, most of it the official package's."""
