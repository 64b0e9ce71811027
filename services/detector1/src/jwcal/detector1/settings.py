"""Parameters of a whole stage 1 run, merged from every source."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jwcal.core.errors import UnknownParameter
from jwcal.core.executor import PlannedStep, plan_steps
from jwcal.core.metadata import Metadata
from jwcal.core.parameters import PIPELINE, Overrides, build, class_aliases, merge, read_file
from jwcal.core.references.best import CrdsLibrary, ReferenceFinder, names_a_file
from jwcal.core.step import StepDefinition, StepParameters, get_step, load_steps
from jwcal.detector1.plans import OFFICIAL_PIPELINES, PLANS

_PIPELINE_PARAMETERS = ("save_calibrated_ramp",)
_PIPELINE_CLASSES = {
    "calwebb_detector1": "Detector1Pipeline",
    "calwebb_dark": "DarkPipeline",
    "calwebb_guider": "GuiderPipeline",
}


def definitions() -> dict[str, StepDefinition]:
    """Every step of every stage 1 plan."""
    load_steps()
    return {name: get_step(name) for plan in PLANS.values() for name in plan}


def wanted_types(plan: str, *, skip: Sequence[str], only_through: str | None, use_crds_parameters: bool) -> set[str]:
    """Every type of reference that a run of a plan may ask for; whether a step runs its parameters tell later."""
    known = definitions()
    steps = [known[name] for name in PLANS[plan]]
    parameters = _parameter_types(steps, OFFICIAL_PIPELINES[plan]) if use_crds_parameters else {}
    names = PLANS[plan]
    if only_through in names:
        names = names[: names.index(only_through) + 1]
    return set(parameters) | {
        reference.reftype for name in names if name not in skip for reference in known[name].references
    }


def _parameter_types(steps: Sequence[StepDefinition], official: str) -> dict[str, str]:
    """The ``pars-*`` types of steps and their pipeline, and whose they are."""
    pipeline_type = f"pars-{_PIPELINE_CLASSES[official].lower()}"
    return {definition.pars_type: definition.name for definition in steps} | {pipeline_type: PIPELINE}


def crds_parameters(
    steps: Sequence[StepDefinition], official: str, metadata: Metadata, context: str, finder: ReferenceFinder
) -> Overrides:
    """Parameters of the context's ``pars-*`` references for these steps and their pipeline, whose reference wins."""
    wanted = _parameter_types(steps, official)
    aliases = class_aliases(steps)
    of_steps: list[Overrides] = []
    of_pipeline: list[Overrides] = []
    for reftype, answer in finder.recommendations(metadata, wanted, context).items():
        if not names_a_file(answer):
            continue
        found = read_file(finder.locate(answer, context), aliases)
        if wanted[reftype] == PIPELINE:
            of_pipeline.append(found)
        else:
            of_steps.append({wanted[reftype]: merge(*({"step": v} for v in found.values())).get("step", {})})
    return merge(*of_steps, *of_pipeline)


def plan_run(
    plan: str,
    official: str,
    metadata: Metadata,
    context: str,
    *,
    parameters: Mapping[str, Mapping[str, Any]],
    parameter_files: Sequence[Path],
    skip: Sequence[str],
    save_steps: bool,
    use_crds_parameters: bool,
    finder: ReferenceFinder | None = None,
) -> tuple[tuple[PlannedStep, ...], dict[str, Any]]:
    """The plan's steps with their parameters, and the parameters of the pipeline itself.

    Raises
    ------
    UnknownParameter, InvalidParameter
        For a step, parameter or value that does not exist.
    """
    known = definitions()
    names = PLANS[plan]
    chosen = [known[name] for name in names]
    aliases = class_aliases(known.values())
    from_crds: Overrides = {}
    if use_crds_parameters:
        from_crds = crds_parameters(chosen, official, metadata, context, finder or CrdsLibrary())
    from_files = [read_file(path, aliases) for path in parameter_files]
    explicit = {step: dict(values) for step, values in parameters.items()}
    for source in (*from_files, explicit):
        _check_names(source, known)
    merged = merge(from_crds, *from_files, explicit)
    builder: Callable[[StepDefinition], StepParameters] = lambda definition: build(  # noqa: E731
        definition, merged.get(definition.name, {})
    )
    steps = plan_steps(names, known, builder, skip=skip, save_all=save_steps)
    return steps, merged.get(PIPELINE, {})


def _check_names(source: Overrides, known: Mapping[str, StepDefinition]) -> None:
    for step, values in source.items():
        if step == PIPELINE:
            for name in values:
                if name not in _PIPELINE_PARAMETERS:
                    raise UnknownParameter(
                        f"the pipeline has no parameter {name!r}",
                        remedy=f"choose one of: {', '.join(_PIPELINE_PARAMETERS)}",
                    )
        elif step not in known:
            raise UnknownParameter(f"there is no step {step!r}", remedy=f"choose one of: {', '.join(sorted(known))}")
        else:
            build(known[step], values)
