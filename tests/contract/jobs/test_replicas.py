"""Two orchestrators over one PostgreSQL database, and many callers at once."""

import asyncio
import itertools
import random
from collections import Counter
from typing import Any

import sqlalchemy

from jwcal.orchestrator.errors import LeaseLost
from jwcal.orchestrator.identifiers import uuid7
from jwcal.orchestrator.model import NewRun, RunSpec, Stage, State
from jwcal.orchestrator.store.database import Database
from jwcal.orchestrator.store.port import Demand, Policy
from jwcal.orchestrator.store.sql import SqlJobStore
from tests.contract.jobs.conftest import fresh_database
from tests.contract.jobs.stores import BROKEN, OUTPUT, a_job, a_result
from tests.servers.cutting_proxy import cutting_proxy, postgres_query


def a_store(address: str, seed: int, **rules: Any) -> tuple[Database, SqlJobStore]:
    rng = random.Random(seed)
    database = Database(address, connections=6)
    identify = lambda moment: uuid7(moment, rng.randbytes(10))  # noqa: E731
    return database, SqlJobStore(database, Policy(**rules), identify=identify, jitter=lambda: 1.0)


def test_two_replicas_give_every_job_once_and_fan_in_exactly(postgres: str) -> None:
    async def work() -> None:
        address = fresh_database(postgres)
        pairs = [a_store(address, seed) for seed in range(2)]
        stores = [store for _, store in pairs]
        await asyncio.gather(*(database.migrate() for database, _ in pairs))  # at once, as replicas start
        exposures = [a_job(f"e{i}") for i in range(40)]
        last = a_job("all", stage=Stage.STAGE3, parents=tuple(range(40)))
        new = NewRun(spec=RunSpec(), jobs=(*exposures, last), request_id="r", output=OUTPUT, context="")
        runs = await asyncio.gather(*(store.create_run(new) for store in stores * 3))
        assert len({run.id for run in runs}) == 1
        given: Counter[str] = Counter()
        refused = 0

        async def worker(number: int) -> None:
            nonlocal refused
            store, other = stores[number % 2], stores[1 - number % 2]
            while lease := await store.lease(Demand(worker=f"w{number}", stage=Stage.DETECTOR1)):
                given[lease.job.title] += 1
                ends = await asyncio.gather(
                    store.complete(lease.job.id, lease.token, a_result(lease.job.title)),
                    other.complete(lease.job.id, lease.token, a_result(lease.job.title)),
                    other.release(lease.job.id, lease.token - 1),
                    return_exceptions=True,
                )
                assert [end.state for end in ends if not isinstance(end, BaseException)] == [State.SUCCEEDED] * 2
                refused += isinstance(ends[2], LeaseLost)

        await asyncio.gather(*(worker(number) for number in range(12)))
        assert given == Counter({f"e{i}": 1 for i in range(40)})
        assert refused == 40
        lease = await stores[0].lease(Demand(worker="w", stage=Stage.STAGE3))
        assert lease is not None and len(lease.inputs) == 40
        await stores[1].complete(lease.job.id, lease.token, a_result("all"))
        run = await stores[0].get_run(runs[0].id)
        assert run.state is State.SUCCEEDED
        history = await stores[1].list_events(run.id)
        assert [event.cursor for event in history] == list(range(1, run.cursor + 1))
        assert Counter(event.kind for event in history)["SUCCEEDED"] == 41
        for store in stores:
            await store.close()

    asyncio.run(work())


def test_duplicates_submitted_to_two_replicas_at_once_are_done_once(postgres: str) -> None:
    async def work() -> None:
        address = fresh_database(postgres)
        pairs = [a_store(address, seed) for seed in range(2)]
        stores = [store for _, store in pairs]
        await pairs[0][0].migrate()
        new = NewRun(spec=RunSpec(), jobs=(a_job("a", known=True),), output=OUTPUT, context="")
        runs = await asyncio.gather(*(store.create_run(new) for store in stores * 4))
        lease = await stores[0].lease(Demand(worker="w", stage=Stage.DETECTOR1))
        assert lease is not None
        assert await stores[1].lease(Demand(worker="v", stage=Stage.DETECTOR1)) is None
        await stores[1].complete(lease.job.id, lease.token, a_result("a"))
        ends = [await stores[0].get_run(run.id) for run in runs]
        assert {run.state for run in ends} == {State.SUCCEEDED}
        for store in stores:
            await store.close()

    asyncio.run(work())


def test_connections_that_are_cut_cost_nothing(postgres: str) -> None:
    async def work() -> None:
        address = fresh_database(postgres)
        database, store = a_store(address, 1)
        await database.migrate()
        engine = sqlalchemy.create_engine(f"{postgres}/postgres", isolation_level="AUTOCOMMIT")
        cut = sqlalchemy.text(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = :name AND pid <> pg_backend_pid()"
        )

        def cut_all() -> int:
            with engine.connect() as connection:
                return int(connection.execute(cut, {"name": address.rpartition("/")[2]}).scalar_one())

        jobs = tuple(a_job(f"e{i}") for i in range(60))
        new = NewRun(spec=RunSpec(), jobs=jobs, request_id="r", output=OUTPUT, context="")
        run = await store.create_run(new)
        done: Counter[str] = Counter()
        given = cuts = 0

        async def worker(number: int) -> None:
            nonlocal given, cuts
            while lease := await store.lease(
                Demand(worker=f"w{number}", stage=Stage.DETECTOR1, request_id=f"{number}-{sum(done.values())}")
            ):
                given += 1
                if given % 10 == 5:
                    cuts += await asyncio.to_thread(cut_all)
                job = await store.complete(lease.job.id, lease.token, a_result(lease.job.title))
                done[job.title] += 1

        await asyncio.gather(*(worker(number) for number in range(4)))
        assert cuts > 0
        assert done == Counter({f"e{i}": 1 for i in range(60)})
        assert (await store.get_run(run.id)).state is State.SUCCEEDED
        await store.close()
        engine.dispose()

    asyncio.run(work())


def test_two_replicas_together_keep_to_a_programs_quota(postgres: str) -> None:
    async def work() -> None:
        address = fresh_database(postgres)
        pairs = [a_store(address, seed, program_quota=3) for seed in range(2)]
        stores = [store for _, store in pairs]
        await pairs[0][0].migrate()
        jobs = tuple(a_job(f"e{i}") for i in range(30))
        new = NewRun(spec=RunSpec(program="01"), jobs=jobs, output=OUTPUT, context="")
        await stores[0].create_run(new)
        running = 0

        async def worker(number: int) -> None:
            nonlocal running
            store = stores[number % 2]
            for attempt in range(15):
                lease = await store.lease(Demand(worker=f"w{number}", stage=Stage.DETECTOR1))
                if lease is None:
                    continue
                running += 1
                assert running <= 3
                await asyncio.sleep(0.001 * (attempt % 3))
                running -= 1  # before it is told, so never too late
                await store.complete(lease.job.id, lease.token, a_result(lease.job.title))

        await asyncio.gather(*(worker(number) for number in range(10)))
        for store in stores:
            await store.close()

    asyncio.run(work())


def test_a_connection_that_breaks_after_the_commit_does_nothing_twice(postgres: str) -> None:
    """The database has done what it was asked, and its answer is lost: the transaction is run again."""

    async def work() -> None:
        address = fresh_database(postgres)
        database, direct = a_store(address, 1)
        await database.migrate()
        commits = 0

        def cuts(query: bytes) -> bool:
            nonlocal commits
            commits += query == b"COMMIT"
            return query == b"COMMIT" and commits % 4 == 0

        url = sqlalchemy.make_url(address)
        with cutting_proxy(f"{url.host}:{url.port}", cuts, postgres_query) as proxy:
            port = int(proxy.endpoint.rpartition(":")[2])
            _, store = a_store(url.set(port=port).render_as_string(hide_password=False), 2)
            jobs = (*(a_job(f"e{i}") for i in range(30)), a_job("all", stage=Stage.STAGE3, parents=tuple(range(30))))
            run = await store.create_run(NewRun(spec=RunSpec(), jobs=jobs, request_id="r", output=OUTPUT, context=""))
            given: Counter[str] = Counter()

            async def worker(number: int) -> None:
                for request in itertools.count():
                    demand = Demand(worker=f"w{number}", stage=Stage.DETECTOR1, request_id=f"{number}-{request}")
                    lease = await store.lease(demand)
                    if lease is None:
                        return
                    given[lease.job.title] += 1
                    assert lease.job.attempt == 1
                    await store.extend(lease.job.id, lease.token)
                    job = await store.complete(lease.job.id, lease.token, a_result(lease.job.title))
                    assert job.state is State.SUCCEEDED

            await asyncio.gather(*(worker(number) for number in range(4)))
            assert given == Counter({f"e{i}": 1 for i in range(30)})
            lease = await store.lease(Demand(worker="w", stage=Stage.STAGE3, request_id="last"))
            assert lease is not None and len(lease.inputs) == 30
            await store.fail(lease.job.id, lease.token, BROKEN)
            await store.close()
            assert len(proxy.cut) >= 5
        assert (await direct.get_run(run.id)).state is State.FAILED
        history = await direct.list_events(run.id)
        assert [event.cursor for event in history] == list(range(1, len(history) + 1))
        assert Counter(event.kind for event in history)["SUCCEEDED"] == 30
        await direct.close()

    asyncio.run(work())
