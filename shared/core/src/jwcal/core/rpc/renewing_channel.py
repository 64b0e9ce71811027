"""A channel for as long as a program lives, whose certificates may be replaced meanwhile.

gRPC fixes the credentials of a channel when it is made.  Without this a worker whose certificate was renewed would show
the old one with its next connection, and never get in again once that has expired.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc

_BEGIN_SECONDS = 1.0
_FINISH_SECONDS = 7 * 3600.0  # longer than any deadline


class RenewingChannel(grpc.aio.Channel):
    """Calls go over a new channel once the credentials have changed; calls that were made finish on the old one."""

    def __init__(
        self,
        credentials: Callable[[], grpc.ChannelCredentials],
        connect: Callable[[grpc.ChannelCredentials], grpc.aio.Channel],
    ) -> None:
        self._credentials = credentials
        self._connect = connect
        self._used = credentials()
        self._channel = connect(self._used)
        self._retired: dict[asyncio.Task[None], grpc.aio.Channel] = {}
        self._closed = False

    def current(self) -> grpc.aio.Channel:
        """The channel for a call that is made now."""
        found = self._credentials()
        if found is not self._used and not self._closed:
            task = asyncio.get_running_loop().create_task(_retire(self._channel))
            self._retired[task] = self._channel
            task.add_done_callback(self._retired.pop)
            self._used, self._channel = found, self._connect(found)
        return self._channel

    async def close(self, grace: float | None = None) -> None:
        """Close it and what is left of its predecessors."""
        self._closed = True
        retired = dict(self._retired)
        for task in retired:
            task.cancel()
        await asyncio.gather(*(channel.close(grace) for channel in (*retired.values(), self._channel)))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """State of the present channel."""
        return self.current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Until the present channel's state is another one."""
        await self.current().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Until the present channel is connected."""
        await self.current().channel_ready()

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """Calls of a method."""
        return _Method(self, "unary_unary", arguments, options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """Calls of a method."""
        return _Method(self, "unary_stream", arguments, options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """Calls of a method."""
        return _Method(self, "stream_unary", arguments, options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """Calls of a method."""
        return _Method(self, "stream_stream", arguments, options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Method:
    """A method as stubs hold it: asks for the channel with every call."""

    def __init__(self, owner: RenewingChannel, kind: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._owner = owner
        self._make: Callable[[Any], Any] = lambda channel: getattr(channel, kind)(*arguments, **options)
        self._channel: grpc.aio.Channel | None = None
        self._method: Any = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        channel = self._owner.current()
        if channel is not self._channel:
            self._channel, self._method = channel, self._make(channel)
        return self._method(*arguments, **options)


async def _retire(channel: grpc.aio.Channel) -> None:
    # A closing channel takes no calls, and those made in this moment begin in tasks of their own.
    await asyncio.sleep(_BEGIN_SECONDS)
    await channel.close(_FINISH_SECONDS)
