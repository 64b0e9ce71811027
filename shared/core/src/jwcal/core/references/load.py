"""Decoded references of one exposure, shared between exposures through a bounded cache.

A reference is decoded once per file and subarray.  The cache knows a file by its SHA-1 where the CRDS cache carries a
manifest (``config/jwst/reference_sha1.json``; the file is verified against it), otherwise by path, size and time.
"""

import hashlib
import json
import threading
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from jwcal.core.errors import InvalidReference, MissingReference
from jwcal.core.metadata import Metadata
from jwcal.core.references.best import NOT_APPLICABLE, CrdsLibrary, ReferenceFinder, best_references
from jwcal.core.references.geometry import Subarray
from jwcal.core.references.types import AnyReference, Reference

_Key = tuple[str, type[Reference], Subarray | None]


CACHE_LIMIT = 1 << 30
"""Bytes of decoded references that are kept, unless told otherwise."""


class ReferenceCache:
    """Least-recently-used store of decoded references, limited in bytes; safe for several threads."""

    def __init__(self, limit: int = CACHE_LIMIT) -> None:
        self.limit = limit
        self._entries: OrderedDict[_Key, Reference] = OrderedDict()
        self._identities: dict[tuple[str, int, int], str] = {}
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, path: Path, kind: type[AnyReference], target: Subarray | None) -> AnyReference:
        """The decoded reference, from memory when it is there."""
        key = (self._identity(path), kind, target)
        with self._lock:
            found = self._entries.get(key)
            if isinstance(found, kind):
                self._entries.move_to_end(key)
                return found
            self._shrink(0)  # one that is too large by itself makes room before the next is read
        reference = decode(path, kind, target)
        with self._lock:
            self._entries[key] = reference
            self._names[key[0]] = path.name
            self._shrink(1)
        return reference

    def names(self) -> tuple[str, ...]:
        """What is held, by the names that R_* keywords have of references of CRDS."""
        with self._lock:
            return tuple(dict.fromkeys(_crds_name(self._names[identity]) for identity, _, _ in self._entries))

    def _shrink(self, kept: int) -> None:
        """Let the longest unused go until the rest is within the limit or no more than `kept` are left."""
        while len(self._entries) > kept and sum(map(nbytes, self._entries.values())) > self.limit:
            self._entries.popitem(last=False)

    def _identity(self, path: Path) -> str:
        try:
            status = path.stat()
        except OSError as error:
            raise MissingReference(
                f"the reference is not there ({error.strerror})", file=path, remedy="check the path or the CRDS cache"
            ) from error
        stamp = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._identities.get(stamp)
        if known is None:
            expected = _manifest(path).get(path.name)
            known = repr(stamp) if expected is None else _verified(path, expected)
            with self._lock:
                self._identities[stamp] = known
        return known


def _crds_name(file: str) -> str:
    return f"crds://{file}"


def nbytes(reference: Reference) -> int:
    """Bytes of a decoded reference's arrays, wherever they stand in it."""
    return sum(_nbytes(getattr(reference, field.name)) for field in fields(reference))


def _nbytes(node: Any) -> int:
    if isinstance(node, np.ndarray):
        return node.nbytes
    if isinstance(node, Mapping):
        return sum(map(_nbytes, node.values()))
    return sum(map(_nbytes, node)) if isinstance(node, list | tuple) else 0


def _manifest(path: Path) -> dict[str, str]:
    for parent in path.parents:
        manifest = parent / "config" / "jwst" / "reference_sha1.json"
        if manifest.exists():
            return dict(json.loads(manifest.read_text()))
    return {}


def _verified(path: Path, expected: str) -> str:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha1").hexdigest()
    if found != expected:
        raise InvalidReference(
            f"its SHA-1 is {found}, the manifest says {expected}",
            file=path,
            remedy="delete the file and fetch it again",
        )
    return found


def _check_whole(path: Path) -> None:
    """Refuse a FITS file that was cut short: readers would take the arrays it lost for zeros."""
    with fits.open(path, lazy_load_hdus=False) as hdus:
        last = hdus[-1].fileinfo()
    end = last["datLoc"] + last["datSpan"]
    with path.open("rb") as file:
        file.seek(end)
        beginning_of_another = file.read(8) == b"XTENSION"
    if beginning_of_another or path.stat().st_size < end:
        raise InvalidReference("the file is truncated", file=path, remedy="fetch it again")


def decode(path: Path, kind: type[AnyReference], target: Subarray | None) -> AnyReference:
    """Read a reference file; InvalidReference where it is not what it should be."""
    from stdatamodels.jwst import datamodels

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix == ".fits":
                _check_whole(path)
            name = kind.model
            if kind.models:
                instrument = str(fits.getval(path, "INSTRUME")).upper()
                name = kind.models.get(instrument, name)
            with getattr(datamodels, name)(str(path)) as model:
                model.meta.filename = path.name
                return kind.decode(model, target)
    except InvalidReference:
        raise
    except FileNotFoundError:
        raise MissingReference("the reference is not there", file=path, remedy="check the path") from None
    except Exception as error:  # whatever a damaged file makes the readers raise
        raise InvalidReference(
            f"not a usable {kind.reftype} reference ({error})", file=path, remedy="fetch it again or override it"
        ) from error


class CrdsReferences:
    """References of one exposure by the rules of a context, with overrides by path."""

    def __init__(
        self,
        metadata: Metadata,
        kinds: tuple[type[Reference], ...],
        target: Subarray | None,
        *,
        context: str,
        cache: ReferenceCache,
        overrides: dict[str, str] | None = None,
        finder: ReferenceFinder | None = None,
    ) -> None:
        self._metadata = metadata
        self._finder = finder or CrdsLibrary()
        self.target = target
        """The frame that references are cut to; None leaves them as they are."""
        self._cache = cache
        self.context = context
        self.overrides = dict(overrides or {})
        wanted = [kind.reftype for kind in kinds if kind.reftype not in self.overrides]
        self.names = best_references(metadata, wanted, context, self._finder) if wanted else {}
        """File name or ``N/A`` by type."""
        self.used: dict[str, str] = {}
        """What steps asked for: the R_* keyword's value by type."""

    def path(self, reftype: str) -> Path | None:
        """Where the reference lies; None for N/A."""
        if reftype in self.overrides:
            value = self.overrides[reftype]
            return None if value.upper() == NOT_APPLICABLE else Path(value)
        name = self.names.get(reftype, NOT_APPLICABLE)
        return None if name == NOT_APPLICABLE else self._finder.locate(name, self.context)

    def load(self, kind: type[AnyReference], *, note: bool = True) -> AnyReference | None:
        """The decoded reference; None for N/A.  `note` records it among those used."""
        path = self.path(kind.reftype)
        if note:
            overridden = kind.reftype in self.overrides
            name = NOT_APPLICABLE if path is None else str(path) if overridden else _crds_name(path.name)
            self.used[kind.reftype] = name
        if path is None:
            return None
        return self._cache.get(path, kind, self.target)
