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
├── HookError             a user's hook failed
├── StorageError          the object store did not do what was asked of it
│   ├── ObjectNotFound        no object has this key
│   │   └── BucketNotFound        no bucket has this name
│   ├── ObjectExists          an object has this key, and none was to be replaced
│   ├── ChecksumMismatch      contents are not those that were written or announced
│   ├── ObjectTooLarge        more bytes than may be taken into memory
│   ├── StoreUnavailable      no answer, or none but a request to come back later
│   ├── StoreDenied           the credentials are wrong or do not suffice
│   └── InvalidKey            a key or bucket name that no store is asked for
├── WorkerError           the process that computed a job is to blame, not the job
│   ├── OutOfMemory           it took more than it may, or than there is
│   ├── ScratchFailure        its scratch directory takes no more
│   ├── ChildCrashed          it died
│   └── Busy                  it is at work for another caller
├── Cancelled             stopped on request
├── ConfigurationError    a program cannot start with the settings it was given
└── CallError             a call to a service was not answered
    ├── InvalidRequest        it says nothing that can be done
    ├── Unauthenticated       it does not say who asks
    │   ├── MissingToken
    │   ├── InvalidToken
    │   └── ExpiredToken
    ├── PermissionDenied      who asks may not
    │   └── MissingScope
    ├── NotFound              what it names does not exist
    ├── AlreadyExists         what it would make exists
    ├── FailedPrecondition    not in the state that things are in
    ├── Exhausted             a limit is reached
    ├── Unavailable           the service cannot be reached, or not now
    │   └── Draining
    ├── DeadlineExceeded      no answer in time
    └── RemoteError           anything else that the other side told

`reason` is stable and machine-readable, `grpc_code` is the status the service answers with,
`metadata()` holds the numbers and names behind the message.
"""

from pathlib import Path


class JwcalError(Exception):
    """Base of the tree: one line of text with cause and remedy."""

    reason: str = "INTERNAL"
    grpc_code: str = "INTERNAL"
    retryable: bool = False

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


class HookError(JwcalError):
    """A user's hook failed."""

    reason = "HOOK_FAILURE"
    grpc_code = "INVALID_ARGUMENT"


class StorageError(JwcalError):
    """The object store did not do what was asked of it."""

    reason = "STORAGE_FAILURE"
    grpc_code = "FAILED_PRECONDITION"


class ObjectNotFound(StorageError):
    """No object has this key, or this version of it."""

    reason = "OBJECT_NOT_FOUND"
    grpc_code = "NOT_FOUND"


class BucketNotFound(ObjectNotFound):
    """No bucket has this name."""

    reason = "BUCKET_NOT_FOUND"


class ObjectExists(StorageError):
    """An object has this key, and none was to be replaced."""

    reason = "OBJECT_EXISTS"
    grpc_code = "ALREADY_EXISTS"


class ChecksumMismatch(StorageError):
    """Contents are not those that were written or announced."""

    reason = "CHECKSUM_MISMATCH"
    grpc_code = "DATA_LOSS"


class ObjectTooLarge(StorageError):
    """An object has more bytes than may be taken into memory."""

    reason = "OBJECT_TOO_LARGE"


class StoreUnavailable(StorageError):
    """The store does not answer, or only asks to come back later."""

    reason = "STORE_UNAVAILABLE"
    grpc_code = "UNAVAILABLE"
    retryable = True


class StoreDenied(StorageError):
    """The store's credentials are wrong or do not suffice."""

    reason = "STORE_DENIED"
    grpc_code = "PERMISSION_DENIED"


class InvalidKey(StorageError):
    """A key or bucket name that no store is asked for."""

    reason = "INVALID_KEY"
    grpc_code = "INVALID_ARGUMENT"


class WorkerError(JwcalError):
    """The process that computed a job is to blame, not the job."""

    reason = "WORKER_FAILURE"
    grpc_code = "INTERNAL"
    retryable = True


class OutOfMemory(WorkerError):
    """A process took more memory than it may, or than there is."""

    reason = "OUT_OF_MEMORY"
    grpc_code = "RESOURCE_EXHAUSTED"


class ScratchFailure(WorkerError):
    """A worker's scratch directory is full, or cannot be written for another reason."""

    reason = "SCRATCH_FAILURE"
    grpc_code = "RESOURCE_EXHAUSTED"


class ChildCrashed(WorkerError):
    """The process that computed died."""

    reason = "CHILD_CRASHED"


class Busy(WorkerError):
    """The worker is at work for another caller."""

    reason = "BUSY"
    grpc_code = "RESOURCE_EXHAUSTED"


class Cancelled(JwcalError):
    """Stopped on request."""

    reason = "CANCELLED"
    grpc_code = "CANCELLED"


class ConfigurationError(JwcalError):
    """A program cannot start with the settings it was given."""

    reason = "INVALID_CONFIGURATION"
    grpc_code = "FAILED_PRECONDITION"


class CallError(JwcalError):
    """A call to a service was not answered."""

    reason = "CALL_FAILED"
    grpc_code = "UNKNOWN"


class InvalidRequest(CallError):
    """The request says nothing that can be done: malformed, incomplete or contradictory."""

    reason = "INVALID_REQUEST"
    grpc_code = "INVALID_ARGUMENT"


class Unauthenticated(CallError):
    """The call does not say who asks."""

    reason = "UNAUTHENTICATED"
    grpc_code = "UNAUTHENTICATED"


class MissingToken(Unauthenticated):
    """No bearer token came with the call."""

    reason = "MISSING_TOKEN"


class InvalidToken(Unauthenticated):
    """The token is unknown, tampered with, or meant for another service."""

    reason = "INVALID_TOKEN"


class ExpiredToken(Unauthenticated):
    """The token was good once."""

    reason = "EXPIRED_TOKEN"


class PermissionDenied(CallError):
    """Who asks is known and may not."""

    reason = "PERMISSION_DENIED"
    grpc_code = "PERMISSION_DENIED"


class MissingScope(PermissionDenied):
    """The token lacks the scope that the method asks for."""

    reason = "MISSING_SCOPE"


class NotFound(CallError):
    """What the request names does not exist."""

    reason = "NOT_FOUND"
    grpc_code = "NOT_FOUND"


class AlreadyExists(CallError):
    """What the request would make exists."""

    reason = "ALREADY_EXISTS"
    grpc_code = "ALREADY_EXISTS"


class FailedPrecondition(CallError):
    """Things are not in a state in which this can be done."""

    reason = "FAILED_PRECONDITION"
    grpc_code = "FAILED_PRECONDITION"


class Exhausted(CallError):
    """A limit is reached: size, number, quota."""

    reason = "EXHAUSTED"
    grpc_code = "RESOURCE_EXHAUSTED"


class Unavailable(CallError):
    """The service cannot be reached, or cannot serve now."""

    reason = "UNAVAILABLE"
    grpc_code = "UNAVAILABLE"
    retryable = True


class Draining(Unavailable):
    """The server is about to stop; another one serves."""

    reason = "DRAINING"


class DeadlineExceeded(CallError):
    """No answer came in time."""

    reason = "DEADLINE_EXCEEDED"
    grpc_code = "DEADLINE_EXCEEDED"


class RemoteError(CallError):
    """What another service told, where no class of ours has that reason."""

    reason = "REMOTE_FAILURE"

    def __init__(
        self, message: str, *, reason: str = "REMOTE_FAILURE", grpc_code: str = "UNKNOWN", **details: object
    ) -> None:
        super().__init__(message)
        self.details = details
        self.reason = reason
        self.grpc_code = grpc_code
        self.retryable = grpc_code == "UNAVAILABLE"
