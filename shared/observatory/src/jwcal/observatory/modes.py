"""The detectors of the synthetic observatory and the exposures it takes.

Numbers are of the right order and rounded; none is flight calibration.  Positions and orientations are real.
"""

from dataclasses import dataclass, replace

from jwcal.observatory.patterns import PATTERNS, ReadPattern
from jwcal.observatory.stripe_modes import STRIPE_MODES, Multistripe


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One kind of exposure."""

    name: str
    detector: Detector
    subarray: str = "FULL"
    corner: tuple[int, int] = (1, 1)
    """x and y of the first pixel, 1-based, science frame."""
    size: tuple[int, int]
    """Pixels along x and y."""
    exposure_type: str
    readpatt: str
    ngroups: int
    nints: int = 1
    frame_time: float
    """s."""
    noutputs: int = 4
    filter: str | None = None
    pupil: str | None = None
    grating: str | None = None
    band: str | None = None
    stars: int = 0
    galaxies: int = 0
    traces: int = 0
    """Spectra instead of sources."""
    fwhm: float = 2.0
    """Of stars, pixels."""
    sky: float = 0.5
    """e-/s."""
    saturating: int = 3
    """Stars that reach saturation within the ramp."""
    zeroframe: bool = False
    tso: bool = False
    snowballs: bool = False
    showers: bool = False
    stripes: Multistripe | None = None
    """Multistripe readout; corner and size are then those of the frames, nints counts whole fields."""

    @property
    def pattern(self) -> ReadPattern:
        """Frames of its groups."""
        return PATTERNS[self.readpatt]

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) in the science frame, without interleaved reference pixels."""
        return self.size[1], self.size[0]

    @property
    def instrument(self) -> str:
        """Upper-case name."""
        return self.detector.instrument

    @property
    def is_full(self) -> bool:
        """Whether the whole detector is read."""
        return self.subarray == "FULL"

    @property
    def is_irs2(self) -> bool:
        """Whether reference pixels are interleaved."""
        return "IRS2" in self.readpatt

    @property
    def is_guider(self) -> bool:
        """Whether this is a guide-star exposure."""
        return self.instrument == "FGS" and self.exposure_type.startswith(
            ("FGS_ID", "FGS_ACQ", "FGS_TRACK", "FGS_FINE")
        )

    @property
    def site(self) -> str:
        """What decides the pixels: detector and subarray."""
        return f"{self.detector.name}-{self.subarray}"

    @property
    def whole_detector(self) -> "Mode":
        """The full frame that a multistripe mode reads parts of; other modes as they are."""
        if self.stripes is None:
            return self
        size = (self.detector.shape[1], self.detector.shape[0])
        return replace(self, subarray="FULL", corner=(1, 1), size=size, stripes=None)


_NRCB1, _NRCBLONG = DETECTORS["NRCB1"], DETECTORS["NRCBLONG"]
_GUIDER, _MIRI = DETECTORS["GUIDER1"], DETECTORS["MIRIMAGE"]
_GUIDING = {"detector": _GUIDER, "noutputs": 1, "sky": 1.0, "fwhm": 2.4}

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode(
            name="nircam-sw",
            detector=_NRCB1,
            size=(2048, 2048),
            exposure_type="NRC_IMAGE",
            filter="F200W",
            pupil="CLEAR",
            readpatt="BRIGHT2",
            ngroups=10,
            frame_time=10.73677,
            stars=1500,
            galaxies=150,
            sky=0.3,
            saturating=12,
            snowballs=True,
        ),
        Mode(
            name="nircam-sw-sub",
            detector=_NRCB1,
            subarray="SUB320",
            size=(320, 320),
            exposure_type="NRC_IMAGE",
            filter="F200W",
            pupil="CLEAR",
            readpatt="RAPID",
            ngroups=10,
            nints=2,
            frame_time=1.06904,
            noutputs=1,
            stars=120,
            galaxies=12,
            sky=2.0,
            snowballs=True,
        ),
        Mode(
            name="nircam-lw",
            detector=DETECTORS["NRCALONG"],
            size=(2048, 2048),
            exposure_type="NRC_IMAGE",
            filter="F356W",
            pupil="CLEAR",
            readpatt="RAPID",
            ngroups=10,
            frame_time=10.73677,
            stars=1500,
            galaxies=200,
            sky=0.6,
            saturating=12,
            snowballs=True,
        ),
        Mode(
            name="nircam-lw-sub",
            detector=_NRCBLONG,
            subarray="SUB400P",
            corner=(1649, 1649),
            size=(400, 400),
            exposure_type="NRC_IMAGE",
            filter="F444W",
            pupil="CLEAR",
            readpatt="SHALLOW4",
            ngroups=6,
            nints=2,
            frame_time=1.65624,
            noutputs=1,
            stars=160,
            galaxies=12,
            sky=1.5,
            saturating=5,
            zeroframe=True,
            snowballs=True,
        ),
        Mode(
            name="niriss",
            detector=DETECTORS["NIS"],
            size=(2048, 2048),
            exposure_type="NIS_IMAGE",
            filter="CLEAR",
            pupil="F200W",
            readpatt="NIS",
            ngroups=6,
            frame_time=10.73677,
            stars=1500,
            galaxies=150,
            fwhm=1.7,
            sky=0.4,
            saturating=12,
            snowballs=True,
        ),
        Mode(
            name="niriss-sub",
            detector=DETECTORS["NIS"],
            subarray="SUB256",
            corner=(1793, 1793),
            size=(256, 256),
            exposure_type="NIS_IMAGE",
            filter="CLEAR",
            pupil="F150W",
            readpatt="NISRAPID",
            ngroups=8,
            nints=2,
            frame_time=0.69144,
            noutputs=1,
            stars=100,
            galaxies=6,
            fwhm=1.6,
            sky=2.0,
            snowballs=True,
        ),
        Mode(
            name="nirspec",
            detector=DETECTORS["NRS1"],
            size=(2048, 2048),
            exposure_type="NRS_IFU",
            filter="F170LP",
            grating="G235H",
            readpatt="NRSRAPID",
            ngroups=8,
            frame_time=10.73677,
            traces=30,
            sky=0.02,
            snowballs=True,
        ),
        Mode(
            name="nirspec-irs2",
            detector=DETECTORS["NRS2"],
            size=(2048, 2048),
            exposure_type="NRS_IFU",
            filter="F170LP",
            grating="G235H",
            readpatt="NRSIRS2RAPID",
            ngroups=8,
            frame_time=14.5889,
            noutputs=5,
            traces=30,
            sky=0.02,
            snowballs=True,
        ),
        Mode(
            name="nirspec-sub",
            detector=DETECTORS["NRS1"],
            subarray="SUBS200A1",
            corner=(1, 1057),
            size=(2048, 64),
            exposure_type="NRS_FIXEDSLIT",
            filter="F170LP",
            grating="G235H",
            readpatt="NRSRAPID",
            ngroups=8,
            nints=2,
            frame_time=1.5592,
            noutputs=1,
            traces=1,
            sky=0.05,
            snowballs=True,
        ),
        Mode(
            name="miri-fast",
            detector=_MIRI,
            size=(1032, 1024),
            exposure_type="MIR_IMAGE",
            filter="F770W",
            readpatt="FASTR1",
            ngroups=20,
            frame_time=2.77504,
            stars=600,
            galaxies=80,
            fwhm=2.5,
            sky=60.0,
            saturating=8,
            showers=True,
        ),
        Mode(
            name="miri-slow",
            detector=DETECTORS["MIRIFUSHORT"],
            size=(1032, 1024),
            exposure_type="MIR_MRS",
            band="SHORT",
            readpatt="SLOWR1",
            ngroups=10,
            frame_time=23.88992,
            traces=38,
            sky=0.5,
            showers=True,
        ),
        Mode(
            name="miri-sub",
            detector=_MIRI,
            subarray="SUB256",
            corner=(413, 51),
            size=(256, 256),
            exposure_type="MIR_IMAGE",
            filter="F1000W",
            readpatt="FASTR1",
            ngroups=12,
            nints=2,
            frame_time=0.29952,
            stars=60,
            galaxies=6,
            fwhm=3.0,
            sky=150.0,
            showers=True,
        ),
        Mode(
            name="fgs-id-image",
            size=(2048, 2048),
            exposure_type="FGS_ID-IMAGE",
            readpatt="ID",
            ngroups=2,
            nints=2,
            frame_time=0.3406,
            stars=300,
            saturating=0,
            **_GUIDING,  # type: ignore[arg-type]
        ),
        Mode(
            name="fgs-acq1",
            subarray="128X128",
            corner=(887, 1022),
            size=(128, 128),
            exposure_type="FGS_ACQ1",
            readpatt="ACQ1",
            ngroups=2,
            nints=6,
            frame_time=0.182,
            stars=3,
            saturating=0,
            **_GUIDING,  # type: ignore[arg-type]
        ),
        Mode(
            name="fgs-track",
            subarray="32X32",
            corner=(935, 1070),
            size=(32, 32),
            exposure_type="FGS_TRACK",
            readpatt="TRACK",
            ngroups=2,
            nints=60,
            frame_time=0.0181,
            stars=1,
            saturating=0,
            **_GUIDING,  # type: ignore[arg-type]
        ),
        Mode(
            name="fgs-fineguide",
            subarray="8X8",
            corner=(947, 1082),
            size=(8, 8),
            exposure_type="FGS_FINEGUIDE",
            readpatt="FINEGUIDE",
            ngroups=12,
            nints=40,
            frame_time=0.0041,
            stars=1,
            saturating=0,
            **_GUIDING,  # type: ignore[arg-type]
        ),
        Mode(
            name="nircam-tso",
            detector=_NRCB1,
            subarray="SUB64P",
            corner=(1851, 1817),
            size=(64, 64),
            exposure_type="NRC_TSIMAGE",
            filter="F210M",
            pupil="CLEAR",
            readpatt="RAPID",
            ngroups=8,
            nints=40,
            frame_time=0.05016,
            noutputs=1,
            stars=1,
            saturating=0,
            sky=1.0,
            tso=True,
        ),
        Mode(
            name="fgs-id-stack",
            subarray="2048X64",
            corner=(1, 985),
            size=(2048, 64),
            exposure_type="FGS_ID-STACK",
            readpatt="ID",
            ngroups=2,
            nints=2,
            frame_time=0.3406,
            stars=20,
            saturating=0,
            **_GUIDING,  # type: ignore[arg-type]
        ),
        Mode(
            name="nircam-grism",
            detector=DETECTORS["NRCALONG"],
            subarray="SUBGRISM64",
            size=(2048, 64),
            exposure_type="NRC_TSGRISM",
            filter="F322W2",
            pupil="GRISMR",
            readpatt="RAPID",
            ngroups=5,
            nints=3,
            frame_time=0.34061,
            traces=1,
            sky=0.8,
            tso=True,
        ),
        Mode(
            name="nirspec-bots",
            detector=DETECTORS["NRS1"],
            subarray="SUB512",
            corner=(1025, 977),
            size=(512, 32),
            exposure_type="NRS_BRIGHTOBJ",
            filter="CLEAR",
            grating="PRISM",
            readpatt="NRSRAPID",
            ngroups=6,
            nints=3,
            frame_time=0.2262,
            noutputs=1,
            traces=1,
            sky=0.05,
            tso=True,
        ),
        Mode(
            name="miri-prism",
            detector=_MIRI,
            subarray="SLITLESSPRISM",
            corner=(1, 529),
            size=(72, 416),
            exposure_type="MIR_LRS-SLITLESS",
            filter="P750L",
            readpatt="FASTR1",
            ngroups=8,
            nints=3,
            frame_time=0.15904,
            traces=1,
            sky=20.0,
            tso=True,
        ),
    )
}
MODES |= {values["name"]: Mode(**{**values, "detector": DETECTORS[values["detector"]]}) for values in STRIPE_MODES}
