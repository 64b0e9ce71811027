"""When the pixels of a MIRI exposure are read, in pixel clocks of 10 microseconds."""

from dataclasses import dataclass
from typing import Final

PIXEL_CLOCK: Final = 10.0e-6
"""Seconds."""
_RESET_ROW_CLOCKS: Final = 7
"""Clocks that a row outside the subarray takes in each frame."""
_ROWS: Final = 1024
_COLUMNS_OF_AN_OUTPUT: Final = 258

SUBARRAY_CLOCKS: Final[dict[str, tuple[int, int]]] = {
    "SLITLESSPRISM": (28, 15904),
    "MASKLYOT": (90, 32400),
    "SUB64": (28, 8512),
    "SUB128": (44, 11904),
    "MASK1140": (82, 23968),
    "MASK1550": (82, 23968),
    "MASK1065": (82, 23968),
    "FULL_FAST": (271, 277504),
    "FULL_SLOW": (2333, 2388992),
    "BRIGHTSKY": (162, 86528),
    "SUB256": (96, 29952),
}
"""Clocks of a row and of a frame by subarray, for corrections without a reference file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """How an exposure is clocked; four outputs read neighbouring columns at the same time."""

    row: int
    """Clocks from one row to the next."""
    sample: int
    """Clocks of a pixel: 1 in FAST modes, 9 in SLOW ones."""
    frame: int
    """Clocks from one group to the next."""
    reset: int
    """Extra clocks between integrations."""
    late_last_column: bool
    """Whether the last column of a row is a reference pixel, read late."""

    @classmethod
    def of(
        cls, *, rows: int, row_clocks: int, frame_clocks: int, samples: int, read_pattern: str, last_column: int
    ) -> "Readout":
        """Clocks of a subarray with so many rows; `last_column` counts columns of one output from the left edge."""
        return cls(
            row=row_clocks,
            sample=samples,
            frame=rows * row_clocks + (_ROWS - rows) * _RESET_ROW_CLOCKS,
            reset=frame_clocks if read_pattern.upper() in ("FASTR1", "SLOWR1") else 0,
            late_last_column=last_column == _COLUMNS_OF_AN_OUTPUT,
        )


def period_in_clocks(frequency: float) -> float:
    """Period in pixel clocks of a wave of `frequency` in Hz."""
    return (1.0 / frequency) / PIXEL_CLOCK
