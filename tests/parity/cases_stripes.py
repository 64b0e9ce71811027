"""Cases of multistripe and superstripe readout."""

from .case import ON, OPERATIONS, Case

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
