"""Products do not depend on the number of threads or on the memory limit, bit for bit."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numba
import psutil
import pytest
from astropy.io import fits

from jwcal.core.events import Progress
from jwcal.detector1 import run
from jwcal.observatory import simulate
from tests.builders import use_crds

pytestmark = pytest.mark.slow

ON: dict[str, Any] = {"skip": False}
EXPOSURES: dict[str, dict[str, dict[str, Any]]] = {
    "nircam-sw-sub": {
        "charge_migration": {"skip": False, "signal_threshold": 20000.0},
        "jump": {"expand_large_events": True, "after_jump_flag_dn1": 10.0, "after_jump_flag_time1": 20.0},
        "clean_flicker_noise": ON,
        "persistence": {"skip": False, "persistence_time": 500, "dn_threshold": 30000.0},
        "ramp_fit": {"save_opt": True},
    },
    "miri-sub": {"emicorr": ON, "jump": {"find_showers": True}},
    "nircam-tso": {"ramp_fit": {"algorithm": "LIKELY"}, "jump": {"minimum_sigclip_groups": 20}},
}
"""A near-infrared, a mid-infrared and a time-series exposure, with the steps turned on that are off by default."""
MADE = ("DATE", "CHECKSUM", "DATASUM")
"""Keywords of when and how a file was written."""


@pytest.fixture(scope="module", params=EXPOSURES)
def exposure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """(Mode, raw exposure, CRDS cache)."""
    folder = tmp_path_factory.mktemp(request.param)
    made = simulate(request.param, folder, seed=3, crds=folder / "crds")
    return request.param, made.exposures[0], folder / "crds"


def products(exposure: tuple[str, Path, Path], folder: Path, **options: Any) -> Mapping[str, Any]:
    """What every product of a run holds, intermediate ones included: pixels and headers by file and extension."""
    mode, uncal, _ = exposure
    found: dict[str, Any] = {}
    result = run(uncal, output_dir=folder, parameters=EXPOSURES[mode], save_steps=True, **options)
    assert len(result.products) > 10
    for path in result.products:
        with fits.open(path) as hdus:
            for place, hdu in enumerate(hdus):
                if hdu.name == "ASDF":  # the same metadata, with the time of writing
                    continue
                header = [(card.keyword, str(card.value)) for card in hdu.header.cards if card.keyword not in MADE]
                pixels = None if hdu.data is None else hdu.data.tobytes()
                found[f"{path.name}[{place}]"] = (header, pixels)
    return found


def assert_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if one[name][1] != other[name][1]] == []  # names, not megabytes
    for name, (header, _) in one.items():
        assert header == other[name][0]


def in_scratch_file(directory: Path) -> bool:
    """Whether this process holds a file in `directory` open, a deleted one too."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if entry.readlink().is_relative_to(directory):
                return True
        except FileNotFoundError:
            continue  # the listing's own
    return False


def test_products_depend_neither_on_threads_nor_on_the_memory_limit(
    exposure: tuple[str, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, uncal, crds = exposure
    use_crds(crds, monkeypatch)
    before = numba.get_num_threads()
    try:
        expected = products(exposure, tmp_path / "one", threads=1)
        if before > 1:
            assert_same(products(exposure, tmp_path / "many", threads=before), expected)
    finally:
        numba.set_num_threads(before)

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    spilled = []
    samples = fits.getdata(uncal, "SCI").size
    limit = int((psutil.Process().memory_info().rss + 4 * samples) / 0.8)  # less than a ramp takes

    def watch(event: Any) -> None:
        if isinstance(event, Progress) and event.done == event.total:
            spilled.append(in_scratch_file(scratch))

    assert_same(products(exposure, tmp_path / "limited", memory_limit=limit, on_event=watch), expected)
    assert any(spilled)
