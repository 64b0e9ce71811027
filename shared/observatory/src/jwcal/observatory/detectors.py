"""The detectors of the synthetic observatory.

Numbers are of the right order and rounded; none is flight calibration.  Positions and orientations are real.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One sensor chip."""

    name: str
    instrument: str
    fast: int
    slow: int
    """Readout directions in the science frame: 1 along x, 2 along y, negative downwards."""
    gain: float
    """e-/DN."""
    cds_noise: float
    """Correlated-double-sampling noise, DN."""
    bias: float
    """DN."""
    well: float
    """DN above the bias where saturation starts."""
    dark: float
    """e-/s."""
    shape: tuple[int, int] = (2048, 2048)
    channel: str | None = None
    module: str | None = None
    v2v3: tuple[float, float] = (0.0, 0.0)
    """Position in the telescope's focal plane, arcsec."""
    v3_angle: float = 0.0
    """From V3 to the science frame's y axis, degrees."""
    pixel: float = 0.06
    """arcsec."""


DETECTORS: dict[str, Detector] = {
    detector.name: detector
    for detector in (
        Detector(
            name="NRCB1",
            instrument="NIRCAM",
            channel="SHORT",
            module="B",
            fast=1,
            slow=-2,
            gain=2.01,
            cds_noise=11.5,
            bias=12100.0,
            well=46000.0,
            dark=0.003,
            v2v3=(-122.428, -457.707),
            v3_angle=0.345,
            pixel=0.0307,
        ),
        Detector(
            name="NRCA1",
            instrument="NIRCAM",
            channel="SHORT",
            module="A",
            fast=-1,
            slow=2,
            gain=2.08,
            cds_noise=11.0,
            bias=11800.0,
            well=46500.0,
            dark=0.003,
            v2v3=(120.577, -527.501),
            v3_angle=-0.568,
            pixel=0.0313,
        ),
        Detector(
            name="NRCALONG",
            instrument="NIRCAM",
            channel="LONG",
            module="A",
            fast=-1,
            slow=2,
            gain=1.84,
            cds_noise=9.5,
            bias=10800.0,
            well=49000.0,
            dark=0.03,
            v2v3=(85.927, -493.503),
            v3_angle=-0.063,
            pixel=0.0628,
        ),
        Detector(
            name="NRCBLONG",
            instrument="NIRCAM",
            channel="LONG",
            module="B",
            fast=1,
            slow=-2,
            gain=1.80,
            cds_noise=9.8,
            bias=11000.0,
            well=48500.0,
            dark=0.03,
            v2v3=(-89.403, -491.360),
            v3_angle=0.023,
            pixel=0.0629,
        ),
        Detector(
            name="NIS",
            instrument="NIRISS",
            fast=-2,
            slow=-1,
            gain=1.62,
            cds_noise=12.0,
            bias=13500.0,
            well=45000.0,
            dark=0.01,
            v2v3=(-291.141, -698.015),
            v3_angle=0.561,
            pixel=0.0653,
        ),
        Detector(
            name="NRS1",
            instrument="NIRSPEC",
            fast=2,
            slow=1,
            gain=0.996,
            cds_noise=9.0,
            bias=9800.0,
            well=50000.0,
            dark=0.006,
            v2v3=(293.311, -503.319),
            v3_angle=139.228,
            pixel=0.1033,
        ),
        Detector(
            name="NRS2",
            instrument="NIRSPEC",
            fast=-2,
            slow=-1,
            gain=1.137,
            cds_noise=8.5,
            bias=10400.0,
            well=50000.0,
            dark=0.006,
            v2v3=(462.677, -353.896),
            v3_angle=137.796,
            pixel=0.1033,
        ),
        Detector(
            name="MIRIMAGE",
            instrument="MIRI",
            fast=1,
            slow=2,
            gain=3.2,
            cds_noise=9.0,
            bias=8000.0,
            well=50000.0,
            dark=0.8,
            shape=(1024, 1032),
            v2v3=(-453.348, -373.668),
            v3_angle=4.835,
            pixel=0.1105,
        ),
        Detector(
            name="MIRIFUSHORT",
            instrument="MIRI",
            channel="12",
            fast=1,
            slow=2,
            gain=3.3,
            cds_noise=7.0,
            bias=8300.0,
            well=50000.0,
            dark=0.15,
            shape=(1024, 1032),
            v2v3=(-503.65, -318.75),
            v3_angle=8.0,
            pixel=0.196,
        ),
        Detector(
            name="GUIDER1",
            instrument="FGS",
            fast=-2,
            slow=-1,
            gain=1.55,
            cds_noise=11.0,
            bias=10200.0,
            well=48000.0,
            dark=0.01,
            v2v3=(206.407, -697.765),
            v3_angle=-1.241,
            pixel=0.0684,
        ),
    )
}
