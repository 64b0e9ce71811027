"""Between protobuf messages and the worker's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from jwcal.api.stage.v1.stage_pb2 import (
    STEP_OUTCOME_COMPLETE,
    STEP_OUTCOME_SKIPPED,
    STEP_OUTCOME_UNSPECIFIED,
    Failure,
    Processing,
    Result,
    StepReport,
)
from jwcal.core.errors import InvalidParameter, JwcalError
from jwcal.core.storage.convert import ref_to_proto
from jwcal.core.storage.ref import ObjectRef
from jwcal.core.worker.work import InputFile, Made, Step, Work

_OUTCOMES = {"COMPLETE": STEP_OUTCOME_COMPLETE, "SKIPPED": STEP_OUTCOME_SKIPPED}


def work_of(
    processing: Processing,
    inputs: tuple[InputFile, ...],
    output_dir: Path,
    log_file: Path,
    memory_limit: int,
    *,
    overrides: Mapping[str, str],
    about: Mapping[str, str],
) -> Work:
    """A job as the compute process takes it; the lower of both memory limits counts.

    `overrides` are those of the processing as local paths, `about` what its log shall tell in each record.

    Raises
    ------
    InvalidParameter
        The parameters are not {step: {parameter: value}}, or a value is no number that JSON has.
    """
    try:
        parameters = whole_numbers(MessageToDict(processing.parameters))
    except ValueError as error:
        raise InvalidParameter("a parameter is infinite or no number", remedy="give a finite one") from error
    for step, values in parameters.items():
        if not isinstance(values, dict):
            raise InvalidParameter(f"the parameters of {step} are {values!r}", remedy="give {step: {parameter: value}}")
    limits = [limit for limit in (processing.memory_limit, memory_limit) if limit > 0]
    use = processing.use_reference_parameters if processing.HasField("use_reference_parameters") else True
    return Work(
        inputs=inputs,
        output_dir=output_dir,
        log_file=log_file,
        about=dict(about),
        plan=processing.plan,
        parameters=parameters,
        skip=tuple(processing.skip),
        only_through=processing.only_through,
        overrides=dict(overrides),
        context=processing.context,
        use_reference_parameters=use,
        products=tuple(processing.products),
        memory_limit=min(limits, default=0),
    )


def whole_numbers(node: Any) -> Any:
    """Plain values of a Struct, which has floating-point numbers only: whole ones become integers again."""
    if isinstance(node, dict):
        return {name: whole_numbers(value) for name, value in node.items()}
    if isinstance(node, list):
        return [whole_numbers(value) for value in node]
    if isinstance(node, float) and node.is_integer() and abs(node) < 2**53:
        return int(node)
    return node


def step_report(step: Step) -> StepReport:
    """A step that ended."""
    report = StepReport(
        step=step.name,
        outcome=_OUTCOMES.get(step.status, STEP_OUTCOME_UNSPECIFIED),
        reason=step.reason,
        seconds=step.seconds,
        references=step.references,
    )
    ParseDict(step.parameters, report.parameters)
    return report


def result_of(
    made: Made,
    products: Sequence[ObjectRef],
    log: ObjectRef | None,
    code_version: str,
    seconds: Mapping[str, float],
) -> Result:
    """What a job made; `seconds` are those of the phases outside the compute process."""
    return Result(
        products=[ref_to_proto(ref) for ref in products],
        steps=[step_report(step) for step in made.steps],
        plan=made.plan,
        context=made.context,
        code_version=code_version,
        seconds=dict(seconds) | made.seconds,
        peak_memory=made.peak_memory,
        log=None if log is None else ref_to_proto(log),
    )


def failure_of(error: JwcalError) -> Failure:
    """A typed error as it travels."""
    return Failure(reason=error.reason, message=str(error), metadata=error.metadata(), retryable=error.retryable)


def struct_of(values: Any) -> Struct:
    """Plain values as a Struct."""
    return ParseDict(values, Struct())
