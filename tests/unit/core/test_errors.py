"""One tree of errors, with reasons that programs rely on."""

import pickle
from pathlib import Path

import pytest

from jwcal.core import errors
from jwcal.core.errors import InvalidKeyword, JwcalError, MissingReference

CODES = {
    "JwcalError": ("INTERNAL", "INTERNAL"),
    "InputError": ("INVALID_INPUT", "INVALID_ARGUMENT"),
    "UnreadableFile": ("UNREADABLE_FILE", "INVALID_ARGUMENT"),
    "MissingKeyword": ("MISSING_KEYWORD", "INVALID_ARGUMENT"),
    "InvalidKeyword": ("INVALID_KEYWORD", "INVALID_ARGUMENT"),
    "InvalidData": ("INVALID_DATA", "INVALID_ARGUMENT"),
    "ReferenceFailure": ("REFERENCE_FAILURE", "FAILED_PRECONDITION"),
    "MissingReference": ("MISSING_REFERENCE", "FAILED_PRECONDITION"),
    "ReferenceServerUnavailable": ("REFERENCE_SERVER_UNAVAILABLE", "UNAVAILABLE"),
    "InvalidReference": ("INVALID_REFERENCE", "FAILED_PRECONDITION"),
    "UnknownContext": ("UNKNOWN_CONTEXT", "NOT_FOUND"),
    "UnknownBuild": ("UNKNOWN_BUILD", "NOT_FOUND"),
    "ReferenceCacheFull": ("REFERENCE_CACHE_FULL", "RESOURCE_EXHAUSTED"),
    "ParameterError": ("INVALID_PARAMETER", "INVALID_ARGUMENT"),
    "UnknownParameter": ("UNKNOWN_PARAMETER", "INVALID_ARGUMENT"),
    "InvalidParameter": ("INVALID_PARAMETER", "INVALID_ARGUMENT"),
    "RefusedCorrection": ("REFUSED_CORRECTION", "FAILED_PRECONDITION"),
    "OutputError": ("OUTPUT_FAILURE", "RESOURCE_EXHAUSTED"),
    "StorageError": ("STORAGE_FAILURE", "FAILED_PRECONDITION"),
    "ObjectNotFound": ("OBJECT_NOT_FOUND", "NOT_FOUND"),
    "ChecksumMismatch": ("CHECKSUM_MISMATCH", "DATA_LOSS"),
    "StoreUnavailable": ("STORE_UNAVAILABLE", "UNAVAILABLE"),
    "HookError": ("HOOK_FAILURE", "INVALID_ARGUMENT"),
    "WorkerError": ("WORKER_FAILURE", "INTERNAL"),
    "OutOfMemory": ("OUT_OF_MEMORY", "RESOURCE_EXHAUSTED"),
    "ScratchFailure": ("SCRATCH_FAILURE", "RESOURCE_EXHAUSTED"),
    "ChildCrashed": ("CHILD_CRASHED", "INTERNAL"),
    "Busy": ("BUSY", "RESOURCE_EXHAUSTED"),
    "BucketNotFound": ("BUCKET_NOT_FOUND", "NOT_FOUND"),
    "ObjectExists": ("OBJECT_EXISTS", "ALREADY_EXISTS"),
    "ObjectTooLarge": ("OBJECT_TOO_LARGE", "FAILED_PRECONDITION"),
    "StoreDenied": ("STORE_DENIED", "PERMISSION_DENIED"),
    "InvalidKey": ("INVALID_KEY", "INVALID_ARGUMENT"),
    "Cancelled": ("CANCELLED", "CANCELLED"),
    "ConfigurationError": ("INVALID_CONFIGURATION", "FAILED_PRECONDITION"),
    "CallError": ("CALL_FAILED", "UNKNOWN"),
    "InvalidRequest": ("INVALID_REQUEST", "INVALID_ARGUMENT"),
    "Unauthenticated": ("UNAUTHENTICATED", "UNAUTHENTICATED"),
    "MissingToken": ("MISSING_TOKEN", "UNAUTHENTICATED"),
    "InvalidToken": ("INVALID_TOKEN", "UNAUTHENTICATED"),
    "ExpiredToken": ("EXPIRED_TOKEN", "UNAUTHENTICATED"),
    "PermissionDenied": ("PERMISSION_DENIED", "PERMISSION_DENIED"),
    "MissingScope": ("MISSING_SCOPE", "PERMISSION_DENIED"),
    "NotFound": ("NOT_FOUND", "NOT_FOUND"),
    "AlreadyExists": ("ALREADY_EXISTS", "ALREADY_EXISTS"),
    "FailedPrecondition": ("FAILED_PRECONDITION", "FAILED_PRECONDITION"),
    "Exhausted": ("EXHAUSTED", "RESOURCE_EXHAUSTED"),
    "Unavailable": ("UNAVAILABLE", "UNAVAILABLE"),
    "Draining": ("DRAINING", "UNAVAILABLE"),
    "DeadlineExceeded": ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
    "RemoteError": ("REMOTE_FAILURE", "UNKNOWN"),
}
"""(reason, code) by class: a change here breaks clients."""


def descendants(kind: type[JwcalError]) -> list[type[JwcalError]]:
    """`kind` and everything of the module under it, top down in the order of definition."""
    ours = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind, *(deeper for child in ours for deeper in descendants(child))]


def test_reasons_and_codes_are_stable() -> None:
    assert {kind.__name__: (kind.reason, kind.grpc_code) for kind in descendants(JwcalError)} == CODES


def test_the_tree_is_drawn_as_it_is() -> None:
    assert errors.__doc__ is not None
    drawn = []
    for line in errors.__doc__.splitlines():
        name = line.lstrip("│├└─ ").split(" ")[0]
        if name in CODES:
            drawn.append((name, (len(line) - len(line.lstrip("│├└─ "))) // 4))
    depths = [(kind.__name__, len(kind.__mro__) - len(JwcalError.__mro__)) for kind in descendants(JwcalError)]
    assert drawn == depths


def test_the_text_says_where_what_and_how_to_mend_it() -> None:
    error = InvalidKeyword("NGROUPS is 0", file=Path("a.fits"), keyword="NGROUPS", remedy="correct it")
    assert str(error) == "a.fits: NGROUPS is 0; remedy: correct it"


def test_the_text_without_file_and_remedy_is_the_message() -> None:
    assert str(JwcalError("it failed")) == "it failed"


def test_a_message_of_many_lines_becomes_one() -> None:
    assert str(JwcalError("it failed:\n  line 3,\r\n  column 4\n", remedy="mend it")) == (
        "it failed: line 3, column 4; remedy: mend it"
    )


def test_metadata_hold_the_facts_as_strings_and_nothing_absent() -> None:
    error = MissingReference("none", remedy="give one", context="jwst_0042.pmap", tried=3, cause=None)
    assert error.metadata() == {"remedy": "give one", "context": "jwst_0042.pmap", "tried": "3"}


@pytest.mark.parametrize("kind", descendants(JwcalError))
def test_an_error_survives_the_way_between_processes(kind: type[JwcalError]) -> None:
    sent = kind("it failed", file="a.fits", keyword="NGROUPS", remedy="mend it", number=3)
    received = pickle.loads(pickle.dumps(sent))
    assert type(received) is kind
    assert str(received) == str(sent)
    assert received.metadata() == sent.metadata()
