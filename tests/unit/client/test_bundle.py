"""``jwcal refs bundle``, ``load``, ``verify``: references for machines without a server."""

import asyncio
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jwcal.client import exit_codes
from jwcal.client.bundle_command import load, make_bundle, verify
from jwcal.core.errors import (
    BucketNotFound,
    ConfigurationError,
    InvalidKey,
    InvalidParameter,
    InvalidReference,
    MissingReference,
)
from jwcal.core.references.best import best_references, default_context, locate
from jwcal.core.references.publishing import Catalogue
from jwcal.core.storage.opening import StoreSettings, opened_store
from jwcal.core.storage.ref import Location
from tests.builders import CONTEXT, in_cache, some_metadata, use_crds, write_crds_cache, write_gain, write_manifest
from tests.tiny_exposure import write_uncal

GAIN, OTHER_GAIN = "jwst_nircam_gain_0001.fits", "jwst_nircam_gain_0002.fits"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of two gains, in use."""
    rules: dict[str, Any] = {"gain": {("NRCA1", "SUB160"): GAIN, ("NRCA2", "FULL"): OTHER_GAIN}, "refpix": "N/A"}
    path = write_crds_cache(tmp_path / "crds", rules)
    for name in (GAIN, OTHER_GAIN):
        write_gain(in_cache(path, name), shape=(16, 16))
    use_crds(path, monkeypatch)
    return path


def bundled(target: Path, *exposures: Path, context: str | None = CONTEXT) -> Path:
    done = make_bundle(target, context=context, instrument="nircam", exposures=exposures, as_json=True)
    assert done == exit_codes.DONE
    return target


def rewritten(source: Path, target: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[str, bytes] | None]) -> Path:
    """A bundle whose members `change` replaces, or leaves out."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            opened = old.extractfile(member)
            assert opened is not None
            changed = change(member, opened.read())
            if changed is not None:
                member.name, member.size = changed[0], len(changed[1])
                new.addfile(member, io.BytesIO(changed[1]))
    return target


def test_a_bundle_makes_a_cache_that_needs_no_server(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = bundled(tmp_path / "nircam.tar", context=None)
    assert load(source, into=tmp_path / "new", store=None, as_json=True) == exit_codes.DONE
    use_crds(tmp_path / "new", monkeypatch)
    assert default_context() == CONTEXT
    assert best_references(some_metadata(), ["gain", "refpix"], CONTEXT) == {"gain": GAIN, "refpix": "N/A"}
    assert locate(GAIN, CONTEXT).read_bytes() == in_cache(cache, GAIN).read_bytes()
    assert in_cache(tmp_path / "new", OTHER_GAIN).exists()
    assert verify(tmp_path / "new", as_json=True) == exit_codes.DONE


@pytest.mark.usefixtures("cache")
def test_a_bundle_for_exposures_holds_only_what_they_get(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundled(tmp_path / "small.tar", write_uncal(tmp_path))
    told = json.loads(capsys.readouterr().out)
    assert (told["references"], told["context"], told["instrument"]) == ([GAIN], CONTEXT, "NIRCAM")


@pytest.mark.usefixtures("cache")
def test_an_exposure_of_another_instrument_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="NIRCAM, not of MIRI"):
        make_bundle(
            tmp_path / "a.tar", context=CONTEXT, instrument="MIRI", exposures=[write_uncal(tmp_path)], as_json=True
        )


@pytest.mark.usefixtures("cache")
def test_the_same_files_give_the_same_bundle(tmp_path: Path) -> None:
    assert bundled(tmp_path / "a.tar").read_bytes() == bundled(tmp_path / "b.tar").read_bytes()


def test_a_damaged_reference_is_not_bundled(tmp_path: Path, cache: Path) -> None:
    write_manifest(cache, GAIN, OTHER_GAIN)
    with in_cache(cache, OTHER_GAIN).open("ab") as file:
        file.write(b"more")
    with pytest.raises(InvalidReference, match="CRDS says"):
        bundled(tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()


@pytest.mark.usefixtures("cache")
def test_loading_adds_to_what_a_cache_holds_and_states(tmp_path: Path) -> None:
    own = write_crds_cache(tmp_path / "own", {"refpix": "N/A"})
    other = "jwst_nircam_mask_0009.fits"
    write_gain(in_cache(own, other), shape=(16, 16))
    write_manifest(own, other)
    load(bundled(tmp_path / "a.tar"), into=own, store=None, as_json=True)
    stated = json.loads((own / "config" / "jwst" / "reference_sha1.json").read_text())
    assert set(stated) == {other, GAIN, OTHER_GAIN}
    assert in_cache(own, other).exists()


def flipped(member: tarfile.TarInfo, content: bytes) -> tuple[str, bytes]:
    if member.name.endswith(GAIN):
        content = content[:-1] + bytes([content[-1] ^ 1])
    return member.name, content


@pytest.mark.usefixtures("cache")
def test_a_bundle_that_was_damaged_is_told_and_not_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = rewritten(bundled(tmp_path / "a.tar"), tmp_path / "b.tar", flipped)
    capsys.readouterr()
    assert verify(tmp_path / "a.tar", as_json=True) == exit_codes.DONE
    assert json.loads(capsys.readouterr().out)["damaged"] == []
    assert verify(damaged, as_json=True) == exit_codes.FAILED
    assert json.loads(capsys.readouterr().out)["damaged"] == [f"references/jwst/nircam/{GAIN}"]
    with pytest.raises(InvalidReference, match=f"{GAIN} is damaged"):
        load(damaged, into=tmp_path / "new", store=None, as_json=True)
    assert not in_cache(tmp_path / "new", GAIN).exists()


@pytest.mark.usefixtures("cache")
def test_a_bundle_cut_short_is_refused(tmp_path: Path) -> None:
    whole = bundled(tmp_path / "a.tar").read_bytes()
    for size in (0, 100, 700, len(whole) // 2, len(whole) - 20_000):
        (tmp_path / "b.tar").write_bytes(whole[:size])
        for read in (
            lambda: verify(tmp_path / "b.tar", as_json=True),
            lambda: load(tmp_path / "b.tar", into=tmp_path / "new", store=None, as_json=True),
        ):
            with pytest.raises(InvalidReference):
                read()


def _outside(member: tarfile.TarInfo, content: bytes) -> tuple[str, bytes]:
    if member.name == "bundle.json":
        index = json.loads(content)
        index["files"][0]["path"] = "mappings/jwst/../../../escaped"
        content = json.dumps(index).encode()
    return member.name, content


def _newer(member: tarfile.TarInfo, content: bytes) -> tuple[str, bytes]:
    return member.name, content.replace(b'"format": 1', b'"format": 2')


def _without_a_mapping(member: tarfile.TarInfo, content: bytes) -> tuple[str, bytes] | None:
    return None if member.name.endswith(".imap") else (member.name, content)


def _without_an_index(member: tarfile.TarInfo, content: bytes) -> tuple[str, bytes] | None:
    return None if member.name == "bundle.json" else (member.name, content)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("change", [_outside, _newer, _without_a_mapping, _without_an_index])
def test_what_is_not_a_bundle_is_refused(tmp_path: Path, change: Callable[..., tuple[str, bytes] | None]) -> None:
    wrong = rewritten(bundled(tmp_path / "a.tar"), tmp_path / "b.tar", change)
    for read in (
        lambda: verify(wrong, as_json=True),
        lambda: load(wrong, into=tmp_path / "new", store=None, as_json=True),
    ):
        with pytest.raises(InvalidReference):
            read()
    assert not (tmp_path / "escaped").exists()


@pytest.mark.usefixtures("cache")
def test_files_beside_those_listed_are_refused(tmp_path: Path) -> None:
    source = bundled(tmp_path / "a.tar")
    with tarfile.open(source, "a") as archive:
        member = tarfile.TarInfo("references/jwst/nircam/more.fits")
        archive.addfile(member, io.BytesIO())
    with pytest.raises(InvalidReference, match="does not list"):
        verify(source, as_json=True)


def test_a_bundle_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingReference, match="no such bundle"):
        verify(tmp_path / "absent.tar", as_json=True)


def test_a_cache_is_verified_file_by_file(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(cache, GAIN)
    assert verify(cache, as_json=False) == exit_codes.DONE
    assert "4 good, 0 damaged, 1 whose checksum is not stated" in capsys.readouterr().out
    with in_cache(cache, GAIN).open("ab") as file:
        file.write(b"more")
    mapping = cache / "mappings" / "jwst" / "jwst_nircam_0042.imap"
    mapping.write_text(mapping.read_text().replace("refpix", "REFPIX").replace("N/A", "n/a"))
    assert verify(cache, as_json=True) == exit_codes.FAILED
    damaged = json.loads(capsys.readouterr().out)["damaged"]
    assert damaged == ["mappings/jwst/jwst_nircam_0042.imap", f"references/jwst/nircam/{GAIN}"]


def test_loading_into_a_store_publishes_the_references_and_makes_no_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = bundled(tmp_path / "nircam.tar")
    (tmp_path / "objects" / "jwcal").mkdir(parents=True)
    monkeypatch.setenv("JWCAL_STORE_KIND", "directory")
    monkeypatch.setenv("JWCAL_STORE_ROOT", str(tmp_path / "objects"))
    before = sorted(cache.rglob("*"))
    for _ in range(2):
        assert load(source, into=None, store="s3://jwcal/references", as_json=True) == exit_codes.DONE
    assert sorted(cache.rglob("*")) == before

    async def found() -> dict[str, bytes]:
        async with opened_store(StoreSettings()) as store:
            catalogue = Catalogue(store, Location("jwcal", "references"), clock=lambda: 0.0)
            published = [await catalogue.find(name) for name in (GAIN, OTHER_GAIN)]
            return {one.name: await store.get_bytes(one.object) for one in published if one is not None}

    assert asyncio.run(found()) == {name: in_cache(cache, name).read_bytes() for name in (GAIN, OTHER_GAIN)}


@pytest.mark.usefixtures("cache")
def test_a_damaged_bundle_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(member: tarfile.TarInfo, content: bytes) -> tuple[str, bytes]:
        return member.name, content[:-1] + b"x" if member.name.endswith(OTHER_GAIN) else content

    source = rewritten(bundled(tmp_path / "nircam.tar"), tmp_path / "damaged.tar", damaged)
    (tmp_path / "objects" / "jwcal").mkdir(parents=True)
    monkeypatch.setenv("JWCAL_STORE_ROOT", str(tmp_path / "objects"))
    with pytest.raises(InvalidReference, match=OTHER_GAIN):
        load(source, into=None, store="s3://jwcal/references", as_json=True)
    assert list((tmp_path / "objects" / "jwcal").iterdir()) == []


@pytest.mark.usefixtures("cache")
def test_a_store_that_is_not_told_of_or_lacks_the_bucket_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = bundled(tmp_path / "nircam.tar")
    with pytest.raises(ConfigurationError, match="JWCAL_STORE_KIND"):
        load(source, into=None, store="s3://jwcal/references", as_json=True)
    with pytest.raises(InvalidKey, match="no address"):
        load(source, into=None, store="/some/directory", as_json=True)
    monkeypatch.setenv("JWCAL_STORE_ROOT", str(tmp_path / "objects"))
    with pytest.raises(BucketNotFound):
        load(source, into=None, store="s3://jwcal/references", as_json=True)
