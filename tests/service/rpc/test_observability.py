"""What is seen of calls: metrics, traces, logs."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest, ListStepsResponse, ProcessRequest, ProcessResponse
from jwcal.core.errors import ConfigurationError, JwcalError, NotFound
from jwcal.core.rpc.metrics import Metrics, showing_metrics
from jwcal.core.rpc.observability import observing
from jwcal.core.rpc.settings import ObservabilitySettings
from jwcal.core.rpc.status import remote_errors
from jwcal.core.rpc.traces import Tracing, tracing_to
from tests.service.event_loop import in_event_loop
from tests.service.rpc.serving import DETECTOR1, Detector1, serving


async def two_answers(_request: Any, _context: Any) -> AsyncIterator[ProcessResponse]:
    yield ProcessResponse()
    yield ProcessResponse()


async def fail(_request: Any, _context: Any) -> ListStepsResponse:
    raise NotFound("there is no plan")


def counted(registry: CollectorRegistry, method: str, code: str) -> float | None:
    labels = {"service": DETECTOR1, "method": method, "code": code}
    return registry.get_sample_value("jwcal_rpc_seconds_count", labels)


@in_event_loop
async def test_calls_are_counted_by_how_they_were_answered() -> None:
    registry = CollectorRegistry()
    async with serving(Detector1(fail, two_answers), metrics=Metrics(registry)) as served:
        async for _ in served.detector1.Process(ProcessRequest()):
            pass
        for _ in range(2):
            with pytest.raises(NotFound), remote_errors():
                await served.detector1.ListSteps(ListStepsRequest())
    assert counted(registry, "Process", "OK") == 1
    assert counted(registry, "ListSteps", "NOT_FOUND") == 2
    assert counted(registry, "ListSteps", "OK") is None
    assert registry.get_sample_value("jwcal_rpc_in_flight") == 0


@in_event_loop
async def test_calls_that_end_early_are_counted_as_what_they_were() -> None:
    registry = CollectorRegistry()
    begun = asyncio.Event()

    async def hang(_request: Any, _context: Any) -> ListStepsResponse:
        begun.set()
        await asyncio.Event().wait()
        return ListStepsResponse()

    async with serving(Detector1(list_steps=hang), metrics=Metrics(registry)) as served:
        call = served.detector1.ListSteps(ListStepsRequest())
        await begun.wait()
        assert registry.get_sample_value("jwcal_rpc_in_flight") == 1
        call.cancel()
        with pytest.raises(JwcalError), remote_errors():
            await served.detector1.ListSteps(ListStepsRequest(), timeout=0.1)
        await served.server.drain(10)  # both have ended on the server's side then
    assert counted(registry, "ListSteps", "CANCELLED") == 1
    assert counted(registry, "ListSteps", "DEADLINE_EXCEEDED") == 1


def test_all_metrics_are_shown_over_http() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.queue_jobs.labels("detector1", "QUEUED").set(3)
    metrics.queue_oldest_seconds.labels("detector1").set(4)
    metrics.lease_age_seconds.set(5)
    metrics.job_attempts.labels("detector1", "SUCCEEDED").inc()
    metrics.step_seconds.labels("jump").observe(0.1)
    metrics.bytes.labels("in").inc(10)
    metrics.prefetch.labels("hit").inc()
    metrics.reference_cache.labels("hit").inc()
    metrics.cold_start_seconds.set(6)
    metrics.rpc_seconds.labels("s", "m", "OK").observe(0.1)
    with showing_metrics(metrics, "127.0.0.1:0") as address, urlopen(f"http://{address}/metrics") as answer:
        text = answer.read().decode()
    samples = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert samples["jwcal_queue_jobs"].labels == {"stage": "detector1", "state": "QUEUED"}
    assert samples["jwcal_queue_oldest_seconds"].labels == {"stage": "detector1"}
    assert samples["jwcal_job_attempts_total"].labels == {"stage": "detector1", "outcome": "SUCCEEDED"}
    assert samples["jwcal_step_seconds_count"].labels == {"step": "jump"}
    assert samples["jwcal_bytes_total"].labels == {"direction": "in"}
    assert samples["jwcal_prefetch_total"].labels == {"result": "hit"}
    assert samples["jwcal_reference_cache_total"].labels == {"result": "hit"}
    assert samples["jwcal_rpc_seconds_count"].labels == {"service": "s", "method": "m", "code": "OK"}
    assert {"jwcal_lease_age_seconds", "jwcal_cold_start_seconds", "jwcal_rpc_in_flight"} <= set(samples)


def test_a_program_shows_its_metrics_where_its_settings_say() -> None:
    with observing(ObservabilitySettings(metrics_listen="127.0.0.1:0"), "worker") as observed:
        assert observed.tracing is None
        with urlopen(f"http://{observed.metrics_address}/metrics") as answer:
            text = answer.read().decode()
    assert "process_resident_memory_bytes" in text
    assert "jwcal_rpc_in_flight 0.0" in text
    with observing(ObservabilitySettings(), "worker") as silent:
        assert silent.metrics_address is None


def test_a_port_for_metrics_that_is_in_use_is_an_error() -> None:
    metrics = Metrics(CollectorRegistry())
    with (
        showing_metrics(metrics, "127.0.0.1:0") as address,
        pytest.raises(ConfigurationError, match="cannot listen"),
        showing_metrics(metrics, str(address)),
    ):
        pass


@contextmanager
def recorded(service: str) -> Iterator[tuple[Tracing, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    tracing = Tracing(service, SimpleSpanProcessor(exporter))
    try:
        yield tracing, exporter
    finally:
        tracing.close()


@in_event_loop
async def test_a_call_links_the_spans_of_both_services() -> None:
    with recorded("client") as (client, of_client), recorded("server") as (server, of_server):
        options = {"tracing": client}
        async with serving(Detector1(fail, two_answers), tracing=server, channel_options=options) as served:
            with client.span("run"):
                async for _ in served.detector1.Process(ProcessRequest()):
                    pass
                with pytest.raises(NotFound), remote_errors():
                    await served.detector1.ListSteps(ListStepsRequest())
        calls = {span.name: span for span in of_client.get_finished_spans()}
        handled = {span.name: span for span in of_server.get_finished_spans()}
        run = calls.pop("run")
        assert set(calls) == set(handled) == {f"{DETECTOR1}/Process", f"{DETECTOR1}/ListSteps"}
        for name, call in calls.items():
            assert call.parent is not None
            assert call.parent.span_id == run.context.span_id
            parent = handled[name].parent
            assert parent is not None
            assert (parent.span_id, parent.trace_id) == (call.context.span_id, run.context.trace_id)
        for spans in (calls, handled):
            assert spans[f"{DETECTOR1}/Process"].attributes["rpc.grpc.status_code"] == "OK"
            assert spans[f"{DETECTOR1}/ListSteps"].attributes["rpc.grpc.status_code"] == "NOT_FOUND"
            assert not spans[f"{DETECTOR1}/ListSteps"].status.is_ok
            assert spans[f"{DETECTOR1}/ListSteps"].events == ()  # no text of the exception


def test_a_job_goes_on_with_the_trace_that_its_lease_carries() -> None:
    with recorded("orchestrator") as (orchestrator, made), recorded("worker") as (worker, done):
        with orchestrator.span("run"):
            carrier = orchestrator.carrier()
        with worker.span("job", carrier=carrier, stage="detector1"), worker.span("jump"):
            pass
        (run,) = made.get_finished_spans()
        jump, job = done.get_finished_spans()
    assert set(carrier) == {"traceparent"}
    assert job.parent is not None
    assert jump.parent is not None
    assert (job.parent.span_id, jump.parent.span_id) == (run.context.span_id, job.context.span_id)
    assert run.context.trace_id == job.context.trace_id == jump.context.trace_id


class Collector(TraceServiceServicer):
    """A collector of spans, as sites run one."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str]] = []

    async def Export(self, request: Any, _context: Any) -> ExportTraceServiceResponse:  # noqa: N802
        for resource in request.resource_spans:
            name = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            self.spans += [(name, span.name) for scope in resource.scope_spans for span in scope.spans]
        return ExportTraceServiceResponse()


@in_event_loop
async def test_spans_arrive_at_the_endpoint() -> None:
    collector = Collector()
    server = grpc.aio.server()
    add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    def work() -> None:
        with tracing_to(f"http://127.0.0.1:{port}", "worker") as tracing:
            assert tracing is not None
            with tracing.span("job"):
                pass

    await asyncio.to_thread(work)
    await server.stop(None)
    assert collector.spans == [("worker", "job")]


def test_without_an_endpoint_nothing_of_opentelemetry_is_imported() -> None:
    program = """
import sys
import jwcal.core.rpc.server, jwcal.core.rpc.channel, jwcal.core.rpc.traces as traces
with traces.tracing_to(None, "worker") as tracing:
    assert tracing is None
heavy = {"opentelemetry", "numpy", "astropy", "numba"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_log_has_one_record_a_call_without_its_contents(caplog: pytest.LogCaptureFixture) -> None:
    @in_event_loop
    async def run() -> None:
        with caplog.at_level(logging.INFO, "jwcal.core.rpc.call_log"):
            async with serving(Detector1(list_steps=fail)) as served:
                with pytest.raises(NotFound), remote_errors():
                    await served.detector1.ListSteps(
                        ListStepsRequest(plan="PRIVATE"), metadata=(("x-request-id", "mine-1"),)
                    )
                with pytest.raises(NotFound), remote_errors():
                    await served.detector1.ListSteps(ListStepsRequest(), metadata=(("x-request-id", "no id { at all"),))
        first, second = (record.__dict__["fields"] for record in caplog.records)
        assert first["method"] == f"/{DETECTOR1}/ListSteps"
        assert (first["code"], first["reason"], first["request_id"]) == ("NOT_FOUND", "NOT_FOUND", "mine-1")
        assert first["principal"] == "local"
        assert first["peer"].startswith("ipv4:127.0.0.1:")
        assert first["seconds"] > 0
        assert "PRIVATE" not in str(first)
        assert "no id" not in str(second)

    run()
