"""Every error that jwcal raises on purpose.

JwcalError
├── InputError            the exposure cannot be processed as it is
│   ├── UnreadableFile        not there, not FITS, truncated
│   ├── MissingKeyword        a keyword the processing needs is absent
│   ├── InvalidKeyword        a keyword holds a value that cannot be right
│   └── InvalidData           array shapes or contents do not fit
├── ReferenceFailure      a calibration reference cannot be used
│   ├── MissingReference      the context offers none, or it cannot be fetched
│   │   └── ReferenceServerUnavailable    who could fetch it does not answer
│   ├── InvalidReference      it is there, and it is wrong (checksum, shape, contents)
│   ├── UnknownContext        no such context, here or at the server
│   ├── UnknownBuild          no such build, or none that a context belongs to
│   └── ReferenceCacheFull    no room that is not in use
├── ParameterError        what was asked for is not possible
│   ├── UnknownParameter
│   └── InvalidParameter
├── RefusedCorrection     the correction would destroy the data it is meant to mend
├── OutputError           a product cannot be written
├── StorageError          the object store did not do what was asked of it
│   ├── ObjectNotFound        no object has this key
│   ├── AlreadyExists         an object has this key, and none was to be replaced
│   ├── ChecksumMismatch      contents are not those that were written or announced
│   └── StoreUnavailable      no answer, or none but a request to come back later
├── HookError             a user's hook failed
└── Cancelled             stopped on request

`reason` is stable and machine-readable, `grpc_code` is the status the service answers with,
`metadata()` holds the numbers and names behind the message.
"""

from pathlib import Path
from typing import ClassVar


class JwcalError(Exception):
    """Base of the tree: one line of text with cause and remedy."""

    reason: ClassVar[str] = "INTERNAL"
    grpc_code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        keyword: str | None = None,
        remedy: str | None = None,
        **details: object,
    ) -> None:
        self.message = " ".join(line.strip() for line in message.splitlines())  # libraries' causes have several
        self.file = str(file) if file is not None else None
        self.keyword = keyword
        self.remedy = remedy
        self.details = details
        super().__init__(self.message)

    def __str__(self) -> str:
        where = f"{self.file}: " if self.file else ""
        remedy = f"; remedy: {self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{remedy}"

    def metadata(self) -> dict[str, str]:
        """The facts behind the message, as strings."""
        facts = {"file": self.file, "keyword": self.keyword, "remedy": self.remedy, **self.details}
        return {name: str(value) for name, value in facts.items() if value is not None}


class InputError(JwcalError):
    """The exposure cannot be processed as it is."""

    reason = "INVALID_INPUT"
    grpc_code = "INVALID_ARGUMENT"


class UnreadableFile(InputError):
    """A file is absent, truncated or not of the format it should be."""

    reason = "UNREADABLE_FILE"


class MissingKeyword(InputError):
    """A header keyword that the processing needs is absent."""

    reason = "MISSING_KEYWORD"


class InvalidKeyword(InputError):
    """A header keyword holds a value that cannot be right."""

    reason = "INVALID_KEYWORD"


class InvalidData(InputError):
    """Array shapes or contents do not fit together."""

    reason = "INVALID_DATA"


class ReferenceFailure(JwcalError):
    """A calibration reference cannot be used."""

    reason = "REFERENCE_FAILURE"
    grpc_code = "FAILED_PRECONDITION"


class MissingReference(ReferenceFailure):
    """The context offers no reference where one must exist, or it cannot be fetched."""

    reason = "MISSING_REFERENCE"


class InvalidReference(ReferenceFailure):
    """A reference exists and is wrong: checksum, shape or contents."""

    reason = "INVALID_REFERENCE"


class ReferenceServerUnavailable(MissingReference):
    """A reference or a rule has to be fetched, and the server does not answer."""

    reason = "REFERENCE_SERVER_UNAVAILABLE"
    grpc_code = "UNAVAILABLE"
    retryable = True


class UnknownContext(ReferenceFailure):
    """There is no context of this name, here or at the server."""

    reason = "UNKNOWN_CONTEXT"
    grpc_code = "NOT_FOUND"


class UnknownBuild(ReferenceFailure):
    """The table of builds has none of this name, or none for a context."""

    reason = "UNKNOWN_BUILD"
    grpc_code = "NOT_FOUND"


class ReferenceCacheFull(ReferenceFailure):
    """A reference does not fit into the cache beside those in use."""

    reason = "REFERENCE_CACHE_FULL"
    grpc_code = "RESOURCE_EXHAUSTED"
    retryable = True


class ParameterError(JwcalError):
    """What was asked for is not possible."""

    reason = "INVALID_PARAMETER"
    grpc_code = "INVALID_ARGUMENT"


class UnknownParameter(ParameterError):
    """No step or parameter has this name."""

    reason = "UNKNOWN_PARAMETER"


class InvalidParameter(ParameterError):
    """A parameter's value is out of its range or of the wrong type."""

    reason = "INVALID_PARAMETER"


class RefusedCorrection(JwcalError):
    """The correction would destroy the data it is meant to mend."""

    reason = "REFUSED_CORRECTION"
    grpc_code = "FAILED_PRECONDITION"


class OutputError(JwcalError):
    """A product cannot be written."""

    reason = "OUTPUT_FAILURE"
    grpc_code = "RESOURCE_EXHAUSTED"


class StorageError(JwcalError):
    """The object store did not do what was asked of it."""

    reason = "STORAGE_FAILURE"
    grpc_code = "FAILED_PRECONDITION"


class ObjectNotFound(StorageError):
    """No object has this key, or this version of it."""

    reason = "OBJECT_NOT_FOUND"
    grpc_code = "NOT_FOUND"


class AlreadyExists(StorageError):
    """An object has this key, and none was to be replaced."""

    reason = "OBJECT_EXISTS"
    grpc_code = "ALREADY_EXISTS"


class ChecksumMismatch(StorageError):
    """Contents are not those that were written or announced."""

    reason = "CHECKSUM_MISMATCH"
    grpc_code = "DATA_LOSS"


class StoreUnavailable(StorageError):
    """The store does not answer, or only asks to come back later."""

    reason = "STORE_UNAVAILABLE"
    grpc_code = "UNAVAILABLE"
    retryable = True


class HookError(JwcalError):
    """A user's hook failed."""

    reason = "HOOK_FAILURE"
    grpc_code = "INVALID_ARGUMENT"


class Cancelled(JwcalError):
    """Stopped on request."""

    reason = "CANCELLED"
    grpc_code = "CANCELLED"
