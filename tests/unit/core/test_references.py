"""Which references an exposure gets, where they lie, and what is said when there is none."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from jwcal.core.errors import InvalidReference, MissingReference
from jwcal.core.metadata import Metadata
from jwcal.core.references.best import best_references, default_context, locate, recommendations, use_cache
from jwcal.core.references.geometry import Subarray, cut
from jwcal.core.references.load import CrdsReferences, ReferenceCache, decode, nbytes
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import (
    GainReference,
    IpcReference,
    MaskReference,
    ReadnoiseReference,
    SirsKernelReference,
)
from tests.builders import CONTEXT, in_cache, some_metadata, use_crds, write_crds_cache, write_gain, write_manifest

GAIN, OTHER_GAIN = "jwst_nircam_gain_0001.fits", "jwst_nircam_gain_0002.fits"
SMALL = (16, 16)
RULES: dict[str, Any] = {
    "gain": {("NRCA1", "SUB160"): GAIN, ("NRCA1", "FULL"): OTHER_GAIN, ("NRCA2", "SUB160"): "N/A"},
    "mask": {("NRCB1", "FULL"): "jwst_nircam_mask_0001.fits"},
    "refpix": "N/A",
}
Environment = Callable[[Path], None]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Points CRDS at a cache until the test is over."""
    return lambda path: use_crds(path, monkeypatch)


@pytest.fixture
def crds(tmp_path: Path, offline: Environment) -> Path:
    """A cache of one context, with two gains of 2 and 3 e-/DN."""
    path = write_crds_cache(tmp_path / "crds", RULES)
    write_gain(in_cache(path, GAIN), 2.0, shape=SMALL)
    write_gain(in_cache(path, OTHER_GAIN), 3.0, shape=SMALL)
    offline(path)
    return path


def references(cache: ReferenceCache | None = None, **overrides: str) -> CrdsReferences:
    """The gain of a NIRCam exposure."""
    return CrdsReferences(
        some_metadata(), (GainReference,), None, context=CONTEXT, cache=cache or ReferenceCache(), overrides=overrides
    )


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize(
    ("detector", "subarray", "expected"),
    [("NRCA1", "SUB160", GAIN), ("NRCA1", "FULL", OTHER_GAIN), ("NRCA2", "SUB160", "N/A")],
)
def test_the_keywords_of_the_exposure_choose_the_reference(detector: str, subarray: str, expected: str) -> None:
    metadata = some_metadata({"instrument.detector": detector, "subarray.name": subarray})
    assert best_references(metadata, ["gain"], CONTEXT) == {"gain": expected}


@pytest.mark.usefixtures("crds")
def test_a_type_that_the_instrument_does_not_need_is_not_applicable() -> None:
    assert best_references(some_metadata(), ["refpix"], CONTEXT) == {"refpix": "N/A"}


@pytest.mark.usefixtures("crds")
def test_every_type_asked_for_is_answered_once() -> None:
    assert recommendations(some_metadata(), ["refpix", "gain", "gain"], CONTEXT) == {"gain": GAIN, "refpix": "N/A"}


@pytest.mark.usefixtures("crds")
def test_a_missing_reference_is_told_by_type_context_and_keywords() -> None:
    metadata = some_metadata()
    metadata.source = "a_uncal.fits"
    with pytest.raises(MissingReference) as caught:
        best_references(metadata, ["gain", "mask"], CONTEXT)
    text = str(caught.value)
    for part in ("no mask reference", CONTEXT, "INSTRUME=NIRCAM", "DETECTOR=NRCA1", "SUBARRAY=SUB160", "a_uncal.fits"):
        assert part in text
    for part in ("FILTER=F200W", "PUPIL=CLEAR", "EXP_TYPE=NRC_IMAGE", "READPATT=RAPID", "DATE-OBS=2024-01-01"):
        assert part in text
    assert "--override mask=FILE" in str(caught.value.remedy)
    assert caught.value.metadata()["reftype"] == "mask"
    assert caught.value.metadata()["context"] == CONTEXT


@pytest.mark.usefixtures("crds")
def test_a_reference_is_not_used_before_its_time() -> None:
    with pytest.raises(MissingReference, match="DATE-OBS=2021-12-31"):
        best_references(some_metadata({"observation.date": "2021-12-31"}), ["gain"], CONTEXT)


@pytest.mark.usefixtures("crds")
def test_a_type_that_the_context_does_not_know_is_missing() -> None:
    with pytest.raises(MissingReference, match="no dark reference"):
        best_references(some_metadata(), ["dark"], CONTEXT)


@pytest.mark.usefixtures("crds")
def test_an_instrument_that_the_context_does_not_know_is_an_error() -> None:
    with pytest.raises(MissingReference, match=CONTEXT):
        best_references(some_metadata({"instrument.name": "MIRI"}), ["gain"], CONTEXT)


@pytest.mark.usefixtures("crds")
def test_a_context_that_is_not_in_the_cache_is_named_with_its_place(crds: Path) -> None:
    with pytest.raises(MissingReference, match=r"context jwst_9999\.pmap is not in the cache") as caught:
        best_references(some_metadata(), ["gain"], "jwst_9999.pmap")
    assert caught.value.file == str(crds / "mappings" / "jwst" / "jwst_9999.pmap")


def test_a_context_whose_rules_are_incomplete_is_an_error(crds: Path) -> None:
    (crds / "mappings" / "jwst" / "jwst_nircam_gain_0042.rmap").unlink()
    with pytest.raises(MissingReference, match=CONTEXT) as caught:
        best_references(some_metadata(), ["gain"], CONTEXT)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("crds")
def test_the_cache_knows_its_own_context() -> None:
    assert default_context() == CONTEXT


@pytest.mark.usefixtures("crds")
def test_a_pinned_context_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDS_CONTEXT", "jwst_0007.pmap")
    assert default_context() == "jwst_0007.pmap"


def test_no_cache_and_no_server_offer_no_context(tmp_path: Path, offline: Environment) -> None:
    offline(tmp_path / "empty")
    with pytest.raises(MissingReference, match="server_config") as caught:
        default_context()
    assert "CRDS_CONTEXT" in str(caught.value.remedy)


def test_a_cache_without_its_configuration_is_an_error(crds: Path) -> None:
    shutil.rmtree(crds / "config")
    with pytest.raises(MissingReference, match=rf"{CONTEXT} cannot be consulted: .*server_config"):
        best_references(some_metadata(), ["gain"], CONTEXT)


def test_a_cache_that_is_not_offline_keeps_the_users_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDS_PATH", "")
    monkeypatch.setenv("CRDS_SERVER_URL", "https://crds.example")
    use_cache(tmp_path, offline=False)
    assert (os.environ["CRDS_PATH"], os.environ["CRDS_SERVER_URL"]) == (str(tmp_path), "https://crds.example")


def test_a_reference_lies_in_the_cache(crds: Path) -> None:
    assert locate(GAIN, CONTEXT) == in_cache(crds, GAIN)


def test_a_reference_that_was_never_fetched_is_named_with_its_place(crds: Path) -> None:
    in_cache(crds, GAIN).unlink()
    with pytest.raises(MissingReference, match="is not in the cache and there is no server") as caught:
        references().load(GainReference)
    assert caught.value.file == str(in_cache(crds, GAIN))
    assert GAIN in str(caught.value)
    assert caught.value.metadata()["context"] == CONTEXT


@pytest.mark.usefixtures("crds")
def test_the_chosen_reference_is_decoded_and_noted_as_from_crds() -> None:
    found = references()
    gain = found.load(GainReference)
    assert gain is not None
    assert (gain.data == 2).all()
    assert (gain.file, found.used) == (GAIN, {"gain": f"crds://{GAIN}"})


@pytest.mark.usefixtures("crds")
def test_what_is_not_asked_for_is_not_noted() -> None:
    found = references()
    assert (found.names, found.used) == ({"gain": GAIN}, {})


@pytest.mark.usefixtures("crds")
def test_an_override_takes_the_place_of_the_chosen_one(tmp_path: Path) -> None:
    path = str(write_gain(tmp_path / "mine.fits", 7.0, shape=SMALL))
    found = references(gain=path)
    gain = found.load(GainReference)
    assert gain is not None
    assert (gain.data == 7).all()
    assert found.used == {"gain": path}


def test_an_override_needs_no_context(tmp_path: Path, offline: Environment) -> None:
    offline(tmp_path / "empty")
    gain = references(gain=str(write_gain(tmp_path / "mine.fits", 7.0, shape=SMALL))).load(GainReference)
    assert gain is not None


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("value", ["N/A", "n/a"])
def test_an_override_may_say_that_none_is_needed(value: str) -> None:
    found = references(gain=value)
    assert found.load(GainReference) is None
    assert found.used == {"gain": "N/A"}


def test_a_set_in_memory_holds_what_it_was_given() -> None:
    gain = GainReference(data=np.ones(SMALL, np.float32))
    refs = ReferenceSet.of(gain)
    assert refs.require(GainReference) is gain
    assert refs.get(ReadnoiseReference) is None


def test_requiring_what_does_not_apply_names_the_type_and_the_way_out() -> None:
    with pytest.raises(MissingReference, match="readnoise") as caught:
        ReferenceSet.of().require(ReadnoiseReference)
    assert "--override readnoise=FILE" in str(caught.value.remedy)


def test_a_reference_is_decoded_once(tmp_path: Path) -> None:
    path, cache = write_gain(tmp_path / "gain.fits", shape=SMALL), ReferenceCache()
    assert cache.get(path, GainReference, None) is cache.get(path, GainReference, None)


def test_each_subarray_has_its_own_cut(tmp_path: Path) -> None:
    path, cache = write_gain(tmp_path / "gain.fits", shape=SMALL), ReferenceCache()
    corner = cache.get(path, GainReference, Subarray(xstart=3, ystart=5, xsize=4, ysize=2))
    assert corner.data.shape == (2, 4)
    assert cache.get(path, GainReference, None).data.shape == SMALL


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path, cache = write_gain(tmp_path / "gain.fits", 2.0, shape=SMALL), ReferenceCache()
    cache.get(path, GainReference, None)
    write_gain(path, 3.0, shape=SMALL)
    os.utime(path, ns=(1, 1))
    assert (cache.get(path, GainReference, None).data == 3).all()


def test_the_least_recently_used_leaves_when_the_limit_is_passed(tmp_path: Path) -> None:
    paths = [write_gain(tmp_path / f"gain{number}.fits", number, shape=SMALL) for number in (1, 2, 3)]
    size = 4 * SMALL[0] * SMALL[1]
    cache = ReferenceCache(limit=2 * size)
    first, second = (cache.get(path, GainReference, None) for path in paths[:2])
    assert cache.get(paths[0], GainReference, None) is first  # now the second is the older one
    cache.get(paths[2], GainReference, None)
    assert cache.get(paths[0], GainReference, None) is first
    assert cache.get(paths[1], GainReference, None) is not second


def test_one_reference_beyond_the_limit_is_kept_until_the_next(tmp_path: Path) -> None:
    paths = [write_gain(tmp_path / f"gain{number}.fits", number, shape=SMALL) for number in (1, 2)]
    cache = ReferenceCache(limit=1)
    first = cache.get(paths[0], GainReference, None)
    assert cache.get(paths[0], GainReference, None) is first
    cache.get(paths[1], GainReference, None)
    assert cache.get(paths[0], GainReference, None) is not first


def test_arrays_deep_in_a_reference_count_for_the_limit() -> None:
    tree = {"A": [{"gamma": np.zeros(100, np.complex128)}, {"zeta": np.zeros(50, np.float32)}]}
    assert nbytes(SirsKernelReference(tree=tree)) == 1800
    assert nbytes(GainReference(data=np.zeros(SMALL, np.float32))) == 1024


def test_the_checksum_of_the_manifest_is_verified(crds: Path) -> None:
    write_manifest(crds, GAIN)
    gain = references().load(GainReference)
    assert gain is not None


def test_a_reference_that_is_not_what_the_manifest_says_is_refused(crds: Path) -> None:
    write_manifest(crds, GAIN)
    with in_cache(crds, GAIN).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InvalidReference, match="SHA-1") as caught:
        references().load(GainReference)
    assert caught.value.file == str(in_cache(crds, GAIN))
    assert "fetch it again" in str(caught.value.remedy)


def test_caches_that_hold_the_same_file_share_its_decoding(crds: Path, tmp_path: Path) -> None:
    write_manifest(crds, GAIN)
    shutil.copytree(crds, tmp_path / "copy")
    cache = ReferenceCache()
    first, second = (cache.get(in_cache(place, GAIN), GainReference, None) for place in (crds, tmp_path / "copy"))
    assert first is second


@pytest.mark.usefixtures("crds")
def test_what_is_held_is_told_by_the_names_of_keywords() -> None:
    cache = ReferenceCache()
    source = references(cache)
    assert cache.names() == ()
    assert source.load(GainReference) is not None
    assert cache.names() == (f"crds://{GAIN}",)
    assert source.used == {"gain": f"crds://{GAIN}"}


def test_a_path_that_leads_nowhere_is_a_missing_reference(tmp_path: Path) -> None:
    with pytest.raises(MissingReference, match=r"absent\.fits"):
        ReferenceCache().get(tmp_path / "absent.fits", GainReference, None)


@pytest.mark.parametrize("lost", [1, 2000, 3000, 5000, 7000, 9000])
def test_a_file_cut_short_is_an_invalid_reference(tmp_path: Path, lost: int) -> None:
    path = write_gain(tmp_path / "gain.fits", shape=SMALL)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - lost])
    with pytest.raises(InvalidReference, match=r"gain\.fits: .*(truncated|corrupt)"):
        decode(path, GainReference, None)


def test_a_file_of_another_kind_is_an_invalid_reference(tmp_path: Path) -> None:
    path = tmp_path / "gain.fits"
    path.write_text("no FITS")
    with pytest.raises(InvalidReference, match=r"gain\.fits"):
        decode(path, MaskReference, None)


FULL = Subarray(xstart=1, ystart=1, xsize=8, ysize=6)
PLANE = np.arange(48).reshape(6, 8)


def test_a_cut_is_the_part_under_the_exposure() -> None:
    part = cut(PLANE, FULL, Subarray(xstart=3, ystart=2, xsize=4, ysize=3), file="a.fits")
    np.testing.assert_array_equal(part, PLANE[1:4, 2:6])
    assert part.flags.c_contiguous


def test_a_cut_counts_from_the_corner_of_the_reference() -> None:
    own = Subarray(xstart=101, ystart=201, xsize=8, ysize=6)
    part = cut(PLANE, own, Subarray(xstart=103, ystart=202, xsize=4, ysize=3), file="a.fits")
    np.testing.assert_array_equal(part, PLANE[1:4, 2:6])


def test_a_cut_keeps_the_axes_before_the_image() -> None:
    planes = np.stack([PLANE, PLANE + 100])
    part = cut(planes, FULL, Subarray(xstart=1, ystart=1, xsize=2, ysize=2), file="a.fits")
    np.testing.assert_array_equal(part, planes[:, :2, :2])


def test_a_reference_of_the_same_frame_is_not_copied() -> None:
    assert cut(PLANE, FULL, FULL, file="a.fits") is PLANE


def test_a_full_frame_serves_interleaved_readouts_uncut() -> None:
    plane = np.zeros((2048, 2048), np.uint8)
    own = Subarray(xstart=1, ystart=1, xsize=2048, ysize=2048)
    assert cut(plane, own, Subarray(xstart=1, ystart=1, xsize=2048, ysize=3200, irs2=True), file="a.fits") is plane


@pytest.mark.parametrize(
    "target",
    [
        Subarray(xstart=6, ystart=1, xsize=4, ysize=6),
        Subarray(xstart=1, ystart=5, xsize=8, ysize=3),
        Subarray(xstart=0, ystart=1, xsize=4, ysize=6),
        Subarray(xstart=1, ystart=1, xsize=9, ysize=6),
    ],
)
def test_a_reference_that_does_not_cover_the_exposure_is_refused(target: Subarray) -> None:
    with pytest.raises(InvalidReference, match=r"a\.fits: covers 8 x 6 pixels from \(1, 1\)"):
        cut(PLANE, FULL, target, file="a.fits")


def test_the_size_of_the_array_wins_over_the_header() -> None:
    found = Subarray.of_exposure(some_metadata({"subarray.xsize": 999}), (2, 3, 6, 5))
    assert (found.xstart, found.ystart, found.xsize, found.ysize) == (501, 601, 5, 6)


DATA = Path(os.environ.get("JWCAL_REAL_DATA", Path(__file__).parents[4] / "shared" / "real-data"))
MAPPINGS = DATA / "spacetelescope-crds-cache-test"
TRUTH = MAPPINGS / "bestrefs_truth_jwst_0541.json"
needs_data = pytest.mark.skipif(not TRUTH.is_file(), reason="the real mappings are not here: set JWCAL_REAL_DATA")


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the real mappings of context 0541, with the configuration of the small one."""
    path = write_crds_cache(tmp_path_factory.mktemp("operations"), {})
    for mapping in (MAPPINGS / "mappings" / "jwst").iterdir():
        shutil.copy(mapping, path / "mappings" / "jwst")
    return path


def exposures() -> list[Any]:
    """The exposures with known answers, by name."""
    cases = json.loads(TRUTH.read_text())["cases"] if TRUTH.is_file() else {}
    return [pytest.param(case["header"], case["bestrefs"], id=name) for name, case in cases.items()]


def as_metadata(header: dict[str, str]) -> Metadata:
    """A header of CRDS as an exposure has it: numbers and truths instead of their text."""
    metadata = Metadata()
    for name, text in header.items():
        value: Any = {"T": True, "F": False}.get(text, text)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        metadata.set(name.lower().removeprefix("meta."), value)
    return metadata


@needs_data
@pytest.mark.parametrize(("header", "bestrefs"), exposures())
def test_the_rules_of_operations_give_the_known_references(
    operations: Path, offline: Environment, header: dict[str, str], bestrefs: dict[str, str]
) -> None:
    offline(operations)
    found = recommendations(as_metadata(header), bestrefs, "jwst_0541.pmap")
    assert {kind: without_cause(str(answer)) for kind, answer in found.items()} == {
        kind: "N/A" if answer == "NOT FOUND n/a" else without_cause(answer) for kind, answer in bestrefs.items()
    }


def without_cause(answer: str) -> str:
    return "NOT FOUND" if answer.startswith("NOT FOUND") else answer


@needs_data
def test_a_type_without_a_rule_of_operations_is_an_error(operations: Path, offline: Environment) -> None:
    offline(operations)
    with pytest.raises(MissingReference, match=r"no psfmask reference in jwst_0541\.pmap for INSTRUME=NIRCAM"):
        best_references(some_metadata(), ["psfmask"], "jwst_0541.pmap")


def test_a_kernel_for_each_pixel_is_cut_to_the_subarray(tmp_path: Path) -> None:
    kernel = np.zeros((3, 3, 12, 10), np.float32)
    kernel[1, 1] = np.arange(120).reshape(12, 10)
    with datamodels.IPCModel(data=kernel) as model:
        model.save(str(tmp_path / "ipc.fits"))
    found = decode(tmp_path / "ipc.fits", IpcReference, Subarray(xstart=3, ystart=5, xsize=4, ysize=6))
    assert np.array_equal(found.data[1, 1], kernel[1, 1, 4:10, 2:6])


def test_a_stack_of_strips_outside_a_gain_takes_its_mean(tmp_path: Path) -> None:
    write_gain(tmp_path / "gain.fits", 2.0, shape=SMALL)
    stack = Subarray(xstart=1, ystart=1, xsize=8, ysize=40, stacked=True)
    assert np.array_equal(decode(tmp_path / "gain.fits", GainReference, stack).data, np.full((40, 8), 2, np.float32))


@pytest.mark.usefixtures("crds")
def test_a_reference_that_only_helps_is_not_recorded() -> None:
    found = references()
    assert ReferenceSet(found).get(GainReference, note=False) is not None
    assert found.used == {}
