"""Watchers of runs over a real store: what they see, and that none costs the others anything."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.orchestrator.errors import RunNotFound
from jwcal.orchestrator.identifiers import uuid7
from jwcal.orchestrator.model import Job, NewRun, Run, RunSpec, Stage, State
from jwcal.orchestrator.store.database import Database
from jwcal.orchestrator.store.port import Demand, Policy
from jwcal.orchestrator.store.sql import SqlJobStore
from jwcal.orchestrator.watching import RunWatching
from tests.contract.jobs.stores import OUTPUT, a_job, a_result
from tests.service.event_loop import in_event_loop
from tests.service.orchestrator.server import serving


class CountedStore(SqlJobStore):
    """A store that counts how often jobs were read for watchers."""

    reads = 0

    async def changed_jobs(self, run: str, *, after: int, limit: int) -> Any:
        self.reads += 1
        return await super().changed_jobs(run, after=after, limit=limit)


@contextlib.asynccontextmanager
async def watched(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[CountedStore, RunWatching[Run | Job]]]:
    database = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    await database.migrate()
    rng = random.Random(1)
    identify = lambda moment: uuid7(moment, rng.randbytes(10))  # noqa: E731
    store = CountedStore(database, Policy(), identify=identify, jitter=lambda: 1.0)
    watching: RunWatching[Run | Job] = RunWatching(
        store, of_run=lambda run: run, of_job=lambda job: job, pause=0.001, **options
    )
    polling = asyncio.create_task(watching.run())
    try:
        yield store, watching
    finally:
        polling.cancel()
        await store.close()


async def submit(store: SqlJobStore, jobs: int) -> str:
    new = NewRun(spec=RunSpec(), jobs=tuple(a_job(f"e{i}") for i in range(jobs)), output=OUTPUT, context="")
    return (await store.create_run(new)).id


async def work_off(store: SqlJobStore, watching: RunWatching[Any]) -> None:
    while lease := await store.lease(Demand(worker="w", stage=Stage.DETECTOR1)):
        await store.complete(lease.job.id, lease.token, a_result(lease.job.title))
        watching.changed()


async def all_seen(watching: RunWatching[Run | Job], run: str, cursor: int = 0) -> list[Run | Job]:
    return [seen.message async for seen in watching.watch(run, cursor)]


def last_states(messages: list[Run | Job]) -> dict[str, State]:
    return {message.title: message.state for message in messages if isinstance(message, Job)}


@in_event_loop
async def test_a_run_is_read_once_for_all_its_watchers(tmp_path: Path) -> None:
    async with watched(tmp_path) as (store, watching):
        run = await submit(store, 10)
        many = [asyncio.create_task(all_seen(watching, run)) for _ in range(100)]
        while watching.watchers < 100:
            await asyncio.sleep(0)
        await work_off(store, watching)
        for seen in await asyncio.gather(*many):
            assert last_states(seen) == {f"e{i}": State.SUCCEEDED for i in range(10)}
            assert isinstance(seen[-1], Run) and seen[-1].state is State.SUCCEEDED
        assert store.reads < 100
        assert watching.watchers == 0


@in_event_loop
async def test_who_has_fallen_behind_reads_the_store_and_misses_nothing(tmp_path: Path) -> None:
    async with watched(tmp_path, most_held=5) as (store, watching):
        run = await submit(store, 30)
        stream = watching.watch(run, 0)
        seen = [(await anext(stream)).message for _ in range(3)]
        await work_off(store, watching)
        while (await store.get_run(run)).state is not State.SUCCEEDED:
            await asyncio.sleep(0)
        cursors = [0]
        async for one in stream:
            seen.append(one.message)
            cursors.append(one.cursor)
        assert cursors == sorted(cursors)
        assert last_states(seen) == {f"e{i}": State.SUCCEEDED for i in range(30)}
        assert isinstance(seen[-1], Run) and seen[-1].state is State.SUCCEEDED


@in_event_loop
async def test_a_run_of_more_jobs_than_a_feed_holds_is_seen_whole(tmp_path: Path) -> None:
    async with watched(tmp_path, most_held=5) as (store, watching):
        run = await submit(store, 12)
        await work_off(store, watching)
        seen = await all_seen(watching, run)
        assert last_states(seen) == {f"e{i}": State.SUCCEEDED for i in range(12)}
        assert len(seen) == 14  # the run, its jobs, the run's end


@in_event_loop
async def test_a_watcher_that_goes_on_behind_a_cursor_sees_only_what_is_later(tmp_path: Path) -> None:
    async with watched(tmp_path) as (store, watching):
        run = await submit(store, 3)
        lease = await store.lease(Demand(worker="w", stage=Stage.DETECTOR1))
        assert lease is not None
        await store.complete(lease.job.id, lease.token, a_result("e0"))
        cursor = (await store.get_run(run)).cursor
        await work_off(store, watching)
        assert set(last_states(await all_seen(watching, run, cursor))) == {"e1", "e2"}
        end = (await store.get_run(run)).cursor
        assert last_states(await all_seen(watching, run, end)) == {}


@in_event_loop
async def test_a_retried_run_is_followed_though_others_watched_its_first_end(tmp_path: Path) -> None:
    async with watched(tmp_path) as (store, watching):
        run = await submit(store, 1)
        slow = watching.watch(run, 0)
        await anext(slow)
        await store.cancel_run(run)
        while not watching._feeds[run].finished:
            watching.changed()
            await asyncio.sleep(0)
        await store.retry_run(run)
        following = asyncio.create_task(all_seen(watching, run))
        while watching.watchers < 2:
            await asyncio.sleep(0)
        await work_off(store, watching)
        (*_, end) = await following
        assert isinstance(end, Run) and end.state is State.SUCCEEDED
        await slow.aclose()


@in_event_loop
async def test_watchers_of_a_run_that_is_deleted_are_told(tmp_path: Path) -> None:
    async with watched(tmp_path) as (store, watching):
        run = await submit(store, 1)
        stream = watching.watch(run, 0)
        await anext(stream)
        await store.cancel_run(run)
        await store.delete_run(run)
        watching.changed()
        with pytest.raises(RunNotFound):
            async for _ in stream:
                pass
        with pytest.raises(RunNotFound):
            await all_seen(watching, run)
        assert watching.watchers == 0


@in_event_loop
async def test_five_hundred_streams_see_a_run_to_its_end_beside_one_that_never_reads(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        run = await served.submit(*(f"e{i}" for i in range(10)))
        request = pipeline_pb2.WatchRunRequest(name=run.name)
        idle = served.pipeline.WatchRun(request)
        begun = asyncio.Semaphore(0)

        async def follow() -> int:
            state = 0
            async for change in served.pipeline.WatchRun(request):
                if change.WhichOneof("change") == "run":
                    begun.release()
                    state = change.run.state
            return state

        streams = [asyncio.create_task(follow()) for _ in range(500)]
        for _ in streams:
            await begun.acquire()
        for _ in range(10):
            await served.complete((await served.lease()).lease)
        assert set(await asyncio.gather(*streams)) == {pipeline_pb2.STATE_SUCCEEDED}
        idle.cancel()
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            await idle.read()
