"""How a server answers whatever it is sent."""

from collections.abc import AsyncIterable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor


async def answer_to(channel: grpc.aio.Channel, method: MethodDescriptor, raw: bytes, **options: Any) -> grpc.StatusCode:
    """Status of a call with these bytes as its request; answers are read to the end."""
    name = f"/{method.containing_service.full_name}/{method.name}"
    kinds = {True: "stream", False: "unary"}
    make = getattr(channel, f"{kinds[method.client_streaming]}_{kinds[method.server_streaming]}")
    call = make(name)(iter([raw]) if method.client_streaming else raw, **options)
    try:
        if isinstance(call, AsyncIterable):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
