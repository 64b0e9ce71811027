"""Domain objects as JSON text and back."""

import dataclasses
from functools import cache, lru_cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from jwcal.core.storage.ref import ObjectRef
from jwcal.orchestrator.model import Association, Processing, RunSpec

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class _Input:
    association: Association | None
    exposures: tuple[ObjectRef, ...]


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


def dump_spec(spec: RunSpec) -> tuple[str, str]:
    """A specification without its input, and the input."""
    rest = dataclasses.replace(spec, association=None, exposures=())
    return dump(RunSpec, rest), dump(_Input, _Input(spec.association, spec.exposures))


def load_spec(text: str, input_text: str | None) -> RunSpec:
    """The specification, with its input where that is given."""
    spec = load(RunSpec, text)
    if input_text is None:
        return spec
    its_input = load(_Input, input_text)
    return dataclasses.replace(spec, association=its_input.association, exposures=its_input.exposures)


@lru_cache(maxsize=1000)
def load_processing(text: str) -> Processing:
    """The same for all jobs of a stage of a run; not to be changed."""
    return load(Processing, text)
