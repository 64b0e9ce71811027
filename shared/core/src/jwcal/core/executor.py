"""Run a plan: the steps in order, each with its parameters and references, and a record of what happened."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jwcal.core.errors import Cancelled, UnknownParameter
from jwcal.core.events import Listener, StepFinished, StepRecord, StepStarted, ignore
from jwcal.core.hooks import apply_hooks
from jwcal.core.references.geometry import Subarray
from jwcal.core.references.load import CrdsReferences
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.step import Skip, StepDefinition, StepParameters

Saver = Callable[[StepDefinition, StepParameters, Any], None]


class CancelToken:
    """Asks a run to stop before its next step."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask for it."""
        self._event.set()

    def check(self) -> None:
        """Raise Cancelled if asked to stop."""
        if self._event.is_set():
            raise Cancelled("the run was cancelled", remedy="start it again when wanted")


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of a plan with the parameters it runs with."""

    definition: StepDefinition
    params: StepParameters


def through(steps: Sequence[PlannedStep], last: str | None) -> tuple[PlannedStep, ...]:
    """The plan up to and including step `last`; all of it for None."""
    if last is None:
        return tuple(steps)
    names = [step.definition.name for step in steps]
    if last not in names:
        raise UnknownParameter(f"the plan has no step {last!r}", remedy=f"choose one of: {', '.join(names)}")
    return tuple(steps[: names.index(last) + 1])


def execute(
    steps: Sequence[PlannedStep],
    product: Any,
    references: CrdsReferences,
    *,
    on_event: Listener = ignore,
    cancel: CancelToken | None = None,
    save: Saver | None = None,
) -> tuple[Any, tuple[StepRecord, ...]]:
    """Run the steps on `product`, which is consumed; returns the result and a record for each step.

    Status keywords (``cal_step``) and the references used (``ref_file``) are written into the product's metadata.
    """
    records: list[StepRecord] = []
    for index, planned in enumerate(steps):
        if cancel is not None:
            cancel.check()
        on_event(StepStarted(planned.definition.name, index, len(steps)))
        product, record = run_step(planned, product, references)
        records.append(record)
        if save is not None and planned.params.save_results and not planned.params.skip:
            save(planned.definition, planned.params, product)
        on_event(StepFinished(record, index, len(steps)))
    return product, tuple(records)


def run_step(planned: PlannedStep, product: Any, references: CrdsReferences) -> tuple[Any, StepRecord]:
    """Run one step with its hooks; a Skip leaves the product as it is."""
    definition, params = planned.definition, planned.params
    started = time.perf_counter()
    references.used = {}
    if references.target is not None:
        references.target = _frame(product) or references.target
    status, reason = "COMPLETE", ""
    if params.skip:
        status, reason = "SKIPPED", "skip = True"
    else:
        try:
            product = apply_hooks(params.pre_hooks, product)
            product = definition.function(product, params, ReferenceSet(references))
            product = apply_hooks(params.post_hooks, product)
        except Skip as skip:
            status, reason = skip.status, skip.reason
    record = StepRecord(
        name=definition.name,
        status=status,
        reason=reason,
        seconds=time.perf_counter() - started,
        references=dict(references.used),
        parameters=params.model_dump(mode="json"),
    )
    # a step that is skipped by its parameter is noted under its own name, as officially: S_DARK is then absent
    note(product, definition.name if params.skip else definition.status, record)
    return product, record


def _frame(product: Any) -> Subarray | None:
    """Where the frames of a product lie now: steps may strip or collate them."""
    data = getattr(product, "data", None)
    if not isinstance(data, np.ndarray):
        return None
    return Subarray.of_exposure(product.metadata, data.shape)


def note(product: Any, status: str, record: StepRecord) -> None:
    """Write a step's outcome, as `status`, and references into the metadata of the product and of its parts."""
    for part in (product, getattr(product, "rate", None), getattr(product, "rateints", None)):
        metadata = getattr(part, "metadata", None)
        if metadata is None:
            continue
        metadata.set(f"cal_step.{status}", record.status)
        for reftype, name in record.references.items():
            metadata.set(f"ref_file.{reftype}.name", name)


def plan_steps(
    names: Sequence[str],
    definitions: Mapping[str, StepDefinition],
    build: Callable[[StepDefinition], StepParameters],
    *,
    skip: Sequence[str] = (),
    save_all: bool = False,
) -> tuple[PlannedStep, ...]:
    """Bind parameters to the steps of a plan."""
    for name in skip:
        if name not in names:
            raise UnknownParameter(f"the plan has no step {name!r}", remedy=f"choose one of: {', '.join(names)}")
    planned = []
    for name in names:
        params = build(definitions[name])
        changes: dict[str, Any] = {}
        if name in skip:
            changes["skip"] = True
        if save_all:
            changes["save_results"] = True
        planned.append(PlannedStep(definitions[name], params.model_copy(update=changes) if changes else params))
    return tuple(planned)
