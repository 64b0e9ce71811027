"""Following runs: one poll feeds every watcher of the process.

A watcher's outbox holds the latest state of each job that it has not been sent, so a slow one costs no more than the
run has jobs, and nobody waits for it.  Objects are shared between the watchers of a run.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from jwcal.orchestrator.errors import RunNotFound
from jwcal.orchestrator.model import FINISHED, Job, Run
from jwcal.orchestrator.pulse import Beat
from jwcal.orchestrator.store.port import JobStore

_LOG = logging.getLogger(__name__)
_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A change: the run or one of its jobs, and the cursor to go on from once it has been sent."""

    cursor: int
    run: Run | None = None
    job: Job | None = None


@dataclass(slots=True, eq=False)
class _Outbox:
    """What a watcher has yet to be sent: jobs by their ids, and the run."""

    jobs: dict[str, Job] = field(default_factory=dict)
    run: Run | None = None
    gone: bool = False
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, jobs: list[Job], run: Run) -> None:
        for job in jobs:
            self.jobs[job.id] = job
        self.run = run
        self.filled.set()

    def leave(self) -> None:
        self.gone = True
        self.filled.set()

    def take(self) -> tuple[list[Job], Run | None]:
        taken = sorted(self.jobs.values(), key=lambda job: job.cursor), self.run
        self.jobs, self.run = {}, None
        self.filled.clear()
        return taken


@dataclass(slots=True)
class _Feed:
    """A run that is watched, up to what cursor it was read, and who watches it."""

    cursor: int
    outboxes: set[_Outbox] = field(default_factory=set)


class RunWatching:
    """Watchers of runs."""

    def __init__(self, store: JobStore, *, interval: float = 0.5, pause: float = 0.05) -> None:
        self._store = store
        self._beat = Beat(interval=interval, pause=pause)
        self._feeds: dict[str, _Feed] = {}

    @property
    def watchers(self) -> int:
        """How many there are."""
        return sum(len(feed.outboxes) for feed in self._feeds.values())

    def changed(self) -> None:
        """Runs may have changed."""
        if self._feeds:
            self._beat.hurry()

    async def watch(self, run: str, cursor: int) -> AsyncGenerator[Seen, None]:
        """The run's state behind a cursor, and every later change, until the run has ended.

        Raises
        ------
        RunNotFound
            Where there is none, also when it is deleted meanwhile.
        """
        present = await self._store.get_run(run, products=False)
        outbox = _Outbox()
        feed = self._feeds.setdefault(run, _Feed(cursor=present.cursor))
        feed.outboxes.add(outbox)
        try:
            # Read again, now that nothing that changes later can escape the outbox; jobs are read after the run, so
            # that its cursor, and its end, never stand for a job's change that was not sent.
            present = await self._store.get_run(run, products=False)
            yield Seen(cursor=cursor, run=present)
            while jobs := await self._store.changed_jobs(run, after=cursor, limit=_PAGE):
                for job in jobs:
                    yield Seen(cursor=job.cursor, job=job)
                cursor = jobs[-1].cursor
            cursor = max(cursor, present.cursor)
            if present.state in FINISHED:
                yield Seen(cursor=cursor, run=present)
                return
            async for seen in _from_outbox(outbox, run, cursor):
                yield seen
        finally:
            feed.outboxes.discard(outbox)
            if not feed.outboxes and self._feeds.get(run) is feed:
                del self._feeds[run]

    async def run(self) -> None:
        """Poll for as long as the process lives."""
        while True:
            await self._beat.wait()
            if not self._feeds:
                continue
            try:
                await self._poll()
            except Exception:  # the database is away: the next beat tries again
                _LOG.exception("watched runs could not be polled")

    async def _poll(self) -> None:
        cursors = await self._store.cursors(list(self._feeds))
        for run, feed in list(self._feeds.items()):
            if run not in cursors:
                for outbox in feed.outboxes:
                    outbox.leave()
            elif cursors[run] > feed.cursor:
                await self._read(run, feed)

    async def _read(self, run: str, feed: _Feed) -> None:
        try:
            latest = await self._store.get_run(run, products=False)
        except RunNotFound:
            return  # the next poll tells
        jobs: list[Job] = []
        cursor = feed.cursor
        while page := await self._store.changed_jobs(run, after=cursor, limit=_PAGE):
            jobs.extend(page)
            cursor = page[-1].cursor
        feed.cursor = latest.cursor  # not the jobs': the run may have changed with the last of them
        for outbox in feed.outboxes:
            outbox.put(jobs, latest)


async def _from_outbox(outbox: _Outbox, run: str, cursor: int) -> AsyncGenerator[Seen, None]:
    while True:
        await outbox.filled.wait()
        if outbox.gone:
            raise RunNotFound(f"run {run} was deleted", run=f"runs/{run}")
        jobs, latest = outbox.take()
        for job in jobs:
            if job.cursor > cursor:
                cursor = job.cursor
                yield Seen(cursor=cursor, job=job)
        if latest is not None:
            cursor = max(cursor, latest.cursor)
            yield Seen(cursor=cursor, run=latest)
            if latest.state in FINISHED:
                return
