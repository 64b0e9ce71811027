"""What goes wrong with an S3 server, as errors of ours: without headers, bodies, and what else may hold a secret."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError

import urllib3.exceptions
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from jwcal.core.errors import (
    BucketNotFound,
    ChecksumMismatch,
    InvalidKey,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StoreDenied,
    StoreUnavailable,
)

_COME_BACK = {
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "RequestTimeout",
    "TooManyRequests",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "ConditionalRequestConflict",  # two conditional writes at once: one of them is asked to look again
    "OperationAborted",
}
_DENIED = {
    "AccessDenied",
    "AccountProblem",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_NOT_FOUND = {"NoSuchKey", "NoSuchVersion", "NoSuchUpload", "ResourceNotFound"}


@contextmanager
def s3_errors(uri: str) -> Iterator[None]:
    """Raise what the `minio` client and its connections raise as errors of the tree, about `uri`.

    Raises
    ------
    StorageError
    """
    try:
        yield
    except S3Error as error:
        raise _from_answer(error.code or "", error.response.status, uri) from error
    except ServerError as error:
        raise _from_answer("", error.status_code, uri) from error
    except InvalidResponseError as error:
        raise _from_answer("", error._code, uri) from None  # its text holds the whole body
    except urllib3.exceptions.HTTPError as error:
        raise _from_connection(error, uri) from error
    except (OSError, ParseError) as error:  # ParseError: an answer that was cut off
        raise StoreUnavailable(f"the store does not answer: {type(error).__name__}", uri=uri) from error
    except (MinioException, ValueError) as error:
        raise InvalidKey(f"the store does not take this: {error}", uri=uri) from error


def _from_answer(code: str, status: int, uri: str) -> StorageError:
    kind, words = _meaning(code, status)
    remedy = "check the credentials and what they allow" if kind is StoreDenied else None
    return kind(f"{uri}: {words}", remedy=remedy, uri=uri, code=code or None, status=status)


def _meaning(code: str, status: int) -> tuple[type[StorageError], str]:
    if code == "NoSuchBucket":
        return BucketNotFound, "there is no such bucket"
    if code in _COME_BACK or status >= 500 or status == 429:
        return StoreUnavailable, f"the store asks to come back later ({code or status})"
    if code in _NOT_FOUND or status == 404:
        return ObjectNotFound, "does not exist"
    if code in _DENIED or status in (401, 403):
        return StoreDenied, f"the store refuses ({code or status})"
    if code in _DAMAGED:
        return ChecksumMismatch, "the store received other contents than were sent"
    if code == "PreconditionFailed" or status == 412:
        return ObjectExists, "exists already"
    return StorageError, f"the store refuses ({code or status})"


def _from_connection(error: urllib3.exceptions.HTTPError, uri: str) -> StorageError:
    cause: object = error
    while isinstance(cause, urllib3.exceptions.MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    if isinstance(cause, urllib3.exceptions.SSLError) and any(
        isinstance(argument, ssl.SSLCertVerificationError) for argument in cause.args
    ):
        return StoreDenied("the store's certificate is not trusted", remedy="give its CA", uri=uri)
    return StoreUnavailable(f"the store does not answer: {type(cause).__name__}", uri=uri)
