"""Two products compared: pixels, flags, tables, keywords, trees."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asdf
import numpy as np
from astropy.io import fits

IGNORED_KEYWORDS = {
    # what must differ: who made the file, when, in which file
    "DATE",
    "CAL_VER",
    "CAL_VCS",
    "CRDS_VER",
    "FILENAME",
    "CHECKSUM",
    "DATASUM",
    "HISTORY",
    "COMMENT",
    "",
}
IGNORED_BRANCHES = {"asdf_library", "history", "meta", "filename"}
"""Of the tree of an ASDF product: who made it, when, in which file."""
ONLY_OURS = {"CRDS_CTX"}
"""Keywords that the official products may lack: the context stands in ours before a reference was read."""
_ABSENT = "absent"


@dataclass(frozen=True)
class Tolerance:
    """How far a product may be from the official one."""

    relative: float = 1e-5
    sigma: float = 1e-3
    """Or this fraction of the pixel's own error."""
    absolute: float = 0.0
    """Or this much, in the unit of the values, where the product has no errors."""
    fraction: float = 0.9999
    """Of finite pixels that must agree, and of pixels whose DQ must be equal bit for bit."""
    reason: str = ""
    """Why it is wider than the default."""


def compare(official: Path, ours: Path, tolerance: Tolerance) -> list[str]:
    """Differences between two products beyond the tolerance, one line each."""
    if official.suffix == ".asdf":
        with asdf.open(official) as a, asdf.open(ours) as b:
            return list(_compare_trees(a.tree, b.tree, tolerance, "tree"))
    found: list[str] = []
    with fits.open(official) as a, fits.open(ours) as b:
        left, right = _extensions(a), _extensions(b)
        if sorted(left) != sorted(right):
            found.append(f"extensions differ: {sorted(left)} and {sorted(right)}")
        error = left["ERR", 1].data if ("ERR", 1) in left else None
        for key in left:
            if key in right:
                name = key[0] if key[1] == 1 else f"{key[0]} {key[1]}"
                found += [f"{name}: {line}" for line in _compare_hdu(left[key], right[key], error, tolerance)]
                found += [f"{name}: {line}" for line in compare_headers(left[key].header, right[key].header)]
        found += compare_headers(a[0].header, b[0].header)
    return found


def _extensions(hdus: Any) -> dict[tuple[str, int], Any]:
    return {(hdu.name, hdu.ver): hdu for hdu in hdus[1:] if hdu.name != "ASDF"}


def compare_headers(official: fits.Header, ours: fits.Header) -> list[str]:
    """Keywords that have another value, or that only one of the headers has."""
    found = []
    for keyword in dict.fromkeys((*official, *ours)):
        if keyword in IGNORED_KEYWORDS:
            continue
        expected, value = official.get(keyword, _ABSENT), ours.get(keyword, _ABSENT)
        same = expected == value or (keyword in ONLY_OURS and expected is _ABSENT)
        if isinstance(expected, float) and isinstance(value, int | float):
            same = bool(np.isclose(expected, value, rtol=1e-5, atol=1e-12))
        if not same:
            found.append(f"keyword {keyword}: {expected!r} and {value!r}")
    return found


def _compare_hdu(official: Any, ours: Any, error: Any, tolerance: Tolerance) -> list[str]:
    a, b = np.asarray(official.data), np.asarray(ours.data)
    if a.dtype.names is not None:
        return list(_compare_tables(a, b))
    if a.shape != b.shape:
        return [f"shapes {a.shape} and {b.shape}"]
    if a.dtype.kind in "iub":
        return list(_compare_flags(a, b, tolerance))
    return list(_compare_values(a.astype(float), b.astype(float), error, tolerance))


def _compare_tables(a: Any, b: Any) -> Iterator[str]:
    """Rows in order, numbers to twelve digits."""
    if a.dtype.names != b.dtype.names:
        yield f"columns {a.dtype.names} and {b.dtype.names}"
        return
    if len(a) != len(b):
        yield f"{len(a)} and {len(b)} rows"
        return
    for name in a.dtype.names:
        left, right = a[name], b[name]
        if left.shape != right.shape:
            yield f"column {name} of shapes {left.shape} and {right.shape}"
            continue
        same = left == right
        if left.dtype.kind == "f":
            same = np.isclose(left, right, rtol=1e-12, atol=0, equal_nan=True)
        if not np.all(same):
            first = tuple(np.argwhere(~same)[0])
            count = np.count_nonzero(~same)
            yield f"column {name} differs {count} times, first {left[first]!r} and {right[first]!r}"


def _compare_flags(a: Any, b: Any, tolerance: Tolerance) -> Iterator[str]:
    wrong = np.count_nonzero(a != b)
    if wrong > (1 - tolerance.fraction) * a.size:
        changed = (a ^ b) if a.dtype.kind != "b" else (a != b).astype(np.uint8)
        counts = {
            1 << bit: int(np.count_nonzero((changed >> bit) & 1))
            for bit in range(changed.dtype.itemsize * 8 - (changed.dtype.kind == "i"))
        }
        yield f"{wrong} of {a.size} flags differ, by bit { ({k: v for k, v in counts.items() if v}) }"


def _compare_values(a: Any, b: Any, error: Any, tolerance: Tolerance) -> Iterator[str]:
    finite = np.isfinite(a) & np.isfinite(b)
    pattern = np.count_nonzero(np.isfinite(a) != np.isfinite(b))
    if pattern > (1 - tolerance.fraction) * a.size:
        yield f"NaN patterns differ on {pattern} of {a.size}"
    with np.errstate(invalid="ignore"):
        near = (a == b) | (np.abs(a - b) <= tolerance.relative * np.abs(a))
        if error is None:
            near |= np.abs(a - b) <= tolerance.absolute
        elif error.shape == a.shape:
            near |= np.abs(a - b) <= tolerance.sigma * error
        wrong = np.count_nonzero(finite & ~near)
        if wrong > (1 - tolerance.fraction) * max(1, np.count_nonzero(finite)):
            worst = np.max(np.abs(a - b), where=finite & ~near, initial=0)
            yield f"{wrong} of {np.count_nonzero(finite)} values differ, by up to {worst:.4g}"


def _compare_trees(a: Any, b: Any, tolerance: Tolerance, path: str) -> Iterator[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        left, right = set(a) - IGNORED_BRANCHES, set(b) - IGNORED_BRANCHES
        if left != right:
            yield f"{path} has {sorted(left)} and {sorted(right)}"
        for name in sorted(left & right):
            yield from _compare_trees(a[name], b[name], tolerance, f"{path}.{name}")
        return
    left, right = np.asarray(a), np.asarray(b)
    if left.shape != right.shape:
        yield f"{path} of shapes {left.shape} and {right.shape}"
    elif left.dtype.kind == "f" or right.dtype.kind == "f":
        yield from (f"{path}: {line}" for line in _compare_values(left, right, None, tolerance))
    elif not np.array_equal(left, right):
        yield f"{path} differs"
