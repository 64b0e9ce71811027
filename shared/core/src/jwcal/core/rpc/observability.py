"""Metrics and traces of one program, shown and sent as its settings say."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from jwcal.core.rpc.addresses import Address
from jwcal.core.rpc.metrics import Metrics, showing_metrics
from jwcal.core.rpc.settings import ObservabilitySettings
from jwcal.core.rpc.traces import Tracing, tracing_to


@dataclass(frozen=True, slots=True)
class Observability:
    """What a program tells of itself."""

    metrics: Metrics
    tracing: Tracing | None
    metrics_address: Address | None


@contextmanager
def observing(settings: ObservabilitySettings, service: str) -> Iterator[Observability]:
    """Metrics (those of the process too) and traces of a program named `service`, while the context lasts."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    metrics = Metrics(registry)
    with ExitStack() as stack:
        listen = settings.metrics_listen
        address = stack.enter_context(showing_metrics(metrics, listen)) if listen else None
        tracing = stack.enter_context(tracing_to(settings.traces_endpoint, service))
        yield Observability(metrics, tracing, address)
