"""Which references an exposure gets: the CRDS rules, through the ``crds`` library.

The library finds mappings and files in ``CRDS_PATH`` and, unless ``CRDS_SERVER_URL`` says otherwise, fetches what is
missing from the server it names.  An address that contains ``serverless`` keeps everything offline.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from jwcal.core.errors import MissingReference
from jwcal.core.metadata import Metadata

NOT_APPLICABLE = "N/A"
OFFLINE_SERVER = "https://crds-serverless-mode.stsci.edu"
_FAILURES = (Exception, SystemExit)
"""What the library raises: many kinds for one cause, and SystemExit where its cache has no configuration."""


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
    logging.getLogger("CRDS").setLevel(logging.CRITICAL)  # it also raises what it logs
    try:
        if _is_offline():
            return str(crds.get_context_name("jwst"))  # as the cache's configuration has it
        return str(crds.get_default_context(observatory="jwst"))
    except _FAILURES as error:
        raise MissingReference(
            f"CRDS offers no context ({_cause(error)})",
            remedy="set CRDS_PATH to a cache, CRDS_CONTEXT to a context, or CRDS_SERVER_URL to a reachable server",
        ) from error


def best_references(metadata: Metadata, types: Iterable[str], context: str) -> dict[str, str]:
    """File name for each type, or ``N/A`` where the context needs none.

    Raises
    ------
    MissingReference
        No rule matches; names type, context and the selection keywords.
    """
    answers = recommendations(metadata, types, context)
    best: dict[str, str] = {}
    for reftype, answer in answers.items():
        if answer is not None and answer != NOT_APPLICABLE and answer.startswith("NOT FOUND"):
            raise missing(reftype, context, metadata, answer.removeprefix("NOT FOUND").strip())
        best[reftype] = NOT_APPLICABLE if answer is None else answer
    return best


def recommendations(metadata: Metadata, types: Iterable[str], context: str) -> dict[str, str | None]:
    """The plain answers of CRDS by type: a file name, ``N/A``, or ``NOT FOUND ...``."""
    import crds

    wanted = sorted(set(types))
    logging.getLogger("CRDS").setLevel(logging.CRITICAL)  # it also raises what it logs
    _check_context(context)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the library prints tracebacks of errors that it also raises
            raw = crds.getrecommendations(
                selection_header(metadata),
                reftypes=wanted,
                context=context,
                observatory="jwst",
                ignore_cache=False,
                fast=True,
            )
    except _FAILURES as error:
        raise MissingReference(
            f"context {context} cannot be consulted: {_cause(error)}",
            remedy="check CRDS_PATH, CRDS_CONTEXT and CRDS_SERVER_URL",
            context=context,
        ) from error
    answers: dict[str, str | None] = {}
    for reftype in wanted:
        answer = str(raw.get(reftype, raw.get(reftype.upper(), "NOT FOUND no such type")))
        answers[reftype] = NOT_APPLICABLE if "n/a" in answer.lower() and answer.startswith("NOT FOUND") else answer
    return answers


def _check_context(context: str) -> None:
    """MissingReference for a context that is not in the cache and cannot be fetched."""
    from crds.core import config as crds_config

    if not crds_config.is_mapping(context):
        return  # a symbolic or dated context, for the library to resolve
    path = Path(crds_config.locate_mapping(context, observatory="jwst"))
    if _is_offline() and not path.exists():
        raise MissingReference(
            f"context {context} is not in the cache and there is no server to fetch it from",
            file=path,
            remedy="check CRDS_PATH and CRDS_CONTEXT, or set CRDS_SERVER_URL to a server",
            context=context,
        )


def _cause(error: BaseException) -> str:
    return str(error.__context__ or error) if isinstance(error, SystemExit) else str(error)


def _is_offline() -> bool:
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
    if _is_offline():
        raise MissingReference(
            f"{name} of {context} is not in the cache and there is no server to fetch it from",
            file=path,
            remedy="put it into the cache or set CRDS_SERVER_URL to a server",
            context=context,
        )
    try:
        from crds.client import api

        api.dump_references(context, [name])
    except _FAILURES as error:
        raise MissingReference(
            f"{name} of {context} cannot be fetched: {_cause(error)}",
            file=path,
            remedy="check CRDS_SERVER_URL and the connection",
            context=context,
        ) from error
    return path
