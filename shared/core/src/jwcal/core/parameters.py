"""Step parameters: where they come from and which source wins.

Code default < CRDS ``pars-*`` reference < parameter file < explicit override.  Files may be ASDF as ``strun`` writes
them (``class``, ``name``, ``parameters``, ``steps``) or YAML: the same tree, or plainly ``step: {parameter: value}``.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jwcal.core.errors import InvalidParameter, UnknownParameter, UnreadableFile
from jwcal.core.step import StepDefinition, StepParameters

Overrides = dict[str, dict[str, Any]]
"""Parameter values by step name; the pipeline's own stand under ``pipeline``."""

PIPELINE = "pipeline"

_FRAMEWORK = frozenset(
    {"output_file", "output_dir", "output_ext", "output_use_model", "output_use_index", "search_output_file"}
    | {"input_dir", "pre_hooks", "post_hooks", "save_results", "suffix", "logcfg"}
)
"""Parameters of the official framework: about naming and places, which the caller decides here."""


def merge(*sources: Mapping[str, Mapping[str, Any]]) -> Overrides:
    """One set of overrides; later sources win."""
    merged: Overrides = {}
    for source in sources:
        for step, values in source.items():
            merged.setdefault(step, {}).update(values)
    return merged


def build(definition: StepDefinition, values: Mapping[str, Any]) -> StepParameters:
    """The step's parameters with `values` over the defaults.

    Raises
    ------
    UnknownParameter, InvalidParameter
        Naming the step, the parameter and what it accepts.
    """
    known = definition.params.model_fields
    for name in values:
        if name not in known:
            raise UnknownParameter(
                f"step {definition.name} has no parameter {name!r}",
                remedy=f"choose one of: {', '.join(sorted(known))}",
            )
    try:
        return definition.params(**{name: _unquoted(value) for name, value in values.items()})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise InvalidParameter(
            f"{definition.name}.{where} = {first['input']!r}: {first['msg']}",
            remedy=f"see 'jwcal steps' for what {where} accepts",
        ) from None


def _unquoted(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip() in ("None", "none", "") else value


def read_file(path: Path, aliases: Mapping[str, str]) -> Overrides:
    """Parameters of an ASDF or YAML file; `aliases` maps official class names to step names."""
    try:
        if path.suffix.lower() == ".asdf":
            import asdf

            with asdf.open(path) as file:
                tree = _plain(file.tree)
        else:
            import yaml

            tree = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UnreadableFile("there is no such parameter file", file=path, remedy="check the path") from None
    except Exception as error:  # the two parsers have no common base
        raise UnreadableFile(f"not a parameter file ({error})", file=path, remedy="give ASDF or YAML") from error
    if not isinstance(tree, Mapping):
        raise UnreadableFile("not a parameter file: no mapping at its top", file=path, remedy="give ASDF or YAML")
    return from_tree(tree, aliases, source=path)


def from_tree(tree: Mapping[str, Any], aliases: Mapping[str, str], *, source: Path) -> Overrides:
    """Overrides of a parsed parameter file."""
    if "parameters" not in tree and "class" not in tree:
        return {str(step): dict(_mapping(values, str(step), source)) for step, values in tree.items()}
    name = aliases.get(str(tree.get("class", "")).rsplit(".", 1)[-1], PIPELINE)
    found = {name: _without_framework(tree.get("parameters"), name, source)}
    for child in tree.get("steps") or []:
        entry = _mapping(child, "an entry of steps", source)
        step = aliases.get(str(entry.get("class", "")).rsplit(".", 1)[-1], str(entry.get("name", "")))
        found.setdefault(step, {}).update(_without_framework(entry.get("parameters"), step, source))
    nested = found[name].pop("steps", None)
    if isinstance(nested, Mapping):
        found = merge(found, {step: _without_framework(values, step, source) for step, values in nested.items()})
    return found


def _without_framework(values: Any, step: str, source: Path) -> dict[str, Any]:
    given = {} if values is None else _mapping(values, step, source)
    return {name: value for name, value in given.items() if name not in _FRAMEWORK}


def _mapping(node: Any, name: str, source: Path) -> Mapping[str, Any]:
    if not isinstance(node, Mapping):
        raise InvalidParameter(
            f"{name} holds no mapping of parameters", file=source, remedy="write 'step: {parameter: value}'"
        )
    return node


def _plain(node: Any) -> Any:
    if hasattr(node, "items"):
        return {str(name): _plain(value) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    return node


def class_aliases(definitions: Iterable[StepDefinition]) -> dict[str, str]:
    """Step names by the class name of the official step."""
    return {definition.official.rsplit(".", 1)[-1]: definition.name for definition in definitions}
