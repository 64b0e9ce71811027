"""Direct use of a stage: its plans and steps, and processing without the queue."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Collection
from types import ModuleType
from typing import Any

from jwcal.api.stage.v1.stage_pb2 import PlanDescription, Progress, Result, StepDescription, StepReport
from jwcal.core.errors import Busy, InvalidKey, InvalidParameter, JwcalError
from jwcal.core.step import StepDefinition
from jwcal.core.storage.convert import location_from_proto, ref_from_proto
from jwcal.core.storage.ref import ObjectRef
from jwcal.core.worker.attempt import Attempt, Order, Workshop
from jwcal.core.worker.transfer import NOT_APPLICABLE
from jwcal.core.worker.work import Plan, Stage


class StageServicer:
    """Answers for one stage; the services of all stages have the same methods.

    `messages` is the stage's module of generated messages.  The workshop is one of its own, so that direct use and
    queued jobs do not wait for each other; a second direct call is refused while one runs.
    """

    def __init__(self, stage: Stage, messages: ModuleType, *, workshop: Workshop, buckets: Collection[str]) -> None:
        self._stage, self._messages = stage, messages
        self._workshop, self._buckets = workshop, frozenset(buckets)
        self._busy = asyncio.Lock()

    async def ListSteps(self, request: Any, context: Any) -> Any:  # noqa: N802  the name is gRPC's
        """The plans of the stage."""
        del context
        plans = self._stage.plans()
        if request.plan:
            plans = tuple(plan for plan in plans if plan.name == request.plan)
            if not plans:
                known = ", ".join(plan.name for plan in self._stage.plans())
                raise InvalidParameter(f"there is no plan {request.plan!r}", remedy=f"choose one of: {known}")
        return self._messages.ListStepsResponse(plans=[_describe(plan) for plan in plans])

    async def Process(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802  the name is gRPC's
        """Process inputs, telling the course."""
        del context
        order = self._order(request)
        if self._busy.locked():
            raise Busy("another call is being processed", remedy="try again later, or submit a run")
        async with self._busy, self._workshop.attempt(order.log_name.removesuffix(".log"), order) as attempt:
            course = _Course(self._messages.ProcessResponse)
            working = asyncio.create_task(_made(attempt, course))
            try:
                while (event := await course.happened.get()) is not None:
                    yield event
                yield self._messages.ProcessResponse(result=await working)
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

    def _order(self, request: Any) -> Order:
        """What is asked for, if it may be."""
        inputs = tuple(ref_from_proto(message) for message in request.inputs)
        if not inputs:
            raise InvalidParameter("there is no input", remedy="name at least one")
        output = location_from_proto(request.output)
        overrides = (uri for uri in request.processing.overrides.values() if uri != NOT_APPLICABLE)
        for ref in (*inputs, *map(ObjectRef.from_uri, overrides)):
            self._check_bucket(ref.bucket, ref.uri)
        self._check_bucket(output.bucket, output.uri)
        log_name = f"direct-{uuid.uuid4()}.log"
        return Order(inputs=inputs, processing=request.processing, output=output, log_name=log_name)

    def _check_bucket(self, bucket: str, uri: str) -> None:
        if bucket not in self._buckets:
            raise InvalidKey(f"{uri} is outside of the allowed buckets", bucket=bucket)


class _Course:
    """What a call shall tell, in a queue that ends with None."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.happened: asyncio.Queue[Any] = asyncio.Queue()

    def progress(self, progress: Progress) -> None:
        self.happened.put_nowait(self._response(progress=progress))

    def step(self, report: StepReport) -> None:
        self.happened.put_nowait(self._response(step=report))


async def _made(attempt: Attempt, course: _Course) -> Result:
    """Do it; where it fails, the error tells where its log is."""
    try:
        return await attempt.make(course)
    except JwcalError as error:
        log = await attempt.publish_log()
        if log is not None:
            error.details["log"] = log.uri
        raise
    finally:
        course.happened.put_nowait(None)


def _describe(plan: Plan) -> PlanDescription:
    return PlanDescription(
        plan=plan.name, official=plan.official, steps=[_describe_step(definition) for definition in plan.steps]
    )


def _describe_step(definition: StepDefinition) -> StepDescription:
    return StepDescription(
        step=definition.name,
        official=definition.official,
        description=(definition.function.__doc__ or "").strip(),
        references=[reference.reftype for reference in definition.references],
        parameters_schema=json.dumps(definition.params.model_json_schema()),
    )
