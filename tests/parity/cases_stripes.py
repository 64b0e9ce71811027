"""Cases of multistripe readout: DHS spectra and superstripes."""

from . import inputs
from .case import ON, OPERATIONS, Case

_FLICKER = ON | {"save_mask": True, "save_background": True, "save_noise": True}

STRIPE_CASES = (
    Case("nircam dhs", "nircam-dhs"),
    Case("nircam dhs, operations", "nircam-dhs", context=OPERATIONS),
    Case(
        "nircam dhs options",
        "nircam-dhs",
        {
            "refpix": {"odd_even_columns": False},
            "clean_flicker_noise": _FLICKER,
            "ramp_fit": {"save_opt": True},
            "dark_current": {"dark_output": "averaged_dark.fits"},
        },
    ),
    Case(
        "nircam dhs kernels by pixel, user's flags",
        "nircam-dhs",
        {"dq_init": {"user_supplied_dq": "{dq.fits}"}},
        files={"dq.fits": inputs.user_dq, "ipc.fits": inputs.kernels_by_pixel},
        overrides={"ipc": "{ipc.fits}"},
    ),
    Case("nircam dhs repeated stripe", "nircam-dhs-lw"),
    Case("nircam dhs repeated stripe, operations", "nircam-dhs-lw", context=OPERATIONS),
    Case("nircam superstripe", "nircam-superstripe"),
    Case("nircam superstripe, operations", "nircam-superstripe", context=OPERATIONS),
    Case(
        "nircam superstripe options",
        "nircam-superstripe",
        {
            "jump": {"flag_4_neighbors": False, "after_jump_flag_dn1": 10.0, "after_jump_flag_time1": 0.02},
            "persistence": {"skip": False, "persistence_time": 1, "dn_threshold": 30000.0},
            "charge_migration": {"skip": False, "signal_threshold": 20000.0},
            "ramp_fit": {"suppress_one_group": False, "save_opt": True},
        },
    ),
    Case("nircam superstripe later segment", "nircam-superstripe", size={"segments": 2}, segment=2),
    Case("nircam superstripe dark", "nircam-superstripe", pipeline="DarkPipeline"),
    Case("nircam superstripe repeat", "nircam-superstripe-repeat"),
    Case("nircam superstripe repeat, operations", "nircam-superstripe-repeat", context=OPERATIONS),
    Case(
        "nircam superstripe repeat options",
        "nircam-superstripe-repeat",
        {"refpix": {"odd_even_columns": False}, "ramp_fit": {"firstgroup": 1, "save_opt": True}},
    ),
    Case("nircam superstripe repeat later segment", "nircam-superstripe-repeat", size={"segments": 3}, segment=3),
    Case("nircam superstripe repeat one group", "nircam-superstripe-repeat", size={"ngroups": 1, "nints": 1}),
    Case(
        "nircam superstripe without room for ipc",
        "nircam-superstripe-repeat",
        files={"ipc.fits": inputs.lopsided_kernel},
        overrides={"ipc": "{ipc.fits}"},
        error="ValueError",
    ),
    Case(
        "nircam superstripe without refpix",
        "nircam-superstripe",
        {"refpix": {"skip": True}},
        error="ValueError",
    ),
    Case("niriss superstripe", "niriss-superstripe"),
    Case("niriss superstripe, operations", "niriss-superstripe", context=OPERATIONS),
    Case("niriss superstripe snowballs", "niriss-superstripe", {"jump": {"expand_large_events": True}}),
)
"""References are cut to stripes; superstripes are put together."""
