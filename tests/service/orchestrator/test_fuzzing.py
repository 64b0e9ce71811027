"""Whatever is sent to the orchestrator is answered, and never with INTERNAL."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwcal.api.stage.v1 import stage_pb2
from tests.servers.postgres import running_postgres
from tests.service.answers import answer_to
from tests.service.fuzzing import messages
from tests.service.interfaces import methods
from tests.service.orchestrator.server import PIPELINE, QUEUE, Served, serving

METHODS = {name: method for name, method in methods() if method.containing_service.full_name in (PIPELINE, QUEUE)}
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
}
STREAM_SECONDS = 0.05
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(
    request: pytest.FixtureRequest, runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    with ExitStack() as servers:
        if request.param == "postgresql":
            address = f"{servers.enter_context(running_postgres())}/postgres"
        else:
            address = f"sqlite:///{tmp_path_factory.mktemp('fuzzed') / 'jobs.db'}"
        stack = AsyncExitStack()
        yield runner.run(stack.enter_async_context(serving(address)))
        runner.run(stack.aclose())


def send(runner: asyncio.Runner, served: Served, name: str, raw: bytes) -> None:
    method = METHODS[name]
    options: dict[str, Any] = {"timeout": STREAM_SECONDS} if method.server_streaming else {}
    code = runner.run(answer_to(served.channel, method, raw, **options))
    ends = {grpc.StatusCode.DEADLINE_EXCEEDED} if method.server_streaming else set()
    assert code in {grpc.StatusCode.OK, *REFUSALS, *ends}


@pytest.mark.parametrize("name", METHODS)
def test_no_message_is_answered_with_internal(runner: asyncio.Runner, served: Served, name: str) -> None:
    @QUIET
    @given(messages(GetMessageClass(METHODS[name].input_type)))
    def sent(message: Message) -> None:
        if hasattr(message, "wait"):
            message.ClearField("wait")  # the polls themselves are not what is tried
        send(runner, served, name, message.SerializeToString())

    sent()


@pytest.mark.parametrize("name", METHODS)
def test_no_bytes_are_answered_with_internal(runner: asyncio.Runner, served: Served, name: str) -> None:
    @QUIET
    @given(st.binary(max_size=100))
    def sent(raw: bytes) -> None:
        send(runner, served, name, raw)

    sent()


def test_no_specification_of_a_run_that_could_be_is_answered_with_internal(
    runner: asyncio.Runner, served: Served
) -> None:
    """Random ones are refused for the first thing that is wrong; these are right but for the processing."""
    create = "/jwcal.api.pipeline.v1.PipelineService/CreateRun"
    request = GetMessageClass(METHODS[create].input_type)
    (file,) = runner.run(served.upload("a_uncal.fits"))

    @QUIET
    @given(messages(stage_pb2.Processing), st.text(max_size=20), st.integers(-100, 100))
    def sent(processing: stage_pb2.Processing, program: str, priority: int) -> None:
        message: Any = request(request_id=str(uuid.uuid4()))
        message.spec.exposures.files.append(file)
        message.spec.processing["detector1"].CopyFrom(processing)
        message.spec.program, message.spec.priority = program, priority
        send(runner, served, create, message.SerializeToString())

    sent()


@pytest.mark.parametrize("name", ["ExtendLease", "CompleteJob", "FailJob", "ReleaseJob"])
def test_no_end_or_extension_of_a_lease_is_answered_with_internal(
    runner: asyncio.Runner, served: Served, name: str
) -> None:
    method = f"/{QUEUE}/{name}"

    @QUIET
    @given(messages(GetMessageClass(METHODS[method].input_type)))
    def sent(message: Any) -> None:
        runner.run(served.submit("a"))
        lease = runner.run(served.lease()).lease
        message.job, message.token = lease.job.name, lease.token
        send(runner, served, method, message.SerializeToString())

    sent()
