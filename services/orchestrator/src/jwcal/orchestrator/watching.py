"""Following runs: each run that is watched is read once, for all its watchers.

A feed holds the latest state of the jobs that changed last, made ready for the wire once.  A watcher is no more than a
cursor into it: who is slow finds the latest states when it looks, and who has fallen behind what the feed holds reads
the store by its cursor until it has caught up.  Nobody waits for anybody, and memory is bounded by the feeds.
"""

import asyncio
import bisect
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from jwcal.orchestrator.errors import RunNotFound
from jwcal.orchestrator.model import FINISHED, Job, Run
from jwcal.orchestrator.pulse import Beat
from jwcal.orchestrator.store.port import JobStore

Message = TypeVar("Message")

_LOG = logging.getLogger(__name__)
_PAGE = 500
_SLICE = 50  # of a feed that a watcher sends before it looks again
_MOST_HELD = 2000  # jobs of one feed, unless told otherwise
_PAUSE_OF_A_WATCHER = 0.001  # seconds; the more there are, the rarer they look, so that workers are not held up


@dataclass(frozen=True, slots=True)
class Seen(Generic[Message]):
    """A change made ready, and the cursor to go on from once it has been sent."""

    cursor: int
    message: Message


@dataclass(slots=True, eq=False)
class _Feed(Generic[Message]):
    """A run that is watched."""

    run: Seen[Message]
    finished: bool
    floor: int  # every job that changed behind this cursor is held, in its latest state
    cursor: int  # up to which the run was read
    jobs: dict[str, Seen[Message]] = field(default_factory=dict)
    order: list[tuple[int, str]] = field(default_factory=list)  # cursors and ids; stale where the job changed later
    watchers: int = 0
    most_held: int = _MOST_HELD
    gone: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # replaced with every change
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def put(self, job: str, seen: Seen[Message]) -> None:
        """A job changed."""
        if job in self.jobs and self.jobs[job].cursor == seen.cursor:
            return
        self.jobs[job] = seen
        self.order.append((seen.cursor, job))

    def trim(self) -> None:
        """Let go of stale entries, and of the oldest jobs where there are too many."""
        if len(self.order) <= 2 * max(len(self.jobs), _SLICE) and len(self.jobs) <= self.most_held:
            return
        live = [(cursor, job) for cursor, job in self.order if self.jobs[job].cursor == cursor]
        excess, self.order = live[: -self.most_held], live[-self.most_held :]
        for cursor, job in excess:
            del self.jobs[job]
            self.floor = cursor

    def behind(self, cursor: int) -> list[Seen[Message]]:
        """Some of the jobs that changed behind a cursor, by their cursors."""
        found: list[Seen[Message]] = []
        for place in range(bisect.bisect_right(self.order, (cursor, "\uffff")), len(self.order)):
            at, job = self.order[place]
            if self.jobs[job].cursor == at:
                found.append(self.jobs[job])
                if len(found) == _SLICE:
                    break
        return found

    def tell(self) -> None:
        """Wake the watchers."""
        self.changed.set()
        self.changed = asyncio.Event()


class RunWatching(Generic[Message]):
    """Watchers of runs; ``of_run`` and ``of_job`` make states ready for them, given the cursor that goes with each."""

    def __init__(
        self,
        store: JobStore,
        *,
        of_run: Callable[[Run], Message],
        of_job: Callable[[Job], Message],
        interval: float = 0.5,
        pause: float = 0.05,
        most_held: int = _MOST_HELD,
    ) -> None:
        self._store = store
        self._of_run, self._of_job = of_run, of_job
        self._pause = pause
        self._most_held = most_held
        self._beat = Beat(interval=interval, pause=pause)
        self._feeds: dict[str, _Feed[Message]] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    @property
    def watchers(self) -> int:
        """How many there are."""
        return sum(feed.watchers for feed in self._feeds.values())

    def changed(self) -> None:
        """Runs may have changed."""
        if self._feeds:
            self._beat.hurry()

    async def watch(self, run: str, cursor: int) -> AsyncGenerator[Seen[Message], None]:
        """The run's state behind a cursor, and every later change, until the run has ended.

        Raises
        ------
        RunNotFound
            Where there is none, also when it is deleted meanwhile.
        """
        feed = await self._feed(run)
        try:
            await self._refresh({run: feed})  # what the caller did just now is seen by it
            yield Seen(cursor, feed.run.message)
            told = max(cursor, feed.run.cursor)
            while True:
                changed = feed.changed
                present, finished = feed.run, feed.finished  # before the jobs: its end never stands for theirs
                async for seen in self._jobs_behind(run, feed, cursor):
                    cursor = seen.cursor
                    yield seen
                cursor = max(cursor, present.cursor)
                if finished or present.cursor > told:
                    told = present.cursor
                    yield Seen(cursor, present.message)
                if finished:
                    return
                if feed.gone:
                    raise RunNotFound(f"run {run} was deleted", run=f"runs/{run}")
                if changed is feed.changed:
                    await changed.wait()
        finally:
            feed.watchers -= 1
            if not feed.watchers and self._feeds.get(run) is feed:
                del self._feeds[run]

    async def _jobs_behind(self, run: str, feed: _Feed[Message], cursor: int) -> AsyncGenerator[Seen[Message], None]:
        while True:
            some: Sequence[Seen[Message]]
            if cursor < feed.floor:
                page = await self._store.changed_jobs(run, after=cursor, limit=_PAGE)
                some = [Seen(job.cursor, self._of_job(job)) for job in page]
            else:
                some = feed.behind(cursor)
            if not some:
                return
            for seen in some:
                yield seen
            cursor = some[-1].cursor

    async def _feed(self, run: str) -> _Feed[Message]:
        """The run's feed, one watcher more; it is opened once, however many come at the same time."""
        if run not in self._feeds:
            async with self._opening.setdefault(run, asyncio.Lock()):
                if run not in self._feeds:
                    try:
                        self._feeds[run] = await self._open(run)
                    finally:
                        self._opening.pop(run, None)
                self._feeds[run].watchers += 1  # before anyone else runs, who might be the last to leave
                return self._feeds[run]
        self._feeds[run].watchers += 1
        return self._feeds[run]

    async def _open(self, run: str) -> _Feed[Message]:
        present = await self._store.get_run(run, whole=False)
        held = sum(present.jobs.values()) <= self._most_held
        floor = 0 if held else present.cursor
        seen = Seen(present.cursor, self._of_run(present))
        feed = _Feed(seen, present.state in FINISHED, floor, present.cursor, most_held=self._most_held)
        await self._read_jobs(run, feed, after=floor)
        return feed

    async def _read_jobs(self, run: str, feed: _Feed[Message], *, after: int) -> None:
        while page := await self._store.changed_jobs(run, after=after, limit=_PAGE):
            for job in page:
                feed.put(job.id, Seen(job.cursor, self._of_job(job)))
            after = page[-1].cursor
        feed.trim()

    async def run(self) -> None:
        """Poll for as long as the process lives."""
        while True:
            await self._beat.wait()
            if not self._feeds:
                continue
            try:
                await self._refresh(dict(self._feeds))
            except Exception:  # the database is away: the next beat tries again
                _LOG.exception("watched runs could not be polled")
            self._beat.pause = self._pause + _PAUSE_OF_A_WATCHER * self.watchers

    async def _refresh(self, feeds: Mapping[str, _Feed[Message]]) -> None:
        """Read what changed of these runs."""
        cursors = await self._store.cursors(list(feeds))
        for run, feed in feeds.items():
            if run not in cursors:
                feed.gone = True
                feed.tell()
            elif cursors[run] > feed.cursor:
                async with feed.reading:
                    await self._read(run, feed)

    async def _read(self, run: str, feed: _Feed[Message]) -> None:
        try:
            latest = await self._store.get_run(run, whole=False)
        except RunNotFound:
            return  # the next poll tells
        await self._read_jobs(run, feed, after=feed.cursor)
        # Up to the run's cursor, not the jobs': the run may have changed with the last of them.
        feed.cursor = latest.cursor
        feed.run, feed.finished = Seen(latest.cursor, self._of_run(latest)), latest.state in FINISHED
        feed.tell()
