"""The CRDS world: rules that the crds library reads and that answer every mode."""

import hashlib
from pathlib import Path

import pytest

from jwcal.core.metadata import Metadata
from jwcal.core.references.best import best_references, recommendations, use_cache
from jwcal.observatory import MODES
from jwcal.observatory.crds_mappings import CODE_DEFAULTS, WITH_PARAMETERS, write_mappings
from jwcal.observatory.keywords import Clock, keywords
from jwcal.observatory.reference_catalogue import entries_of


@pytest.fixture(autouse=True)
def crds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_mappings(tmp_path)
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_MODE", "CRDS_READONLY_CACHE"):
        monkeypatch.setenv(name, "")
    use_cache(tmp_path, offline=True)
    return tmp_path


def _metadata(name: str) -> Metadata:
    mode = MODES[name]
    clock = Clock(mode, mode.ngroups, mode.nints)
    metadata = Metadata()
    for path, value in keywords(mode, clock, range(mode.nints), 0, 1).items():
        metadata.set(path, value)
    return metadata


@pytest.mark.parametrize("context", [CODE_DEFAULTS, WITH_PARAMETERS])
@pytest.mark.parametrize("name", MODES)
def test_every_mode_finds_its_references(name: str, context: str) -> None:
    expected = {entry.reftype: entry.file for entry in entries_of(MODES[name])}
    assert best_references(_metadata(name), expected, context) == expected


def test_types_that_a_mode_has_not_are_not_applicable() -> None:
    kinds = ("refpix", "pastasoss", "reset", "sflat")
    answer = best_references(_metadata("nirspec"), kinds, CODE_DEFAULTS)
    assert answer == dict.fromkeys(kinds, "N/A")


def test_only_the_second_context_sets_parameters() -> None:
    metadata = _metadata("miri-sub")
    assert recommendations(metadata, ["pars-emicorrstep"], CODE_DEFAULTS) == {"pars-emicorrstep": "N/A"}
    found = recommendations(metadata, ["pars-emicorrstep"], WITH_PARAMETERS)
    assert found == {"pars-emicorrstep": "jwst_miri_pars-emicorrstep_0001.asdf"}


def test_mappings_carry_their_checksums(crds: Path) -> None:
    for path in (crds / "mappings" / "jwst").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        plain = "".join(line for line in lines if "sha1sum" not in line)
        stated = next(line for line in lines if "sha1sum" in line)
        assert hashlib.sha1(plain.encode()).hexdigest() in stated, path.name
