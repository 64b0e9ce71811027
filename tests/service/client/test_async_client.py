"""`AsyncClient`: submit, list, follow, fetch."""

import asyncio
import json
import uuid
from pathlib import Path

import pytest

from jwcal.client import AsyncClient, Connection
from jwcal.client.model import JobChanged, Processing, RunChanged, Stage, State
from jwcal.core.errors import (
    ChecksumMismatch,
    InvalidParameter,
    JwcalError,
    NotFound,
    OutputError,
    Unavailable,
    UnreadableFile,
)
from jwcal.core.rpc.settings import ClientSettings
from jwcal.core.storage.opening import open_store
from jwcal.core.storage.ref import Location
from tests.service.client.orchestration import BUCKET, an_exposure, orchestrated
from tests.service.event_loop import in_event_loop


async def stored_keys(connection: Connection) -> list[str]:
    assert connection.store is not None
    store = open_store(connection.store)
    keys = [listed.ref.key async for listed in store.list(Location(BUCKET))]
    await store.close()
    return keys


@in_event_loop
async def test_files_are_uploaded_once_under_their_checksum(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (services, client, _):
        file = an_exposure(tmp_path)
        first = await client.submit(file)
        (key,) = await stored_keys(services.connection)
        assert key.startswith("inputs/sha256/") and key.endswith(f"/{file.name}")
        second = await client.submit([str(file)], priority=3, program="1234", labels={"who": "me"})
        assert await stored_keys(services.connection) == [key]
        assert first.name != second.name
        assert (second.priority, second.program, second.labels) == (3, "1234", {"who": "me"})
        (job,) = [job async for job in client.jobs(second.id)]
        (given,) = job.inputs
        assert (given.key, given.kind, given.size) == (key, "uncal", file.stat().st_size)
        assert given.sha256 in key


@in_event_loop
async def test_objects_of_the_store_are_taken_as_they_are(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (services, client, _):
        await client.submit(an_exposure(tmp_path))
        (key,) = await stored_keys(services.connection)
        run = await client.submit(f"s3://{BUCKET}/{key}")
        (job,) = [job async for job in client.jobs(run.name)]
        assert job.inputs[0].key == key
        assert len(await stored_keys(services.connection)) == 1


@in_event_loop
async def test_members_of_a_local_association_are_uploaded(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (_, client, worker):
        folder = tmp_path / "visit"
        folder.mkdir()
        files = [an_exposure(folder, number) for number in (1, 2)]
        members = [{"expname": file.name, "exptype": "science"} for file in files]
        association = tmp_path / "visit" / "asn.json"
        products = [{"name": "jw09999_image", "members": members}]
        association.write_text(json.dumps({"asn_type": "image3", "asn_rule": "Asn_Lv3Image", "products": products}))
        run = await client.submit(association, products=["rate"])
        assert run.products_asked == ("rate",)
        titles = [job.title async for job in client.jobs(run.name)]
        assert sorted(titles) == [file.name.removesuffix("_uncal.fits") for file in files]
        for _ in files:
            await worker.complete(await worker.lease())
        ended = await client.wait(run.name)
        assert ended.state is State.SUCCEEDED
        fetched = await client.download(run.name, tmp_path / "out")
        assert sorted(path.read_text() for path in fetched) == [f"rate of {file.name}" for file in files]


@in_event_loop
async def test_a_large_association_goes_by_the_store(tmp_path: Path) -> None:
    async with orchestrated(tmp_path, page_size=3) as (services, client, _):
        file = an_exposure(tmp_path)
        members = [{"expname": file.name, "exptype": "science"}]
        # each product has a member of its own name for the graph, all of them one file
        products = [{"name": f"product_{number}", "members": members} for number in range(5)]
        content = {"asn_type": "image2", "asn_rule": "Asn_Lv2Image", "products": products, "note": "x" * 300_000}
        association = tmp_path / "asn.json"
        association.write_text(json.dumps(content))
        run = await client.submit(association, products=["cal"])
        assert any(key.endswith("/asn.json") for key in await stored_keys(services.connection))
        jobs = [job async for job in client.jobs(run.name)]
        assert [job.stage for job in jobs] == [Stage.DETECTOR1] + 5 * [Stage.STAGE2]
        assert {job.parents for job in jobs[1:]} == {(jobs[0].name,)}


@in_event_loop
async def test_what_cannot_be_sent_is_refused_before_a_run_is_made(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (_, client, _worker):
        file = an_exposure(tmp_path)
        absent = tmp_path / "asn.json"
        members = [{"expname": "absent_uncal.fits", "exptype": "science"}]
        absent.write_text(json.dumps({"asn_type": "image2", "products": [{"name": "a", "members": members}]}))
        broken = tmp_path / "broken.json"
        broken.write_text('{"products": 3}')
        for inputs in (tmp_path / "no_uncal.fits", absent, broken):
            with pytest.raises(UnreadableFile):
                await client.submit(inputs)
        for wrong in ([], [absent, file]):
            with pytest.raises(InvalidParameter):
                await client.submit(wrong)
        with pytest.raises(InvalidParameter):
            await client.submit(file, parameters={"jump": {}}, processing={Stage.DETECTOR1: Processing()})
        with pytest.raises(InvalidParameter):
            await client.submit(file, parameters={"jump": {"rejection_threshold": float("nan")}})
        assert [run async for run in client.runs()] == []


@in_event_loop
async def test_the_service_s_refusal_is_a_typed_error_with_its_reason(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (_, client, _worker):
        with pytest.raises(JwcalError) as refused:
            await client.submit(an_exposure(tmp_path), products=["nonsense"])
        assert (refused.value.reason, refused.value.grpc_code) == ("INVALID_REQUEST", "INVALID_ARGUMENT")
        with pytest.raises(JwcalError) as unknown:
            await client.run(str(uuid.uuid4()))
        assert (unknown.value.reason, unknown.value.grpc_code) == ("RUN_NOT_FOUND", "NOT_FOUND")


@in_event_loop
async def test_the_same_request_id_gives_the_same_run(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (_, client, _worker):
        request, file = str(uuid.uuid4()), an_exposure(tmp_path)
        first, again = [await client.submit(file, request_id=request) for _ in range(2)]
        assert first.name == again.name
        with pytest.raises(JwcalError) as other:
            await client.submit(file, priority=1, request_id=request)
        assert other.value.reason == "REQUEST_ID_REUSED"


@in_event_loop
async def test_parameters_reach_the_worker(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (_, client, worker):
        parameters = {"jump": {"rejection_threshold": 5, "find_showers": True}}
        await client.submit(an_exposure(tmp_path), parameters=parameters, skip=["ipc"], context="jwst_1303.pmap")
        asked = (await worker.lease()).job.processing
        assert asked.parameters["jump"]["rejection_threshold"] == 5
        assert asked.parameters["jump"]["find_showers"] is True
        assert (list(asked.skip), asked.context) == (["ipc"], "jwst_1303.pmap")


@in_event_loop
async def test_lists_go_over_all_pages(tmp_path: Path) -> None:
    async with orchestrated(tmp_path, page_size=2) as (_, client, worker):
        files = [an_exposure(tmp_path, number) for number in range(1, 6)]
        made = [await client.submit(files, program=str(number)) for number in range(5)]
        assert [run.name async for run in client.runs()] == [run.name for run in reversed(made)]
        assert [run.name async for run in client.runs(program="3")] == [made[3].name]
        assert (await client.newest_run()).name == made[-1].name
        assert len([job async for job in client.jobs(made[0].name)]) == 5
        await worker.lease()
        running = [job async for job in client.jobs(made[0].name, states=[State.RUNNING])]
        assert [job.worker for job in running] == ["a-worker"]


@in_event_loop
async def test_a_run_is_followed_to_its_end(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (_, client, worker):
        run = await client.submit(an_exposure(tmp_path))
        states: list[State] = []
        fractions: list[float] = []
        cursors: list[int] = []
        lease = None
        async for change in client.watch(run.name):
            cursors.append(change.cursor)
            if isinstance(change, JobChanged):
                states.append(change.job.state)
                fractions.append(change.job.progress.fraction)
                if change.job.state is State.QUEUED:
                    lease = await worker.lease()
                    await worker.report(lease, 0.5)
                elif change.job.progress.fraction == 0.5 and change.job.state is State.RUNNING:
                    assert (change.job.progress.phase, change.job.progress.steps_total) == ("jump", 15)
                    assert lease is not None
                    await worker.complete(lease)
        assert (states[0], states[-1]) == (State.QUEUED, State.SUCCEEDED)
        assert 0.5 in fractions
        assert cursors == sorted(cursors)
        assert isinstance(change, RunChanged) and change.run.state is State.SUCCEEDED


@in_event_loop
async def test_a_watcher_goes_on_after_the_orchestrator_was_restarted(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (services, client, worker):
        run = await client.submit([an_exposure(tmp_path, number) for number in (1, 2)])
        seen: list[tuple[int, str, State]] = []
        async for change in client.watch(run.name):
            if not isinstance(change, JobChanged):
                continue
            seen.append((change.cursor, change.job.title, change.job.state))
            if len(seen) == 2:  # both are queued
                await services.stop()
                await services.start()
                for _ in range(2):
                    await worker.complete(await worker.lease())
        assert len(seen) == len(set(seen)), "nothing is told twice"
        assert [state for _, _, state in seen].count(State.QUEUED) == 2
        assert [state for _, _, state in seen].count(State.SUCCEEDED) == 2


@in_event_loop
async def test_a_watcher_loses_patience_with_a_service_that_stays_away(tmp_path: Path) -> None:
    async with orchestrated(tmp_path, watch_patience=0.5) as (services, client, _):
        run = await client.submit(an_exposure(tmp_path))
        watching = client.watch(run.name)
        await anext(watching)
        await services.stop()
        with pytest.raises(Unavailable):
            async for _change in watching:
                pass
        await services.start()


@in_event_loop
async def test_products_are_fetched_by_kind_and_in_full(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (_, client, worker):
        run = await client.submit([an_exposure(tmp_path, number) for number in (1, 2)])
        for _ in range(2):
            await worker.complete(await worker.lease(), kinds=("rate", "rateints"))
        assert len((await client.wait(run.name)).products) == 4
        rates = await client.download(run.name, tmp_path / "rates", kinds=["rate"])
        assert [path.name for path in rates] == [f"jw09999002001_02101_0000{n}_nrcb1_rate.fits" for n in (1, 2)]
        assert len(await client.download(run.name, tmp_path / "all")) == 4
        (job, _other) = [job async for job in client.jobs(run.name)]
        assert [(step.name, step.outcome) for step in job.steps] == [("jump", "COMPLETE"), ("persistence", "SKIPPED")]
        assert await client.log(job.name) == "all went well\n"


@in_event_loop
async def test_a_damaged_product_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (services, client, worker):
        run = await client.submit(an_exposure(tmp_path))
        await worker.complete(await worker.lease())
        (product,) = await client.products(run.name)
        (stored,) = (path for path in (tmp_path / "objects").rglob(product.name) if path.is_file())
        stored.chmod(0o600)
        stored.write_bytes(b"X" + stored.read_bytes()[1:])
        with pytest.raises(ChecksumMismatch):
            await client.download(run.name, tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []
        assert services.connection.store is not None


@in_event_loop
async def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (_, client, worker):
        run = await client.submit(an_exposure(tmp_path))
        await worker.complete(await worker.lease())
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="file"):
            await client.download(run.name, tmp_path / "file")


@in_event_loop
async def test_runs_are_cancelled_retried_and_forgotten(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (_, client, worker):
        run = await client.submit(an_exposure(tmp_path))
        assert (await client.cancel(run.name)).state is State.CANCELLED
        assert (await client.retry(run.id)).jobs == {State.QUEUED: 1}
        await worker.fail(await worker.lease())
        failed = await client.wait(run.name)
        assert failed.state is State.FAILED
        assert failed.failure is not None
        assert (failed.failure.reason, failed.failure.message) == ("INVALID_DATA", "the pixels are upside down")
        (job,) = [job async for job in client.jobs(run.name)]
        with pytest.raises(NotFound):
            await client.log(job.name)
        await client.delete(run.name)
        with pytest.raises(JwcalError) as gone:
            await client.run(run.name)
        assert gone.value.reason == "RUN_NOT_FOUND"
        with pytest.raises(NotFound):
            await client.newest_run()


@in_event_loop
async def test_queue_and_workers_are_told(tmp_path: Path) -> None:
    async with orchestrated(tmp_path, page_size=1) as (_, client, worker):
        await client.submit([an_exposure(tmp_path, number) for number in (1, 2)])
        lease = await worker.lease()
        stats = {one.stage: one for one in await client.queue_stats()}
        assert (stats[Stage.DETECTOR1].queued, stats[Stage.DETECTOR1].running) == (1, 1)
        assert (await client.drain("a-worker")).draining
        (found,) = [one async for one in client.workers(stage=Stage.DETECTOR1)]
        assert (found.name, found.job, found.draining) == ("a-worker", lease.job.name, True)
        assert [one async for one in client.workers(stage=Stage.STAGE3)] == []


@in_event_loop
async def test_a_service_that_is_not_there_is_named_with_a_remedy() -> None:
    async with AsyncClient(Connection(server="127.0.0.1:1", client=ClientSettings(plaintext=True))) as client:
        with pytest.raises(Unavailable, match=r"no service answers at 127\.0\.0\.1:1") as away:
            await client.queue_stats()
        assert "jwcal up" in str(away.value)


@in_event_loop
async def test_without_a_store_files_cannot_be_sent(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (services, _, _worker):
        bare = Connection(server=services.address, client=ClientSettings(plaintext=True))
        async with AsyncClient(bare) as client:
            with pytest.raises(InvalidParameter, match="JWCAL_STORE_KIND"):
                await client.submit(an_exposure(tmp_path))
            with pytest.raises(InvalidParameter, match="JWCAL_STORE_KIND"):
                await client.download(str(uuid.uuid4()), tmp_path)


@in_event_loop
async def test_many_uploads_at_once_come_in_order(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (services, client, _):
        files = [an_exposure(tmp_path, number) for number in range(1, 21)]
        runs = await asyncio.gather(client.submit(files), client.submit(files))
        for run in runs:
            names = [job.inputs[0].name async for job in client.jobs(run.name)]
            assert names == [file.name for file in files]
        assert len(await stored_keys(services.connection)) == 20
