"""Servers: every service of jwcal is served by one of these."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from jwcal.core.errors import ConfigurationError
from jwcal.core.rpc.addresses import Address
from jwcal.core.rpc.authorization import TokenVerifier, authorizing
from jwcal.core.rpc.boundary import answering_errors
from jwcal.core.rpc.call import Layer, LayeredInterceptor, random_id
from jwcal.core.rpc.call_log import logging_calls
from jwcal.core.rpc.drain import Drain
from jwcal.core.rpc.metrics import Metrics, measuring_calls
from jwcal.core.rpc.scopes import METHOD_SCOPES, Scope
from jwcal.core.rpc.settings import ServerSettings
from jwcal.core.rpc.tls import server_credentials
from jwcal.core.rpc.traces import Tracing

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Service:
    """A service to serve."""

    name: str
    """Full name, such as ``jwcal.api.detector1.v1.Detector1Service``."""
    register: Callable[[grpc.aio.Server], None]
    """Adds its servicer: the generated ``add_..._to_server`` with the servicer bound."""


class RpcServer:
    """A server with health, reflection and a drain.  Use as an asynchronous context, or start and drain it."""

    def __init__(
        self, server: grpc.aio.Server, services: Sequence[str], settings: ServerSettings, drain: Drain
    ) -> None:
        self._server = server
        self._services = tuple(services)
        self._settings = settings
        self._drain = drain
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        self.addresses: tuple[Address, ...] = ()
        """Where it listens, once it is started."""

    @property
    def draining(self) -> asyncio.Event:
        """Set when the drain begins; long polls answer early then."""
        return self._drain.started

    @property
    def in_flight(self) -> int:
        """Calls being handled that will end by themselves."""
        return self._drain.in_flight

    async def start(self) -> None:
        """Listen.  Alive (health of "") at once, ready (health of the services) when told so."""
        for name in self._services:
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        credentials = server_credentials(self._settings.tls) if self._settings.tls else None
        bound = []
        for address in map(Address.parse, self._settings.listen):
            try:
                if credentials:
                    port = self._server.add_secure_port(str(address), credentials)
                else:
                    port = self._server.add_insecure_port(str(address))
            except RuntimeError as error:
                raise ConfigurationError(f"cannot listen at {address}", address=str(address)) from error
            bound.append(address.with_port(port))
        await self._server.start()
        self.addresses = tuple(bound)

    async def set_ready(self, ready: bool, services: Iterable[str] | None = None) -> None:
        """Tell probes and load balancers whether these services (all by default) can take work."""
        if self._drain.started.is_set():
            return
        await self._set_health(self._services if services is None else services, ready)

    async def drain(self, grace_seconds: float | None = None) -> None:
        """Stop: not ready, no new calls, calls in flight finish within the grace, streams end last.

        A second drain with a shorter grace cuts the first one short.
        """
        self._drain.started.set()
        grace = self._settings.grace_seconds if grace_seconds is None else grace_seconds
        await self._set_health(self._services, False)
        stopping = asyncio.create_task(self._server.stop(grace))
        idle = asyncio.create_task(self._drain.wait_until_idle())
        await asyncio.wait((stopping, idle), return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        self._drain.end_streams()
        await stopping

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain(0)

    async def _set_health(self, services: Iterable[str], serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in services:
            await self._health.set(name, status)


def build_server(
    services: Sequence[Service],
    settings: ServerSettings,
    *,
    verifier: TokenVerifier | None,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
    scopes: Mapping[str, Scope | None] = METHOD_SCOPES,
    new_id: Callable[[], str] = random_id,
    clock: Callable[[], float] = time.monotonic,
) -> RpcServer:
    """A server, not started yet; call inside a running event loop.

    Raises
    ------
    ConfigurationError
        Where other machines could call without encryption, or without tokens.
    """
    _check(settings, verifier)
    drain = Drain()
    layers: list[Layer] = [logging_calls(clock)]
    if metrics:
        layers.append(measuring_calls(metrics, clock))
    if tracing:
        layers.append(tracing.layer)
    layers += [answering_errors(new_id), drain.layer, authorizing(verifier, scopes)]
    server = grpc.aio.server(
        interceptors=(LayeredInterceptor(layers, new_id),),
        options=_options(settings),
        maximum_concurrent_rpcs=settings.max_concurrent_calls,
    )
    for service in services:
        service.register(server)
    return RpcServer(server, [service.name for service in services], settings, drain)


@asynccontextmanager
async def stop_requests(signals: Sequence[signal.Signals] = STOP_SIGNALS) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the process is asked to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def serve_until_stopped(server: RpcServer, stop: asyncio.Event) -> None:
    """Drain a started server once `stop` is set; see `stop_requests`."""
    await stop.wait()
    await server.drain()


def _check(settings: ServerSettings, verifier: TokenVerifier | None) -> None:
    if settings.tls is None and not settings.plaintext:
        raise ConfigurationError("the server has no TLS", remedy="name certificate and key, or ask for plaintext")
    if settings.tls and settings.plaintext:
        raise ConfigurationError("the server cannot have TLS and plaintext", remedy="choose one")
    for address in map(Address.parse, settings.listen):
        if address.is_local:
            continue
        if settings.plaintext:
            raise ConfigurationError(f"{address} is not of this machine: no plaintext", remedy="use TLS")
        if verifier is None:
            raise ConfigurationError(f"{address} is not of this machine: tokens needed", remedy="configure tokens")


def _options(settings: ServerSettings) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", settings.max_request_bytes),
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),  # a sharp limit: no refusals by chance
        ("grpc.so_reuseport", 0),  # else a second server takes half of the calls without a word
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # channels ping every 30 s
    ]
