"""Domain objects as JSON text and back."""

from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def dump(kind: Any, value: object) -> str:
    """The JSON text of a value of this type."""
    return _adapter(kind).dump_json(value).decode()


def load(kind: type[T], text: str) -> T:
    """The value of this type that the text holds."""
    value: T = _adapter(cast("Any", kind)).validate_json(text)
    return value


def load_optional(kind: type[T], text: str | None) -> T | None:
    """The value, or None where there is none."""
    return None if text is None else load(kind, text)
