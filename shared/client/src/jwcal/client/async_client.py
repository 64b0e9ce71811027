"""The asynchronous client."""

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict

from jwcal.api.pipeline.v1 import pipeline_pb2 as pipeline
from jwcal.api.pipeline.v1.pipeline_pb2_grpc import PipelineServiceStub
from jwcal.api.queue.v1 import queue_pb2 as queue
from jwcal.api.queue.v1.queue_pb2_grpc import QueueServiceStub
from jwcal.client import convert
from jwcal.client.answers import answered
from jwcal.client.connection import Connection
from jwcal.client.downloading import download
from jwcal.client.first_failure import first_failure
from jwcal.client.model import Change, Job, Processing, QueueStats, Run, Stage, State, Worker
from jwcal.client.references import AsyncReferences
from jwcal.client.uploading import Source, Uploading
from jwcal.client.watching import watch
from jwcal.core.errors import InvalidParameter, NotFound
from jwcal.core.rpc.channel import open_channel
from jwcal.core.storage.convert import location_to_proto
from jwcal.core.storage.opening import open_store
from jwcal.core.storage.port import BytesListener, ObjectStore
from jwcal.core.storage.ref import Location, ObjectRef

WATCH_PATIENCE = 300.0
"""Seconds for which a watcher waits for a service that is away."""


class SubmitOptions(TypedDict, total=False):
    """What `AsyncClient.submit` takes beside its inputs."""

    products: Sequence[str]
    parameters: Mapping[str, Mapping[str, Any]] | None
    skip: Sequence[str]
    processing: Mapping[Stage, Processing] | None
    context: str
    build: str
    priority: int
    program: str
    labels: Mapping[str, str] | None
    max_attempts: int
    ignore_earlier_results: bool
    output: Location | None
    request_id: str | None
    on_bytes: BytesListener | None


def new_request_id() -> str:
    """A name for a request, so that repeating it does not repeat what it does."""
    return str(uuid.uuid4())


class AsyncClient:
    """Submits runs, follows them, fetches what they made.

    Every call has a deadline, and is tried again only where the service is UNAVAILABLE.  Errors are
    `jwcal.core.errors.JwcalError`.  Use as an asynchronous context, or close it.
    """

    def __init__(
        self,
        connection: Connection | None = None,
        *,
        new_id: Callable[[], str] = new_request_id,
        watch_patience: float = WATCH_PATIENCE,
        page_size: int = 500,
    ) -> None:
        self.connection = connection or Connection.find()
        self._new_id = new_id
        self._watch_patience = watch_patience
        self._page_size = page_size
        self._channel = open_channel(self.connection.server, self.connection.client)
        self._pipeline: Any = PipelineServiceStub(self._channel)
        self._queue: Any = QueueServiceStub(self._channel)
        self._references_channel = (
            open_channel(self.connection.references, self.connection.client) if self.connection.references else None
        )
        self._store = open_store(self.connection.store) if self.connection.store is not None else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of connections and threads."""
        await self._channel.close()
        if self._references_channel is not None:
            await self._references_channel.close()
        if self._store is not None:
            await self._store.close()

    @property
    def references(self) -> AsyncReferences:
        """The service of references.

        Raises
        ------
        InvalidParameter
            Its address is not known.
        """
        if self._references_channel is None:
            raise InvalidParameter("no service of references is known", remedy="set JWCAL_REFERENCES to its address")
        return AsyncReferences(self._references_channel, self.connection.references, page_size=self._page_size)

    async def submit(
        self,
        inputs: Source | Sequence[Source],
        *,
        products: Sequence[str] = (),
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        skip: Sequence[str] = (),
        processing: Mapping[Stage, Processing] | None = None,
        context: str = "",
        build: str = "",
        priority: int = 0,
        program: str = "",
        labels: Mapping[str, str] | None = None,
        max_attempts: int = 0,
        ignore_earlier_results: bool = False,
        output: Location | None = None,
        request_id: str | None = None,
        on_bytes: BytesListener | None = None,
    ) -> Run:
        """Submit an association or exposures; files of this machine are uploaded first.

        `parameters` and `skip` are those of stage 1, `processing` of any.  `products` are kinds such as ``rate``; none
        for what the input calls for.  With a `request_id` (a UUID) of your own, the same call again gives the same run.

        Raises
        ------
        InvalidParameter, UnreadableFile
            Before anything is sent.
        JwcalError
            The service refuses it.
        """
        sources = [inputs] if isinstance(inputs, str | Path | ObjectRef) else list(inputs)
        asked = dict(processing or {})
        if parameters or skip:
            if Stage.DETECTOR1 in asked:
                raise InvalidParameter("stage 1 is told twice what to do", remedy="give `processing` alone")
            asked[Stage.DETECTOR1] = Processing(parameters=parameters or {}, skip=tuple(skip))
        spec = pipeline.RunSpec(
            products=products,
            processing={stage.value: convert.processing_message(one) for stage, one in asked.items()},
            context=context,
            build=build,
            priority=priority,
            program=program,
            labels=labels,
            max_attempts=max_attempts,
            ignore_earlier_results=ignore_earlier_results,
            output=None if output is None else location_to_proto(output),
        )
        with first_failure():
            await Uploading(self._store, self.connection.bucket, on_bytes).into(spec, sources)
        request = pipeline.CreateRunRequest(spec=spec, request_id=request_id or self._new_id())
        return convert.run_from((await self._answer(self._pipeline.CreateRun(request))).run)

    async def run(self, run: str) -> Run:
        """A run, by its name or id."""
        request = pipeline.GetRunRequest(name=run_name(run))
        return convert.run_from((await self._answer(self._pipeline.GetRun(request))).run)

    async def runs(
        self, *, states: Sequence[State] = (), program: str = "", labels: Mapping[str, str] | None = None
    ) -> AsyncIterator[Run]:
        """Runs, the newest first."""
        request = pipeline.ListRunsRequest(
            page_size=self._page_size, states=convert.state_numbers(states), program=program, labels=labels
        )
        while True:
            answer = await self._answer(self._pipeline.ListRuns(request))
            for run in answer.runs:
                yield convert.run_from(run)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def newest_run(self) -> Run:
        """The run that was submitted last.

        Raises
        ------
        NotFound
            There is none.
        """
        answer = await self._answer(self._pipeline.ListRuns(pipeline.ListRunsRequest(page_size=1)))
        if not answer.runs:
            raise NotFound("there is no run", remedy="submit one with 'jwcal submit'")
        return convert.run_from(answer.runs[0])

    async def jobs(self, run: str, *, states: Sequence[State] = ()) -> AsyncIterator[Job]:
        """Jobs of a run, in the order they were made."""
        request = pipeline.ListJobsRequest(
            run=run_name(run), page_size=self._page_size, states=convert.state_numbers(states)
        )
        while True:
            answer = await self._answer(self._pipeline.ListJobs(request))
            for job in answer.jobs:
                yield convert.job_from(job)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def job(self, job: str) -> Job:
        """A job, by its name or id."""
        request = pipeline.GetJobRequest(name=job_name(job))
        return convert.job_from((await self._answer(self._pipeline.GetJob(request))).job)

    def watch(self, run: str, *, cursor: int = 0) -> AsyncIterator[Change]:
        """The present state of a run and its jobs, then every change until the run has ended.

        Goes on after a lost connection or a restarted service without repeating what it has told.  `cursor` is that
        of the last change seen, to go on from there.
        """
        return watch(
            self._pipeline, run_name(run), cursor, patience=self._watch_patience, server=self.connection.server
        )

    async def wait(self, run: str) -> Run:
        """The run when it has ended."""
        async for _ in self.watch(run):
            pass
        return await self.run(run)

    async def cancel(self, run: str) -> Run:
        """Cancel what is unfinished: queued jobs at once, running ones within a heartbeat."""
        request = pipeline.CancelRunRequest(name=run_name(run))
        return convert.run_from((await self._answer(self._pipeline.CancelRun(request))).run)

    async def retry(self, run: str) -> Run:
        """Queue the failed and cancelled jobs of a finished run again."""
        request = pipeline.RetryRunRequest(name=run_name(run))
        return convert.run_from((await self._answer(self._pipeline.RetryRun(request))).run)

    async def delete(self, run: str) -> None:
        """Forget a finished run; its products stay in the store."""
        await self._answer(self._pipeline.DeleteRun(pipeline.DeleteRunRequest(name=run_name(run))))

    async def queue_stats(self) -> list[QueueStats]:
        """Depth and age of each stage's queue."""
        answer = await self._answer(self._queue.GetQueueStats(queue.GetQueueStatsRequest()))
        return [convert.stats_from(stage) for stage in answer.stages]

    async def workers(self, *, stage: Stage | None = None) -> AsyncIterator[Worker]:
        """Workers that have asked for work lately, by name."""
        request = queue.ListWorkersRequest(stage=convert.stage_number(stage), page_size=self._page_size)
        while True:
            answer = await self._answer(self._queue.ListWorkers(request))
            for worker in answer.workers:
                yield convert.worker_from(worker)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def drain(self, worker: str) -> Worker:
        """Let a worker finish what it has and give it nothing more."""
        answer = await self._answer(self._queue.DrainWorker(queue.DrainWorkerRequest(worker=worker)))
        return convert.worker_from(answer.worker)

    async def products(self, run: str, *, kinds: Sequence[str] = ()) -> list[ObjectRef]:
        """All products that a run has made, of these kinds or of all."""
        return [
            product
            async for job in self.jobs(run, states=[State.SUCCEEDED])
            for product in job.products
            if not kinds or product.kind in kinds
        ]

    async def download(
        self,
        run: str,
        directory: str | Path,
        *,
        kinds: Sequence[str] = (),
        on_bytes: BytesListener | None = None,
    ) -> list[Path]:
        """Fetch the products of a run into a directory, their checksums verified; files that are there are replaced.

        Raises
        ------
        ChecksumMismatch
            A product is not what was made; nothing of it is written.
        """
        store = self._opened_store()
        return await download(store, await self.products(run, kinds=kinds), Path(directory), on_bytes)

    async def log(self, job: str) -> str:
        """What a job wrote to its log.

        Raises
        ------
        NotFound
            It has none: it did not end yet, or its worker was lost.
        """
        found = await self.job(job)
        if found.log is None:
            raise NotFound(f"{found.name} has no log", remedy="logs are kept when an attempt has ended")
        return (await self._opened_store().get_bytes(found.log)).decode(errors="replace")

    def _opened_store(self) -> ObjectStore:
        if self._store is None:
            raise InvalidParameter(
                "no object store is known to fetch from", remedy="set JWCAL_STORE_KIND and what belongs to it"
            )
        return self._store

    async def _answer(self, call: Any) -> Any:
        return await answered(call, self.connection.server)


def run_name(run: str) -> str:
    """``runs/ID`` for a name or an id."""
    return run if "/" in run else f"runs/{run}"


def job_name(job: str) -> str:
    """``jobs/ID`` for a name or an id."""
    return job if "/" in job else f"jobs/{job}"
