"""Traces by OpenTelemetry: spans of calls, and of jobs that go on where the call that made them was long ago.

Without an endpoint nothing of OpenTelemetry is imported.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from jwcal.core.rpc.call import Call

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span


class Tracing:
    """Makes spans of one service and sends them away."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # Not the library's global provider: two services may live in one process.
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("jwcal")
        self._propagator = TraceContextTextMapPropagator()
        self._kinds = SpanKind

    @contextmanager
    def span(self, name: str, *, carrier: Mapping[str, str] | None = None, **attributes: str) -> Iterator[Span]:
        """A span around a piece of work: under the present one, or going on with the trace in `carrier`."""
        parent = None if carrier is None else self._propagator.extract(carrier)
        with self._tracer.start_as_current_span(name, context=parent, attributes=attributes) as span:
            yield span

    def carrier(self) -> dict[str, str]:
        """The present span as W3C headers, for whoever goes on with its trace."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier

    @asynccontextmanager
    async def layer(self, call: Call) -> AsyncIterator[None]:
        """The layer of a server: a span a call, under that of its caller."""
        headers = {name: value for name, value in call.metadata if isinstance(value, str)}
        with self._tracer.start_as_current_span(
            call.method.lstrip("/"),
            context=self._propagator.extract(headers),
            kind=self._kinds.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": call.service, "rpc.method": call.name},
            record_exception=False,  # their text is for the log alone
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            finally:
                end_call(span, call.code)

    def start_client_span(self, method: str) -> Span:
        """A span of a call that is about to be made; `end_call` and ``end`` finish it."""
        service, _, name = method.lstrip("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        return self._tracer.start_span(method.lstrip("/"), kind=self._kinds.CLIENT, attributes=attributes)

    def carrier_of(self, span: Span) -> dict[str, str]:
        """`span` as W3C headers."""
        from opentelemetry.trace import set_span_in_context

        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span))
        return carrier

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def end_call(span: Span, code: str) -> None:
    """Note how a call was answered."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("rpc.grpc.status_code", code)
    if code != "OK":
        span.set_status(StatusCode.ERROR, code)


@contextmanager
def tracing_to(endpoint: str | None, service: str) -> Iterator[Tracing | None]:
    """Spans go to an OTLP endpoint (``http://`` without, ``https://`` with TLS); None for none, which costs nothing."""
    if endpoint is None:
        yield None
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracing = Tracing(service, BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    try:
        yield tracing
    finally:
        tracing.close()
