"""Which references an exposure gets: the CRDS rules, through the ``crds`` library.

The library finds mappings and files in ``CRDS_PATH`` and, unless ``CRDS_SERVER_URL`` says otherwise, fetches what is
missing from the server it names.  An address that contains ``serverless`` keeps everything offline.
"""

import contextlib
import http.client
import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeGuard
from urllib.error import HTTPError, URLError

from jwcal.core.errors import MissingReference, ReferenceServerUnavailable
from jwcal.core.metadata import Metadata

NOT_APPLICABLE = "N/A"
NOT_FOUND = "NOT FOUND"
OFFLINE_SERVER = "https://crds-serverless-mode.stsci.edu"
FAILURES = (Exception, SystemExit)
"""What the library raises: many kinds for one cause, and SystemExit where its cache has no configuration."""


class ReferenceFinder(Protocol):
    """Who knows the rules and has the files."""

    def default_context(self) -> str:
        """The context for who names none."""
        ...

    def recommendations(self, metadata: Metadata, types: Iterable[str], context: str) -> dict[str, str | None]:
        """The plain answers by type: a file name, ``N/A``, or ``NOT FOUND ...``."""
        ...

    def locate(self, name: str, context: str) -> Path:
        """Path of a reference on this machine, fetched when it is not there."""
        ...


class CrdsLibrary:
    """The finder of a single machine: the ``crds`` library in this process, as its environment says."""

    def default_context(self) -> str:
        """``CRDS_CONTEXT``, else the server's or the cache's own."""
        return default_context()

    def recommendations(self, metadata: Metadata, types: Iterable[str], context: str) -> dict[str, str | None]:
        """By the mappings in the library's cache."""
        return recommendations(metadata, types, context)

    def locate(self, name: str, context: str) -> Path:
        """In the library's cache."""
        return locate(name, context)


def selection_header(metadata: Metadata) -> dict[str, str]:
    """The scalar metadata as CRDS wants them: ``META.INSTRUMENT.NAME`` and so on, as strings."""
    return {
        f"meta.{path}": str(value) for path, value in metadata.leaves() if isinstance(value, str | int | float | bool)
    }


def use_cache(path: Path, *, offline: bool) -> None:
    """Point CRDS at the cache in `path` for this process, and forget what was read of another."""
    os.environ["CRDS_PATH"] = str(path)
    if offline:
        os.environ["CRDS_SERVER_URL"] = OFFLINE_SERVER
        os.environ["CRDS_MODE"] = "local"
        os.environ["CRDS_READONLY_CACHE"] = "1"
    loaded = sys.modules.get("crds.core.utils")
    if loaded is not None:
        loaded.clear_function_caches()


def default_context() -> str:
    """The context CRDS would use: ``CRDS_CONTEXT``, else the server's or the cache's own."""
    import crds

    pinned = os.environ.get("CRDS_CONTEXT")
    if pinned:
        return pinned
    try:
        with quiet():
            if is_offline():
                return str(crds.get_context_name("jwst"))  # as the cache's configuration has it
            return str(crds.get_default_context(observatory="jwst"))
    except FAILURES as error:
        raise failure_of(error)(
            f"CRDS offers no context ({cause_of(error)})",
            remedy="set CRDS_PATH to a cache, CRDS_CONTEXT to a context, or CRDS_SERVER_URL to a reachable server",
        ) from error


def best_references(
    metadata: Metadata, types: Iterable[str], context: str, finder: ReferenceFinder | None = None
) -> dict[str, str]:
    """File name for each type, or ``N/A`` where the context needs none.

    Raises
    ------
    MissingReference
        No rule matches; names type, context and the selection keywords.
    """
    answers = (finder or CrdsLibrary()).recommendations(metadata, types, context)
    best: dict[str, str] = {}
    for reftype, answer in answers.items():
        if answer is not None and answer != NOT_APPLICABLE and answer.startswith(NOT_FOUND):
            raise missing(reftype, context, metadata, answer.removeprefix(NOT_FOUND).strip())
        best[reftype] = NOT_APPLICABLE if answer is None else answer
    return best


def recommendations(metadata: Metadata, types: Iterable[str], context: str) -> dict[str, str | None]:
    """The plain answers of CRDS by type: a file name, ``N/A``, or ``NOT FOUND ...``."""
    return recommendations_for(selection_header(metadata), types, context)


def recommendations_for(header: Mapping[str, str], types: Iterable[str], context: str) -> dict[str, str | None]:
    """The plain answers of CRDS by type, for a header of its keywords or of FITS keywords."""
    import crds

    wanted = sorted(set(types))
    check_context(context)
    try:
        with quiet():
            raw = crds.getrecommendations(
                dict(header),
                reftypes=wanted,
                context=context,
                observatory="jwst",
                ignore_cache=False,
                fast=True,
            )
    except FAILURES as error:
        raise failure_of(error)(
            f"context {context} cannot be consulted: {cause_of(error)}",
            remedy="check CRDS_PATH, CRDS_CONTEXT and CRDS_SERVER_URL",
            context=context,
        ) from error
    answers: dict[str, str | None] = {}
    for reftype in wanted:
        answer = str(raw.get(reftype, raw.get(reftype.upper(), "NOT FOUND no such type")))
        answers[reftype] = NOT_APPLICABLE if "n/a" in answer.lower() and answer.startswith(NOT_FOUND) else answer
    return answers


def check_context(context: str) -> None:
    """MissingReference for a context that is not in the cache and cannot be fetched."""
    from crds.core import config as crds_config

    if not crds_config.is_mapping(context):
        return  # a symbolic or dated context, for the library to resolve
    path = Path(crds_config.locate_mapping(context, observatory="jwst"))
    if is_offline() and not path.exists():
        raise MissingReference(
            f"context {context} is not in the cache and there is no server to fetch it from",
            file=path,
            remedy="check CRDS_PATH and CRDS_CONTEXT, or set CRDS_SERVER_URL to a server",
            context=context,
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the library from printing what it also raises: log lines and tracebacks."""
    logging.getLogger("CRDS").setLevel(logging.CRITICAL)
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def failure_of(error: BaseException) -> type[MissingReference]:
    """The kind of a failure of the library: whether its server was not reached, by the causes behind it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HTTPError):
            return ReferenceServerUnavailable if cause.code >= 500 else MissingReference
        if isinstance(cause, URLError | TimeoutError | ConnectionError | http.client.HTTPException):
            return ReferenceServerUnavailable
        cause = cause.__cause__ or cause.__context__
    return MissingReference


def cause_of(error: BaseException) -> str:
    """What the library says went wrong."""
    return str(error.__context__ or error) if isinstance(error, SystemExit) else str(error)


def names_a_file(answer: str | None) -> TypeGuard[str]:
    """Whether an answer of the rules names a file: not that none is needed, not that no rule matches."""
    return answer is not None and answer != NOT_APPLICABLE and not answer.startswith(NOT_FOUND)


def is_offline() -> bool:
    """Whether this process may ask no server."""
    return "serverless" in os.environ.get("CRDS_SERVER_URL", OFFLINE_SERVER)


def missing(reftype: str, context: str, metadata: Metadata, cause: str) -> MissingReference:
    """The error for a reference that should exist."""
    keys = {
        keyword: metadata.get(path)
        for keyword, path in (
            ("INSTRUME", "instrument.name"),
            ("DETECTOR", "instrument.detector"),
            ("FILTER", "instrument.filter"),
            ("PUPIL", "instrument.pupil"),
            ("EXP_TYPE", "exposure.type"),
            ("READPATT", "exposure.readpatt"),
            ("SUBARRAY", "subarray.name"),
            ("DATE-OBS", "observation.date"),
            ("TIME-OBS", "observation.time"),
        )
        if metadata.get(path) is not None
    }
    chosen = ", ".join(f"{keyword}={value}" for keyword, value in keys.items())
    return MissingReference(
        f"no {reftype} reference in {context} for {chosen} ({cause})",
        file=metadata.source,
        remedy=f"choose another context or give one with --override {reftype}=FILE",
        reftype=reftype,
        context=context,
    )


def locate(name: str, context: str) -> Path:
    """Path of a reference in the local cache, fetched from the server when it is not there."""
    from crds.core import config as crds_config

    path = Path(crds_config.locate_file(name, observatory="jwst"))
    if path.exists():
        return path
    if is_offline():
        raise MissingReference(
            f"{name} of {context} is not in the cache and there is no server to fetch it from",
            file=path,
            remedy="put it into the cache or set CRDS_SERVER_URL to a server",
            context=context,
        )
    try:
        from crds.client import api

        api.dump_references(context, [name])
    except FAILURES as error:
        raise failure_of(error)(
            f"{name} of {context} cannot be fetched: {cause_of(error)}",
            file=path,
            remedy="check CRDS_SERVER_URL and the connection",
            context=context,
        ) from error
    return path
