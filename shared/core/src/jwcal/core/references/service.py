"""References of a worker: rules from the reference service, files through the cache of its node.

A worker needs no CRDS server, no mappings and no CRDS cache.
"""

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jwcal.api.reference.v1 import reference_pb2 as pb
from jwcal.core.errors import Cancelled, DeadlineExceeded, ReferenceServerUnavailable, Unavailable
from jwcal.core.references.best import NOT_APPLICABLE, NOT_FOUND
from jwcal.core.references.node_cache import CachedFile, HeldFile, NodeCache
from jwcal.core.references.resolved import ResolvedReferences, WantedReferences
from jwcal.core.rpc.metrics import Metrics
from jwcal.core.rpc.status import remote_errors
from jwcal.core.storage.convert import ref_from_proto
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import ObjectRef

if TYPE_CHECKING:  # the generated code has it for type checkers only
    from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceAsyncStub

_logger = logging.getLogger(__name__)
_AT_ONCE = 8
"""Files that are brought or waited for at the same time."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds between tries while the service is away."""
_CHECK_SECONDS = 10.0
Answer = TypeVar("Answer")


class ServiceReferences:
    """Asks the service, and brings files to the node.

    Parameters
    ----------
    patience
        Seconds for which a service that is away is asked again.
    """

    def __init__(
        self,
        stub: "ReferenceServiceAsyncStub",
        store: ObjectStore,
        cache: NodeCache,
        *,
        metrics: Metrics,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub, self._store, self._cache = stub, store, cache
        self._metrics, self._patience, self._clock = metrics, patience, clock
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="references")

    async def check(self) -> None:
        """Return where the service answers."""
        with remote_errors():
            await self._stub.ListBuilds(pb.ListBuildsRequest(), timeout=_CHECK_SECONDS)

    @asynccontextmanager
    async def resolved(self, wanted: WantedReferences, context: str) -> AsyncIterator[ResolvedReferences]:
        """References of a job, one question for all; their files stay on the node while the context lasts.

        Raises
        ------
        ReferenceServerUnavailable
            The service is away for longer than this is patient.
        JwcalError
            What the service, the store or the node's cache has to say.
        """
        request = pb.GetBestReferencesRequest(context=context, header=wanted.header, types=wanted.types)
        answer = await self._ask(request)
        stored = {one.file: ref_from_proto(one.object) for one in answer.references if one.HasField("object")}
        held = await self._brought(stored.values())
        try:
            yield ResolvedReferences(
                context=answer.context,
                answers={one.type: _plain(one) for one in answer.references},
                files={file.path.name: file.path for file in held},
            )
        finally:
            for file in held:
                file.release()

    async def close(self) -> None:
        """Let go of the threads, once they have finished."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    async def _ask(self, request: pb.GetBestReferencesRequest) -> pb.GetBestReferencesResponse:
        until = self._clock() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                with remote_errors():
                    return await self._stub.GetBestReferences(request)
            except (Unavailable, DeadlineExceeded, ReferenceServerUnavailable) as error:
                if self._clock() + pause > until:
                    raise ReferenceServerUnavailable(
                        f"the reference service does not answer: {error.message}",
                        remedy="see the log of the reference service",
                        context=request.context or None,
                    ) from error
                fields = {"reason": error.reason, "pause": pause}
                _logger.warning("the reference service is away", extra={"fields": fields})
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _brought(self, refs: Iterable[ObjectRef]) -> list[HeldFile]:
        """All files, held; none of them where one cannot be brought."""
        tasks = [asyncio.create_task(self._bring(ref)) for ref in refs]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, HeldFile):
                    ended.release()
            raise

    async def _bring(self, ref: ObjectRef) -> HeldFile:
        filling = _Filling(asyncio.get_running_loop(), self._store, ref)
        file = CachedFile(ref.name, ref.sha256, ref.size)
        bringing = asyncio.wrap_future(self._threads.submit(self._cache.get, file, filling))
        try:
            held = await asyncio.shield(bringing)
        except asyncio.CancelledError:
            filling.stop()
            bringing.add_done_callback(_let_go)  # it may wait for another process, which is not to be waited for here
            raise
        self._metrics.reference_cache.labels("miss" if filling.transferred else "hit").inc()
        self._metrics.reference_bytes.labels("store").inc(filling.transferred)
        return held


class _Filling:
    """Writes an object to a path, called in a thread; the transfer runs in the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: ObjectStore, ref: ObjectRef) -> None:
        self._loop, self._store, self._ref = loop, store, ref
        self._lock = threading.Lock()
        self._stopped = False
        self._transfer: concurrent.futures.Future[ObjectRef] | None = None
        self.transferred = 0
        """Bytes; 0 where the file was on the node."""

    def __call__(self, path: Path) -> None:
        with self._lock:
            if self._stopped:
                raise Cancelled("the job was stopped")
            self._transfer = asyncio.run_coroutine_threadsafe(self._store.get_file(self._ref, path), self._loop)
        try:
            self.transferred = self._transfer.result().size
        except concurrent.futures.CancelledError:
            raise Cancelled("the job was stopped") from None

    def stop(self) -> None:
        """Give the transfer up, or never begin it."""
        with self._lock:
            self._stopped = True
            if self._transfer is not None:
                self._transfer.cancel()


def _let_go(bringing: "asyncio.Future[HeldFile]") -> None:
    if not bringing.cancelled() and bringing.exception() is None:
        bringing.result().release()


def _plain(found: pb.Reference) -> str:
    return f"{NOT_FOUND} {found.not_found}" if found.not_found else found.file or NOT_APPLICABLE
