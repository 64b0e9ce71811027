"""What describes an exposure of the synthetic observatory."""

from dataclasses import dataclass, replace

from jwcal.observatory.detectors import Detector
from jwcal.observatory.patterns import PATTERNS, ReadPattern
from jwcal.observatory.stripe_modes import Multistripe


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
