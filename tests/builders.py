"""Small products and a small CRDS cache, for tests that need a whole one and care about one thing in it."""

import hashlib
import json
import pprint
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from jwcal.core.data import GuiderCube, Ramp, RateCube, RateImage
from jwcal.core.metadata import Metadata
from jwcal.core.references.best import use_cache

NROWS, NCOLUMNS = 6, 5
"""Not square, so that exchanged axes show."""
CONTEXT = "jwst_0042.pmap"

_METADATA: dict[str, Any] = {
    "telescope": "JWST",
    "instrument.name": "NIRCAM",
    "instrument.detector": "NRCA1",
    "instrument.filter": "F200W",
    "instrument.pupil": "CLEAR",
    "exposure.type": "NRC_IMAGE",
    "exposure.readpatt": "RAPID",
    "exposure.nframes": 1,
    "exposure.groupgap": 0,
    "exposure.frame_time": 10.0,
    "exposure.group_time": 10.0,
    "subarray.name": "SUB160",
    "subarray.xstart": 501,
    "subarray.ystart": 601,
    "subarray.xsize": NCOLUMNS,
    "subarray.ysize": NROWS,
    "observation.date": "2024-01-01",
    "observation.time": "00:00:00",
}


def some_metadata(changes: Mapping[str, Any] | None = None) -> Metadata:
    """A NIRCam image's metadata; `changes` replaces values by path (None removes them)."""
    metadata = Metadata()
    for path, value in (_METADATA | dict(changes or {})).items():
        if value is not None:
            metadata.set(path, value)
    return metadata


def a_ramp(*, nints: int = 2, ngroups: int = 3, metadata: Mapping[str, Any] | None = None, **arrays: Any) -> Ramp:
    """A ramp whose every value differs; `arrays` replaces or adds fields."""
    shape = (nints, ngroups, NROWS, NCOLUMNS)
    counts = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    fields: dict[str, Any] = {
        "data": counts,
        "groupdq": (counts % 7).astype(np.uint8),
        "pixeldq": 2 ** np.arange(NROWS * NCOLUMNS, dtype=np.uint32).reshape(NROWS, NCOLUMNS),
        "metadata": some_metadata({"exposure.nints": nints, "exposure.ngroups": ngroups} | dict(metadata or {})),
    }
    return Ramp(**(fields | arrays))


def a_rate_image(metadata: Mapping[str, Any] | None = None) -> RateImage:
    """A rate whose planes all differ."""
    return RateImage(**_rate_planes((NROWS, NCOLUMNS)), metadata=some_metadata(metadata))


def a_rate_cube(nints: int = 2, *, tables: Mapping[str, Any] | None = None) -> RateCube:
    """Rates of integrations whose planes all differ."""
    return RateCube(**_rate_planes((nints, NROWS, NCOLUMNS)), metadata=some_metadata(), tables=dict(tables or {}))


def a_guider_cube(nimages: int = 3) -> GuiderCube:
    """Guide-star images of an acquisition."""
    planes = _rate_planes((nimages, NROWS, NCOLUMNS))
    guider = {"instrument.name": "FGS", "instrument.detector": "GUIDER1", "exposure.type": "FGS_ACQ1"}
    return GuiderCube(data=planes["data"], err=planes["err"], dq=planes["dq"][0], metadata=some_metadata(guider))


def _rate_planes(shape: tuple[int, ...]) -> dict[str, Any]:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return {
        "data": values,
        "err": values + 0.25,
        "dq": 2 ** (values.astype(np.uint32) % 32),
        "var_poisson": values + 0.5,
        "var_rnoise": values + 0.75,
    }


def write_gain(path: Path, value: float = 2.0, *, shape: tuple[int, int] = (2048, 2048), corner: int = 1) -> Path:
    """A gain reference of one value; the smallest file that is a reference."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with datamodels.GainModel(data=np.full(shape, value, np.float32)) as model:
        model.meta.telescope = "JWST"
        model.meta.instrument.name = "NIRCAM"
        model.meta.instrument.detector = "NRCA1"
        model.meta.subarray.xstart = model.meta.subarray.ystart = corner
        model.meta.subarray.ysize, model.meta.subarray.xsize = shape
        model.save(str(path))
    return path


def write_crds_cache(directory: Path, rules: Mapping[str, Mapping[tuple[str, ...], str] | str]) -> Path:
    """A CRDS cache of one context, ``CONTEXT``, for NIRCam.

    `rules` maps a type to ``N/A`` or to file names by (DETECTOR, SUBARRAY), all used after 2022-01-01.
    """
    mappings = directory / "mappings" / "jwst"
    types: dict[str, str] = {}
    for reftype, rule in rules.items():
        if isinstance(rule, str):
            types[reftype.upper()] = rule
            continue
        types[reftype.upper()] = f"jwst_nircam_{reftype}_0042.rmap"
        header = {
            "classes": ("Match", "UseAfter"),
            "filekind": reftype.upper(),
            "instrument": "NIRCAM",
            "mapping": "REFERENCE",
            "parkey": (
                ("META.INSTRUMENT.DETECTOR", "META.SUBARRAY.NAME"),
                ("META.OBSERVATION.DATE", "META.OBSERVATION.TIME"),
            ),
        }
        lines = [f"    {key!r} : UseAfter({{'2022-01-01 00:00:00' : {name!r}}})," for key, name in rule.items()]
        _write_mapping(mappings / types[reftype.upper()], header, "\n".join(["Match({", *lines, "})"]))
    imap = "jwst_nircam_0042.imap"
    instrument = {"mapping": "INSTRUMENT", "instrument": "NIRCAM", "parkey": ("REFTYPE",)}
    _write_mapping(mappings / imap, instrument, pprint.pformat(types))
    pipeline = {"mapping": "PIPELINE", "parkey": ("META.INSTRUMENT.NAME",)}
    _write_mapping(mappings / CONTEXT, pipeline, pprint.pformat({"NIRCAM": imap}))
    config = directory / "config" / "jwst"
    config.mkdir(parents=True)
    (config / "ref_cache_subdir_mode").write_text("instrument\n")
    (config / "server_config").write_text(pprint.pformat(_SERVER))
    return directory


def use_crds(path: Path, environment: pytest.MonkeyPatch) -> None:
    """Point CRDS at the offline cache in `path`, until `environment` is undone."""
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_MODE", "CRDS_READONLY_CACHE", "CRDS_CONTEXT"):
        environment.setenv(name, "")  # remembers what it was
    use_cache(path, offline=True)


def in_cache(directory: Path, name: str) -> Path:
    """Where the cache in `directory` keeps reference `name`."""
    return directory / "references" / "jwst" / name.split("_")[1] / name


def write_manifest(directory: Path, *names: str) -> None:
    """State the checksums of references of the cache in `directory`, as they are now."""
    digests = {name: hashlib.sha1(in_cache(directory, name).read_bytes()).hexdigest() for name in names}
    (directory / "config" / "jwst" / "reference_sha1.json").write_text(json.dumps(digests))


def _write_mapping(path: Path, header: Mapping[str, Any], selector: str) -> None:
    values = {**header, "name": path.name, "observatory": "JWST", "derived_from": "tests"}
    lines = [f"    {key!r} : {value!r}," for key, value in values.items()]
    plain = "\n".join(["header = {", *lines, "}", "", f"selector = {selector}", ""])
    checksum = f"    'sha1sum' : {hashlib.sha1(plain.encode()).hexdigest()!r},\n"  # of every line but its own
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(plain.replace("\n}\n", f"\n{checksum}}}\n", 1))


_SERVER: dict[str, Any] = {
    "bad_files": "",
    "bad_files_list": [],
    "connected": False,
    "context_history": [],
    "crds_version": {"str": "14.0.0"},
    "edit_context": CONTEXT,
    "effective_context": CONTEXT,
    "effective_mode": "local",
    "force_remote_mode": False,
    "last_synced": "2024-04-01 00:00:00.000000",
    "latest_context": CONTEXT,
    "mapping_url": {"checked": "", "unchecked": ""},
    "observatory": "jwst",
    "operational_context": CONTEXT,
    "reference_url": {"checked": "", "unchecked": ""},
    "status": "cache",
}
