"""``jwcal simulate``: synthetic exposures with their truth and references."""

from pathlib import Path
from typing import Any

from jwcal.client import exit_codes
from jwcal.client.output import print_json, print_table
from jwcal.core.errors import InvalidParameter, UnknownParameter


def list_modes(*, as_json: bool) -> int:
    """Print the modes the synthetic observatory knows."""
    from jwcal.observatory import MODES

    if as_json:
        print_json({"modes": list(MODES)})
        return exit_codes.DONE
    rows = [
        (
            name,
            mode.detector.name,
            mode.exposure_type,
            mode.subarray,
            mode.readpatt,
            f"{mode.nints} x {mode.ngroups} x {mode.shape[0]} x {mode.shape[1]}",
        )
        for name, mode in MODES.items()
    ]
    columns = ("mode", "detector", "EXP_TYPE", "SUBARRAY", "READPATT", "integrations, groups, rows, columns")
    print_table("", columns, rows)
    return exit_codes.DONE


def simulate_exposure(
    mode: str,
    out: Path,
    *,
    seed: int,
    crds: Path | None,
    ngroups: int | None,
    nints: int | None,
    segments: int | None,
    as_json: bool,
) -> int:
    """Write exposures, their truth and an offline CRDS cache."""
    from jwcal.observatory import MODES, simulate

    if mode not in MODES:
        raise UnknownParameter(f"there is no mode {mode!r}", remedy=f"choose one of: {', '.join(MODES)}")
    for name, value in (("--ngroups", ngroups), ("--nints", nints), ("--segments", segments)):
        if value is not None and value < 1:
            raise InvalidParameter(f"{name} {value} is below one", remedy="give one or more")
    integrations = nints or MODES[mode].nints
    if segments and segments > integrations:
        raise InvalidParameter(
            f"{integrations} integrations cannot be cut into {segments} segments", remedy="raise --nints"
        )
    given: dict[str, Any] = {"ngroups": ngroups, "nints": nints, "segments": segments}
    made = simulate(mode, out, seed=seed, crds=crds, **{name: value for name, value in given.items() if value})
    exposures = [str(path) for path in made.exposures]
    if as_json:
        print_json(
            {"mode": mode, "seed": seed, "exposures": exposures, "truth": str(made.truth), "crds": str(made.crds),
             "context": made.context}
        )  # fmt: skip
        return exit_codes.DONE
    for path in exposures:
        print(path)
    print(f"truth: {made.truth}")
    print("to calibrate:")
    print(
        f"  export CRDS_PATH={made.crds} CRDS_CONTEXT={made.context} CRDS_MODE=local CRDS_READONLY_CACHE=1 "
        "CRDS_SERVER_URL=https://crds-serverless-mode.stsci.edu"
    )
    print(f"  jwcal run detector1 {' '.join(exposures)}")
    return exit_codes.DONE
