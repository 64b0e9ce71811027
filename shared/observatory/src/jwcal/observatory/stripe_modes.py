"""Exposures read in stripes: DHS spectroscopy and superstripes.

The numbers of lines are those of the flight subarrays.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Multistripe:
    """Lines of a multistripe readout, as the keywords MSTR_* and SSTR_* give them."""

    reads1: int = 0
    skips1: int = 0
    reads2: int = 0
    skips2: int = 0
    repeat: int = 0
    interleave: int = 0
    step: int = 0
    superstripes: int = 0

    def keywords(self) -> dict[str, int]:
        """Values by path below ``meta``."""
        return {
            "subarray.multistripe_reads1": self.reads1,
            "subarray.multistripe_skips1": self.skips1,
            "subarray.multistripe_reads2": self.reads2,
            "subarray.multistripe_skips2": self.skips2,
            "subarray.repeat_stripe": self.repeat,
            "subarray.interleave_reads1": self.interleave,
            "subarray.superstripe_step": self.step,
            "subarray.num_superstripe": self.superstripes,
        }


STRIPE_MODES: tuple[dict[str, Any], ...] = (
    {
        "name": "nircam-dhs",
        "detector": "NRCA1",
        "subarray": "SUB164STRIPE4_DHS",
        "size": (2048, 164),
        "exposure_type": "NRC_TSGRISM",
        "filter": "F150W2",
        "pupil": "GDHS0",
        "readpatt": "BRIGHT2",
        "ngroups": 5,
        "nints": 2,
        "frame_time": 0.86461,
        "traces": 40,
        "sky": 0.3,
        "tso": True,
        "stripes": Multistripe(reads1=1, skips1=1526, reads2=40, skips2=85, repeat=1, interleave=1),
    },
    {
        "name": "nircam-dhs-lw",
        "detector": "NRCALONG",
        "subarray": "SUB164STRIPE4_DHS",
        "size": (2048, 164),
        "exposure_type": "NRC_TSGRISM",
        "filter": "F444W",
        "pupil": "GRISMR",
        "readpatt": "RAPID",
        "ngroups": 5,
        "nints": 2,
        "frame_time": 0.86461,
        "traces": 40,
        "sky": 0.8,
        "tso": True,
        "stripes": Multistripe(reads1=1, skips1=971, reads2=40, repeat=1),
    },
    {
        "name": "nircam-superstripe",
        "detector": "NRCB1",
        "subarray": "SUB64P_SUPSTP008",
        "corner": (1851, 1880),
        "size": (64, 8),
        "exposure_type": "NRC_TSIMAGE",
        "filter": "F210M",
        "pupil": "CLEAR",
        "readpatt": "RAPID",
        "ngroups": 6,
        "nints": 3,
        "frame_time": 0.0076,
        "noutputs": 1,
        "stars": 5,
        "sky": 30.0,
        "saturating": 1,
        "zeroframe": True,
        "stripes": Multistripe(step=8, superstripes=8),
    },
    {
        "name": "nircam-superstripe-repeat",
        "detector": "NRCB1",
        "subarray": "SUB64P_SUPSTP002",
        "corner": (1851, 2046),
        "size": (64, 8),
        "exposure_type": "NRC_TSIMAGE",
        "filter": "F210M",
        "pupil": "CLEAR",
        "readpatt": "RAPID",
        "ngroups": 4,
        "nints": 3,
        "frame_time": 0.0076,
        "noutputs": 1,
        "stars": 5,
        "sky": 30.0,
        "saturating": 1,
        "zeroframe": True,
        "stripes": Multistripe(reads1=1, skips1=165, reads2=1, repeat=1, step=1, superstripes=64),
    },
    {
        "name": "niriss-superstripe",
        "detector": "NIS",
        "subarray": "SUB204STRIPE_SOSS",
        "corner": (2048, 1793),
        "size": (208, 256),
        "exposure_type": "NIS_SOSS",
        "filter": "CLEAR",
        "pupil": "GR700XD",
        "readpatt": "NISRAPID",
        "ngroups": 5,
        "nints": 2,
        "frame_time": 0.5628,
        "noutputs": 1,
        "traces": 2,
        "sky": 1.0,
        "tso": True,
        "stripes": Multistripe(reads1=4, reads2=204, repeat=1, interleave=1, step=204, superstripes=10),
    },
    {
        "name": "nircam-superstripe-full",
        "detector": "NRCB1",
        "subarray": "FULL_SUPSTP120",
        "corner": (1, 2048),
        "size": (2048, 124),
        "exposure_type": "NRC_IMAGE",
        "filter": "F200W",
        "pupil": "CLEAR",
        "readpatt": "RAPID",
        "ngroups": 4,
        "frame_time": 0.65501,
        "stars": 1500,
        "galaxies": 100,
        "sky": 0.5,
        "saturating": 12,
        "zeroframe": True,
        "stripes": Multistripe(reads1=4, reads2=120, repeat=1, interleave=1, step=120, superstripes=17),
    },
)
"""Modes by field; the detector by its name."""
