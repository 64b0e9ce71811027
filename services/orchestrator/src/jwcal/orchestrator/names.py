"""Names of resources and page tokens, as they stand in requests."""

import base64
import binascii
import re
import uuid

from jwcal.core.errors import InvalidRequest
from jwcal.orchestrator.errors import InvalidPageToken, JobNotFound, RunNotFound

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DEFAULT_PAGE, MOST_PAGE = 100, 1000
ALL_RUNS = "runs/-"


def run_id(name: str) -> str:
    """The id in ``runs/{run}``."""
    collection, _, which = name.partition("/")
    if collection != "runs" or not which:
        raise InvalidRequest("this is not the name of a run", name=name[:100], remedy="give runs/{run}")
    if not _ID.fullmatch(which):
        raise RunNotFound("there is no such run", run=name[:100])
    return which


def job_id(name: str) -> str:
    """The id in ``jobs/{job}``."""
    collection, _, which = name.partition("/")
    if collection != "jobs" or not which:
        raise InvalidRequest("this is not the name of a job", name=name[:100], remedy="give jobs/{job}")
    if not _ID.fullmatch(which):
        raise JobNotFound("there is no such job", job=name[:100])
    return which


def request_id(text: str, *, required: bool) -> str:
    """The UUID that a caller chose for its request; empty where there may be none."""
    if not text and not required:
        return ""
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise InvalidRequest("request_id is not a UUID", request_id=text[:100]) from error


def page_size(asked: int) -> int:
    """How many to answer with."""
    if asked < 0:
        raise InvalidRequest("page_size is negative", page_size=asked)
    return min(asked or DEFAULT_PAGE, MOST_PAGE)


def page_token(collection: str, last: str) -> str:
    """A token to go on behind the last one answered."""
    return base64.urlsafe_b64encode(f"{collection}:{last}".encode()).decode().rstrip("=")


def read_page_token(collection: str, token: str) -> str | None:
    """What the token says was last; None without a token."""
    if not token:
        return None
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidPageToken("the page token is not one of ours") from error
    kind, _, last = text.partition(":")
    if kind != collection or not last or len(last) > 300 or "\0" in last:
        raise InvalidPageToken("the page token is not one of ours")
    return last
