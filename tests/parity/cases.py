"""What is compared with the official pipeline: exposures, and ways to run them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CODE_DEFAULTS = "jwst_0001.pmap"
OPERATIONS = "jwst_0002.pmap"


@dataclass(frozen=True)
class Case:
    """One exposure run one way."""

    name: str
    mode: str
    """Mode of the synthetic observatory."""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    context: str = CODE_DEFAULTS
    size: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `simulate`: ngroups, nints."""
    pipeline: str = "Detector1Pipeline"


ON: dict[str, Any] = {"skip": False}

STRIPE_CASES = (
    Case("nircam dhs", "nircam-dhs"),
    Case("nircam dhs, operations", "nircam-dhs", context=OPERATIONS),
    Case("nircam dhs options", "nircam-dhs", {"refpix": {"odd_even_columns": False}, "ramp_fit": {"save_opt": True}}),
    Case("nircam dhs flicker", "nircam-dhs", {"clean_flicker_noise": ON}),
    Case("nircam dhs repeated stripe", "nircam-dhs-lw"),
    Case("nircam dhs repeated stripe, operations", "nircam-dhs-lw", context=OPERATIONS),
    Case("nircam superstripe", "nircam-superstripe"),
    Case("nircam superstripe, operations", "nircam-superstripe", context=OPERATIONS),
    Case("nircam superstripe one group kept", "nircam-superstripe", {"ramp_fit": {"suppress_one_group": False}}),
    Case(
        "nircam superstripe persistence",
        "nircam-superstripe",
        {"persistence": {"skip": False, "persistence_time": 500, "dn_threshold": 30000.0}},
    ),
    Case("nircam superstripe repeat", "nircam-superstripe-repeat"),
    Case("nircam superstripe repeat, operations", "nircam-superstripe-repeat", context=OPERATIONS),
    Case("nircam superstripe repeat options", "nircam-superstripe-repeat", {"refpix": {"odd_even_columns": False}}),
    Case("niriss superstripe", "niriss-superstripe"),
    Case("niriss superstripe, operations", "niriss-superstripe", context=OPERATIONS),
    Case("niriss superstripe snowballs", "niriss-superstripe", {"jump": {"expand_large_events": True}}),
)
"""Multistripe readout."""

CASES = (
    Case("nircam sub", "nircam-sw-sub"),
    Case("nircam sub, operations", "nircam-sw-sub", context=OPERATIONS),
    Case("nircam zeroframe", "nircam-lw-sub"),
    Case("nircam one group kept", "nircam-lw-sub", {"ramp_fit": {"suppress_one_group": False}}),
    Case("nircam snowballs", "nircam-lw-sub", {"jump": {"expand_large_events": True}}),
    Case(
        "nircam snowballs as ellipses",
        "nircam-lw-sub",
        {"jump": {"expand_large_events": True, "use_ellipses": True, "sat_required_snowball": False}},
    ),
    Case(
        "nircam after jump",
        "nircam-sw-sub",
        {
            "jump": {
                "after_jump_flag_dn1": 10.0,
                "after_jump_flag_time1": 20.0,
                "after_jump_flag_dn2": 1000.0,
                "after_jump_flag_time2": 40.0,
            }
        },
    ),
    Case("nircam no neighbours", "nircam-sw-sub", {"jump": {"flag_4_neighbors": False, "rejection_threshold": 5.0}}),
    Case("nircam likely", "nircam-sw-sub", {"ramp_fit": {"algorithm": "LIKELY"}}),
    Case("nircam optional results", "nircam-sw-sub", {"ramp_fit": {"save_opt": True}}),
    Case("nircam group range", "nircam-sw-sub", {"ramp_fit": {"firstgroup": 1, "lastgroup": 3}}),
    Case(
        "nircam charge migration", "nircam-lw-sub", {"charge_migration": {"skip": False, "signal_threshold": 20000.0}}
    ),
    Case(
        "nircam persistence",
        "nircam-lw-sub",
        {"persistence": {"skip": False, "persistence_time": 500, "dn_threshold": 30000.0}},
    ),
    Case("nircam flicker", "nircam-sw-sub", {"clean_flicker_noise": ON}),
    Case(
        "nircam flicker model", "nircam-sw-sub", {"clean_flicker_noise": {"skip": False, "background_method": "model"}}
    ),
    Case("nircam no readpatt", "nircam-lw-sub", {"saturation": {"use_readpatt": False, "n_pix_grow_sat": 2}}),
    Case("nircam refpix options", "nircam-sw-sub", {"refpix": {"odd_even_columns": False}}),
    Case("niriss sub", "niriss-sub"),
    Case("niriss sub, operations", "niriss-sub", context=OPERATIONS),
    Case("miri sub", "miri-sub"),
    Case("miri sub, operations", "miri-sub", context=OPERATIONS),
    Case("miri emi", "miri-sub", {"emicorr": ON}),
    Case("miri emi sequential", "miri-sub", {"emicorr": {"skip": False, "algorithm": "sequential"}}),
    Case("miri showers", "miri-sub", {"jump": {"find_showers": True}}),
    Case("nirspec sub", "nirspec-sub"),
    *STRIPE_CASES,
    Case("fgs image", "fgs-id-image", pipeline="GuiderPipeline"),
    Case("fgs acq1", "fgs-acq1", pipeline="GuiderPipeline"),
    Case("fgs track", "fgs-track", pipeline="GuiderPipeline"),
    Case("fgs fine guide", "fgs-fineguide", pipeline="GuiderPipeline"),
)
"""Small frames: the fast part of the suite."""

FULL_FRAME_CASES = (
    Case("nircam full", "nircam-sw", size={"ngroups": 5}),
    Case("nircam full sirs", "nircam-sw", {"refpix": {"refpix_algorithm": "sirs"}}, size={"ngroups": 5}),
    Case("nircam full no side pixels", "nircam-sw", {"refpix": {"use_side_ref_pixels": False}}, size={"ngroups": 3}),
    Case("nircam long-wave full", "nircam-lw", size={"ngroups": 4}),
    Case("niriss full", "niriss", size={"ngroups": 4}),
    Case("miri fast", "miri-fast", size={"ngroups": 8}),
    Case("miri slow", "miri-slow", size={"ngroups": 6}),
    Case("nirspec full", "nirspec", size={"ngroups": 5}),
    Case("nirspec irs2", "nirspec-irs2", size={"ngroups": 5}),
    Case(
        "nirspec flicker fft",
        "nirspec",
        {"clean_flicker_noise": {"skip": False, "fit_method": "fft"}},
        size={"ngroups": 4},
    ),
)
"""Full frames: a minute each, most of it the official package's."""
