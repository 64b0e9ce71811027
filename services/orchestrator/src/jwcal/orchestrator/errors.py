"""What the orchestrator refuses, below the errors that all services share.

JwcalError
└── CallError
    ├── InvalidRequest        a field of the request cannot be right
    │   ├── InvalidAssociation    the association is not one, or names what it must not
    │   ├── InvalidExposure       an exposure is not one that the pipeline takes
    │   ├── ForbiddenLocation     a bucket that runs may not use
    │   └── InvalidPageToken      not from an earlier answer
    ├── NotFound
    │   ├── RunNotFound, JobNotFound, WorkerNotFound
    ├── AlreadyExists
    │   └── RequestReused         the request_id belongs to another request
    ├── FailedPrecondition
    │   ├── LeaseLost             the lease's token is not the job's any more
    │   ├── RunNotFinished        the run has to end first
    │   └── NothingToRetry        every job of the run succeeded
    └── PermissionDenied
        └── OtherProgram          the caller's work is counted to another program
"""

from jwcal.core.errors import AlreadyExists, FailedPrecondition, InvalidRequest, NotFound, PermissionDenied


class InvalidAssociation(InvalidRequest):
    """The association is not one, or names what it must not."""

    reason = "INVALID_ASSOCIATION"


class InvalidExposure(InvalidRequest):
    """An exposure is not one that the pipeline takes."""

    reason = "INVALID_EXPOSURE"


class ForbiddenLocation(InvalidRequest):
    """A bucket that runs may neither read nor write."""

    reason = "FORBIDDEN_LOCATION"


class InvalidPageToken(InvalidRequest):
    """The page token is not from an earlier answer."""

    reason = "INVALID_PAGE_TOKEN"


class RunNotFound(NotFound):
    """There is no such run."""

    reason = "RUN_NOT_FOUND"


class JobNotFound(NotFound):
    """There is no such job."""

    reason = "JOB_NOT_FOUND"


class WorkerNotFound(NotFound):
    """There is no such worker."""

    reason = "WORKER_NOT_FOUND"


class RequestReused(AlreadyExists):
    """The request_id belongs to another request."""

    reason = "REQUEST_ID_REUSED"


class LeaseLost(FailedPrecondition):
    """The lease's token is not the job's any more: what its holder did does not count."""

    reason = "LEASE_LOST"


class RunNotFinished(FailedPrecondition):
    """The run has to end before this can be done with it."""

    reason = "RUN_NOT_FINISHED"


class NothingToRetry(FailedPrecondition):
    """Every job of the run succeeded."""

    reason = "NOTHING_TO_RETRY"


class OtherProgram(PermissionDenied):
    """The caller's work is counted to another program than the one that the run names."""

    reason = "OTHER_PROGRAM"
