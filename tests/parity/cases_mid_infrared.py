"""MIRI subarrays."""

from . import changes, inputs
from .case import ON, OPERATIONS, Case

SUB = "miri-sub"

MID_INFRARED_CASES = (
    Case("miri sub", SUB),
    Case("miri sub, operations", SUB, context=OPERATIONS),
    Case("miri slitless prism", "miri-prism"),
    Case("miri emi", SUB, {"emicorr": ON}),
    Case("miri emi by integration", SUB, {"emicorr": ON | {"fit_ints_separately": True}}, size={"nints": 3}),
    Case("miri emi of the prism", "miri-prism", {"emicorr": ON | {"fit_ints_separately": True}}),
    Case(
        "miri emi with two waves",
        SUB,
        {"emicorr": ON | {"user_supplied_reffile": "{emi.asdf}"}},
        files={"emi.asdf": inputs.two_waves},
    ),
    Case("miri emi sequential", SUB, {"emicorr": ON | {"algorithm": "sequential"}}),
    Case(
        "miri emi sequential options",
        SUB,
        {"emicorr": ON | {"algorithm": "sequential", "nints_to_phase": 1, "nbins": 60, "scale_reference": False}},
    ),
    Case(
        "miri emi sequential with two waves",
        "miri-prism",
        {"emicorr": ON | {"algorithm": "sequential", "use_n_cycles": None}},
        files={"emi.asdf": inputs.two_waves},
        overrides={"emicorr": "{emi.asdf}"},
    ),
    Case(
        "miri emi without reference",
        SUB,
        {"emicorr": ON | {"onthefly_corr_freq": [218.52055], "save_intermediate_results": True}},
    ),
    Case(
        "miri emi without reference, two frequencies",
        "miri-prism",
        {"emicorr": ON | {"onthefly_corr_freq": [218.52055, 10.039216], "nbins": 200, "use_n_cycles": 5}},
    ),
    Case("miri first frame", SUB, {"firstframe": ON}, change=changes.saturated_blocks),
    Case("miri first frame, all flagged", SUB, {"firstframe": ON | {"bright_use_group1": False}}),
    Case("miri saturated", SUB, change=changes.saturated_blocks),
    Case(
        "miri saturated, one group kept",
        SUB,
        {"ramp_fit": {"suppress_one_group": False}},
        change=changes.saturated_blocks,
    ),
    Case("miri six groups", SUB, size={"ngroups": 6, "nints": 3}, change=changes.saturated_blocks),
    Case("miri five groups", SUB, size={"ngroups": 5}),
    Case("miri four groups", SUB, {"ramp_fit": {"save_opt": True}}, size={"ngroups": 4}),
    Case("miri nothing to fit", SUB, {"ramp_fit": {"firstgroup": 2}}, size={"ngroups": 4}, nothing=True),
    Case("miri three groups", SUB, size={"ngroups": 3}),
    Case("miri two groups", SUB, {"lastframe": {}}, size={"ngroups": 2}, status={"lastframe": "SKIPPED"}),
    Case("miri one group", SUB, size={"ngroups": 1}),
    Case("miri showers", SUB, {"jump": {"find_showers": True}}, size={"ngroups": 20}),
    Case(
        "miri shower options",
        SUB,
        {
            "jump": {
                "find_showers": True,
                "extend_snr_threshold": 1.0,
                "extend_min_area": 40,
                "extend_inner_radius": 2.0,
                "extend_outer_radius": 3.6,
                "extend_ellipse_expand_ratio": 1.4,
                "time_masked_after_shower": 2.0,
                "max_extended_radius": 30,
                "minimum_sigclip_groups": 5,
            }
        },
        size={"ngroups": 16, "nints": 6},
    ),
    Case("miri likely", SUB, {"ramp_fit": {"algorithm": "LIKELY", "save_opt": True}}),
    Case("miri group range", SUB, {"ramp_fit": {"firstgroup": 3, "lastgroup": 8, "save_opt": True}}),
    Case(
        "miri dark options",
        SUB,
        {"dark_current": {"dark_output": "miri_dark.fits"}, "dq_init": {"user_supplied_dq": "{dq.fits}"}, "ipc": {}},
        files={"dq.fits": inputs.user_dq, "ipc.fits": inputs.kernels_by_pixel, "dark.fits": inputs.short_dark},
        overrides={"ipc": "{ipc.fits}", "dark": "{dark.fits}"},
    ),
    Case("miri no references", SUB, overrides=dict.fromkeys(("reset", "rscd", "dark", "linearity"), "N/A")),
    Case("miri flicker", SUB, {"clean_flicker_noise": ON | {"save_mask": True, "mask_science_regions": True}}),
    Case(
        "miri flicker of the prism",
        "miri-prism",
        {"clean_flicker_noise": ON},
        status={"clean_flicker_noise": "FAILED"},
    ),
    Case("miri persistence", SUB, {"persistence": ON | {"persistence_time": 2, "dn_threshold": 9000.0}}),
    Case("miri dark pipeline", SUB, pipeline="DarkPipeline"),
    *(
        Case(f"miri segment {number}", SUB, size={"nints": 6, "ngroups": 8, "segments": 3}, segment=number)
        for number in (1, 2, 3)
    ),
)
