"""Tables that come with guide-star exposures."""

from typing import Any

from astropy.time import Time

from jwcal.observatory.keywords import DAY, TARGET, Clock
from jwcal.observatory.mode import Mode
from jwcal.observatory.randomness import stream

Rows = list[tuple[Any, ...]]


def guider_tables(mode: Mode, clock: Clock, seed: int) -> dict[str, Rows]:
    """Rows by table of a GuiderRawModel."""
    rng = stream(seed, mode.name, "guiding")
    tables: dict[str, Rows] = {}
    if mode.exposure_type.startswith("FGS_ID"):
        tables["planned_star_table"] = [
            (1, star, f"N4E800{star:04d}".encode(), *TARGET, *rng.uniform(-60, 60, 2), 12.5 + star / 4, 0.02, 1e4, 90.0)
            for star in range(5)
        ]
        tables["flight_star_table"] = [
            (f"{star:02d}".encode(), *rng.uniform(-60, 60, 2), rng.uniform(5e3, 2e4)) for star in range(4)
        ]
    if mode.exposure_type in ("FGS_TRACK", "FGS_FINEGUIDE"):
        moments = [clock.start + index * 0.064 / DAY for index in range(50)]
        stamps = [str(stamp).encode() for stamp in Time(moments, format="mjd").iso]
        tables["pointing_table"] = [(moment, *rng.normal(0, 1e-3, 10), b"NO") for moment in moments]
        tables["centroid_table"] = [
            (stamp, stamp, *rng.normal(0, 0.01, 2), 1e4, 120.0, 0.0, 1.0, 2, 2, 0, b"GOOD", b"GOOD", *[b"NO"] * 4)
            for stamp in stamps
        ]
        if mode.exposure_type == "FGS_TRACK":
            x, y = mode.corner
            tables["track_sub_table"] = [(stamp, float(x), float(y), *mode.size) for stamp in stamps]
    return tables
