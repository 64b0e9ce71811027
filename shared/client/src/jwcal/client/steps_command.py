"""``jwcal steps``: what can run, in which order, with which parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from jwcal.client import exit_codes
from jwcal.client.arguments import PIPELINES
from jwcal.client.output import print_json, print_table
from jwcal.core.errors import UnknownParameter
from jwcal.core.step import StepDefinition, StepParameters


def list_steps(name: str, *, as_json: bool) -> int:
    """Print the plans and steps of a pipeline, of one plan, or a single step."""
    from jwcal.detector1.plans import PLANS
    from jwcal.detector1.settings import definitions

    known = definitions()
    plans = {} if name in known else _plans(name, PLANS, known)
    names = [name] if name in known else list(dict.fromkeys(step for plan in plans.values() for step in plan))
    if as_json:
        print_json({"pipeline": name, "plans": plans, "steps": [_as_dict(known[step]) for step in names]})
        return exit_codes.DONE
    for plan, steps in plans.items():
        print(f"{plan}: {' > '.join(steps)}")
    for step in names:
        _print_step(known[step])
    common = ", ".join(StepParameters.model_fields)
    print(f"\nEvery step also has: {common}.  Set them with --set step.parameter=value.")
    return exit_codes.DONE


def _plans(
    name: str, plans: Mapping[str, tuple[str, ...]], known: Mapping[str, StepDefinition]
) -> dict[str, tuple[str, ...]]:
    if name.upper() in plans:
        return {name.upper(): plans[name.upper()]}
    alias = name.rsplit(".", 1)[-1].lower()
    if alias not in PIPELINES:
        raise UnknownParameter(
            f"there is no pipeline, plan or step {name!r}",
            remedy=f"choose detector1, calwebb_dark, calwebb_guider, a plan ({', '.join(plans)}) "
            f"or a step ({', '.join(known)})",
        )
    if PIPELINES[alias] == "DARK":
        return {plan: steps for plan, steps in plans.items() if plan.endswith("_DARK")}
    if PIPELINES[alias] == "GUIDER":
        return {"GUIDER": plans["GUIDER"]}
    return {plan: plans[plan] for plan in ("NEAR_INFRARED", "MID_INFRARED")}


def _print_step(definition: StepDefinition) -> None:
    references = ", ".join(reference.reftype for reference in definition.references) or "none"
    print(f"\n{definition.name}: {definition.summary}\n  official: {definition.official}; references: {references}")
    rows = [
        (name, _kind(field), _default(field), " ".join((field.description or "").split()))
        for name, field in definition.params.model_fields.items()
        if name not in StepParameters.model_fields or field.default != StepParameters.model_fields[name].default
    ]
    if rows:
        print_table("", ("parameter", "type", "default", "meaning"), rows)


def _kind(field: FieldInfo) -> str:
    kind = field.annotation
    text = kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", None) else str(kind)
    limits = [_limit(rule) for rule in field.metadata]
    return " ".join([text.replace("typing.", ""), *(limit for limit in limits if limit)])


def _limit(rule: Any) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    return " ".join(f"{sign} {getattr(rule, name)}" for name, sign in signs.items() if hasattr(rule, name))


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else str(field.get_default(call_default_factory=True))


def _as_dict(definition: StepDefinition) -> dict[str, Any]:
    references: Sequence[str] = [reference.reftype for reference in definition.references]
    return {
        "name": definition.name,
        "summary": definition.summary,
        "official": definition.official,
        "references": references,
        "parameters": definition.params.model_json_schema(),
    }
