"""The client for programs without an event loop: the asynchronous one, in a loop of its own in a thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from jwcal.client.async_client import WATCH_PATIENCE, AsyncClient, SubmitOptions, new_request_id
from jwcal.client.connection import Connection
from jwcal.client.model import Change, Job, QueueStats, Run, Stage, State, Worker
from jwcal.client.references import Build, CrdsContext, Reference
from jwcal.client.uploading import Source
from jwcal.core.storage.port import BytesListener
from jwcal.core.storage.ref import ObjectRef

T = TypeVar("T")


class _End:
    """Of an iteration."""


_END = _End()


class Client:
    """Submits runs, follows them, fetches what they made.  What each method does stands with `AsyncClient`.

    with Client() as client:
        run = client.submit("jw..._uncal.fits", products=["rate"])
        for change in client.watch(run.name):
            print(change)
        print(client.download(run.name, "products"))
    """

    def __init__(
        self,
        connection: Connection | None = None,
        *,
        new_id: Callable[[], str] = new_request_id,
        watch_patience: float = WATCH_PATIENCE,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="jwcal-client", daemon=True)
        self._thread.start()

        async def make() -> AsyncClient:
            return AsyncClient(connection, new_id=new_id, watch_patience=watch_patience)

        try:
            self._client = self._call(make())
        except BaseException:
            self._end_loop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connection(self) -> Connection:
        """Where the services are."""
        return self._client.connection

    def close(self) -> None:
        """Let go of connections and threads; once more does nothing."""
        if self._loop.is_closed():
            return
        self._call(self._client.close())
        self._end_loop()

    def submit(self, inputs: Source | Sequence[Source], **options: Unpack[SubmitOptions]) -> Run:
        """Submit an association or exposures, with the options of `AsyncClient.submit`."""
        return self._call(self._client.submit(inputs, **options))

    def run(self, run: str) -> Run:
        """A run."""
        return self._call(self._client.run(run))

    def runs(
        self, *, states: Sequence[State] = (), program: str = "", labels: Mapping[str, str] | None = None
    ) -> Iterator[Run]:
        """Runs, the newest first."""
        return self._iterate(self._client.runs(states=states, program=program, labels=labels))

    def newest_run(self) -> Run:
        """The run that was submitted last."""
        return self._call(self._client.newest_run())

    def jobs(self, run: str, *, states: Sequence[State] = ()) -> Iterator[Job]:
        """Jobs of a run."""
        return self._iterate(self._client.jobs(run, states=states))

    def job(self, job: str) -> Job:
        """A job."""
        return self._call(self._client.job(job))

    def watch(self, run: str, *, cursor: int = 0) -> Iterator[Change]:
        """Changes of a run until its end."""
        return self._iterate(self._client.watch(run, cursor=cursor))

    def wait(self, run: str) -> Run:
        """The run when it has ended."""
        return self._call(self._client.wait(run))

    def cancel(self, run: str) -> Run:
        """Cancel a run."""
        return self._call(self._client.cancel(run))

    def retry(self, run: str) -> Run:
        """Queue what failed again."""
        return self._call(self._client.retry(run))

    def delete(self, run: str) -> None:
        """Forget a run."""
        self._call(self._client.delete(run))

    def queue_stats(self) -> list[QueueStats]:
        """Depth and age of each stage's queue."""
        return self._call(self._client.queue_stats())

    def workers(self, *, stage: Stage | None = None) -> Iterator[Worker]:
        """Workers."""
        return self._iterate(self._client.workers(stage=stage))

    def drain(self, worker: str) -> Worker:
        """Give a worker nothing more."""
        return self._call(self._client.drain(worker))

    def products(self, run: str, *, kinds: Sequence[str] = ()) -> list[ObjectRef]:
        """Products of a run."""
        return self._call(self._client.products(run, kinds=kinds))

    def download(
        self,
        run: str,
        directory: str | Path,
        *,
        kinds: Sequence[str] = (),
        on_bytes: BytesListener | None = None,
    ) -> list[Path]:
        """Fetch the products of a run."""
        return self._call(self._client.download(run, directory, kinds=kinds, on_bytes=on_bytes))

    def contexts(self) -> Iterator[CrdsContext]:
        """CRDS contexts that the service of references has."""
        return self._iterate(self._client.references.contexts())

    def builds(self) -> list[Build]:
        """Operational builds and their contexts."""
        return self._call(self._client.references.builds())

    def best_references(
        self, header: Mapping[str, str], *, context: str = "", types: Sequence[str] = (), names_only: bool = False
    ) -> dict[str, Reference]:
        """Best references by type for an exposure with these keywords."""
        return self._call(self._client.references.best(header, context=context, types=types, names_only=names_only))

    def log(self, job: str) -> str:
        """What a job wrote to its log."""
        return self._call(self._client.log(job))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # an interruption among others: what was asked for is not wanted any more
            future.cancel()
            raise

    def _iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        async def following() -> T | _End:
            return await anext(source, _END)

        async def leave() -> None:
            if (close := getattr(source, "aclose", None)) is not None:
                await close()

        try:
            while True:
                item = self._call(following())
                if isinstance(item, _End):
                    return
                yield item
        finally:
            if not self._loop.is_closed():
                self._call(leave())

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
