"""A call as a server sees it, and what is wrapped around every one of them.

A layer is an asynchronous context manager around the handling of a call: `build_server` stacks log, metrics, trace,
errors, drain and authorization.  Requests are decoded inside the layers, so that who may not call cannot make the
server parse, and a request that cannot be parsed is an error like others.
"""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.message import DecodeError

from jwcal.core.errors import InvalidRequest

REQUEST_ID = "x-request-id"
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True, kw_only=True)
class Call:
    """One call."""

    method: str
    """``/package.Service/Method``."""
    context: grpc.aio.ServicerContext[Any, Any]
    metadata: tuple[tuple[str, str | bytes], ...]
    request_id: str
    code: str = "UNKNOWN"
    """Status that it was answered with; right once the errors layer is left."""
    reason: str | None = None
    """Reason of its error."""
    principal: str | None = None
    """Who calls, where that is known."""

    @property
    def service(self) -> str:
        """Full name of the service."""
        return self.method.split("/")[1]

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method.rsplit("/", 1)[1]

    def values(self, key: str) -> list[str]:
        """What the caller sent under a key of its metadata."""
        return [value for name, value in self.metadata if name == key and isinstance(value, str)]


Layer = Callable[[Call], AbstractAsyncContextManager[None]]


def random_id() -> str:
    """An id for a request or an error."""
    return uuid4().hex


class LayeredInterceptor(grpc.aio.ServerInterceptor):
    """Puts layers, the first one outermost, around every call."""

    def __init__(self, layers: Sequence[Layer], new_id: Callable[[], str]) -> None:
        self._layers = tuple(layers)
        self._new_id = new_id

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The method's handler with the layers around it; None where there is no such method."""
        handler = await continuation(handler_call_details)
        return None if handler is None else self._wrap(handler, handler_call_details.method)

    @asynccontextmanager
    async def _around(self, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
        metadata = tuple((str(key), value) for key, value in context.invocation_metadata() or ())
        call = Call(method=method, context=context, metadata=metadata, request_id="")
        given = call.values(REQUEST_ID)
        call.request_id = given[0] if given and _ACCEPTABLE_ID.fullmatch(given[0]) else self._new_id()
        async with AsyncExitStack() as stack:
            for layer in self._layers:
                await stack.enter_async_context(layer(call))
            yield

    def _wrap(self, handler: Any, method: str) -> Any:
        decode = _decoder(handler.request_deserializer)
        # Streams of requests are decoded as they are read, which is inside the layers anyway.
        prepare = (lambda requests: requests) if handler.request_streaming else decode
        deserializer = decode if handler.request_streaming else None
        around = self._around
        if handler.response_streaming:
            behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream

            async def stream(request: Any, context: Any) -> None:
                async with around(method, context):
                    answers = behaviour(prepare(request), context)
                    if not inspect.isasyncgen(answers):
                        await answers  # it writes to the context itself
                        return
                    async with aclosing(answers):
                        async for answer in answers:
                            await context.write(answer)

            make = grpc.stream_stream_rpc_method_handler if handler.request_streaming else _unary_stream
            return make(stream, deserializer, handler.response_serializer)
        behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
        encode = handler.response_serializer

        async def respond(request: Any, context: Any) -> bytes:
            async with around(method, context):
                answer = await behaviour(prepare(request), context)
                encoded: bytes = encode(answer)
            return encoded

        make = grpc.stream_unary_rpc_method_handler if handler.request_streaming else _unary_unary
        return make(respond, deserializer, None)


_unary_unary: Any = grpc.unary_unary_rpc_method_handler
_unary_stream: Any = grpc.unary_stream_rpc_method_handler


def _decoder(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode(raw: bytes) -> Any:
        try:
            return deserializer(raw)
        except DecodeError:
            raise InvalidRequest("the request is no message of the method's type", bytes=len(raw)) from None

    return decode


def expired(context: grpc.aio.ServicerContext[Any, Any]) -> bool:
    """Whether a call that was cancelled had run out of its time."""
    left: float | None = context.time_remaining()
    return left is not None and left <= 0


def current_task() -> "asyncio.Task[Any]":
    """The task that handles the call."""
    task = asyncio.current_task()
    assert task is not None  # grpc.aio handles calls in tasks
    return task
