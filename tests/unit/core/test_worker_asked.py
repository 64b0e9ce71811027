"""What a job may not ask for."""

from typing import Any

import pytest

from jwcal.core.errors import InvalidParameter
from jwcal.core.step import FileUse, ReadFile, StepDefinition, StepParameters, WrittenFile, file_parameters
from jwcal.core.worker.asked import check_parameters


class Parameters(StepParameters):
    """Parameters of a step that names files."""

    mask: ReadFile | None = None
    """A file to read."""
    saved: WrittenFile | None = None
    """A file to write."""
    backgrounds: tuple[ReadFile, ...] | None = None
    """Files to read."""
    note: str | None = None
    """No file."""


STEPS = {"a": StepDefinition("a", lambda ramp: ramp, Parameters, (), "a", "jwst.a.AStep", "a")}


def test_the_parameters_that_name_files_are_known() -> None:
    assert file_parameters(Parameters) == {
        "mask": FileUse.READ,
        "saved": FileUse.WRITTEN,
        "backgrounds": FileUse.READ,
    }


@pytest.mark.parametrize(
    "values",
    [
        {"mask": "/etc/passwd"},
        {"mask": "here.fits"},
        {"backgrounds": ["/etc/passwd"]},
        {"saved": "/tmp/elsewhere.fits"},
        {"saved": "../elsewhere.fits"},
        {"saved": ".."},
        {"pre_hooks": ["os:system"]},
        {"post_hooks": ["os:system"]},
    ],
)
def test_code_and_files_of_this_machine_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter, match=r"cannot be set for a service|not a plain file name"):
        check_parameters({"a": values}, STEPS)


def test_plain_names_and_everything_else_pass() -> None:
    check_parameters({"a": {"saved": "jw1_saved.fits", "mask": None, "note": "/a/b"}, "unknown": {"mask": "/a"}}, STEPS)


@pytest.mark.parametrize("suffix", ["../up", "a/b", ""])
def test_a_suffix_leads_nowhere_else(suffix: str) -> None:
    with pytest.raises(ValueError, match="suffix"):
        StepParameters(suffix=suffix)
