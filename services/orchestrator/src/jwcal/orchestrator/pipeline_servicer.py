"""PipelineService: convert, call, convert."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import grpc

from jwcal.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from jwcal.core.errors import InvalidRequest
from jwcal.core.rpc.principal import Principal
from jwcal.orchestrator import convert, names
from jwcal.orchestrator.errors import InvalidPageToken, OtherProgram
from jwcal.orchestrator.model import Job, RunSpec
from jwcal.orchestrator.store.port import JobStore
from jwcal.orchestrator.submission import Submission, check_text
from jwcal.orchestrator.watching import RunWatching

Context = grpc.aio.ServicerContext[Any, Any]
_TRACE = frozenset({"traceparent", "tracestate"})
_LARGE_PAGE = 700_000  # bytes: answers stay below the limit of 1 MiB


class PipelineServicer(pipeline_pb2_grpc.PipelineServiceServicer):
    """Runs and their jobs."""

    def __init__(
        self,
        store: JobStore,
        submission: Submission,
        watching: RunWatching[pipeline_pb2.Run | pipeline_pb2.Job],
        *,
        changed: Callable[[], None],
        principal: Callable[[], Principal],
        trace: Callable[[Context], Mapping[str, str]],
    ) -> None:
        self._store = store
        self._submission = submission
        self._watching = watching
        self._changed = changed
        self._principal = principal
        self._trace = trace

    async def CreateRun(
        self, request: pipeline_pb2.CreateRunRequest, context: Context
    ) -> pipeline_pb2.CreateRunResponse:
        principal = self._principal()
        run = await self._submission.submit(
            _counted_to(principal, convert.run_spec(request.spec)),
            request_id=names.request_id(request.request_id, required=True),
            owner=principal.name[:200],
            trace=self._trace(context),
        )
        self._changed()
        return pipeline_pb2.CreateRunResponse(run=convert.run_message(run))

    async def GetRun(self, request: pipeline_pb2.GetRunRequest, context: Context) -> pipeline_pb2.GetRunResponse:
        run = await self._store.get_run(names.run_id(request.name))
        return pipeline_pb2.GetRunResponse(run=convert.run_message(run))

    async def ListRuns(self, request: pipeline_pb2.ListRunsRequest, context: Context) -> pipeline_pb2.ListRunsResponse:
        size = names.page_size(request.page_size)
        for text in (request.program, *request.labels, *request.labels.values()):
            check_text(text, "a filter", most=1000)
        runs = await self._store.list_runs(
            limit=size,
            before=names.read_page_token("runs", request.page_token),
            states=convert.states(request.states),
            program=request.program,
            labels=dict(request.labels),
        )
        answer = pipeline_pb2.ListRunsResponse()
        bytes_so_far = 0
        for run in runs:
            message = convert.run_message(run)
            bytes_so_far += message.ByteSize()
            if answer.runs and bytes_so_far > _LARGE_PAGE:
                answer.next_page_token = names.page_token("runs", answer.runs[-1].name.partition("/")[2])
                return answer
            answer.runs.append(message)
        if len(runs) == size:
            answer.next_page_token = names.page_token("runs", runs[-1].id)
        return answer

    async def CancelRun(
        self, request: pipeline_pb2.CancelRunRequest, context: Context
    ) -> pipeline_pb2.CancelRunResponse:
        run = await self._store.cancel_run(names.run_id(request.name))
        self._changed()
        return pipeline_pb2.CancelRunResponse(run=convert.run_message(run))

    async def RetryRun(self, request: pipeline_pb2.RetryRunRequest, context: Context) -> pipeline_pb2.RetryRunResponse:
        run = await self._store.retry_run(names.run_id(request.name))
        self._changed()
        return pipeline_pb2.RetryRunResponse(run=convert.run_message(run))

    async def DeleteRun(
        self, request: pipeline_pb2.DeleteRunRequest, context: Context
    ) -> pipeline_pb2.DeleteRunResponse:
        await self._store.delete_run(names.run_id(request.name))
        self._changed()
        return pipeline_pb2.DeleteRunResponse()

    async def WatchRun(
        self, request: pipeline_pb2.WatchRunRequest, context: Context
    ) -> AsyncIterator[pipeline_pb2.WatchRunResponse]:
        if request.cursor < 0:
            raise InvalidRequest("the cursor is negative", cursor=request.cursor)
        watch = self._watching.watch(names.run_id(request.name), request.cursor)
        async with contextlib.aclosing(watch) as changes:
            async for seen in changes:
                if isinstance(seen.message, pipeline_pb2.Run):
                    yield pipeline_pb2.WatchRunResponse(cursor=seen.cursor, run=seen.message)
                else:
                    yield pipeline_pb2.WatchRunResponse(cursor=seen.cursor, job=seen.message)

    async def GetJob(self, request: pipeline_pb2.GetJobRequest, context: Context) -> pipeline_pb2.GetJobResponse:
        job = await self._store.get_job(names.job_id(request.name))
        return pipeline_pb2.GetJobResponse(job=convert.job_message(job))

    async def ListJobs(self, request: pipeline_pb2.ListJobsRequest, context: Context) -> pipeline_pb2.ListJobsResponse:
        size, states = names.page_size(request.page_size), convert.states(request.states)
        if request.run == names.ALL_RUNS:
            last = names.read_page_token("all-jobs", request.page_token) or ""
            jobs = await self._store.list_all_jobs(limit=size, after=last, states=states)
            answer, cut = _page(jobs)
            if cut or len(jobs) == size:
                answer.next_page_token = names.page_token("all-jobs", jobs[len(answer.jobs) - 1].id)
            return answer
        # The token says behind how many jobs of the run to go on.
        after = _place(names.read_page_token("jobs", request.page_token))
        jobs, more = await self._store.list_jobs(names.run_id(request.run), limit=size, after=after, states=states)
        answer, cut = _page(jobs)
        if cut:
            more = jobs[len(answer.jobs) - 1].place
        if more is not None:
            answer.next_page_token = names.page_token("jobs", str(more))
        return answer


def _page(jobs: Sequence[Job]) -> tuple[pipeline_pb2.ListJobsResponse, bool]:
    """As many of the jobs as one answer takes, and whether that is not all of them."""
    answer = pipeline_pb2.ListJobsResponse()
    bytes_so_far = 0
    for job in jobs:
        message = convert.job_message(job)
        bytes_so_far += message.ByteSize()
        if answer.jobs and bytes_so_far > _LARGE_PAGE:
            return answer, True
        answer.jobs.append(message)
    return answer, False


def _counted_to(principal: Principal, spec: RunSpec) -> RunSpec:
    """The specification with the program that the caller's work is counted to."""
    if principal.program is None:
        return spec
    if spec.program not in ("", principal.program):
        raise OtherProgram(
            f"{principal.name} may submit for program {principal.program} alone",
            principal=principal.name,
            program=spec.program[:100],
        )
    return dataclasses.replace(spec, program=principal.program)


def _place(token: str | None) -> int:
    if token is None:
        return -1
    if not token.isascii() or not token.isdigit() or len(token) > 9:
        raise InvalidPageToken("the page token is not one of ours")
    return int(token)


def caller_trace(context: Context) -> Mapping[str, str]:
    """The trace context that the caller sent: W3C headers."""
    metadata = context.invocation_metadata() or ()
    return {key: value[:500] for key, value in metadata if key in _TRACE and isinstance(value, str)}
