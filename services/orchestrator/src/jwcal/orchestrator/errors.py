"""What the orchestrator refuses.

JwcalError
├── InvalidRequest         a field of the request cannot be right
│   ├── InvalidAssociation     the association is not one, or names what it must not
│   ├── InvalidExposure        an exposure is not one that the pipeline takes
│   └── InvalidPageToken       not from an earlier answer
├── RunNotFound, JobNotFound, WorkerNotFound
├── LeaseLost              the lease's token is not the job's any more
├── RunNotFinished         the run has to end first
├── NothingToRetry         every job of the run succeeded
└── RequestReused          the request_id belongs to another request
"""

from jwcal.core.errors import JwcalError


class InvalidRequest(JwcalError):
    """A field of the request cannot be right."""

    reason = "INVALID_REQUEST"
    grpc_code = "INVALID_ARGUMENT"


class InvalidAssociation(InvalidRequest):
    """The association is not one, or names what it must not."""

    reason = "INVALID_ASSOCIATION"


class InvalidExposure(InvalidRequest):
    """An exposure is not one that the pipeline takes."""

    reason = "INVALID_EXPOSURE"


class InvalidPageToken(InvalidRequest):
    """The page token is not from an earlier answer."""

    reason = "INVALID_PAGE_TOKEN"


class RunNotFound(JwcalError):
    """There is no such run."""

    reason = "RUN_NOT_FOUND"
    grpc_code = "NOT_FOUND"


class JobNotFound(JwcalError):
    """There is no such job."""

    reason = "JOB_NOT_FOUND"
    grpc_code = "NOT_FOUND"


class WorkerNotFound(JwcalError):
    """There is no such worker."""

    reason = "WORKER_NOT_FOUND"
    grpc_code = "NOT_FOUND"


class LeaseLost(JwcalError):
    """The lease's token is not the job's any more: what its holder did does not count."""

    reason = "LEASE_LOST"
    grpc_code = "FAILED_PRECONDITION"


class RunNotFinished(JwcalError):
    """The run has to end before this can be done with it."""

    reason = "RUN_NOT_FINISHED"
    grpc_code = "FAILED_PRECONDITION"


class NothingToRetry(JwcalError):
    """Every job of the run succeeded."""

    reason = "NOTHING_TO_RETRY"
    grpc_code = "FAILED_PRECONDITION"


class RequestReused(JwcalError):
    """The request_id belongs to another request."""

    reason = "REQUEST_ID_REUSED"
    grpc_code = "ALREADY_EXISTS"
