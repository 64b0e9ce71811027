"""A plan runs step by step and tells what happened."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from jwcal.core.data import Ramp, Rates
from jwcal.core.errors import Cancelled, HookError, InvalidData, MissingReference, UnknownParameter
from jwcal.core.events import Event, StepFinished, StepStarted
from jwcal.core.executor import CancelToken, PlannedStep, execute, plan_steps, through
from jwcal.core.references.geometry import Subarray
from jwcal.core.references.load import CrdsReferences, ReferenceCache
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import GainReference
from jwcal.core.step import Skip, StepDefinition, StepParameters
from tests.builders import CONTEXT, a_ramp, a_rate_cube, a_rate_image, some_metadata, write_gain


class Parameters(StepParameters):
    """Of the steps below."""

    factor: float = 2.0


Function = Callable[[Any, Parameters, ReferenceSet], Any]


def multiply(ramp: Ramp, params: Parameters, refs: ReferenceSet) -> Ramp:
    """Multiply the counts."""
    del refs
    ramp.data *= params.factor
    return ramp


def multiply_by_gain(ramp: Ramp, params: Parameters, refs: ReferenceSet) -> Ramp:
    """Multiply the counts by the gain."""
    del params
    ramp.data *= refs.require(GainReference).data
    return ramp


def decline(ramp: Ramp, params: Parameters, refs: ReferenceSet) -> Ramp:
    """Nothing to do."""
    raise Skip("there is no frame to drop")


def give_up(ramp: Ramp, params: Parameters, refs: ReferenceSet) -> Ramp:
    """Nothing to do, which counts as a failure."""
    raise Skip("too few groups", status="FAILED")


def fail(ramp: Ramp, params: Parameters, refs: ReferenceSet) -> Ramp:
    """Not possible."""
    raise InvalidData("no group is usable")


def planned(function: Function, **parameters: Any) -> PlannedStep:
    """A step named after its function."""
    return PlannedStep(definition(function), Parameters(**parameters))


def definition(function: Function) -> StepDefinition:
    name = function.__name__
    return StepDefinition(name, function, Parameters, (GainReference,), f"{name}_status", f"x.{name}Step", name)


def references(**overrides: str) -> CrdsReferences:
    """No context is asked: every type is overridden."""
    given = {"gain": "N/A"} | overrides
    return CrdsReferences(
        some_metadata(), (GainReference,), None, context=CONTEXT, cache=ReferenceCache(), overrides=given
    )


def double_again(ramp: Ramp) -> None:
    """A hook that changes the product in place."""
    ramp.data *= 2


def test_the_steps_run_in_order_each_on_the_result_before() -> None:
    ramp = a_ramp()
    before = ramp.data.copy()

    def add_one(ramp: Ramp, params: Parameters, refs: ReferenceSet) -> Ramp:
        ramp.data += 1
        return ramp

    result, records = execute([planned(multiply, factor=3), planned(add_one)], ramp, references())
    assert (result.data == 3 * before + 1).all()
    assert [(record.name, record.status) for record in records] == [("multiply", "COMPLETE"), ("add_one", "COMPLETE")]


def test_a_step_may_replace_the_product() -> None:
    rates = Rates(rate=None, rateints=None, metadata=some_metadata())
    result, _ = execute([planned(lambda ramp, params, refs: rates)], a_ramp(), references())
    assert result is rates


def test_a_step_that_declines_is_recorded_with_its_reason() -> None:
    ramp = a_ramp()
    result, (record,) = execute([planned(decline)], ramp, references())
    assert (record.status, record.reason) == ("SKIPPED", "there is no frame to drop")
    assert result is ramp
    assert result.metadata.get("cal_step.decline_status") == "SKIPPED"


def test_a_step_may_count_its_skip_as_a_failure() -> None:
    result, (record,) = execute([planned(give_up)], a_ramp(), references())
    assert (record.status, record.reason) == ("FAILED", "too few groups")
    assert result.metadata.get("cal_step.give_up_status") == "FAILED"


def test_a_step_left_out_does_not_run_and_says_why() -> None:
    _, (record,) = execute([planned(fail, skip=True)], a_ramp(), references())
    assert (record.status, record.reason) == ("SKIPPED", "skip = True")


def test_the_steps_after_a_skip_still_run() -> None:
    _, records = execute([planned(decline), planned(multiply)], a_ramp(), references())
    assert [record.status for record in records] == ["SKIPPED", "COMPLETE"]


def test_an_error_of_a_step_ends_the_run() -> None:
    seen: list[Event] = []
    with pytest.raises(InvalidData, match="no group is usable"):
        execute([planned(fail), planned(multiply)], a_ramp(), references(), on_event=seen.append)
    assert [type(event) for event in seen] == [StepStarted]


def test_a_record_holds_every_parameter_as_used() -> None:
    _, (record,) = execute([planned(multiply, factor=7)], a_ramp(), references())
    assert record.parameters == Parameters(factor=7).model_dump(mode="json")


def test_the_references_used_are_recorded_and_written_into_the_metadata(tmp_path: Path) -> None:
    gain = write_gain(tmp_path / "my_gain.fits", 3.0, shape=(6, 5))
    ramp = a_ramp()
    before = ramp.data.copy()
    result, (record,) = execute([planned(multiply_by_gain)], ramp, references(gain=str(gain)))
    assert (result.data == 3 * before).all()
    assert record.references == {"gain": str(gain)}
    assert result.metadata.get("ref_file.gain.name") == str(gain)


def test_a_reference_is_recorded_only_with_the_steps_that_asked_for_it(tmp_path: Path) -> None:
    gain = write_gain(tmp_path / "my_gain.fits", shape=(6, 5))
    _, records = execute([planned(multiply_by_gain), planned(multiply)], a_ramp(), references(gain=str(gain)))
    assert [record.references for record in records] == [{"gain": str(gain)}, {}]


def test_a_reference_that_does_not_apply_is_recorded_as_such() -> None:
    def ask(ramp: Ramp, params: Parameters, refs: ReferenceSet) -> Ramp:
        assert refs.get(GainReference) is None
        return ramp

    _, (record,) = execute([planned(ask)], a_ramp(), references())
    assert record.references == {"gain": "N/A"}


def test_a_step_that_needs_a_reference_which_does_not_apply_says_so() -> None:
    with pytest.raises(MissingReference, match="--override gain=FILE"):
        execute([planned(multiply_by_gain)], a_ramp(), references())


def test_the_outcome_is_noted_in_both_rates() -> None:
    rates = Rates(rate=a_rate_image(), rateints=a_rate_cube(), metadata=some_metadata())
    assert rates.rate is not None
    assert rates.rateints is not None
    execute([planned(decline)], rates, references())
    for part in (rates, rates.rate, rates.rateints):
        assert part.metadata.get("cal_step.decline_status") == "SKIPPED"


def test_listeners_hear_the_start_and_the_end_of_every_step() -> None:
    seen: list[Event] = []
    _, records = execute([planned(multiply), planned(decline)], a_ramp(), references(), on_event=seen.append)
    assert seen == [
        StepStarted("multiply", 0, 2),
        StepFinished(records[0], 0, 2),
        StepStarted("decline", 1, 2),
        StepFinished(records[1], 1, 2),
    ]


def test_a_cancelled_run_stops_before_its_next_step() -> None:
    token, finished = CancelToken(), []

    def listen(event: Event) -> None:
        if isinstance(event, StepFinished):
            finished.append(event.record.name)
            token.cancel()

    with pytest.raises(Cancelled):
        execute([planned(multiply), planned(fail)], a_ramp(), references(), on_event=listen, cancel=token)
    assert finished == ["multiply"]


def test_a_run_nobody_cancels_goes_through() -> None:
    _, records = execute([planned(multiply)], a_ramp(), references(), cancel=CancelToken())
    assert len(records) == 1


def test_results_are_saved_of_the_steps_that_ask_for_it() -> None:
    saved: list[tuple[str, float]] = []
    steps = [
        planned(multiply, factor=2),
        planned(multiply, factor=5, save_results=True),
        planned(fail, skip=True, save_results=True),
        planned(multiply, factor=3),
    ]
    execute(
        steps,
        a_ramp(),
        references(),
        save=lambda found, params, product: saved.append((found.name, float(product.data.flat[1]))),
    )
    assert saved == [("multiply", 10.0)]


def test_a_saved_result_tells_the_outcome_of_its_step() -> None:
    outcomes: list[str] = []
    execute(
        [planned(multiply, save_results=True)],
        a_ramp(),
        references(),
        save=lambda found, params, product: outcomes.append(product.metadata.get("cal_step.multiply_status")),
    )
    assert outcomes == ["COMPLETE"]


def test_hooks_run_before_and_after_the_step() -> None:
    ramp = a_ramp()
    before = ramp.data.copy()
    hook = (f"{__name__}:double_again",)
    result, _ = execute([planned(multiply, factor=5, pre_hooks=hook, post_hooks=hook)], ramp, references())
    assert (result.data == 20 * before).all()


def test_hooks_of_a_step_left_out_do_not_run() -> None:
    step = planned(multiply, skip=True, pre_hooks=("no_such_module:f",), post_hooks=("no_such_module:f",))
    _, (record,) = execute([step], a_ramp(), references())
    assert record.status == "SKIPPED"


def test_a_failing_hook_ends_the_run() -> None:
    with pytest.raises(HookError, match="no_such_module"):
        execute([planned(multiply, post_hooks=("no_such_module:f",))], a_ramp(), references())


def test_a_plan_goes_through_the_step_asked_for() -> None:
    steps = [planned(multiply), planned(decline), planned(fail)]
    assert through(steps, "decline") == tuple(steps[:2])
    assert through(steps, None) == tuple(steps)


def test_going_through_an_unknown_step_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownParameter, match="'nope'") as caught:
        through([planned(multiply), planned(decline)], "nope")
    assert caught.value.remedy == "choose one of: multiply, decline"


KNOWN = {function.__name__: definition(function) for function in (multiply, decline, fail)}


def test_a_plan_binds_parameters_in_its_own_order() -> None:
    steps = plan_steps(("decline", "multiply"), KNOWN, lambda known: Parameters(factor=len(known.name)))
    assert [(step.definition.name, step.params) for step in steps] == [
        ("decline", Parameters(factor=7)),
        ("multiply", Parameters(factor=8)),
    ]


def test_a_plan_leaves_out_and_saves_what_is_asked() -> None:
    steps = plan_steps(("multiply", "fail"), KNOWN, lambda _: Parameters(factor=3), skip=("fail",), save_all=True)
    assert [step.params for step in steps] == [
        Parameters(factor=3, save_results=True),
        Parameters(factor=3, save_results=True, skip=True),
    ]


def test_leaving_out_a_step_of_no_plan_is_refused() -> None:
    with pytest.raises(UnknownParameter, match="'fail'") as caught:
        plan_steps(("multiply", "decline"), KNOWN, lambda _: Parameters(), skip=("fail",))
    assert caught.value.remedy == "choose one of: multiply, decline"


def test_references_are_cut_to_the_frame_that_a_step_finds(tmp_path: Path) -> None:
    rows = np.repeat(np.arange(2048, dtype=np.float32), 2048).reshape(2048, 2048)
    gain = write_gain(tmp_path / "full_gain.fits")
    with datamodels.open(str(gain)) as model:
        model.data = rows
        model.save(str(gain))

    def drop_the_first_row(ramp: Ramp, params: Parameters, refs: ReferenceSet) -> Ramp:
        ramp.metadata.set("subarray.ystart", ramp.metadata.get("subarray.ystart") + 1)
        return dataclasses.replace(
            ramp, data=ramp.data[:, :, 1:], groupdq=ramp.groupdq[:, :, 1:], pixeldq=ramp.pixeldq[1:]
        )

    ramp = a_ramp(data=np.ones_like(a_ramp().data))
    crds = references(gain=str(gain))
    crds.target = Subarray.of_exposure(ramp.metadata, ramp.data.shape)
    steps = [planned(multiply_by_gain), planned(drop_the_first_row), planned(multiply_by_gain)]
    result, _ = execute(steps, ramp, crds)
    assert (result.data[0, 0, :, 0] == np.arange(601, 606, dtype=np.float32) ** 2).all()
