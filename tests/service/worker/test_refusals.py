"""Who may not call a stage's service, and what no message brings about."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from pydantic import SecretStr

from jwcal.api.detector1.v1 import detector1_pb2
from jwcal.api.detector1.v1.detector1_pb2 import ProcessRequest
from jwcal.api.product.v1.product_pb2 import Location
from jwcal.api.stage.v1.stage_pb2 import Processing
from jwcal.api.stage2.v1 import stage2_pb2, stage2_pb2_grpc
from jwcal.api.stage3.v1 import stage3_pb2, stage3_pb2_grpc
from jwcal.core.errors import (
    CallError,
    ExpiredToken,
    InvalidToken,
    JwcalError,
    MissingScope,
    MissingToken,
    ParameterError,
    Unavailable,
)
from jwcal.core.rpc.scopes import Scope
from jwcal.core.rpc.server import Service
from jwcal.core.rpc.status import remote_errors
from jwcal.core.rpc.tokens import StaticTokens, TokenEntry, hash_token, new_token, write_token_file
from jwcal.core.worker.servicer import StageServicer
from jwcal.stage2.stage import STAGE as STAGE2
from jwcal.stage3.stage import STAGE as STAGE3
from tests.service.answers import answer_to
from tests.service.event_loop import in_event_loop
from tests.service.fuzzing import messages
from tests.service.interfaces import methods
from tests.service.rpc.serving import PLAINTEXT_CLIENT, Served, serving
from tests.service.rpc.test_tls import Site, ask
from tests.service.worker.a_stage import STAGE
from tests.service.worker.workshops import BUCKET, a_workshop

NOW = datetime.now(UTC)
METHODS = {name: method for name, method in methods() if ".stage" in name or ".detector1" in name}
NEVER = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}


@asynccontextmanager
async def a_server(place: Path, **options: Any) -> AsyncIterator[Served]:
    """The services of all stages; that of stage 1 copies its inputs."""
    async with (
        a_workshop(place / "1") as copying,
        a_workshop(place / "2", "jwcal.stage2.stage:STAGE") as second,
        a_workshop(place / "3", "jwcal.stage3.stage:STAGE") as third,
    ):
        await copying.put("jw1")
        servicer: Any = StageServicer(STAGE, detector1_pb2, workshop=copying.workshop, buckets={BUCKET})
        two: Any = StageServicer(STAGE2, stage2_pb2, workshop=second.workshop, buckets={BUCKET})
        three: Any = StageServicer(STAGE3, stage3_pb2, workshop=third.workshop, buckets={BUCKET})
        others = (
            Service(
                "jwcal.api.stage2.v1.Stage2Service",
                lambda server: stage2_pb2_grpc.add_Stage2ServiceServicer_to_server(two, server),
            ),
            Service(
                "jwcal.api.stage3.v1.Stage3Service",
                lambda server: stage3_pb2_grpc.add_Stage3ServiceServicer_to_server(three, server),
            ),
        )
        async with serving(servicer, services=others, **options) as served:
            yield served


def tampered(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    return SecretStr(text[:-1] + ("a" if text[-1] != "a" else "b"))


@pytest.mark.parametrize(
    ("which", "error"),
    [
        ("none", MissingToken),
        ("unknown", InvalidToken),
        ("tampered", InvalidToken),
        ("expired", ExpiredToken),
        ("only reads steps", MissingScope),
        ("works at the queue", MissingScope),
    ],
)
def test_no_call_without_the_right_token_is_processed(which: str, error: type[JwcalError], tmp_path: Path) -> None:
    tokens = {name: new_token() for name in ("unknown", "expired", "only reads steps", "works at the queue", "good")}
    scopes = {
        "expired": {Scope.PROCESS},
        "only reads steps": {Scope.STEPS_READ},
        "works at the queue": {Scope.QUEUE_WORK},
        "good": {Scope.PROCESS},
    }
    entries = [
        TokenEntry(
            name=name,
            sha256=hash_token(tokens[name]),
            scopes=frozenset(allowed),
            expires=NOW - timedelta(seconds=1) if name == "expired" else None,
        )
        for name, allowed in scopes.items()
    ]
    write_token_file(tmp_path / "tokens.yaml", entries)
    token = None if which == "none" else tampered(tokens["good"]) if which == "tampered" else tokens[which]

    @in_event_loop
    async def run() -> None:
        verifier = StaticTokens(tmp_path / "tokens.yaml")
        source = None if token is None else lambda: token
        async with a_server(tmp_path, verifier=verifier, channel_options={"token": source}) as served:
            with pytest.raises(CallError) as caught, remote_errors():
                async for _ in served.detector1.Process(ProcessRequest()):
                    pass
            assert type(caught.value) is error
        # with the right one the same call fails for what it asks
        right = {"token": lambda: tokens["good"]}
        async with a_server(tmp_path / "right", verifier=verifier, channel_options=right) as served:
            with pytest.raises(ParameterError, match="no input"), remote_errors():
                async for _ in served.detector1.Process(ProcessRequest()):
                    pass

    run()


def test_plaintext_to_a_port_with_tls_is_refused(tmp_path: Path) -> None:
    site = Site.in_folder(tmp_path / "site")

    @in_event_loop
    async def run() -> None:
        async with a_server(tmp_path, settings=site.server(), client=site.client()) as served:
            await ask(served, site.client())
            with pytest.raises(Unavailable):
                await ask(served, PLAINTEXT_CLIENT)
            with pytest.raises(Unavailable):
                await ask(served, site.client(None))  # nor is one without a certificate

    run()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def served(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    context = a_server(tmp_path_factory.mktemp("stages"))
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))


@pytest.mark.parametrize("method", METHODS)
def test_no_message_is_answered_with_internal(runner: asyncio.Runner, served: Served, method: str) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(messages(GetMessageClass(METHODS[method].input_type)))
    def send(message: Message) -> None:
        answer = answer_to(served.channel, METHODS[method], message.SerializeToString())
        assert runner.run(answer) not in NEVER

    send()


@pytest.mark.parametrize("stage", ["detector1", "stage2", "stage3"])
def test_no_processing_of_an_exposure_is_answered_with_internal(
    runner: asyncio.Runner, served: Served, stage: str
) -> None:
    name = next(name for name in METHODS if name.endswith("/Process") and f".{stage}." in name)
    kind = GetMessageClass(METHODS[name].input_type)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(messages(Processing))
    def send(processing: Processing) -> None:
        request: Any = kind(output=Location(bucket=BUCKET, prefix="out"), processing=processing)
        request.inputs.add(bucket=BUCKET, key="raw/jw1_uncal.fits")
        assert runner.run(answer_to(served.channel, METHODS[name], request.SerializeToString())) not in NEVER

    send()
