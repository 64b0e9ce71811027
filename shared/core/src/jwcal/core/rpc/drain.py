"""Stopping without cutting anybody off: calls finish, streams that have no end of their own are ended last."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from jwcal.core.errors import Draining
from jwcal.core.rpc.call import Call, current_task


def is_endless(name: str) -> bool:
    """Whether a method streams until its caller leaves."""
    return name.startswith("Watch") or name == "ServerReflectionInfo"


class Drain:
    """The layer that knows the calls in flight."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        """Long polls may watch it to answer early."""
        self._finite = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._endless: set[asyncio.Task[Any]] = set()
        self._ending = False

    @asynccontextmanager
    async def layer(self, call: Call) -> AsyncIterator[None]:
        """Count the call; refuse it, or end it, with UNAVAILABLE (reason DRAINING): its caller asks another server."""
        if self.started.is_set():  # gRPC lets in calls that come at the same moment
            raise _draining()
        if not is_endless(call.name):
            self._finite += 1
            self._idle.clear()
            try:
                yield
            finally:
                self._finite -= 1
                if not self._finite:
                    self._idle.set()
            return
        task = current_task()
        self._endless.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._ending or task.uncancel() > 0:
                raise
            raise _draining() from None
        finally:
            self._endless.discard(task)

    @property
    def in_flight(self) -> int:
        """Calls that will end by themselves."""
        return self._finite

    async def wait_until_idle(self) -> None:
        """Until no call that ends by itself is in flight."""
        await self._idle.wait()

    def end_streams(self) -> None:
        """End the streams that would not end."""
        self._ending = True
        for task in tuple(self._endless):
            task.cancel()


def _draining() -> Draining:
    return Draining("the server is about to stop", remedy="call again")
