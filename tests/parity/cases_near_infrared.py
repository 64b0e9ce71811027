"""NIRCam, NIRISS and NIRSpec subarrays.  Options that do not meet are tried together."""

from . import changes, inputs
from .case import ON, OPERATIONS, Case

SHORT, LONG = "nircam-sw-sub", "nircam-lw-sub"
"""Single frames, no zero frame; groups of four frames and a gap, zero frames."""
_WINDOWS = {"windows.asdf": inputs.open_windows}

RAMP_CASES = (
    Case("nircam sub", SHORT),
    Case("nircam sub, operations", SHORT, context=OPERATIONS),
    Case("nircam zeroframe", LONG),
    Case("nircam zeroframe, operations", LONG, context=OPERATIONS),
    Case("nircam grism, four outputs", "nircam-grism"),
    Case("niriss sub", "niriss-sub"),
    Case("niriss sub, operations", "niriss-sub", context=OPERATIONS),
    Case("nirspec sub", "nirspec-sub"),
    Case("nirspec sub, operations", "nirspec-sub", context=OPERATIONS),
    Case("nirspec without reference pixels", "nirspec-bots"),
    Case("nircam wrong divisor", LONG, {"group_scale": {}}, change=changes.divided_by_two),
    Case("nircam no divisor", LONG, change=changes.without_frame_divisor),
    Case(
        "nircam user dq, kernel by pixel",
        SHORT,
        {"dq_init": {"user_supplied_dq": "{dq.fits}"}},
        files={"dq.fits": inputs.user_dq, "ipc.fits": inputs.kernels_by_pixel},
        overrides={"ipc": "{ipc.fits}"},
    ),
    Case(
        "niriss lopsided kernel",
        "niriss-sub",
        {"ipc": {}, "refpix": {"odd_even_columns": False, "siglimit": 2.0}},
        files={"ipc.fits": inputs.lopsided_kernel},
        overrides={"ipc": "{ipc.fits}"},
    ),
    Case(
        "nircam poor references",
        LONG,
        files={
            "linearity.fits": inputs.forward_linearity,
            "gain.fits": inputs.spoilt_gain,
            "dark.fits": inputs.short_dark,
        },
        overrides={"linearity": "{linearity.fits}", "gain": "{gain.fits}", "dark": "{dark.fits}"},
    ),
    Case(
        "nircam no references",
        SHORT,
        overrides=dict.fromkeys(("mask", "saturation", "ipc", "superbias", "linearity", "dark"), "N/A"),
    ),
    Case("nircam no bias, no read pattern", LONG, {"saturation": {"use_readpatt": False, "n_pix_grow_sat": 2}}),
    Case(
        "nircam no bias for saturation",
        LONG,
        {"saturation": {"n_pix_grow_sat": 0}},
        overrides={"superbias": "N/A"},
    ),
    Case(
        "nircam dark options",
        LONG,
        {"dark_current": {"average_dark_current": 1.5, "dark_output": "averaged_dark.fits"}},
    ),
    Case(
        "nircam dark with plane, gain factor",
        SHORT,
        {"dark_current": {"dark_output": "used_dark.fits"}, "gain_scale": {}},
        files={"dark.fits": inputs.dark_with_plane, "gain.fits": inputs.scaled_gain},
        overrides={"dark": "{dark.fits}", "gain": "{gain.fits}"},
    ),
    Case("nircam gain factor in the header", SHORT, {"gain_scale": {}}, change=changes.at_half_gain),
    Case(
        "nircam grism refpix options",
        "nircam-grism",
        {"refpix": {"use_side_ref_pixels": False, "odd_even_columns": False}},
    ),
    Case(
        "nircam grism side pixels",
        "nircam-grism",
        {"refpix": {"side_smoothing_length": 6, "side_gain": 0.7}},
    ),
    Case(
        "nircam charge migration",
        LONG,
        {"charge_migration": {"skip": False, "signal_threshold": 20000.0}},
    ),
    Case(
        "nircam no ramp fit",
        SHORT,
        {"ramp_fit": {"skip": True}, "jump": {"suffix": "jumped"}},
        status={"ramp_fit": "SKIPPED"},
    ),
    Case("nircam dark pipeline", SHORT, pipeline="DarkPipeline"),
    *(
        Case(f"nircam segment {number}", LONG, size={"nints": 3, "ngroups": 5, "segments": 3}, segment=number)
        for number in (1, 2, 3)
    ),
)

JUMP_CASES = (
    Case("nircam snowballs", LONG, {"jump": {"expand_large_events": True}}),
    Case(
        "nircam snowballs as ellipses",
        LONG,
        {"jump": {"expand_large_events": True, "use_ellipses": True, "sat_required_snowball": False}},
    ),
    Case(
        "nircam snowball options",
        SHORT,
        {
            "jump": {
                "expand_large_events": True,
                "min_sat_area": 3.0,
                "min_jump_area": 8.0,
                "expand_factor": 3.0,
                "min_sat_radius_extend": 1.0,
                "sat_expand": 4,
                "edge_size": 5,
                "max_extended_radius": 20,
                "snowball_time_masked_next_int": 3,
            }
        },
    ),
    Case(
        "niriss snowballs, next integration kept",
        "niriss-sub",
        {"jump": {"expand_large_events": True, "mask_snowball_core_next_int": False, "edge_size": 0}},
    ),
    Case(
        "nircam after jump",
        SHORT,
        {
            "jump": {
                "after_jump_flag_dn1": 10.0,
                "after_jump_flag_time1": 20.0,
                "after_jump_flag_dn2": 1000.0,
                "after_jump_flag_time2": 40.0,
            }
        },
    ),
    Case("nircam no neighbours", SHORT, {"jump": {"flag_4_neighbors": False, "rejection_threshold": 5.0}}),
    Case(
        "nircam neighbours of some",
        SHORT,
        {
            "jump": {
                "min_jump_to_flag_neighbors": 30.0,
                "max_jump_to_flag_neighbors": 200.0,
                "min_diffs_single_pass": 5,
                "after_jump_flag_dn1": 50.0,
                "after_jump_flag_time1": 2.5,
            }
        },
    ),
    Case("nircam four groups", SHORT, {"jump": {"four_group_rejection_threshold": 3.0}}, size={"ngroups": 4}),
    Case("nircam three groups", LONG, {"jump": {"three_group_rejection_threshold": 4.0}}, size={"ngroups": 3}),
    Case(
        "nircam hundred integrations",
        "nircam-tso",
        {"jump": {"after_jump_flag_dn1": 20.0, "after_jump_flag_time1": 0.2}},
        size={"nints": 101, "ngroups": 5},
    ),
    Case(
        "nircam clipping of all groups",
        "nircam-tso",
        {"jump": {"only_use_ints": False, "rejection_threshold": 3.5}},
        size={"nints": 15, "ngroups": 8},
    ),
    Case(
        "nircam clipping from few integrations",
        "nircam-tso",
        {"jump": {"minimum_sigclip_groups": 8, "flag_4_neighbors": False}},
        size={"nints": 9, "ngroups": 4},
    ),
)

FIT_CASES = (
    Case("nircam one group kept", LONG, {"ramp_fit": {"suppress_one_group": False}}),
    Case("nircam saturated", LONG, change=changes.saturated_blocks),
    Case(
        "nircam saturated, one group kept",
        LONG,
        {"ramp_fit": {"suppress_one_group": False, "save_opt": True}},
        change=changes.saturated_blocks,
    ),
    Case("nircam saturated, no zeroframe", SHORT, {"ramp_fit": {"save_opt": True}}, change=changes.saturated_blocks),
    Case("nircam saturated from the start", SHORT, change=changes.saturated_from_the_start),
    Case("nircam optional results", SHORT, {"ramp_fit": {"save_opt": True, "opt_name": "wanted_rate.fits"}}),
    Case("nircam group range", SHORT, {"ramp_fit": {"firstgroup": 1, "lastgroup": 3}}),
    Case("nircam group range of one", SHORT, {"ramp_fit": {"firstgroup": 5, "lastgroup": 5}}),
    Case("nircam one group", SHORT, size={"ngroups": 1}),
    Case("nircam one group of four frames", LONG, size={"ngroups": 1}, error="IndexError", ours_works=True),
    Case("nircam two groups", SHORT, {"ramp_fit": {"save_opt": True}}, size={"ngroups": 2}),
    Case(
        "nircam two groups, one kept",
        LONG,
        {"ramp_fit": {"suppress_one_group": False}},
        size={"ngroups": 2},
        change=changes.saturated_blocks,
    ),
    Case("nircam likely", SHORT, {"ramp_fit": {"algorithm": "LIKELY", "save_opt": True}}),
    Case(
        "nircam likely zeroframe",
        LONG,
        {"ramp_fit": {"algorithm": "LIKELY", "save_opt": True}},
        change=changes.saturated_blocks,
    ),
    Case("nircam likely, three groups", SHORT, {"ramp_fit": {"algorithm": "LIKELY"}}, size={"ngroups": 3}),
    Case("nircam likely, four groups", LONG, {"ramp_fit": {"algorithm": "LIKELY"}}, size={"ngroups": 4, "nints": 1}),
)

PERSISTENCE_CASES = (
    Case(
        "nircam persistence",
        LONG,
        {
            "persistence": {
                "skip": False,
                "persistence_time": 500,
                "dn_threshold": 30000.0,
                "save_persistence": "after.asdf",
            }
        },
    ),
    Case(
        "nircam persistence of earlier exposures",
        SHORT,
        {
            "persistence": {
                "skip": False,
                "persistence_time": 400,
                "persistence_array_file": "{windows.asdf}",
                "persistence_dnu": True,
                "save_persistence": "after",
            }
        },
        files=_WINDOWS,
    ),
    Case(
        "nircam persistence of another length",
        SHORT,
        {"persistence": {"skip": False, "persistence_time": 6, "persistence_array_file": "{windows.asdf}"}},
        files=_WINDOWS,
        change=changes.without_integration_times,
    ),
    Case(
        "nircam persistence without a length",
        SHORT,
        {"persistence": ON, "pipeline": {"save_calibrated_ramp": True}},
        status={"persistence": "FAILED"},
    ),
)

_SAVED = {"save_mask": True, "save_background": True, "save_noise": True}

FLICKER_CASES = (
    Case("nircam flicker", SHORT, {"clean_flicker_noise": ON | _SAVED}),
    Case(
        "nircam flicker by integration",
        LONG,
        {"clean_flicker_noise": ON | _SAVED | {"single_mask": False, "fit_histogram": True, "n_sigma": 1.5}},
    ),
    Case(
        "nircam flicker unclipped",
        SHORT,
        {"clean_flicker_noise": ON | _SAVED | {"n_sigma": 0.0, "background_method": None, "apply_flat_field": True}},
    ),
    Case("nircam flicker model", SHORT, {"clean_flicker_noise": ON | _SAVED | {"background_method": "model"}}),
    Case(
        "nircam flicker model in boxes",
        SHORT,
        {
            "clean_flicker_noise": ON
            | {"background_method": "model", "background_box_size": [20, 40], "user_mask": "{mask.fits}"}
            | _SAVED
        },
        files={"mask.fits": inputs.background_mask},
    ),
    Case(
        "niriss flicker with masks by integration",
        "niriss-sub",
        {"clean_flicker_noise": ON | _SAVED | {"user_mask": "{masks.fits}", "single_mask": False}},
        files={"masks.fits": inputs.background_masks},
    ),
    Case("nircam flicker autoparam", SHORT, {"clean_flicker_noise": ON | _SAVED | {"autoparam": True}}),
    Case("niriss flicker autoparam", "niriss-sub", {"clean_flicker_noise": ON | _SAVED | {"autoparam": True}}),
    Case(
        "nircam flicker by fft",
        SHORT,
        {"clean_flicker_noise": ON | {"fit_method": "fft"}},
        status={"clean_flicker_noise": "FAILED"},
    ),
    Case("nirspec flicker by fft", "nirspec-sub", {"clean_flicker_noise": ON | _SAVED | {"fit_method": "fft"}}),
    Case(
        "nirspec flicker by fft, no reference pixels",
        "nirspec-bots",
        {"clean_flicker_noise": ON | _SAVED | {"fit_method": "fft", "background_method": None}},
    ),
    Case("nirspec flicker", "nirspec-sub", {"clean_flicker_noise": ON | _SAVED}),
)

NEAR_INFRARED_CASES = (*RAMP_CASES, *JUMP_CASES, *FIT_CASES, *PERSISTENCE_CASES, *FLICKER_CASES)
