"""Every metric of jwcal, declared once, on a registry that the program owns."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from jwcal.core.errors import ConfigurationError
from jwcal.core.rpc.addresses import Address
from jwcal.core.rpc.call import Call, Layer

_CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_STEP_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_RUN_SECONDS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)


class Metrics:
    """The metrics; a program fills those it knows about."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.rpc_seconds = Histogram(
            "jwcal_rpc_seconds",
            "Time of calls",
            ("service", "method", "code"),
            buckets=_CALL_SECONDS,
            registry=registry,
        )
        self.rpc_in_flight = Gauge("jwcal_rpc_in_flight", "Calls being handled", registry=registry)
        self.queue_jobs = Gauge("jwcal_queue_jobs", "Jobs", ("stage", "state"), registry=registry)
        self.queue_oldest_seconds = Gauge(
            "jwcal_queue_oldest_seconds", "Age of the oldest queued job", ("stage",), registry=registry
        )
        self.lease_age_seconds = Gauge("jwcal_lease_age_seconds", "Age of the oldest live lease", registry=registry)
        self.job_attempts = Counter(
            "jwcal_job_attempts", "Attempts at jobs that ended", ("stage", "outcome"), registry=registry
        )
        self.jobs_reused = Counter(
            "jwcal_jobs_reused", "Jobs answered with an earlier result", ("stage",), registry=registry
        )
        self.run_seconds = Histogram(
            "jwcal_run_seconds",
            "Time of runs from their submission to their end",
            ("state",),
            buckets=_RUN_SECONDS,
            registry=registry,
        )
        self.step_seconds = Histogram(
            "jwcal_step_seconds", "Time of steps", ("step",), buckets=_STEP_SECONDS, registry=registry
        )
        self.bytes = Counter("jwcal_bytes", "Bytes to and from the object store", ("direction",), registry=registry)
        self.prefetch = Counter(
            "jwcal_prefetch",
            "Jobs by whether their inputs were there (hit) when the compute process could take them",
            ("result",),
            registry=registry,
        )
        self.reference_cache = Counter(
            "jwcal_reference_cache", "Questions to the cache of references", ("result",), registry=registry
        )
        self.reference_downloads = Counter(
            "jwcal_reference_downloads", "Attempts to bring a reference into the store", ("result",), registry=registry
        )
        self.reference_bytes = Counter(
            "jwcal_reference_bytes", "Bytes of references brought", ("source",), registry=registry
        )
        self.cold_start_seconds = Gauge(
            "jwcal_cold_start_seconds", "Time from the start of the process until it was ready", registry=registry
        )


def measuring_calls(metrics: Metrics, clock: Callable[[], float]) -> Layer:
    """The layer that counts and times calls."""

    @asynccontextmanager
    async def layer(call: Call) -> AsyncIterator[None]:
        start = clock()
        metrics.rpc_in_flight.inc()
        try:
            yield
        finally:
            metrics.rpc_in_flight.dec()
            metrics.rpc_seconds.labels(call.service, call.name, call.code).observe(clock() - start)

    return layer


@contextmanager
def showing_metrics(metrics: Metrics, listen: str) -> Iterator[Address]:
    """Serve the metrics over HTTP at an address, port 0 for a free one; gives the address with the port."""
    wanted = Address.parse(listen)
    if wanted.is_socket_file:
        raise ConfigurationError(f"metrics cannot be shown at {listen!r}", remedy="use host:port")
    try:
        server, thread = start_http_server(wanted.port, wanted.host, metrics.registry)
    except OSError as error:
        raise ConfigurationError(f"cannot listen at {listen!r}", cause=type(error).__name__) from error
    try:
        yield wanted.with_port(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
