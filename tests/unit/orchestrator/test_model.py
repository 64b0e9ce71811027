"""Keys of jobs, identifiers, and requests that go there and back."""

import dataclasses

import pytest

from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.orchestrator import convert
from jwcal.orchestrator.identifiers import uuid7
from jwcal.orchestrator.model import Association, Processing, RunSpec, Stage, job_key

INPUT = ObjectRef(bucket="raw", key="k", sha256="0" * 64, kind="uncal")
ASKED = Processing(
    context="jwst_1303.pmap",
    plan="DARK",
    parameters={"jump": {"rejection_threshold": 4, "a": [1.5, None]}},
    skip=("ipc", "rscd"),
)


def key(**changes: object) -> str | None:
    return job_key(Stage.DETECTOR1, (INPUT,), dataclasses.replace(ASKED, **changes), code_version="1")


def test_the_key_is_of_contents_not_of_places_and_orders() -> None:
    elsewhere = dataclasses.replace(INPUT, bucket="elsewhere", key="d")
    assert key() == job_key(Stage.DETECTOR1, (elsewhere,), ASKED, code_version="1")
    assert key() == key(skip=("rscd", "ipc"), memory_limit=5, required_memory=7)


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": "GUIDER"},
        {"parameters": {}},
        {"skip": ()},
        {"only_through": "jump"},
        {"overrides": {"dark": "N/A"}},
        {"context": "jwst_1.pmap"},
        {"use_reference_parameters": False},
        {"products": ("rate",)},
    ],
)
def test_whatever_changes_the_result_changes_the_key(changes: dict[str, object]) -> None:
    assert key(**changes) != key()


def test_code_input_and_stage_change_the_key() -> None:
    other = dataclasses.replace(INPUT, sha256="1" * 64)
    keys = {
        key(),
        job_key(Stage.DETECTOR1, (INPUT,), ASKED, code_version="2"),
        job_key(Stage.DETECTOR1, (other,), ASKED, code_version="1"),
        job_key(Stage.STAGE2, (INPUT,), ASKED, code_version="1"),
    }
    assert len(keys) == 4
    assert job_key(Stage.DETECTOR1, (dataclasses.replace(INPUT, sha256=""),), ASKED, code_version="1") is None


def test_identifiers_are_ordered_by_time() -> None:
    made = [uuid7(1.7e9 + i / 1000, bytes([255 - i] * 10)) for i in range(5)]
    assert made == sorted(made)
    assert {identifier[14] for identifier in made} == {"7"}


def test_a_specification_goes_there_and_back() -> None:
    spec = RunSpec(
        association=Association(text="{}", members=Location(bucket="raw", prefix="p")),
        products=("rate",),
        output=Location(bucket="out"),
        processing={"detector1": ASKED},
        context="c",
        priority=-3,
        program="01234",
        labels={"a": "b"},
        max_attempts=2,
        ignore_earlier_results=True,
    )
    assert convert.run_spec(convert.run_spec_message(spec)) == spec
    files = RunSpec(exposures=(INPUT,))
    assert convert.run_spec(convert.run_spec_message(files)) == files
