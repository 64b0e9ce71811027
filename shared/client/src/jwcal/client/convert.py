"""Protobuf to the client's own types and back."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.queue.v1 import queue_pb2
from jwcal.api.stage.v1 import stage_pb2
from jwcal.client.model import (
    Change,
    Failure,
    Job,
    JobChanged,
    Processing,
    Progress,
    QueueStats,
    Run,
    RunChanged,
    Stage,
    State,
    Step,
    Worker,
)
from jwcal.core.errors import InvalidParameter
from jwcal.core.storage.convert import ref_from_proto

_BEGINNING = datetime.fromtimestamp(0, UTC)


def stage_number(stage: Stage | None) -> stage_pb2.Stage.ValueType:
    """A stage as messages have it."""
    return stage_pb2.STAGE_UNSPECIFIED if stage is None else stage_pb2.Stage.Value(f"STAGE_{stage.name}")


def state_numbers(states: Sequence[State]) -> list[pipeline_pb2.State.ValueType]:
    """States as messages have them."""
    return [pipeline_pb2.State.Value(f"STATE_{state.value}") for state in states]


def processing_message(asked: Processing) -> stage_pb2.Processing:
    """What is asked of a stage.

    Raises
    ------
    InvalidParameter
        For values that JSON cannot hold.
    """
    return stage_pb2.Processing(
        plan=asked.plan,
        parameters=_struct(asked.parameters),
        skip=asked.skip,
        only_through=asked.only_through,
        overrides=asked.overrides,
        use_reference_parameters=asked.use_reference_parameters,
        memory_limit=asked.memory_limit,
    )


def run_from(message: pipeline_pb2.Run) -> Run:
    """A run."""
    return Run(
        name=message.name,
        state=_state(message.state),
        products_asked=tuple(message.spec.products),
        priority=message.spec.priority,
        program=message.spec.program,
        labels=dict(message.spec.labels),
        context=message.context,
        owner=message.owner,
        created=_time(message, "create_time") or _BEGINNING,
        started=_time(message, "start_time"),
        ended=_time(message, "end_time"),
        jobs={State(name.removeprefix("STATE_")): count for name, count in sorted(message.jobs.items())},
        fraction=message.fraction,
        products=tuple(map(ref_from_proto, message.products)),
        failure=_failure(message),
    )


def job_from(message: pipeline_pb2.Job) -> Job:
    """A job."""
    result = message.result
    return Job(
        name=message.name,
        run=message.run,
        stage=_stage(message.stage),
        title=message.title,
        state=_state(message.state),
        inputs=tuple(map(ref_from_proto, message.inputs)),
        parents=tuple(message.parents),
        attempt=message.attempt,
        max_attempts=message.max_attempts,
        worker=message.worker,
        progress=Progress(
            phase=message.progress.phase,
            fraction=message.progress.fraction,
            steps_done=message.progress.steps_done,
            steps_total=message.progress.steps_total,
        ),
        plan=result.plan or message.processing.plan,
        context=result.context or message.processing.context,
        steps=tuple(map(_step, result.steps)),
        products=tuple(map(ref_from_proto, result.products)),
        log=ref_from_proto(result.log) if result.HasField("log") else None,
        seconds=dict(result.seconds),
        peak_memory=result.peak_memory,
        failure=_failure(message),
        reused=message.reused,
        created=_time(message, "create_time") or _BEGINNING,
        started=_time(message, "start_time"),
        ended=_time(message, "end_time"),
        not_before=_time(message, "not_before"),
    )


def change_from(message: pipeline_pb2.WatchRunResponse) -> Change | None:
    """What a watcher is told; None for a kind of change that this version does not know."""
    match message.WhichOneof("change"):
        case "run":
            return RunChanged(cursor=message.cursor, run=run_from(message.run))
        case "job":
            return JobChanged(cursor=message.cursor, job=job_from(message.job))
        case _:
            return None


def stats_from(message: queue_pb2.StageStats) -> QueueStats:
    """A stage's queue."""
    return QueueStats(
        stage=_stage(message.stage),
        waiting=message.waiting,
        queued=message.queued,
        delayed=message.delayed,
        running=message.running,
        oldest_seconds=_seconds(message, "oldest"),
        mean_seconds=_seconds(message, "mean_duration"),
        workers=message.workers,
        idle_workers=message.idle_workers,
    )


def worker_from(message: queue_pb2.Worker) -> Worker:
    """A worker."""
    return Worker(
        name=message.name,
        stage=_stage(message.stage),
        code_version=message.code_version,
        job=message.job,
        started=_time(message, "start_time"),
        last_seen=_time(message, "last_seen_time"),
        draining=message.draining,
        completed=message.completed,
        failed=message.failed,
    )


def _step(message: stage_pb2.StepReport) -> Step:
    return Step(
        name=message.step,
        outcome=stage_pb2.StepOutcome.Name(message.outcome).removeprefix("STEP_OUTCOME_"),
        reason=message.reason,
        seconds=message.seconds,
        references=dict(message.references),
        parameters=MessageToDict(message.parameters),
    )


def _stage(number: int) -> Stage:
    return Stage(stage_pb2.Stage.Name(number).removeprefix("STAGE_").lower())  # type: ignore[arg-type]  # any int


def _state(number: int) -> State:
    return State(pipeline_pb2.State.Name(number).removeprefix("STATE_"))  # type: ignore[arg-type]  # any int


def _failure(message: pipeline_pb2.Run | pipeline_pb2.Job) -> Failure | None:
    if not message.HasField("failure"):
        return None
    told = message.failure
    return Failure(reason=told.reason, message=told.message, metadata=dict(told.metadata), retryable=told.retryable)


def _time(message: Message, field: str) -> datetime | None:
    moment: Timestamp = getattr(message, field)
    return moment.ToDatetime(UTC) if message.HasField(field) else None


def _seconds(message: Message, field: str) -> float | None:
    duration: Duration = getattr(message, field)
    return duration.ToNanoseconds() / 1e9 if message.HasField(field) else None


def _struct(values: Mapping[str, Any]) -> Struct:
    try:
        return ParseDict(_plain(values), Struct())
    except (ParseError, ValueError) as error:
        raise InvalidParameter(
            f"the parameters cannot be sent: {error}", remedy="give numbers, texts, truth values, lists of them"
        ) from error


def _plain(node: Any) -> Any:
    """As JSON has it; paths and the like become text."""
    if isinstance(node, Mapping):
        return {str(name): _plain(value) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, float) and not math.isfinite(node):
        raise ValueError(f"{node} is no number of JSON")
    return node if node is None or isinstance(node, bool | int | float | str) else str(node)
