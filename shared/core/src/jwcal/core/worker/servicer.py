"""Direct use of a stage: its plans and steps, and processing without the queue."""

import asyncio
import json
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

from jwcal.api.stage.v1.stage_pb2 import PlanDescription, Progress, StepDescription
from jwcal.core.errors import Busy, InvalidParameter
from jwcal.core.step import StepDefinition
from jwcal.core.storage.convert import location_from_proto, ref_from_proto
from jwcal.core.storage.port import ObjectStore
from jwcal.core.worker.compute import ComputeProcess
from jwcal.core.worker.convert import result_of, step_report, work_of
from jwcal.core.worker.references import WorkReferences
from jwcal.core.worker.transfer import fetch, publish, publish_log
from jwcal.core.worker.work import Plan, Progressing, Stage, Step


class StageServicer:
    """Answers for one stage; the services of all stages have the same methods.

    `messages` is the stage's module of generated messages.  The compute process is one of its own, so that direct use
    and queued jobs do not wait for each other; a second direct call is refused while one runs.
    """

    def __init__(
        self,
        stage: Stage,
        messages: ModuleType,
        *,
        compute: ComputeProcess,
        store: ObjectStore,
        references: WorkReferences,
        scratch: Path,
        code_version: str,
        memory_limit: int = 0,
    ) -> None:
        self._stage, self._messages = stage, messages
        self._compute, self._store, self._references, self._scratch = compute, store, references, scratch
        self._code_version, self._memory_limit = code_version, memory_limit
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
        inputs = tuple(ref_from_proto(message) for message in request.inputs)
        if not inputs:
            raise InvalidParameter("there is no input", remedy="name at least one")
        output = location_from_proto(request.output)
        if self._busy.locked():
            raise Busy("another call is being processed", remedy="try again later, or submit a run")
        async with self._busy:
            place = self._scratch / f"direct-{uuid.uuid4()}"
            happened: asyncio.Queue[Any] = asyncio.Queue()
            working = asyncio.create_task(self._made(inputs, output, request.processing, place, happened))
            try:
                while True:
                    event = await happened.get()
                    if event is None:
                        break
                    yield event
                yield self._messages.ProcessResponse(result=await working)
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
                await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)

    async def _made(
        self, inputs: Any, output: Any, processing: Any, place: Path, happened: "asyncio.Queue[Any]"
    ) -> Any:
        """Fetch, compute, store; puts what happens into the queue, and None at the end."""
        response = self._messages.ProcessResponse

        def tell(event: Progressing) -> None:
            if isinstance(event, Step):
                happened.put_nowait(response(step=step_report(event)))
            else:
                share = event.steps_done / event.steps_total if event.steps_total else 0.0
                happened.put_nowait(
                    response(
                        progress=Progress(
                            phase=event.name,
                            fraction=share,
                            steps_done=event.steps_done,
                            steps_total=event.steps_total,
                        )
                    )
                )

        try:
            (place / "out").mkdir(parents=True)
            happened.put_nowait(response(progress=Progress(phase="fetch")))
            files = await fetch(self._store, inputs, place)
            work = work_of(processing, files, place / "out", place / "job.log", self._memory_limit)
            happened.put_nowait(response(progress=Progress(phase="references")))
            async with self._references.prepared(work) as prepared:
                made = await self._compute.run(prepared, tell)
            happened.put_nowait(response(progress=Progress(phase="store", fraction=1.0)))
            refs = await publish(self._store, made.products, output)
            log = await publish_log(self._store, place / "job.log", output)
            return result_of(made, refs, log, self._code_version)
        finally:
            happened.put_nowait(None)


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
