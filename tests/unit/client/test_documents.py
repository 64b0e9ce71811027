"""Values as JSON and as text."""

import json
from pathlib import Path

import pytest

from jwcal.client.documents import counts, document, lasting, size, why
from jwcal.client.model import State
from jwcal.core.storage.ref import ObjectRef

from .services import BEGIN, FAILURE, a_job, a_run


def test_a_job_is_plain_json() -> None:
    product = ObjectRef("jwcal", "a/b c_rate.fits", sha256="0" * 64, size=3, kind="rate")
    found = json.loads(json.dumps(document(a_job(State.FAILED, products=(product,), failure=FAILURE))))
    assert (found["state"], found["stage"], found["ended"]) == ("FAILED", "detector1", "2026-01-02T03:05:35.000+00:00")
    assert found["products"] == [{"uri": "s3://jwcal/a/b%20c_rate.fits", "sha256": "0" * 64, "size": 3, "kind": "rate"}]
    assert found["failure"]["metadata"] == {"reftype": "dark"}


def test_keys_and_values_of_mappings_are_plain_too() -> None:
    assert document({State.QUEUED: (BEGIN, Path("x"))}) == {"QUEUED": ["2026-01-02T03:04:05.000+00:00", "x"]}
    assert document(a_run())["jobs"] == {"QUEUED": 2, "SUCCEEDED": 1}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.4242, "0.42 s"), (12.3, "12 s"), (59.7, "1 min 00 s"), (125.0, "2 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert lasting(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.1e6, "2.1 MB"), (3e15, "3000.0 TB")]
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_jobs_are_counted_with_the_finished_ones_first() -> None:
    assert counts({State.QUEUED: 2, State.SUCCEEDED: 1, State.FAILED: 0}) == "1 succeeded, 2 queued"


def test_a_failure_is_one_line() -> None:
    assert why(FAILURE) == "MISSING_REFERENCE: no dark for this"
    assert why(None) == ""
