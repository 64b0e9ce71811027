"""Channels: how every client of jwcal calls.

Each call has a deadline, a request id, the caller's token and its trace.  Calls are tried again only where the other
side is UNAVAILABLE, by gRPC itself: with backoff and jitter, within the deadline, and never once an answer has begun,
so a stream that yielded is not repeated.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from pydantic import SecretStr

from jwcal.core.errors import ConfigurationError
from jwcal.core.rpc.addresses import Address
from jwcal.core.rpc.call import REQUEST_ID, random_id
from jwcal.core.rpc.deadlines import DEFAULT_SECONDS, METHOD_SECONDS
from jwcal.core.rpc.renewing_channel import RenewingChannel
from jwcal.core.rpc.settings import ClientSettings
from jwcal.core.rpc.tls import watched_channel_credentials
from jwcal.core.rpc.traces import Tracing, end_call
from jwcal.core.rpc.watched_files import WatchedFiles, read_text

if TYPE_CHECKING:
    from opentelemetry.trace import Span

TokenSource = Callable[[], SecretStr]

RETRIES: Mapping[str, Any] = {
    "maxAttempts": 5,
    "initialBackoff": "0.25s",
    "maxBackoff": "4s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
"""gRPC's retry policy; it adds a jitter of a fifth.  Who wants to wait longer than a few seconds calls again itself."""

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.per_rpc_retry_buffer_size", 2 * 1024 * 1024),  # else large requests are never tried again
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # else a quiet stream is asked twice and then believed for ever
]


def token_from(path: Path) -> TokenSource:
    """The token in a file, read again when the file changes."""
    watched = WatchedFiles([path], lambda: SecretStr(read_text(path).strip()))
    return watched.current


def open_channel(
    address: str,
    settings: ClientSettings,
    *,
    token: TokenSource | None = None,
    tracing: Tracing | None = None,
    deadlines: Mapping[str, float] = METHOD_SECONDS,
    default_deadline: float = DEFAULT_SECONDS,
    retries: Mapping[str, Any] | None = RETRIES,
    new_id: Callable[[], str] = random_id,
) -> grpc.aio.Channel:
    """A channel to a service; the token is that of the settings' file unless another source is given.

    New certificates and tokens in the files are used from the next call on.

    Raises
    ------
    ConfigurationError
        Where it would be plaintext without having been asked for, or beyond this machine.
    """
    parsed = Address.parse(address)
    if token is None and settings.token_file is not None:
        token = token_from(settings.token_file)
    preparation = _Preparation(token, tracing, deadlines, default_deadline, new_id)
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (
        _UnaryUnary(preparation),
        _UnaryStream(preparation),
        _StreamUnary(preparation),
        _StreamStream(preparation),
    )
    options = [*_OPTIONS, ("grpc.enable_retries", int(retries is not None))]
    if retries is not None:
        methods = [{"name": [{}], "retryPolicy": dict(retries)}]
        options.append(("grpc.service_config", json.dumps({"methodConfig": methods})))
    if settings.plaintext:
        if settings.tls:
            raise ConfigurationError("a channel cannot have TLS and plaintext", remedy="choose one")
        if not parsed.is_local:
            raise ConfigurationError(f"{address} is not of this machine: no plaintext", remedy="use TLS")
        return grpc.aio.insecure_channel(address, options, interceptors=interceptors)
    if settings.tls is None:
        raise ConfigurationError("the channel has no TLS", remedy="configure TLS, or ask for plaintext")
    if settings.tls.server_name:
        options.append(("grpc.ssl_target_name_override", settings.tls.server_name))

    def connect(credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(address, credentials, options, interceptors=interceptors)

    return RenewingChannel(watched_channel_credentials(settings.tls), connect)


class _Preparation:
    """What is added to every call."""

    def __init__(
        self,
        token: TokenSource | None,
        tracing: Tracing | None,
        deadlines: Mapping[str, float],
        default_deadline: float,
        new_id: Callable[[], str],
    ) -> None:
        self._token = token
        self._tracing = tracing
        self._deadlines = deadlines
        self._default_deadline = default_deadline
        self._new_id = new_id
        self._endings: set[asyncio.Task[None]] = set()

    async def start(self, continuation: Any, details: grpc.aio.ClientCallDetails, request: Any) -> Any:
        method = details.method.decode() if isinstance(details.method, bytes) else details.method
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if metadata.get(REQUEST_ID) is None:
            metadata.add(REQUEST_ID, self._new_id())
        if self._token:
            metadata.set_all("authorization", [f"Bearer {self._token().get_secret_value()}"])
        span = self._tracing.start_client_span(method) if self._tracing else None
        if self._tracing and span:
            for name, value in self._tracing.carrier_of(span).items():
                metadata.add(name, value)
        timeout = details.timeout
        if timeout is None:
            timeout = self._deadlines.get(method, self._default_deadline)
        prepared = grpc.aio.ClientCallDetails(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready
        )
        call = await continuation(prepared, request)
        if span:
            ending = asyncio.get_running_loop().create_task(_end(span, call))
            self._endings.add(ending)  # the loop itself holds tasks weakly
            ending.add_done_callback(self._endings.discard)
        return call


async def _end(span: "Span", call: grpc.aio.Call) -> None:
    end_call(span, (await call.code()).name)
    span.end()


# gRPC takes an object for one kind of call only.
class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, preparation: _Preparation) -> None:
        self._start = preparation.start

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._start(continuation, client_call_details, request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, preparation: _Preparation) -> None:
        self._start = preparation.start

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._start(continuation, client_call_details, request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    def __init__(self, preparation: _Preparation) -> None:
        self._start = preparation.start

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._start(continuation, client_call_details, request_iterator)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    def __init__(self, preparation: _Preparation) -> None:
        self._start = preparation.start

    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._start(continuation, client_call_details, request_iterator)
