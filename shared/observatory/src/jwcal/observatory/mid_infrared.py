"""MIRI's own effects: reset anomaly, first and last groups, electromagnetic interference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float32
from jwcal.observatory.mode import Mode

RESET_GROUPS, RESET_INTEGRATIONS = 6, 2
FIRST_GROUP, LAST_GROUP = 30.0, -25.0
"""Offsets of the first and last group, DN."""
SKIPPED_GROUPS = {"FULL": (1, 4), "SUB256": (1, 3), "SLITLESSPRISM": (2, 4)}
"""Groups that RSCD drops from the first and from later integrations."""
CLOCK = 10e-6
"""Time of one pixel clock, s."""
_BUNCH = 4
"""Pixels read at once."""

FREQUENCIES = {"Hz218a": 218.52055, "Hz10": 10.039216}
"""Frequencies of the interference, Hz.  390.625 Hz is left out: it divides frame times, so no ramp fit can see it."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Timing of a subarray in pixel clocks, and the frequencies that disturb it."""

    row: int
    frame: int
    frequency: str


CASES = {
    "FULL_FAST": Clocks(271, 277504, "Hz10"),
    "FULL_SLOW": Clocks(2333, 2388992, "Hz10"),
    "SUB256": Clocks(96, 29952, "Hz218a"),
    "SLITLESSPRISM": Clocks(28, 15904, "Hz218a"),
}


def wave(frequency: str, samples: int = 500) -> NDArray[np.float64]:
    """One period of the interference in DN."""
    phase = 2 * np.pi * (np.arange(samples) + 0.5) / samples
    if frequency == "Hz218a":
        return np.asarray(6.0 * np.sin(phase) + 2.0 * np.sin(2 * phase + 0.6))
    return np.asarray(4.0 * np.sin(phase) + 2.5 * np.cos(3 * phase))


def case_name(mode: Mode) -> str:
    """Name of a mode's timing."""
    return f"FULL_{mode.readpatt[:4]}" if mode.is_full else mode.subarray


def reset_anomaly(mode: Mode, integration: int, group: int) -> Float32 | np.float32:
    """DN of a group's reset anomaly; zero from group RESET_GROUPS on."""
    if group >= RESET_GROUPS:
        return np.float32(0)
    level = -55.0 if integration == 0 else -90.0
    rows = (np.arange(mode.shape[0]) + mode.corner[1] - 1) % 2
    return np.asarray(level * np.exp(-group / 1.2) * (1 + 0.2 * rows)[:, None], np.float32)


def end_effect(group: int, ngroups: int) -> float:
    """DN that the first and last group are off."""
    return FIRST_GROUP if group == 0 else LAST_GROUP if group == ngroups - 1 else 0.0


class Interference:
    """A periodic signal in the order of the readout."""

    def __init__(self, mode: Mode, ngroups: int, rng: np.random.Generator) -> None:
        self._clocks = CASES[case_name(mode)]
        ny, nx = mode.shape
        period = 1 / (FREQUENCIES[self._clocks.frequency] * CLOCK)
        rows, bunches = np.arange(ny)[:, None], np.arange(nx // _BUNCH)[None, :]
        self._phase = (rows * self._clocks.row + bunches * mode.pattern.nsamples) / period
        self._per_group = (ny * self._clocks.row + (1024.0 - ny) * 7.0) / period
        self._per_integration = self._per_group * ngroups + self._clocks.frame / period
        self._start = rng.random()
        self._wave = wave(self._clocks.frequency)

    def signal(self, integration: int, group: int) -> Float32:
        """DN ``(ny, nx)``."""
        shift = self._start + group * self._per_group + integration * self._per_integration
        size = self._wave.size
        values = np.interp((self._phase + shift) % 1, (np.arange(size) + 0.5) / size, self._wave, period=1.0)
        return np.repeat(values, _BUNCH, axis=1).astype(np.float32)
