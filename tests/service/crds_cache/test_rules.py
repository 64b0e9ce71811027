"""The process of the CRDS library: killed, and left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jwcal.crds_cache.rules import Rules
from tests.builders import CONTEXT, write_crds_cache
from tests.crds_server import serving

ROOT = Path(__file__).parents[3]
PROGRAM = """
import asyncio, sys
from pathlib import Path
from jwcal.crds_cache.rules import Rules

async def main():
    async with Rules(Path(sys.argv[1]), "") as rules:
        await rules.default_context()
        print("ready", flush=True)
        await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_library_process_that_was_killed_is_replaced(tmp_path: Path) -> None:
    cache = write_crds_cache(tmp_path / "crds", {"refpix": "N/A"})

    async def scenario() -> None:
        async with Rules(cache, "") as rules:
            children = psutil.Process().children()
            running = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
            (process,) = (child for child in running if "spawn_main" in " ".join(child.cmdline()))
            os.kill(process.pid, signal.SIGKILL)
            answers = await asyncio.gather(*(rules.default_context() for _ in range(5)))
            assert answers == [CONTEXT] * 5

    asyncio.run(scenario())


def test_a_call_that_waits_for_a_server_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with serving(write_crds_cache(tmp_path / "served", {"refpix": "N/A"})) as server:
        server.gate.clear()

        async def scenario() -> None:
            async with Rules(tmp_path / "crds", server.url) as rules:
                waiting = asyncio.create_task(rules.files(CONTEXT, "NIRCAM", ()))
                while not server.downloads:
                    await asyncio.sleep(0.01)  # the server runs in threads: it tells no loop
            await asyncio.gather(waiting, return_exceptions=True)

        asyncio.run(asyncio.wait_for(scenario(), 60))


def test_the_environment_of_the_service_does_not_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = write_crds_cache(tmp_path / "crds", {"refpix": "N/A"})

    async def scenario() -> None:
        async with Rules(cache, "") as rules:
            assert await rules.default_context() == CONTEXT

    monkeypatch.setenv("CRDS_CONTEXT", "jwst_0007.pmap")
    asyncio.run(scenario())


def test_no_library_process_outlives_a_killed_service(tmp_path: Path) -> None:
    cache = write_crds_cache(tmp_path / "crds", {"refpix": "N/A"})
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, program, cache], stdout=subprocess.PIPE, text=True, cwd=ROOT) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
        children = psutil.Process(service.pid).children(recursive=True)
        assert children
        service.kill()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
