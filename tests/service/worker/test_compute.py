"""The process that computes, held by its supervisor: real processes, really killed."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from jwcal.core.errors import ChildCrashed, OutOfMemory, RemoteError
from jwcal.core.worker.compute import ComputeProcess
from jwcal.core.worker.work import InputFile, Phase, Progressing, Step, Work

STAGE = "tests.service.worker.a_stage:STAGE"
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def a_process(**more: Any) -> AsyncIterator[ComputeProcess]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | more.pop("environment", {})
    process = ComputeProcess(STAGE, environment=environment, **more)
    try:
        yield process
    finally:
        await process.close()


def some_work(place: Path, **deeds: Any) -> Work:
    file = place / "jw1_uncal.fits"
    file.write_bytes(b"pixels")
    (place / "out").mkdir(exist_ok=True)
    return Work(
        inputs=(InputFile(path=file, kind="uncal"),),
        output_dir=place / "out",
        log_file=place / "job.log",
        parameters={"copy": deeds},
        context="jwst_0001.pmap",
    )


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own."""

    def call(tmp_path: Path) -> None:
        asyncio.run(asyncio.wait_for(test(tmp_path), 60))

    call.__name__, call.__doc__ = test.__name__, test.__doc__
    return call


def ignore(event: Progressing) -> None:
    del event


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.02)


@asynchronous
async def test_a_job_tells_its_course_and_what_it_made(tmp_path: Path) -> None:
    told: list[Progressing] = []
    async with a_process() as process:
        made = await process.run(some_work(tmp_path), told.append)
    assert [product.path.read_bytes() for product in made.products] == [b"pixels"]
    assert [type(event) for event in told] == [Phase, Step]
    assert (tmp_path / "job.log").read_text() == "this is printed\n"


@asynchronous
async def test_a_typed_error_arrives_as_it_was_and_the_process_goes_on(tmp_path: Path) -> None:
    async with a_process() as process:
        with pytest.raises(RemoteError, match=r"upside down.*turn them") as caught:
            await process.run(some_work(tmp_path, fail=True), ignore)
        assert caught.value.reason == "INVALID_DATA"
        assert not caught.value.retryable
        assert caught.value.metadata()["remedy"] == "turn them"
        pid = process.pid
        await process.run(some_work(tmp_path), ignore)
        assert process.pid == pid


@asynchronous
async def test_the_text_of_an_unexpected_error_stays_in_the_log(tmp_path: Path) -> None:
    async with a_process() as process:
        with pytest.raises(RemoteError) as caught:
            await process.run(some_work(tmp_path, bug=True), ignore)
    assert caught.value.reason == "INTERNAL"
    assert "secret" not in str(caught.value)
    assert "RuntimeError: a secret in a message" in (tmp_path / "job.log").read_text()


@pytest.mark.parametrize(
    ("deed", "how"),
    [({"signal": "SIGSEGV"}, "SIGSEGV"), ({"signal": "SIGKILL"}, "SIGKILL"), ({"exit": 7}, "status 7")],
)
def test_a_crash_is_told_and_the_next_job_gets_a_new_process(tmp_path: Path, deed: dict[str, Any], how: str) -> None:
    async def test(place: Path) -> None:
        async with a_process() as process:
            await process.start()
            first = process.pid
            with pytest.raises(ChildCrashed, match=how) as caught:
                await process.run(some_work(place, **deed), ignore)
            assert caught.value.retryable
            await process.run(some_work(place), ignore)
            assert process.pid != first
        if how == "SIGSEGV":
            assert "Fatal Python error: Segmentation fault" in (place / "job.log").read_text()

    asynchronous(test)(tmp_path)


@asynchronous
async def test_a_job_that_takes_too_much_memory_is_killed_alone(tmp_path: Path) -> None:
    async with a_process(memory_limit=400 << 20) as process:
        with pytest.raises(OutOfMemory) as caught:
            await process.run(some_work(tmp_path, bytes=600 << 20, seconds=30), ignore)
        assert int(caught.value.metadata()["used"]) > 400 << 20
        await process.run(some_work(tmp_path), ignore)


@asynchronous
async def test_mapped_files_do_not_count_as_memory(tmp_path: Path) -> None:
    async with a_process(memory_limit=300 << 20) as process:
        made = await process.run(some_work(tmp_path, mapped=350 << 20, seconds=1), ignore)  # five looks at its memory
        assert made.products


@asynchronous
async def test_a_job_that_asks_for_more_memory_than_there_is_fails(tmp_path: Path) -> None:
    async with a_process() as process:
        with pytest.raises(RemoteError) as caught:
            await process.run(some_work(tmp_path, bytes=1 << 60), ignore)
        assert caught.value.reason == "OUT_OF_MEMORY"


@asynchronous
async def test_cancelling_kills_the_process(tmp_path: Path) -> None:
    started = tmp_path / "started"
    async with a_process() as process:
        job = asyncio.create_task(process.run(some_work(tmp_path, seconds=60, started=str(started)), ignore))
        await until(lambda: started.exists() and bool(started.read_text()))
        pid = int(started.read_text())
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert not psutil.pid_exists(pid)
        await process.run(some_work(tmp_path), ignore)


@asynchronous
async def test_a_process_that_cannot_start_says_so(tmp_path: Path) -> None:
    async with a_process(environment={"A_STAGE": "broken"}) as process:
        with pytest.raises(ChildCrashed, match="status 3"):
            await process.run(some_work(tmp_path), ignore)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death signal is Linux's")
def test_the_process_dies_with_its_supervisor(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = f"""
import asyncio, os
from pathlib import Path
from tests.service.worker.test_compute import a_process, ignore, some_work
async def main():
    async with a_process() as process:
        await process.run(some_work(Path({str(tmp_path)!r}), seconds=60, started={str(started)!r}), ignore)
asyncio.run(main())
"""
    supervisor = psutil.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        while not (started.exists() and started.read_text()):
            assert supervisor.poll() is None
            time.sleep(0.02)
        child = psutil.Process(int(started.read_text()))
        supervisor.send_signal(signal.SIGKILL)
        child.wait(timeout=10)
    finally:
        supervisor.kill()
        supervisor.wait()
