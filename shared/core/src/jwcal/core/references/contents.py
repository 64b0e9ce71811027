"""What a context and its server hold: types, files, checksums; through the ``crds`` library of this process."""

import json
import logging
import os
import pprint
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jwcal.core.errors import InvalidReference, MissingReference, ReferenceServerUnavailable, UnknownContext
from jwcal.core.references.best import FAILURES, cause_of, check_context, failure_of, is_offline, quiet

_logger = logging.getLogger(__name__)
_OBSERVATORY = "jwst"


@dataclass(frozen=True, slots=True)
class CataloguedFile:
    """A reference file and where it can be had."""

    name: str
    sha1: str
    """Empty where nobody states it, as in a local cache without a manifest."""
    size: int
    url: str
    """Empty without a server."""
    path: Path | None
    """In the local cache; None where it is not."""


def cache_directory() -> Path:
    """The library's cache."""
    from crds.core import config

    return Path(config.get_crds_cfgpath(_OBSERVATORY)).parents[1]


def load_context(context: str) -> Any:
    """A context with all its mappings, fetched where they are missing.

    Raises
    ------
    UnknownContext
        The server does not know it either.
    InvalidReference
        A mapping is damaged.  It is removed where it can be fetched again.
    """
    from crds.client import api
    from crds.core import rmap

    if not re.fullmatch(r"\w+\.pmap", context):
        raise UnknownContext(f"{context!r} is not the name of a context", remedy="name one such as jwst_1413.pmap")
    check_context(context)
    try:
        with quiet():
            try:
                mapping = rmap.get_cached_mapping(context)
                mapping.mapping_names()  # reads them all
            except OSError:
                if is_offline():
                    raise
                api.dump_mappings(context)
                mapping = rmap.get_cached_mapping(context)
                mapping.mapping_names()
    except FAILURES as error:
        kind = failure_of(error)
        if kind is ReferenceServerUnavailable or is_offline():
            raise kind(
                f"context {context} cannot be consulted: {cause_of(error)}",
                remedy="check CRDS_PATH, CRDS_CONTEXT and CRDS_SERVER_URL",
                context=context,
            ) from error
        damaged = _remove_damaged()
        if damaged:
            raise InvalidReference(
                f"mappings of {context} were damaged: {', '.join(damaged)}",
                remedy="ask again, they are fetched anew",
                context=context,
            ) from error
        raise UnknownContext(
            f"the server has no usable context {context}: {cause_of(error)}",
            remedy="name one that ListContexts lists",
            context=context,
        ) from error
    return mapping


def reference_types(context: str, instrument: str) -> tuple[str, ...]:
    """All types that the context has for an instrument, ``pars-*`` included."""
    return tuple(sorted(str(name).lower() for name in _instrument(context, instrument).selections))


def reference_files(context: str, instrument: str, types: Iterable[str] = ()) -> tuple[str, ...]:
    """All files that exposures of an instrument may get from a context; of some types only, where given."""
    from crds.core import exceptions

    rules = _instrument(context, instrument)
    found: set[str] = set()
    for reftype in set(types) or reference_types(context, instrument):
        try:
            found.update(str(name) for name in rules.get_rmap(reftype).reference_names())
        except (exceptions.IrrelevantReferenceTypeError, exceptions.OmitReferenceTypeError):
            continue
        except exceptions.CrdsUnknownReftypeError as error:
            raise MissingReference(
                f"{context} knows no type {reftype!r} for {instrument}", remedy="choose another type", context=context
            ) from error
    return tuple(sorted(name for name in found if name.upper() != "N/A"))


def mapping_files(context: str) -> tuple[str, ...]:
    """The mappings that a context is made of, itself included."""
    return tuple(sorted(str(name) for name in load_context(context).mapping_names()))


def local_contexts() -> tuple[str, ...]:
    """Contexts that are in the cache."""
    return tuple(sorted(path.name for path in (cache_directory() / "mappings" / _OBSERVATORY).glob("*_*.pmap")))


def known_contexts() -> tuple[str, ...]:
    """Contexts of the cache and of the server."""
    from crds.client import api

    if is_offline():
        return local_contexts()
    try:
        with quiet():
            names = api.list_mappings(_OBSERVATORY, "*_*.pmap")
    except FAILURES as error:
        raise failure_of(error)(
            f"the server does not list its contexts: {cause_of(error)}", remedy="check CRDS_SERVER_URL"
        ) from error
    return tuple(sorted({*local_contexts(), *(Path(str(name)).name for name in names)}))


def catalogued(name: str) -> CataloguedFile:
    """What is known of a reference file; asks the server again for names that it did not know before."""
    from crds.core import config, utils

    check_name(name)
    local = Path(config.locate_file(name, observatory=_OBSERVATORY))
    path = local if local.is_file() else None
    if is_offline():
        if path is None:
            raise MissingReference(
                f"{name} is not in the cache and there is no server to fetch it from",
                file=local,
                remedy="put it into the cache or set CRDS_SERVER_URL to a server",
            )
        return CataloguedFile(name, manifest(cache_directory()).get(name, ""), path.stat().st_size, "", path)
    facts = _server_facts(name)
    if facts is None:
        utils.clear_function_caches()
        facts = _server_facts(name)
    if facts is None:
        raise MissingReference(f"the server knows no file {name}", remedy="check the context and CRDS_SERVER_URL")
    sha1 = str(facts["sha1sum"])
    return CataloguedFile(name, "" if sha1 == "none" else sha1, int(facts["size"]), _url(name), path)


def check_name(name: str) -> None:
    """Refuse what is not the plain name of a file."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise MissingReference(f"{name!r} is not the name of a reference")


def manifest(cache: Path) -> dict[str, str]:
    """SHA-1 of references by name, as a cache states them; empty for one that does not."""
    file = cache / "config" / _OBSERVATORY / "reference_sha1.json"
    return dict(json.loads(file.read_text())) if file.exists() else {}


def offline_configuration(context: str) -> dict[str, str]:
    """What the library wants in ``config/jwst`` of a cache without a server, by file name; `context` is its default."""
    contexts = ("edit_context", "effective_context", "latest_context", "operational_context")
    server = dict.fromkeys(contexts, context) | {
        "bad_files": "",
        "bad_files_list": [],
        "connected": False,
        "context_history": [],
        "crds_version": {"str": "14.0.0"},
        "effective_mode": "local",
        "force_remote_mode": False,
        "last_synced": "2024-04-01 00:00:00.000000",
        "mapping_url": {"checked": "", "unchecked": ""},
        "observatory": _OBSERVATORY,
        "reference_url": {"checked": "", "unchecked": ""},
        "status": "cache",
    }
    return {
        "server_config": pprint.pformat(server) + "\n",
        "bad_files.txt": "\n",
        "ref_cache_subdir_mode": "instrument\n",
    }


def _instrument(context: str, instrument: str) -> Any:
    from crds.core import exceptions

    try:
        return load_context(context).get_imap(instrument)
    except exceptions.CrdsUnknownInstrumentError as error:
        raise MissingReference(
            f"{context} knows no instrument {instrument!r}", remedy="name one such as NIRCAM", context=context
        ) from error


def _remove_damaged() -> list[str]:
    """Remove mappings that do not have their own checksum: the library keeps what came damaged, for good."""
    from crds.core import exceptions, rmap, utils

    removed = []
    for path in (cache_directory() / "mappings" / _OBSERVATORY).glob("*.?map"):
        try:
            rmap.Mapping.from_file(str(path))
        except exceptions.CrdsError:
            path.unlink(missing_ok=True)
            removed.append(path.name)
    utils.clear_function_caches()
    if removed:
        _logger.warning("damaged mappings removed", extra={"fields": {"files": removed}})
    return removed


def _server_facts(name: str) -> dict[str, Any] | None:
    from crds.client import api

    try:
        with quiet():
            found = api.get_download_metadata().get(name)
    except FAILURES as error:
        raise failure_of(error)(
            f"the server does not tell about {name}: {cause_of(error)}",
            remedy="check CRDS_SERVER_URL and the connection",
            server=os.environ.get("CRDS_SERVER_URL"),
        ) from error
    return None if found is None else dict(found)


def _url(name: str) -> str:
    from crds.client import api

    with quiet():
        return str(api.get_flex_uri(name, _OBSERVATORY))
