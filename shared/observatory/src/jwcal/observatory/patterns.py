"""Readout patterns: how many frames a group averages and how many are dropped between groups.

JDox, "NIRCam Detector Readout Patterns" and its NIRISS, NIRSpec, MIRI and FGS sisters.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadPattern:
    """Frames of a group."""

    nframes: int = 1
    groupgap: int = 0
    nsamples: int = 1
    """Samples of each pixel in a frame (MIRI's slow mode takes nine)."""

    def frames(self, ngroups: int) -> int:
        """Frames from the first group's first to the last group's last."""
        return ngroups * self.nframes + (ngroups - 1) * self.groupgap


PATTERNS: dict[str, ReadPattern] = {
    "RAPID": ReadPattern(),
    "BRIGHT1": ReadPattern(1, 1),
    "BRIGHT2": ReadPattern(2, 0),
    "SHALLOW2": ReadPattern(2, 3),
    "SHALLOW4": ReadPattern(4, 1),
    "MEDIUM2": ReadPattern(2, 8),
    "MEDIUM8": ReadPattern(8, 2),
    "DEEP2": ReadPattern(2, 18),
    "DEEP8": ReadPattern(8, 12),
    "NISRAPID": ReadPattern(),
    "NIS": ReadPattern(4, 0),
    "NRSRAPID": ReadPattern(),
    "NRS": ReadPattern(4, 0),
    "NRSIRS2RAPID": ReadPattern(),
    "NRSIRS2": ReadPattern(5, 0),
    "FASTR1": ReadPattern(),
    "SLOWR1": ReadPattern(nsamples=9),
    "ID": ReadPattern(),
    "ACQ1": ReadPattern(1, 1),
    "TRACK": ReadPattern(),
    "FINEGUIDE": ReadPattern(),
}
