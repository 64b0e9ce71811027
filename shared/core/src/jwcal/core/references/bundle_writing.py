"""Writing of bundles: which files, and what a cache that is made of them needs beside them."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from jwcal.core.errors import InvalidReference
from jwcal.core.products.replacing import replacing
from jwcal.core.references.best import locate, names_a_file, recommendations_for
from jwcal.core.references.bundle import FORMAT, INDEX, Bundle, BundledFile, digests
from jwcal.core.references.contents import (
    cache_directory,
    catalogued,
    load_context,
    mapping_files,
    offline_configuration,
    reference_files,
    reference_types,
)


def chosen_files(context: str, instrument: str, headers: Sequence[Mapping[str, str]] = ()) -> tuple[str, ...]:
    """References that exposures with these headers get; without any, all that the context has for the instrument."""
    if not headers:
        return reference_files(context, instrument)
    load_context(context)
    types = reference_types(context, instrument)
    found: set[str] = set()
    for header in headers:
        answers = recommendations_for({**header, "META.INSTRUMENT.NAME": instrument.upper()}, types, context)
        found.update(answer for answer in answers.values() if names_a_file(answer))
    return tuple(sorted(found))


def write_bundle(target: Path, context: str, instrument: str, names: Iterable[str]) -> Bundle:
    """Write a bundle of a context and these references, fetched where they are missing, verified against their SHA-1.

    The same files give the same bundle, byte for byte.
    """
    cache = cache_directory()
    sources = {f"mappings/jwst/{name}": cache / "mappings" / "jwst" / name for name in mapping_files(context)}
    stated: dict[str, str] = {}
    for name in names:
        path = f"references/jwst/{instrument.lower()}/{name}"
        sources[path] = locate(name, context)
        stated[path] = catalogued(name).sha1
    files = [_described(path, source, stated.get(path, "")) for path, source in sorted(sources.items())]
    checksums = {Path(file.path).name: file.sha1 for file in files if file.path in stated}
    configuration = offline_configuration(context) | {
        "reference_sha1.json": json.dumps(dict(sorted(checksums.items())), indent=1)
    }
    texts = {f"config/jwst/{name}": text.encode() for name, text in configuration.items()}
    files = [*(_text_described(path, text) for path, text in sorted(texts.items())), *files]
    bundle = Bundle(context, instrument.upper(), tuple(files))
    index = json.dumps({"format": FORMAT, **asdict(bundle)}, indent=1).encode()
    with replacing(target) as staged, tarfile.open(staged, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(_member(INDEX, len(index)), io.BytesIO(index))
        for file in files:
            if file.path in texts:
                archive.addfile(_member(file.path, file.size), io.BytesIO(texts[file.path]))
                continue
            with sources[file.path].open("rb") as source:
                archive.addfile(_member(file.path, file.size), source)
    return bundle


def _described(path: str, source: Path, stated: str) -> BundledFile:
    sha1, sha256 = digests(source)
    if stated and stated != sha1:
        raise InvalidReference(
            f"its SHA-1 is {sha1}, CRDS says {stated}", file=source, remedy="delete the file and fetch it again"
        )
    return BundledFile(path, source.stat().st_size, sha1, sha256)


def _text_described(path: str, text: bytes) -> BundledFile:
    return BundledFile(path, len(text), hashlib.sha1(text).hexdigest(), hashlib.sha256(text).hexdigest())


def _member(path: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.size = size
    member.mode = 0o644
    return member
