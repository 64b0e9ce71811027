"""Headers: every keyword that the official pipeline wants of a raw exposure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.time import Time

from jwcal.observatory.dither import UNDITHERED, Dither
from jwcal.observatory.mode import Mode
from jwcal.observatory.modes import MODES

PROGRAM = "09999"
TARGET = (150.1163213, 2.2058197)
"""Right ascension and declination, degrees."""
ROLL = 107.6
START = 60418.125
"""Start of the first exposure, MJD."""
DAY = 86400.0
SLEW = 30.0
"""Seconds between two dithers."""


@dataclass(frozen=True, slots=True)
class Clock:
    """When the frames of an exposure are read."""

    mode: Mode
    ngroups: int
    nints: int
    """Integrations of the file; each superstripe is one."""
    dither: Dither = UNDITHERED

    @property
    def start(self) -> float:
        """MJD; each mode has an hour of its own, in which dithers follow each other."""
        earlier = (self.dither.number - 1) * (self.duration + SLEW) / DAY
        return START + list(MODES).index(self.mode.name) / 24 + earlier

    @property
    def frames(self) -> int:
        """Of an integration."""
        return self.mode.pattern.frames(self.ngroups)

    @property
    def duration(self) -> float:
        """Of the exposure with its resets, s."""
        return (self.nints * (self.frames + 1) - 1) * self.mode.frame_time

    def after(self, frames: float) -> float:
        """MJD after some frames."""
        return self.start + frames * self.mode.frame_time / DAY

    def integration(self, index: int) -> tuple[float, float]:
        """First and last moment of an integration, MJD."""
        first = index * (self.frames + 1)
        return self.after(first), self.after(first + self.frames)


def root_name(mode: Mode, segment: int, segments: int, exposure: int = 1) -> str:
    """File name up to the suffix."""
    observation = list(MODES).index(mode.name) + 1
    if mode.is_guider:
        kind = mode.exposure_type.removeprefix("FGS_").lower().replace("-", "_")
        function = {
            "id_image": "gs-id_1_image",
            "id_stack": "gs-id_1_stacked",
            "acq1": "gs-acq1",
            "track": "gs-track",
            "fineguide": "gs-fg",
        }[kind]
        return f"jw{PROGRAM}{observation:03d}001_{function}_2024108{observation:02d}0000"
    part = f"-seg{segment + 1:03d}" if segments > 1 else ""
    return f"jw{PROGRAM}{observation:03d}001_02101_{exposure:05d}{part}_{mode.detector.name.lower()}"


def keywords(mode: Mode, clock: Clock, integrations: range, segment: int, segments: int) -> dict[str, Any]:
    """Values by path below ``meta`` of the segment that holds `integrations`."""
    return (
        _identity(mode, clock)
        | _exposure(mode, clock)
        | _segment(integrations, segment, segments)
        | _place(mode)
        | (mode.stripes.keywords() if mode.stripes is not None else {})
        | (_guide_star(clock) if mode.is_guider else {})
    )


def _identity(mode: Mode, clock: Clock) -> dict[str, Any]:
    observation = list(MODES).index(mode.name) + 1
    start = Time(clock.start, format="mjd").isot
    end = Time(clock.start + clock.duration / DAY, format="mjd").isot
    detector = mode.detector
    values: dict[str, Any] = {
        "telescope": "JWST",
        "origin": "jwcal synthetic observatory",
        "date": start,
        "instrument.name": mode.instrument,
        "instrument.detector": detector.name,
        "observation.date": start[:10],
        "observation.time": start[11:],
        "observation.date_beg": start,
        "observation.date_end": end,
        "observation.program_number": PROGRAM,
        "observation.observation_number": f"{observation:03d}",
        "observation.visit_number": "001",
        "observation.visit_group": "02",
        "observation.sequence_id": "1",
        "observation.activity_id": "01",
        "observation.exposure_number": f"{clock.dither.number:05d}",
        "observation.visit_id": f"{PROGRAM}{observation:03d}001",
        "observation.observation_id": f"V{PROGRAM}{observation:03d}001P0000000002101",
        "visit.status": "SUCCESSFUL",
        "visit.tsovisit": mode.tso,
        "visit.internal_target": False,
        "program.title": "Synthetic exposures",
        "program.category": "COM",
        "target.type": "FIXED",
        "target.catalog_name": mode.name,
        "target.proposer_name": mode.name,
        "target.ra": TARGET[0],
        "target.dec": TARGET[1],
        "ephemeris.reference_frame": "EME2000",
    }
    if clock.dither.points > 1:
        values |= {"dither.position_number": clock.dither.number, "dither.total_points": clock.dither.points}
    for name in ("filter", "pupil", "grating", "band"):
        if getattr(mode, name) is not None:
            values[f"instrument.{name}"] = getattr(mode, name)
    for name in ("channel", "module"):
        if getattr(detector, name) is not None:
            values[f"instrument.{name}"] = getattr(detector, name)
    return values


def _exposure(mode: Mode, clock: Clock) -> dict[str, Any]:
    pattern, frame = mode.pattern, mode.frame_time
    group_time = frame * (pattern.nframes + pattern.groupgap)
    integration_time = group_time * (clock.ngroups - 1)
    measured = (integration_time + frame * pattern.nframes) * clock.nints
    values: dict[str, Any] = {
        "type": mode.exposure_type,
        "readpatt": mode.readpatt,
        "nints": clock.nints,
        "ngroups": clock.ngroups,
        "nframes": pattern.nframes,
        "groupgap": pattern.groupgap,
        "frame_divisor": pattern.nframes,
        "drop_frames1": 0,
        "nsamples": pattern.nsamples,
        "sample_time": 10.0,
        "frame_time": frame,
        "group_time": group_time,
        "integration_time": integration_time,
        "exposure_time": integration_time * clock.nints,
        "measurement_time": measured,
        "duration": clock.duration,
        "elapsed_exposure_time": clock.duration,
        "nresets_at_start": 1,
        "nresets_between_ints": 1,
        "start_time": clock.start,
        "mid_time": clock.start + clock.duration / DAY / 2,
        "end_time": clock.start + clock.duration / DAY,
        "zero_frame": mode.zeroframe,
        "data_problem": False,
        "count": 1,
        "noutputs": mode.noutputs,
    }
    if mode.is_irs2:
        values |= {"nrs_normal": 16, "nrs_reference": 4}
    return {f"exposure.{name}": value for name, value in values.items()}


def _segment(integrations: range, segment: int, segments: int) -> dict[str, Any]:
    values = {
        "exposure.integration_start": integrations.start + 1,
        "exposure.integration_end": integrations.stop,
    }
    if segments > 1:
        values |= {"exposure.segment_number": segment + 1, "exposure.segment_total": segments}
    return values


def _place(mode: Mode) -> dict[str, Any]:
    """Subarray, aperture and a tangent-plane WCS with the detector's place in the focal plane."""
    detector = mode.detector
    angle = np.deg2rad(ROLL + detector.v3_angle)
    centre = ((mode.size[0] + 1) / 2, (mode.size[1] + 1) / 2)
    aperture = f"{detector.name}_{mode.subarray}"
    scale = detector.pixel / 3600
    return {
        "subarray.name": mode.subarray,
        "subarray.xstart": mode.corner[0],
        "subarray.ystart": mode.corner[1],
        "subarray.xsize": mode.size[0],
        "subarray.ysize": mode.size[1],
        "subarray.fastaxis": detector.fast,
        "subarray.slowaxis": detector.slow,
        "aperture.name": aperture,
        "aperture.pps_name": aperture,
        "aperture.position_angle": float((ROLL + detector.v3_angle) % 360),
        "pointing.ra_v1": TARGET[0],
        "pointing.dec_v1": TARGET[1],
        "pointing.pa_v3": ROLL,
        "coordinates.reference_frame": "ICRS",
        "velocity_aberration.scale_factor": 1.00004237,
        "wcsinfo.wcsaxes": 2,
        "wcsinfo.crpix1": centre[0],
        "wcsinfo.crpix2": centre[1],
        "wcsinfo.crval1": TARGET[0],
        "wcsinfo.crval2": TARGET[1],
        "wcsinfo.ctype1": "RA---TAN",
        "wcsinfo.ctype2": "DEC--TAN",
        "wcsinfo.cunit1": "deg",
        "wcsinfo.cunit2": "deg",
        "wcsinfo.cdelt1": scale,
        "wcsinfo.cdelt2": scale,
        "wcsinfo.pc1_1": -float(np.cos(angle)),
        "wcsinfo.pc1_2": float(np.sin(angle)),
        "wcsinfo.pc2_1": float(np.sin(angle)),
        "wcsinfo.pc2_2": float(np.cos(angle)),
        "wcsinfo.ra_ref": TARGET[0],
        "wcsinfo.dec_ref": TARGET[1],
        "wcsinfo.roll_ref": ROLL,
        "wcsinfo.v2_ref": detector.v2v3[0],
        "wcsinfo.v3_ref": detector.v2v3[1],
        "wcsinfo.v3yangle": detector.v3_angle,
        "wcsinfo.vparity": -1 if mode.instrument != "NIRSPEC" else 1,
        "guidestar.gs_pcs_mode": "TRACK" if mode.is_guider else "FINEGUIDE",
    }


def _guide_star(clock: Clock) -> dict[str, Any]:
    start = Time(clock.start, format="mjd").iso
    end = Time(clock.start + clock.duration / DAY, format="mjd").iso
    return {
        "guidestar.gs_order": 1,
        "guidestar.gs_start_time": start,
        "guidestar.gs_stop_time": end,
        "guidestar.gs_id": "N4E8000459",
        "guidestar.gs_ra": TARGET[0],
        "guidestar.gs_dec": TARGET[1],
        "guidestar.gs_mag": 12.79,
        "guidestar.gs_function_start_time": start,
        "guidestar.gs_function_end_time": end,
        "guidestar.data_start": clock.start,
        "guidestar.data_end": clock.start + clock.duration / DAY,
        "guidestar.gs_acq_exec_stat": "SUCCESSFUL",
    }


def integration_times(clock: Clock, integrations: range) -> list[tuple[Any, ...]]:
    """Rows of the INT_TIMES table."""
    rows = []
    for index in range(clock.nints) if len(integrations) == clock.nints else integrations:
        first, last = clock.integration(index)
        middle = 0.5 * (first + last)
        rows.append((index + 1, first, middle, last, first, middle, last))
    return rows


def group_times(clock: Clock, integrations: range) -> list[tuple[Any, ...]]:
    """Rows of the GROUP table."""
    mode = clock.mode
    moments = []
    for index in integrations:
        for group in range(clock.ngroups):
            frames = index * (clock.frames + 1) + mode.pattern.frames(group + 1)
            moments.append((index + 1, group + 1, clock.after(frames)))
    stamps = Time([moment for _, _, moment in moments], format="mjd").isot
    return [
        (
            integration,
            group,
            int(moment) % 10000,
            int((moment % 1) * 86400000),
            0,
            stamp.encode(),
            mode.size[0],
            mode.size[1],
            0,
            0,
            b"COMPLETE",
            moment,
            moment,
        )
        for (integration, group, moment), stamp in zip(moments, stamps, strict=True)
    ]
