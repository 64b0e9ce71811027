"""Protobuf to domain and back, without any decision."""

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.queue.v1 import queue_pb2
from jwcal.api.stage.v1 import stage_pb2
from jwcal.core.errors import InvalidRequest
from jwcal.core.storage.convert import location_from_proto, location_to_proto, ref_from_proto, ref_to_proto
from jwcal.orchestrator.model import (
    Association,
    Failure,
    Job,
    Lease,
    Processing,
    Progress,
    Result,
    Run,
    RunSpec,
    Stage,
    StageStats,
    State,
    StepReport,
    Worker,
)

_STAGES = {
    stage_pb2.STAGE_DETECTOR1: Stage.DETECTOR1,
    stage_pb2.STAGE_STAGE2: Stage.STAGE2,
    stage_pb2.STAGE_STAGE3: Stage.STAGE3,
}
_STAGE_NUMBERS = {stage: number for number, stage in _STAGES.items()}
_STATES = {number: State(name.removeprefix("STATE_")) for name, number in pipeline_pb2.State.items() if number}
_STATE_NUMBERS = {state: number for number, state in _STATES.items()}
_LATEST = 4_102_444_800.0  # the year 2100
_OUTCOMES = {number: name.removeprefix("STEP_OUTCOME_") for name, number in stage_pb2.StepOutcome.items()}
_OUTCOME_NUMBERS = {name: number for number, name in _OUTCOMES.items()}


def optional_stage(number: int) -> Stage | None:
    """The stage, or None where none is told."""
    return _STAGES.get(stage_pb2.Stage.ValueType(number))


def stage(number: int) -> Stage:
    """The stage; `InvalidRequest` where it is not one."""
    found = optional_stage(number)
    if found is None:
        raise InvalidRequest("there is no such stage", stage=number)
    return found


def states(numbers: Any) -> tuple[State, ...]:
    """States; `InvalidRequest` where one is not one."""
    if unknown := [number for number in numbers if number not in _STATES]:
        raise InvalidRequest("there is no such state", state=unknown[0])
    return tuple(_STATES[number] for number in numbers)


def processing(message: stage_pb2.Processing) -> Processing:
    return Processing(
        plan=message.plan,
        parameters=_mapping(message.parameters),
        skip=tuple(message.skip),
        only_through=message.only_through,
        overrides=dict(message.overrides),
        context=message.context,
        use_reference_parameters=message.use_reference_parameters
        if message.HasField("use_reference_parameters")
        else True,
        products=tuple(message.products),
        memory_limit=message.memory_limit,
        required_memory=message.required_memory,
    )


def processing_message(asked: Processing) -> stage_pb2.Processing:
    return stage_pb2.Processing(
        plan=asked.plan,
        parameters=_struct(asked.parameters),
        skip=asked.skip,
        only_through=asked.only_through,
        overrides=asked.overrides,
        context=asked.context,
        use_reference_parameters=asked.use_reference_parameters,
        products=asked.products,
        memory_limit=asked.memory_limit,
        required_memory=asked.required_memory,
    )


def run_spec(message: pipeline_pb2.RunSpec) -> RunSpec:
    association = None
    if message.HasField("association"):
        given = message.association
        association = Association(
            text=given.json if given.HasField("json") else None,
            object=ref_from_proto(given.object) if given.HasField("object") else None,
            members=location_from_proto(given.members) if given.HasField("members") else None,
        )
    return RunSpec(
        association=association,
        exposures=tuple(ref_from_proto(file) for file in message.exposures.files),
        products=tuple(message.products),
        output=location_from_proto(message.output) if message.HasField("output") else None,
        processing={name: processing(asked) for name, asked in message.processing.items()},
        context=message.context,
        build=message.build,
        priority=message.priority,
        program=message.program,
        labels=dict(message.labels),
        max_attempts=message.max_attempts,
        ignore_earlier_results=message.ignore_earlier_results,
    )


def run_spec_message(spec: RunSpec) -> pipeline_pb2.RunSpec:
    message = pipeline_pb2.RunSpec(
        products=spec.products,
        output=None if spec.output is None else location_to_proto(spec.output),
        processing={name: processing_message(asked) for name, asked in spec.processing.items()},
        context=spec.context,
        build=spec.build,
        priority=spec.priority,
        program=spec.program,
        labels=spec.labels,
        max_attempts=spec.max_attempts,
        ignore_earlier_results=spec.ignore_earlier_results,
    )
    if spec.association is not None:
        given = spec.association
        message.association.SetInParent()
        if given.text is not None:
            message.association.json = given.text
        if given.object is not None:
            message.association.object.CopyFrom(ref_to_proto(given.object))
        if given.members is not None:
            message.association.members.CopyFrom(location_to_proto(given.members))
    elif spec.exposures:
        message.exposures.files.extend(ref_to_proto(file) for file in spec.exposures)
    return message


def run_message(run: Run) -> pipeline_pb2.Run:
    return pipeline_pb2.Run(
        name=f"runs/{run.id}",
        spec=run_spec_message(run.spec),
        state=_STATE_NUMBERS[run.state],
        create_time=timestamp(run.create_time),
        start_time=timestamp(run.start_time),
        end_time=timestamp(run.end_time),
        jobs={f"STATE_{state.value}": count for state, count in run.jobs.items()},
        products=[ref_to_proto(product) for product in run.products],
        failure=None if run.failure is None else failure_message(run.failure),
        context=run.context,
        owner=run.owner,
        fraction=run.fraction,
    )


def job_message(job: Job) -> pipeline_pb2.Job:
    return pipeline_pb2.Job(
        name=f"jobs/{job.id}",
        run=f"runs/{job.run}",
        stage=_STAGE_NUMBERS[job.stage],
        title=job.title,
        state=_STATE_NUMBERS[job.state],
        inputs=[ref_to_proto(reference) for reference in job.inputs],
        parents=[f"jobs/{parent}" for parent in job.parents],
        processing=processing_message(job.processing),
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        worker=job.worker,
        progress=None if job.progress is None else progress_message(job.progress),
        result=None if job.result is None else result_message(job.result),
        failure=None if job.failure is None else failure_message(job.failure),
        reused=job.reused,
        create_time=timestamp(job.create_time),
        start_time=timestamp(job.start_time),
        end_time=timestamp(job.end_time),
        not_before=timestamp(job.not_before),
        log=None if job.log is None else ref_to_proto(job.log),
    )


def lease_message(lease: Lease, *, duration: float, heartbeat: float) -> queue_pb2.Lease:
    message = queue_pb2.Lease(
        job=job_message(lease.job),
        token=lease.token,
        expire_time=timestamp(lease.expire_time),
        inputs=[ref_to_proto(reference) for reference in lease.inputs],
        output=location_to_proto(lease.output),
        trace=lease.trace,
    )
    message.duration.FromNanoseconds(round(duration * 1e9))
    message.heartbeat.FromNanoseconds(round(heartbeat * 1e9))
    return message


def progress(message: stage_pb2.Progress) -> Progress:
    fraction = message.fraction if math.isfinite(message.fraction) else 0.0
    return Progress(
        phase=message.phase,
        fraction=min(max(fraction, 0.0), 1.0),
        steps_done=message.steps_done,
        steps_total=message.steps_total,
    )


def progress_message(told: Progress) -> stage_pb2.Progress:
    return stage_pb2.Progress(
        phase=told.phase, fraction=told.fraction, steps_done=told.steps_done, steps_total=told.steps_total
    )


def step(message: stage_pb2.StepReport) -> StepReport:
    return StepReport(
        step=message.step,
        outcome=_OUTCOMES.get(message.outcome, "UNSPECIFIED"),
        reason=message.reason,
        seconds=_finite(message.seconds),
        references=dict(message.references),
        parameters=_mapping(message.parameters),
        end_time=seconds(message.end_time) if message.HasField("end_time") else None,
    )


def step_message(report: StepReport) -> stage_pb2.StepReport:
    return stage_pb2.StepReport(
        step=report.step,
        outcome=_OUTCOME_NUMBERS[report.outcome],
        reason=report.reason,
        seconds=report.seconds,
        references=report.references,
        parameters=_struct(report.parameters),
        end_time=timestamp(report.end_time),
    )


def result(message: stage_pb2.Result) -> Result:
    return Result(
        products=tuple(ref_from_proto(product) for product in message.products),
        steps=tuple(step(report) for report in message.steps),
        plan=message.plan,
        context=message.context,
        code_version=message.code_version,
        seconds={phase: _finite(spent) for phase, spent in message.seconds.items()},
        peak_memory=message.peak_memory,
        log=ref_from_proto(message.log) if message.HasField("log") else None,
    )


def result_message(made: Result) -> stage_pb2.Result:
    return stage_pb2.Result(
        products=[ref_to_proto(product) for product in made.products],
        steps=[step_message(report) for report in made.steps],
        plan=made.plan,
        context=made.context,
        code_version=made.code_version,
        seconds=made.seconds,
        peak_memory=made.peak_memory,
        log=None if made.log is None else ref_to_proto(made.log),
    )


def failure(message: stage_pb2.Failure) -> Failure:
    return Failure(
        reason=message.reason or "UNKNOWN",
        message=message.message,
        metadata=dict(message.metadata),
        retryable=message.retryable,
    )


def failure_message(why: Failure) -> stage_pb2.Failure:
    return stage_pb2.Failure(reason=why.reason, message=why.message, metadata=why.metadata, retryable=why.retryable)


def worker_message(worker: Worker) -> queue_pb2.Worker:
    return queue_pb2.Worker(
        name=worker.name,
        stage=_STAGE_NUMBERS[worker.stage],
        code_version=worker.code_version,
        job=f"jobs/{worker.job}" if worker.job else "",
        start_time=timestamp(worker.first_seen),
        last_seen_time=timestamp(worker.last_seen),
        draining=worker.draining,
        completed=worker.completed,
        failed=worker.failed,
    )


def stats_message(stats: StageStats) -> queue_pb2.StageStats:
    message = queue_pb2.StageStats(
        stage=_STAGE_NUMBERS[stats.stage],
        waiting=stats.waiting,
        queued=stats.queued,
        delayed=stats.delayed,
        running=stats.running,
        workers=stats.workers,
        idle_workers=stats.idle_workers,
    )
    if stats.oldest is not None:
        message.oldest.FromNanoseconds(round(stats.oldest * 1e9))
    if stats.mean_duration is not None:
        message.mean_duration.FromNanoseconds(round(stats.mean_duration * 1e9))
    return message


def timestamp(moment: float | None) -> Timestamp | None:
    """The moment, to the microsecond."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromMicroseconds(round(moment * 1e6))
    return message


def seconds(message: Timestamp) -> float | None:
    """Seconds of the epoch; None for what is no time of this age."""
    moment = message.seconds + message.nanos * 1e-9
    return moment if 0 <= moment < _LATEST else None


def _mapping(message: Struct) -> Mapping[str, Any]:
    try:
        content: dict[str, Any] = json_format.MessageToDict(message)
    except (json_format.Error, ValueError, RecursionError) as error:  # not finite, a value without a kind
        raise InvalidRequest(f"the parameters cannot be read: {error}") from error
    return _whole(content)  # type: ignore[no-any-return]


def _whole(value: Any) -> Any:
    """Protobuf knows only floats; whole ones are integers again, as JSON has them."""
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _struct(content: Mapping[str, Any]) -> Struct:
    message = Struct()
    message.update(dict(content))
    return message


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
