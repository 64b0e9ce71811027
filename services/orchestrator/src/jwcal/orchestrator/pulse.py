"""One poll of the database for all that wait in this process.

A change made through this process wakes the poll at once; one made by another replica, or by time alone, is seen at the
next beat.  Nothing is asked of the database while nobody waits.
"""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterable

from jwcal.orchestrator.model import Stage, StageStats
from jwcal.orchestrator.store.port import JobStore

_LOG = logging.getLogger(__name__)
_MOST_WOKEN = 64


class Beat:
    """A time between two polls: at most `interval`, at least `pause`, ended early by `hurry`."""

    def __init__(self, *, interval: float, pause: float) -> None:
        self._interval, self.pause = interval, pause
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Something changed: poll now."""
        self._hurried.set()

    async def wait(self) -> None:
        """Until the next poll."""
        await asyncio.sleep(self.pause)
        try:
            async with asyncio.timeout(self._interval):
                await self._hurried.wait()
        except TimeoutError:
            pass
        self._hurried.clear()


class WorkSignal:
    """Wakes as many waiting workers as there are jobs ready for them, who waits longest first."""

    def __init__(self, store: JobStore, *, interval: float = 1.0, pause: float = 0.005) -> None:
        self._store = store
        self._beat = Beat(interval=interval, pause=pause)
        self._waiting: dict[Stage, deque[asyncio.Future[None]]] = {stage: deque() for stage in Stage}
        self.changes = 0  # so far; told to `wait`, so that none between a look and the wait goes unseen
        self.ended = False

    def changed(self) -> None:
        """Jobs may have been queued."""
        self.changes += 1
        if any(self._waiting.values()):
            self._beat.hurry()

    async def wait(self, stage: Stage, seconds: float, *, since: int) -> bool:
        """Wait for a job that may be had; False when the time is up.  ``since``: changes before the last look."""
        if self.ended:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[stage].append(future)
        if since != self.changes:
            self._beat.hurry()
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return False
        finally:
            if future in self._waiting[stage]:
                self._waiting[stage].remove(future)
        return not self.ended

    async def run(self) -> None:
        """Poll for as long as the process lives."""
        while True:
            await self._beat.wait()
            stages = [stage for stage, waiting in self._waiting.items() if waiting]
            if not stages:
                continue
            try:
                ready = await self._store.ready(stages, limit=_MOST_WOKEN)
            except Exception:  # the database is away: the next beat tries again
                _LOG.exception("the queue could not be polled")
                continue
            for stage, count in ready.items():
                self._wake(stage, count)

    def wake_everyone(self) -> None:
        """Let all who wait look again, as after a worker was told to end."""
        for stage, waiting in self._waiting.items():
            self._wake(stage, len(waiting))

    def end(self) -> None:
        """The server ends: nobody shall wait any more."""
        self.ended = True
        self.wake_everyone()

    def _wake(self, stage: Stage, count: int) -> None:
        waiting = self._waiting[stage]
        while count and waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1


class StatsFeed:
    """Statistics of the queue, measured once for all who follow them; who is slow gets the latest."""

    def __init__(self, store: JobStore, *, interval: float = 1.0, pause: float = 0.25) -> None:
        self._store = store
        self._beat = Beat(interval=interval, pause=pause)
        self._latest: tuple[StageStats, ...] = ()
        self._condition = asyncio.Condition()
        self._followers = 0

    def changed(self) -> None:
        """The queue changed."""
        if self._followers:
            self._beat.hurry()

    async def follow(self) -> AsyncGenerator[tuple[StageStats, ...], None]:
        """Statistics now, and whenever they changed."""
        self._followers += 1
        try:
            latest = tuple(await self._store.stats())
            yield latest
            while True:
                async with self._condition:
                    await self._condition.wait_for(functools.partial(self._differs, latest))
                    latest = self._latest
                yield latest
        finally:
            self._followers -= 1

    def _differs(self, told: tuple[StageStats, ...]) -> bool:
        return bool(self._latest) and _without_ages(self._latest) != _without_ages(told)

    async def run(self) -> None:
        """Measure for as long as the process lives."""
        while True:
            await self._beat.wait()
            if not self._followers:
                self._latest = ()
                continue
            try:
                latest = tuple(await self._store.stats())
            except Exception:  # the database is away: the next beat tries again
                _LOG.exception("the queue could not be measured")
                continue
            async with self._condition:
                self._latest = latest
                self._condition.notify_all()


def _without_ages(stats: Iterable[StageStats]) -> tuple[tuple[object, ...], ...]:
    return tuple(
        (one.stage, one.waiting, one.queued, one.delayed, one.running, one.workers, one.idle_workers) for one in stats
    )
