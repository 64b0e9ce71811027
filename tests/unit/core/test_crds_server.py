"""References through a CRDS server, in processes of their own: the library keeps its connection for good."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.io import fits

from tests.builders import CONTEXT, in_cache, write_crds_cache, write_gain
from tests.crds_server import CrdsServer, serving

GAIN = "jwst_nircam_gain_0001.fits"
PROGRAM = """
import json, sys
from jwcal.core.errors import JwcalError
from jwcal.core.references.best import best_references, default_context, locate
from tests.builders import some_metadata
try:
    context = default_context()
    name = best_references(some_metadata(), ["gain"], context)["gain"]
    print(json.dumps({"context": context, "name": name, "path": str(locate(name, context))}))
except JwcalError as error:
    print(json.dumps({"reason": error.reason, "message": str(error)}))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CrdsServer]:
    directory = write_crds_cache(tmp_path / "served", {"gain": {("NRCA1", "SUB160"): GAIN}})
    write_gain(in_cache(directory, GAIN))
    with serving(directory) as running:
        yield running


def ask(cache: Path, url: str) -> dict[str, str]:
    """What a new process with the cache in `cache` and the server at `url` finds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CRDS_")}
    settings = {"CRDS_PATH": str(cache), "CRDS_SERVER_URL": url, "CRDS_CLIENT_RETRY_COUNT": "1"}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=kept | settings,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(process.stdout.splitlines()[-1])
    return found


def test_an_empty_cache_is_filled_from_the_server(server: CrdsServer, tmp_path: Path) -> None:
    found = ask(tmp_path / "cache", server.url)
    assert found["context"] == CONTEXT
    assert found["name"] == GAIN
    assert Path(found["path"]).is_relative_to(tmp_path / "cache")
    assert fits.getval(found["path"], "INSTRUME") == "NIRCAM"
    assert sorted(server.downloads) == sorted(server.files)


def test_what_the_cache_holds_is_not_fetched_again(server: CrdsServer, tmp_path: Path) -> None:
    ask(tmp_path / "cache", server.url)
    server.downloads.clear()
    assert ask(tmp_path / "cache", server.url)["name"] == GAIN
    assert server.downloads == []


def test_a_download_that_was_damaged_is_refused(server: CrdsServer, tmp_path: Path) -> None:
    server.damaged.add(GAIN)
    found = ask(tmp_path / "cache", server.url)
    assert found["reason"] == "MISSING_REFERENCE"
    assert GAIN in found["message"]
    assert "size" in found["message"]


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with serving(write_crds_cache(tmp_path / "served", {"gain": "N/A"})) as server:
        gone = server.url
    found = ask(tmp_path / "cache", gone)
    assert found["reason"] == "REFERENCE_SERVER_UNAVAILABLE"
    assert "CRDS_SERVER_URL" in found["message"]
