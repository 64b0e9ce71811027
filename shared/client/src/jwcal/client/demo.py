"""``jwcal demo``: a small exposure from the sky to the count rate, held against the truth."""

from pathlib import Path


def run_demo(out: Path, *, seed: int, as_json: bool) -> int:
    """Not there yet."""
    del out, seed, as_json
    raise NotImplementedError("the demonstration waits for the synthetic observatory")
