"""Bundles: all that exposures of an instrument need of a context, in one file, for machines without a CRDS server.

A bundle is a plain tar file (POSIX pax; FITS files hardly shrink).  Its first member, ``bundle.json``, lists the others
with size, SHA-1 and SHA-256; those lie where a CRDS cache has them, so unpacking it makes a cache::

    bundle.json
    config/jwst/{server_config,bad_files.txt,ref_cache_subdir_mode,reference_sha1.json}
    mappings/jwst/*                      the whole context
    references/jwst/<instrument>/*
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from jwcal.core.errors import InvalidReference, MissingReference
from jwcal.core.products.replacing import replacing

FORMAT = 1
INDEX = "bundle.json"
"""The first member."""
_FOLDERS = ("mappings/jwst", "references/jwst", "config/jwst")
_INDEX_LIMIT = 64 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class BundledFile:
    """A file of a bundle; `sha1` as CRDS states it, of the contents where it states none."""

    path: str
    size: int
    sha1: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle says it holds."""

    context: str
    instrument: str
    files: tuple[BundledFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def load_bundle(source: Path, cache: Path) -> Bundle:
    """Unpack a bundle into a CRDS cache, each file verified before it takes its place; others stay.

    Raises
    ------
    InvalidReference
        It is not a bundle, or a file is not what the bundle says; the cache has only whole files then.
    """
    with _opened(source) as (archive, bundle):
        for file, content in _contents(source, archive, bundle):
            target = cache / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.path.startswith("config/") and target.exists():
                _merge(file, content.read(), target)
                continue
            with replacing(target) as staged:
                with staged.open("wb") as opened:
                    while chunk := content.read(_CHUNK):
                        opened.write(chunk)
                _check(source, file, staged)
    return bundle


def verify_bundle(source: Path) -> tuple[Bundle, tuple[str, ...]]:
    """What a bundle holds, and the paths that are not what it says."""
    wrong: list[str] = []
    with _opened(source) as (archive, bundle):
        for file, content in _contents(source, archive, bundle):
            sha256 = hashlib.sha256()
            sha1 = hashlib.sha1()
            while chunk := content.read(_CHUNK):
                sha256.update(chunk)
                sha1.update(chunk)
            if (sha1.hexdigest(), sha256.hexdigest()) != (file.sha1, file.sha256):
                wrong.append(file.path)
    return bundle, tuple(wrong)


@contextmanager
def _opened(source: Path) -> Iterator[tuple[tarfile.TarFile, Bundle]]:
    try:
        with tarfile.open(source, "r:") as archive:
            yield archive, _read_index(source, archive)
    except FileNotFoundError as error:
        raise MissingReference("there is no such bundle", file=source, remedy="check the path") from error
    except (tarfile.TarError, EOFError) as error:
        raise InvalidReference(f"not a whole bundle ({error})", file=source, remedy="copy or make it again") from error


def _read_index(source: Path, archive: tarfile.TarFile) -> Bundle:
    first = archive.next()
    opened = archive.extractfile(first) if first is not None and first.name == INDEX and first.isreg() else None
    if first is None or opened is None or first.size > _INDEX_LIMIT:
        raise InvalidReference(f"does not begin with {INDEX}", file=source, remedy="make it with 'jwcal refs bundle'")
    try:
        raw: dict[str, Any] = json.loads(opened.read())
        version = raw["format"]
        files = tuple(BundledFile(**file) for file in raw["files"])
        bundle = Bundle(str(raw["context"]), str(raw["instrument"]), files)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidReference(f"its {INDEX} cannot be read ({error})", file=source, remedy="make it again") from error
    if version != FORMAT:
        raise InvalidReference(f"is of format {version}, this is {FORMAT}", file=source, remedy="use a newer jwcal")
    for file in files:
        path = PurePosixPath(file.path)
        inside = any(path.is_relative_to(folder) for folder in _FOLDERS)
        if not inside or ".." in path.parts or str(path) != file.path:
            raise InvalidReference(f"holds {file.path!r}, which is no place in a CRDS cache", file=source)
    return bundle


def _contents(source: Path, archive: tarfile.TarFile, bundle: Bundle) -> Iterator[tuple[BundledFile, Any]]:
    """The files in the order of the index, which is that of the archive."""
    for file in bundle.files:
        member = archive.next()
        opened = archive.extractfile(member) if member is not None and member.isreg() else None
        if member is None or opened is None or (member.name, member.size) != (file.path, file.size):
            raise InvalidReference(f"lacks {file.path}", file=source, remedy="copy or make it again")
        yield file, opened
    if archive.next() is not None:
        raise InvalidReference("holds files that it does not list", file=source, remedy="make it again")


def _check(source: Path, file: BundledFile, path: Path) -> None:
    if digests(path) != (file.sha1, file.sha256):
        raise InvalidReference(f"{file.path} is damaged in it", file=source, remedy="copy or make it again")


def _merge(file: BundledFile, content: bytes, target: Path) -> None:
    """Add a bundle's checksums to those that the cache states; its other configuration stays as it is."""
    if target.name == "reference_sha1.json":
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise InvalidReference(f"{file.path} is damaged in the bundle", file=target, remedy="copy it again")
        stated = json.loads(target.read_text()) | json.loads(content)
        with replacing(target) as staged:
            staged.write_text(json.dumps(stated, indent=1, sort_keys=True))


def digests(path: Path) -> tuple[str, str]:
    """SHA-1 and SHA-256 of a file."""
    sha1, sha256 = hashlib.sha1(), hashlib.sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            sha1.update(chunk)
            sha256.update(chunk)
    return sha1.hexdigest(), sha256.hexdigest()
