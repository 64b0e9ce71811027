"""Whether the files of a CRDS cache are what they should be."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from jwcal.core.references.contents import manifest


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What the files of a CRDS cache came to, by path."""

    good: tuple[str, ...]
    damaged: tuple[str, ...]
    unstated: tuple[str, ...]
    """References whose checksum the cache does not state."""


def verify_cache(cache: Path) -> CacheReport:
    """Compare each mapping with the checksum in it, each reference with the cache's manifest."""
    from crds.core import exceptions, rmap

    stated = manifest(cache)
    good, damaged, unstated = [], [], []
    for path in sorted((cache / "mappings" / "jwst").glob("*.?map")):
        try:
            rmap.Mapping.from_file(str(path))
        except (exceptions.CrdsError, OSError, UnicodeDecodeError, SyntaxError):
            damaged.append(path.relative_to(cache).as_posix())
        else:
            good.append(path.relative_to(cache).as_posix())
    for path in sorted(found for found in (cache / "references" / "jwst").rglob("*") if found.is_file()):
        name = path.relative_to(cache).as_posix()
        if path.name not in stated:
            unstated.append(name)
        elif _sha1(path) != stated[path.name]:
            damaged.append(name)
        else:
            good.append(name)
    return CacheReport(tuple(good), tuple(damaged), tuple(unstated))


def _sha1(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha1").hexdigest()
