"""Odd requests and bytes find no way to INTERNAL; and the strategy that makes them makes all that it should."""

import asyncio
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from jwcal.api.pipeline.v1.pipeline_pb2 import CreateRunRequest
from tests.service.answers import answer_to
from tests.service.fuzzing import messages
from tests.service.interfaces import methods
from tests.service.rpc.serving import LIST_STEPS, PROCESS, Detector1, Served, serving

METHODS = dict(methods())
REQUESTS = {name: GetMessageClass(method.input_type) for name, method in METHODS.items()}
SERVED = {
    "ListSteps": METHODS[LIST_STEPS],
    "Process": METHODS[PROCESS],
    "Check": health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name["Check"],
    "Reflect": reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].methods_by_name["ServerReflectionInfo"],
}
ALLOWED = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def served(runner: asyncio.Runner) -> Iterator[Served]:
    context = serving(Detector1())
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))


@pytest.mark.parametrize("method", REQUESTS)
def test_every_request_can_be_built_and_sent(method: str) -> None:
    kind = REQUESTS[method]

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(messages(kind))
    def sent(message: Message) -> None:
        again = kind.FromString(message.SerializeToString())
        assert again.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)

    sent()


def test_the_strategy_reaches_nested_maps_lists_and_both_sides_of_a_oneof() -> None:
    quiet = settings(
        max_examples=5000,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
        phases=[Phase.generate],  # the smallest example is of no interest
    )
    requests = messages(CreateRunRequest)
    for wanted in (
        lambda request: request.spec.association.json,
        lambda request: request.spec.exposures.files and request.spec.exposures.files[0].key,
        lambda request: request.spec.labels,
        lambda request: request.spec.processing and any(each.skip for each in request.spec.processing.values()),
        lambda request: request.spec.priority == -(2**31),
    ):
        found = find(requests, lambda request, wanted=wanted: bool(wanted(request)), settings=quiet)
        assert wanted(found)


@pytest.mark.parametrize("method", SERVED)
def test_no_bytes_are_answered_with_internal(runner: asyncio.Runner, served: Served, method: str) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=200))
    def send(raw: bytes) -> None:
        assert runner.run(answer_to(served.channel, SERVED[method], raw)) in ALLOWED

    send()


@pytest.mark.parametrize("method", SERVED)
def test_no_message_is_answered_with_internal(runner: asyncio.Runner, served: Served, method: str) -> None:
    kind = GetMessageClass(SERVED[method].input_type)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(messages(kind))
    def send(message: Message) -> None:
        assert runner.run(answer_to(served.channel, SERVED[method], message.SerializeToString())) in ALLOWED

    send()
