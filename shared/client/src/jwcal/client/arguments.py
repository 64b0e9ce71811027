"""Text of the command line to values: pipelines, parameters, overrides, sizes."""

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from jwcal.core.errors import InvalidParameter, UnknownParameter
from jwcal.core.step import StepDefinition

PIPELINES: Final[dict[str, str | None]] = {
    "detector1": None,
    "calwebb_detector1": None,
    "detector1pipeline": None,
    "calwebb_dark": "DARK",
    "darkpipeline": "DARK",
    "calwebb_guider": "GUIDER",
    "guiderpipeline": "GUIDER",
}
"""Pipelines by our and the official names (case ignored), with the plan they ask for; None lets the header choose."""

_UNITS: Final = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_BINARY: Final = {"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}
_SIZE: Final = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]I?)?B?\s*", re.IGNORECASE)


def pipeline_plan(name: str) -> str | None:
    """The plan a pipeline name asks for.

    Raises
    ------
    UnknownParameter
        There is no such pipeline.
    """
    known = name.rsplit(".", 1)[-1].lower()
    if known not in PIPELINES:
        raise UnknownParameter(
            f"there is no pipeline {name!r}",
            remedy="choose detector1, calwebb_detector1, calwebb_dark or calwebb_guider",
        )
    return PIPELINES[known]


def memory_size(text: str | None) -> int | None:
    """Bytes of ``8GiB``, ``500 MB`` or a plain number."""
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidParameter(f"--memory-limit {text!r} is not a size", remedy="write it as 8GiB, 500MB or bytes")
    unit = (match[2] or "").upper()
    size = int(float(match[1]) * (_BINARY | _UNITS)[unit])
    if size <= 0:
        raise InvalidParameter(f"--memory-limit {text!r} leaves no memory", remedy="write it as 8GiB, 500MB or bytes")
    return size


def overrides(pairs: Sequence[str]) -> dict[str, str]:
    """Reference files by type, from ``type=path``."""
    found = {}
    for pair in pairs:
        reftype, path = _split(pair, "--override", "type=path")
        found[reftype] = path if path.upper() == "N/A" else str(Path(path).expanduser())
    return found


def parameters(pairs: Sequence[str], known: Mapping[str, StepDefinition]) -> dict[str, dict[str, Any]]:
    """Values by step and parameter, from ``step.parameter=value``; a name without a step is the pipeline's.

    Values stay text for the parameter model to convert, but for lists (``1,2,3`` or ``[1, 2, 3]``) and for the
    pipeline's own, which no model converts.
    """
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, value = _split(pair, "--set", "step.parameter=value")
        step, _, parameter = name.removeprefix("steps.").rpartition(".")
        if not step or step == "pipeline":
            found.setdefault("pipeline", {})[parameter] = _boolean(name, value)
        else:
            found.setdefault(step, {})[parameter] = _listed(value) if _is_list(known.get(step), parameter) else value
    return found


def _split(pair: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals or not name.strip():
        raise InvalidParameter(f"{option} {pair!r} has not the form {form}", remedy=f"write {option} {form}")
    return name.strip(), value.strip()


def _boolean(name: str, value: str) -> bool:
    lowered = value.lower()
    if lowered not in ("true", "false", "1", "0", "yes", "no"):
        raise InvalidParameter(f"{name} = {value!r} is neither true nor false", remedy="write true or false")
    return lowered in ("true", "1", "yes")


def _is_list(definition: StepDefinition | None, parameter: str) -> bool:
    field = definition.params.model_fields.get(parameter) if definition else None
    return field is not None and any(
        get_origin(kind) in (tuple, list) for kind in (field.annotation, *get_args(field.annotation))
    )


def _listed(value: str) -> Any:
    if value.startswith(("[", "(")):
        try:
            return ast.literal_eval(value)
        except (SyntaxError, ValueError):
            value = value.strip("[]()")
    return value if value == "None" else [part.strip() for part in value.split(",") if part.strip()]
