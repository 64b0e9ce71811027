"""Waiting until a process is ready, or dead."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jwcal.client.local.processes import find
from jwcal.client.local.state import StartedProcess
from jwcal.core.errors import ConfigurationError, DeadlineExceeded

_LOOK_SECONDS = 0.1
"""Between two looks at what tells nobody when it changes."""
_QUICK = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
_LOG_LINES = 3


async def wait_until_ready(
    name: str, started: StartedProcess, ready: Coroutine[Any, Any, None], *, log: Path, seconds: float
) -> None:
    """Wait for `ready`, as long as the process lives.

    Raises
    ------
    ConfigurationError
        It ended.
    DeadlineExceeded
        It is not ready after so many seconds.
    """
    tasks = asyncio.create_task(ready), asyncio.create_task(_death(started))
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0] in done:
            await tasks[0]
        elif tasks[1] in done:
            raise ConfigurationError(f"{name} ended: {_last_lines(log)}", remedy=f"see {log}")
        else:
            raise DeadlineExceeded(f"{name} is not ready after {seconds:.0f} s", remedy=f"see {log}")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def serving(address: str, service: str) -> None:
    """Until a server of this machine says that a service is ready."""
    async with grpc.aio.insecure_channel(address, _QUICK) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        while True:
            try:
                async for answer in stub.Watch(request, wait_for_ready=True):
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(_LOOK_SECONDS)  # it broke off: asked again, until the process is known to be dead


async def answering(url: str) -> None:
    """Until a web server answers with success."""

    def answers() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    while not await asyncio.to_thread(answers):
        await asyncio.sleep(_LOOK_SECONDS)


async def _death(started: StartedProcess) -> None:
    while find(started) is not None:
        await asyncio.sleep(_LOOK_SECONDS)


def _last_lines(log: Path) -> str:
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return " / ".join(lines[-_LOG_LINES:])[-600:] or "its log is empty"
