"""``jwcal compare``: print how two products differ."""

from dataclasses import asdict
from pathlib import Path

from jwcal.client import exit_codes
from jwcal.client.compare import Comparison, ExtensionDifference, compare
from jwcal.client.output import print_json, print_table
from jwcal.core.errors import InvalidParameter


def compare_products(
    a: Path, b: Path, *, rtol: float, sigma: float, allowed: float, ignored: frozenset[str], as_json: bool
) -> int:
    """Exit status 0 for equal products, 1 for different ones."""
    for name, value in (("--rtol", rtol), ("--sigma", sigma), ("--allowed", allowed)):
        if not value >= 0:
            raise InvalidParameter(f"{name} {value} is below zero", remedy="give zero or more")
    found = compare(a, b, rtol=rtol, sigma=sigma, ignored=ignored)
    equal = found.is_equal(allowed)
    if as_json:
        print_json(
            {
                "a": str(a),
                "b": str(b),
                "equal": equal,
                "rtol": rtol,
                "sigma": sigma,
                "allowed": allowed,
                **asdict(found),
            }
        )
    else:
        _print(found, allowed)
        print("equal" if equal else "different")
    return exit_codes.DONE if equal else exit_codes.FAILED


def _print(found: Comparison, allowed: float) -> None:
    print_table(
        "", ("extension", "elements", "beyond tolerance", "largest", "largest / ERR", "NaN only A, B", ""),
        [_row(extension, allowed) for extension in found.extensions],
    )  # fmt: skip
    flags = [
        (extension.name, flag, str(only_a), str(only_b))
        for extension in found.extensions
        for flag, (only_a, only_b) in extension.flags.items()
    ]
    if flags:
        print_table("", ("extension", "flag", "only in A", "only in B"), flags)
    if found.keywords:
        rows = [(name, keyword, _shown(a), _shown(b)) for name, keyword, a, b in found.keywords]
        print_table("", ("extension", "keyword", "A", "B"), rows)


def _row(extension: ExtensionDifference, allowed: float) -> tuple[str, ...]:
    if extension.problem:
        return (extension.name, "", "", "", "", "", extension.problem)
    relative = "" if extension.largest_sigma is None else f"{extension.largest_sigma:.3g}"
    return (
        extension.name,
        str(extension.total),
        str(extension.beyond),
        f"{extension.largest:.4g}",
        relative,
        f"{extension.nan_only_in_a}, {extension.nan_only_in_b}",
        "equal" if extension.is_equal(allowed) else "different",
    )


def _shown(value: object) -> str:
    return "absent" if value is None else repr(value)
