"""Associations of the official form, read with suspicion: they come from outside and name objects of the store."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jwcal.core.storage.ref import Location
from jwcal.orchestrator.errors import ForbiddenLocation, InvalidAssociation

MOST_BYTES = 4 * 2**20
_MOST_MEMBERS = 20_000
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,199}")
_SUFFIX = re.compile(r"_([a-z0-9]+)\.(?:fits|asdf|ecsv|cat)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An exposure of a product; ``kind`` is its name's suffix."""

    name: str
    exposure_type: str
    kind: str

    @property
    def root(self) -> str:
        """The name without folder, suffix and extension."""
        return self.name.rsplit("/", 1)[-1].rsplit(".", 1)[0].removesuffix(f"_{self.kind}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationProduct:
    """A product and what it is made of."""

    name: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedAssociation:
    """An association; ``level`` is 2 or 3."""

    level: int
    type: str
    rule: str
    program: str
    products: tuple[AssociationProduct, ...]


def parse(text: str) -> ParsedAssociation:
    """The association that the text holds.

    Raises
    ------
    InvalidAssociation
        Where it is not one, is absurdly large, or names members by anything but plain paths below their location.
    """
    if len(text) > MOST_BYTES or len(text.encode(errors="replace")) > MOST_BYTES:
        raise InvalidAssociation("the association is too large", limit=MOST_BYTES)
    try:
        content = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except RecursionError as error:
        raise InvalidAssociation("the association is nested too deeply") from error
    except ValueError as error:
        raise InvalidAssociation(f"the association is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidAssociation("the association is not a JSON object")
    kind = _text(content, "asn_type", "the association")
    rule = content.get("asn_rule", "")
    if not isinstance(rule, str):
        raise InvalidAssociation("asn_rule is not a text")
    products = content.get("products")
    if not isinstance(products, list) or not products:
        raise InvalidAssociation("the association has no products")
    parsed = tuple(_product(product, place) for place, product in enumerate(products))
    if sum(len(product.members) for product in parsed) > _MOST_MEMBERS:
        raise InvalidAssociation("the association has too many members", limit=_MOST_MEMBERS)
    names: set[str] = set()
    for product in parsed:
        if product.name in names:
            raise InvalidAssociation(f"the association has product {product.name} twice", product=product.name)
        names.add(product.name)
    program = content.get("program", "")
    return ParsedAssociation(
        level=_level(kind, rule),
        type=kind,
        rule=rule,
        program=program if isinstance(program, str) and len(program) <= 100 else "",
        products=parsed,
    )


def check_path(path: str, what: str) -> str:
    """The path, if it is a plain one that stays below where it starts.

    Raises
    ------
    InvalidAssociation
        For absolute paths, ``..``, addresses, control characters and the like.
    """
    if len(path) > 900 or not all(_COMPONENT.fullmatch(part) and ".." not in part for part in path.split("/")):
        raise InvalidAssociation(f"{what} is not a plain relative path", path=path[:200])
    return path


def check_bucket(location: Location, allowed: frozenset[str]) -> Location:
    """The location, if it is in a bucket that runs may use.

    Raises
    ------
    ForbiddenLocation
        Otherwise.
    InvalidAssociation
        The prefix is no plain path.
    """
    if location.bucket not in allowed:
        raise ForbiddenLocation("the location is outside of the allowed buckets", bucket=location.bucket[:200])
    if location.prefix:
        check_path(location.prefix, "the location's prefix")
    return location


def suffix_of(name: str) -> str:
    """What a file is by its name, such as ``rate``; empty where the name does not tell."""
    found = _SUFFIX.search(name)
    return found.group(1) if found else ""


def _level(kind: str, rule: str) -> int:
    if kind.endswith("2") or "lv2" in rule.lower():
        return 2
    if kind.endswith("3") or "lv3" in rule.lower():
        return 3
    raise InvalidAssociation(f"asn_type {kind[:50]!r} is of neither level 2 nor level 3", asn_type=kind[:50])


def _product(content: object, place: int) -> AssociationProduct:
    where = f"product {place}"
    if not isinstance(content, dict):
        raise InvalidAssociation(f"{where} is not an object")
    name = _text(content, "name", where)
    if not _COMPONENT.fullmatch(name) or ".." in name:
        raise InvalidAssociation(f"{where} has a name that cannot be one of a file", product=name[:200])
    members = content.get("members")
    if not isinstance(members, list) or not members:
        raise InvalidAssociation(f"{where} has no members", product=name)
    parsed = tuple(_member(member, name) for member in members)
    seen: set[str] = set()
    for member in parsed:
        if member.name in seen:
            raise InvalidAssociation(f"product {name} has member {member.name} twice", member=member.name)
        seen.add(member.name)
    if not any(member.exposure_type == "science" for member in parsed):
        raise InvalidAssociation(f"product {name} has no science member", product=name)
    return AssociationProduct(name=name, members=parsed)


def _member(content: object, product: str) -> Member:
    where = f"a member of product {product}"
    if not isinstance(content, dict):
        raise InvalidAssociation(f"{where} is not an object", product=product)
    name = check_path(_text(content, "expname", where), f"the expname of {where}")
    exposure_type = content.get("exptype")
    if not isinstance(exposure_type, str) or not exposure_type:
        raise InvalidAssociation(f"{where} has no exptype", member=name)
    kind = suffix_of(name)
    if not kind:
        raise InvalidAssociation(f"the name of {where} does not tell what it is", member=name)
    return Member(name=name, exposure_type=exposure_type.lower()[:50], kind=kind)


def _text(content: Mapping[str, Any], key: str, where: str) -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidAssociation(f"{where} has no {key}")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
