"""PipelineService: convert, call, convert."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc

from jwcal.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from jwcal.orchestrator import convert, names
from jwcal.orchestrator.errors import InvalidPageToken, InvalidRequest
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
        watching: RunWatching,
        *,
        changed: Callable[[], None],
        owner: Callable[[Context], str],
    ) -> None:
        self._store = store
        self._submission = submission
        self._watching = watching
        self._changed = changed
        self._owner = owner

    async def CreateRun(
        self, request: pipeline_pb2.CreateRunRequest, context: Context
    ) -> pipeline_pb2.CreateRunResponse:
        run = await self._submission.submit(
            convert.run_spec(request.spec),
            request_id=names.request_id(request.request_id, required=True),
            owner=self._owner(context)[:200],
            trace=_trace(context),
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
                message = pipeline_pb2.WatchRunResponse(cursor=seen.cursor)
                if seen.run is not None:
                    message.run.CopyFrom(convert.run_message(seen.run))
                if seen.job is not None:
                    message.job.CopyFrom(convert.job_message(seen.job))
                yield message

    async def GetJob(self, request: pipeline_pb2.GetJobRequest, context: Context) -> pipeline_pb2.GetJobResponse:
        job = await self._store.get_job(names.job_id(request.name))
        return pipeline_pb2.GetJobResponse(job=convert.job_message(job))

    async def ListJobs(self, request: pipeline_pb2.ListJobsRequest, context: Context) -> pipeline_pb2.ListJobsResponse:
        run, size = names.run_id(request.run), names.page_size(request.page_size)
        # The token says behind how many jobs of the run to go on; pages that would be too large are cut.
        after = _place(names.read_page_token("jobs", request.page_token))
        jobs, more = await self._store.list_jobs(run, limit=size, after=after, states=convert.states(request.states))
        answer = pipeline_pb2.ListJobsResponse()
        bytes_so_far = 0
        for job in jobs:
            message = convert.job_message(job)
            bytes_so_far += message.ByteSize()
            if answer.jobs and bytes_so_far > _LARGE_PAGE:
                more = jobs[len(answer.jobs) - 1].place
                break
            answer.jobs.append(message)
        if more is not None:
            answer.next_page_token = names.page_token("jobs", str(more))
        return answer


def _place(token: str | None) -> int:
    if token is None:
        return -1
    if not token.isascii() or not token.isdigit() or len(token) > 9:
        raise InvalidPageToken("the page token is not one of ours")
    return int(token)


def _trace(context: Context) -> Mapping[str, str]:
    metadata = context.invocation_metadata() or ()
    return {key: value[:500] for key, value in metadata if key in _TRACE and isinstance(value, str)}
