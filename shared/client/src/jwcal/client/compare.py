"""Two product files compared: extension by extension, flag by flag, keyword by keyword."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from jwcal.core.dqflags import PIXEL_FLAGS
from jwcal.core.errors import UnreadableFile

IGNORED_KEYWORDS: Final = frozenset(
    {"DATE", "CAL_VER", "CAL_VCS", "CRDS_VER", "FILENAME", "CHECKSUM", "DATASUM", "HISTORY", "COMMENT", ""}
)
"""What differs between any two runs."""
_STRUCTURE: Final = re.compile(
    r"SIMPLE|XTENSION|EXTEND|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|BSCALE|BZERO|T(TYPE|FORM|UNIT|DIM|NULL|SCAL|ZERO)\d+"
)
_BLOCK: Final = 1 << 21


@dataclass(slots=True)
class ExtensionDifference:
    """How one extension differs."""

    name: str
    problem: str = ""
    """Shapes, types or presence that do not fit; nothing else is compared then."""
    total: int = 0
    beyond: int = 0
    """Elements that differ by more than the tolerance, or flags that are not equal."""
    largest: float = 0.0
    """Largest difference of finite values."""
    largest_sigma: float | None = None
    """The same in units of the first file's ERR; None without ERR."""
    nan_only_in_a: int = 0
    nan_only_in_b: int = 0
    flags: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Pixels that carry a flag only in A, only in B."""

    def is_equal(self, allowed: float) -> bool:
        """Whether no more than the fraction `allowed` of the elements differs."""
        limit = allowed * self.total
        return not self.problem and self.beyond <= limit and self.nan_only_in_a + self.nan_only_in_b <= limit


@dataclass(slots=True)
class Comparison:
    """Everything that was compared."""

    extensions: list[ExtensionDifference] = field(default_factory=list)
    keywords: list[tuple[str, str, Any, Any]] = field(default_factory=list)
    """Extension, keyword, value in A, value in B; None where it is absent."""

    def is_equal(self, allowed: float) -> bool:
        """Whether the products are equal to the tolerance."""
        return not self.keywords and all(found.is_equal(allowed) for found in self.extensions)


def compare(a: Path, b: Path, *, rtol: float, sigma: float, ignored: frozenset[str] = frozenset()) -> Comparison:
    """Compare two FITS products.

    A value agrees within ``rtol`` of its size in `a`, or within ``sigma`` of `a`'s ERR there.
    """
    comparison = Comparison()
    with _open(a) as first, _open(b) as second:
        ours, theirs = _by_name(first), _by_name(second)
        error = ours[("ERR", 1)].data if ("ERR", 1) in ours else None
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            name = key[0] if key[1] == 1 else f"{key[0]},{key[1]}"
            if key not in ours or key not in theirs:
                where = b if key not in theirs else a
                comparison.extensions.append(ExtensionDifference(name, problem=f"not in {where}"))
                continue
            if name != "PRIMARY":
                comparison.extensions.append(_compare_extension(name, ours[key], theirs[key], error, rtol, sigma))
            comparison.keywords += _compare_headers(name, ours[key].header, theirs[key].header, ignored)
    return comparison


def _open(path: Path) -> Any:
    try:
        return fits.open(path, memmap=False)
    except FileNotFoundError:
        raise UnreadableFile("there is no such file", file=path, remedy="check the path") from None
    except OSError as error:
        raise UnreadableFile(f"not a readable FITS file ({error})", file=path, remedy="fetch it again") from error


def _by_name(hdus: Any) -> dict[tuple[str, int], Any]:
    return {
        (hdu.name or "PRIMARY", hdu.ver if index else 1): hdu for index, hdu in enumerate(hdus) if hdu.name != "ASDF"
    }


def _compare_extension(name: str, a: Any, b: Any, error: Any, rtol: float, sigma: float) -> ExtensionDifference:
    found = ExtensionDifference(name)
    first, second = a.data, b.data
    if first is None or second is None:
        found.problem = "" if first is None and second is None else "data in one file only"
    elif first.dtype.names is not None or second.dtype.names is not None:
        _compare_tables(first, second, found, rtol)
    elif first.shape != second.shape:
        found.problem = f"shapes {first.shape} and {second.shape}"
    elif first.dtype.kind != second.dtype.kind:
        found.problem = f"types {first.dtype.name} and {second.dtype.name}"
    else:
        found.total = int(first.size)
        if first.dtype.kind == "f":
            _compare_values(first, second, error, rtol, sigma, found)
        else:
            _compare_integers(first, second, found, is_flags="DQ" in name)
    return found


def _blocks(*arrays: Any) -> Iterator[tuple[NDArray[Any], ...]]:
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, _BLOCK):
        yield tuple(array[start : start + _BLOCK] for array in flat)


def _compare_values(a: Any, b: Any, error: Any, rtol: float, sigma: float, found: ExtensionDifference) -> None:
    has_error = error is not None and error.shape == a.shape
    for block in _blocks(a, b, *([error] if has_error else [])):
        first, second = block[0].astype(np.float64), block[1].astype(np.float64)
        found.nan_only_in_a += int(np.count_nonzero(np.isnan(first) & ~np.isnan(second)))
        found.nan_only_in_b += int(np.count_nonzero(np.isnan(second) & ~np.isnan(first)))
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            difference = np.where(first == second, 0.0, np.abs(first - second))
            limit = rtol * np.abs(first)
            if has_error:
                noise = block[2].astype(np.float64)
                limit = np.fmax(limit, sigma * noise)
                ratio = difference / noise
                worst = float(np.max(ratio, initial=0.0, where=np.isfinite(ratio)))
                found.largest_sigma = max(found.largest_sigma or 0.0, worst)
            wrong = difference > np.where(np.isfinite(limit), limit, 0.0)
        found.beyond += int(np.count_nonzero(wrong))
        found.largest = max(found.largest, float(np.max(difference, initial=0.0, where=np.isfinite(difference))))


def _compare_integers(a: Any, b: Any, found: ExtensionDifference, *, is_flags: bool) -> None:
    bits = dict.fromkeys(PIXEL_FLAGS, (0, 0)) if is_flags else {}
    for block in _blocks(a, b):
        first, second = block[0].astype(np.int64), block[1].astype(np.int64)
        changed = first != second
        found.beyond += int(np.count_nonzero(changed))
        first, second = first[changed], second[changed]
        if first.size and not is_flags:
            found.largest = max(found.largest, float(np.max(np.abs(first - second))))
        for name, (only_a, only_b) in bits.items():
            bit = PIXEL_FLAGS[name]
            gone, new = np.count_nonzero(first & ~second & bit), np.count_nonzero(second & ~first & bit)
            bits[name] = (only_a + int(gone), only_b + int(new))
    found.flags = {name: counts for name, counts in bits.items() if any(counts)}


def _compare_tables(a: Any, b: Any, found: ExtensionDifference, rtol: float) -> None:
    if a.dtype.names != b.dtype.names:
        found.problem = f"columns {a.dtype.names} and {b.dtype.names}"
    elif len(a) != len(b):
        found.problem = f"{len(a)} and {len(b)} rows"
    else:
        found.total = len(a) * len(a.dtype.names)
        for column in a.dtype.names:
            first, second = np.asarray(a[column]), np.asarray(b[column])
            if first.dtype.kind == "f" and second.dtype.kind == "f":
                same = np.isclose(first, second, rtol=rtol, atol=0.0, equal_nan=True)
            else:
                same = np.asarray(first == second)
            found.beyond += len(a) - int(np.count_nonzero(same.reshape(len(a), -1).all(axis=1))) if len(a) else 0


def _compare_headers(name: str, a: Any, b: Any, ignored: frozenset[str]) -> list[tuple[str, str, Any, Any]]:
    differences = []
    for keyword in dict.fromkeys([*a, *b]):
        if keyword in IGNORED_KEYWORDS or keyword in ignored or _STRUCTURE.fullmatch(keyword):
            continue
        first, second = a.get(keyword), b.get(keyword)
        if isinstance(first, float) and isinstance(second, int | float):
            same = bool(np.isclose(first, second, rtol=1e-9, atol=1e-12))
        else:
            same = first == second
        if not same:
            differences.append((name, keyword, first, second))
    return differences
