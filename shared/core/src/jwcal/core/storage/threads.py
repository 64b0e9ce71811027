"""Blocking work in threads that stops when its task is cancelled, and is over before the cancellation goes on."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """Raised in a thread whose task has been cancelled; nobody sees it."""


class Stop:
    """How a thread learns that it shall stop."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the thread to stop."""
        self._event.set()

    def check(self) -> None:
        """Stop here if it was asked for: called between blocks of work."""
        if self._event.is_set():
            raise Stopped


class Threads:
    """A bounded number of threads; more work than threads waits its turn."""

    def __init__(self, count: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, work: Callable[[Stop], T]) -> T:
        """What `work` returns; when the task is cancelled, `work` is told so and waited for."""
        stop = Stop()
        running = self._executor.submit(work, stop)
        future = asyncio.wrap_future(running)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()
            running.cancel()  # of effect only while it has not begun
            await settled(future)
            raise

    async def finish(self, work: Callable[[], object]) -> None:
        """Run `work` to its end even in a cancelled task: for what has to be put in order."""
        await settled(asyncio.wrap_future(self._executor.submit(work)))

    def close(self) -> None:
        """End the threads once they have finished."""
        self._executor.shutdown(wait=True)


async def settled(future: asyncio.Future[Any]) -> None:
    """Wait until a future is done, however often the waiting task is cancelled; its outcome is not looked at."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()  # else asyncio complains that it was never retrieved


async def in_order(jobs: Iterable[Callable[[], Awaitable[T]]], *, at_once: int) -> AsyncGenerator[T, None]:
    """Results of the jobs in their order, of which `at_once` run; to be closed, which cancels and awaits them."""
    pending: deque[asyncio.Task[T]] = deque()

    async def task(job: Callable[[], Awaitable[T]]) -> T:
        return await job()

    try:
        for job in jobs:
            pending.append(asyncio.create_task(task(job)))
            if len(pending) == at_once:
                yield await pending[0]
                pending.popleft()
        while pending:
            yield await pending[0]
            pending.popleft()
    finally:
        for left in pending:
            left.cancel()
        for left in pending:
            await settled(left)


def from_threads(listener: Callable[[int], None] | None) -> Callable[[int], None]:
    """A listener that threads may call: it is told in the event loop that runs now."""
    if listener is None:
        return lambda _: None
    loop = asyncio.get_running_loop()
    return lambda count: _ignore(loop.call_soon_threadsafe(listener, count))


def _ignore(_: object) -> None:
    """A handle that nobody needs."""
