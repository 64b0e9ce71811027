"""`Client`: the same without an event loop."""

import asyncio
from pathlib import Path

import pytest

from jwcal.client import Client, Connection
from jwcal.client.model import RunChanged, State
from jwcal.core.errors import ConfigurationError, JwcalError
from tests.service.client.orchestration import an_exposure, orchestrated
from tests.service.event_loop import in_event_loop


@in_event_loop
async def test_a_program_without_an_event_loop_goes_from_file_to_product(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (services, _, worker):

        def program() -> list[str]:
            with Client(services.connection) as client:
                run = client.submit(an_exposure(tmp_path), products=["rate"])
                states = [change.run.state for change in client.watch(run.name) if isinstance(change, RunChanged)]
                assert states[-1] is State.SUCCEEDED
                assert [one.name for one in client.runs()] == [run.name]
                assert [job.state for job in client.jobs(run.name)] == [State.SUCCEEDED]
                return [path.read_text() for path in client.download(run.name, tmp_path / "out")]

        running = asyncio.create_task(asyncio.to_thread(program))
        await worker.complete(await worker.lease())
        assert await running == ["rate of jw09999002001_02101_00001_nrcb1_uncal.fits"]


@in_event_loop
async def test_an_iteration_may_be_left_early(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (services, _, _worker):

        def program() -> None:
            with Client(services.connection) as client:
                run = client.submit(an_exposure(tmp_path))
                for _ in client.watch(run.name):  # it would wait for ever
                    break
                assert client.cancel(run.name).state is State.CANCELLED
                assert client.wait(run.name).state is State.CANCELLED

        await asyncio.to_thread(program)


@in_event_loop
async def test_errors_are_raised_where_the_method_was_called(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as (services, _, _worker):

        def program() -> None:
            client = Client(services.connection)
            with pytest.raises(JwcalError) as refused:
                client.run("runs/nothing")
            assert refused.value.reason == "RUN_NOT_FOUND"
            client.close()
            client.close()

        await asyncio.to_thread(program)


def test_a_client_that_cannot_be_made_leaves_no_thread_behind() -> None:
    import threading

    before = threading.active_count()
    with pytest.raises(ConfigurationError):
        Client(Connection(server="example.org:1"))  # no TLS
    assert threading.active_count() == before
