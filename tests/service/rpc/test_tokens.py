"""Who may call what: bearer tokens of a file."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest, ListStepsResponse, ProcessRequest, ProcessResponse
from jwcal.api.stage.v1.stage_pb2 import Progress
from jwcal.core.errors import (
    ConfigurationError,
    ExpiredToken,
    InvalidToken,
    JwcalError,
    MissingScope,
    MissingToken,
    PermissionDenied,
)
from jwcal.core.rpc.principal import Principal, current_principal
from jwcal.core.rpc.scopes import METHOD_SCOPES, Scope
from jwcal.core.rpc.settings import ClientSettings
from jwcal.core.rpc.status import remote_errors
from jwcal.core.rpc.tokens import StaticTokens, hash_token, new_token, write_token_file
from tests.service.event_loop import in_event_loop
from tests.service.rpc.serving import LIST_STEPS, Detector1, serving
from tests.service.rpc.token_calls import ask, entry, refusal

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def test_a_good_token_tells_the_servicer_who_calls(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        token = new_token()
        write_token_file(tmp_path / "tokens.yaml", [entry(token, Scope.STEPS_READ, program="1234")])
        seen: list[Principal] = []

        async def note(_request: Any, _context: Any) -> ListStepsResponse:
            seen.append(current_principal())
            return ListStepsResponse()

        await ask(StaticTokens(tmp_path / "tokens.yaml"), token, Detector1(list_steps=note))
        assert seen == [Principal("archive", frozenset({Scope.STEPS_READ}), "1234")]

    run()


def test_no_unknown_or_misshapen_token_is_accepted(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        token = new_token()
        write_token_file(tmp_path / "tokens.yaml", [entry(token, Scope.STEPS_READ)])
        verifier = StaticTokens(tmp_path / "tokens.yaml")
        assert type(await refusal(verifier, None)) is MissingToken
        assert type(await refusal(verifier, new_token())) is InvalidToken
        assert type(await refusal(verifier, token.get_secret_value()[:-1])) is InvalidToken
        assert type(await refusal(verifier, None, authorization="Basic YTpi")) is InvalidToken
        assert type(await refusal(verifier, None, authorization=hash_token(token))) is InvalidToken
        assert (await refusal(verifier, None)).grpc_code == "UNAUTHENTICATED"

    run()


def test_two_authorizations_are_refused(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        token = new_token()
        write_token_file(tmp_path / "tokens.yaml", [entry(token, Scope.STEPS_READ)])
        async with serving(Detector1(), verifier=StaticTokens(tmp_path / "tokens.yaml")) as served:
            header = ("authorization", f"Bearer {token.get_secret_value()}")
            await served.detector1.ListSteps(ListStepsRequest(), metadata=(header,))
            with pytest.raises(InvalidToken), remote_errors():
                await served.detector1.ListSteps(ListStepsRequest(), metadata=(header, header))

    run()


def test_a_token_of_the_file_expires(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        token = new_token()
        write_token_file(tmp_path / "tokens.yaml", [entry(token, Scope.STEPS_READ, expires=NOW)])
        await ask(StaticTokens(tmp_path / "tokens.yaml", now=lambda: NOW - timedelta(seconds=1)), token)
        late = StaticTokens(tmp_path / "tokens.yaml", now=lambda: NOW)
        assert type(await refusal(late, token)) is ExpiredToken

    run()


def test_a_changed_file_is_taken_over_at_once(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        old, new = new_token(), new_token()
        path = tmp_path / "tokens.yaml"
        write_token_file(path, [entry(old, Scope.STEPS_READ)])
        verifier = StaticTokens(path)
        assert (await verifier.verify(old)).name == "archive"
        write_token_file(path, [entry(new, Scope.STEPS_READ, name="archive2")])
        assert (await verifier.verify(new)).name == "archive2"
        with pytest.raises(InvalidToken):
            await verifier.verify(old)
        path.write_text("tokens: [", encoding="utf-8")  # half written: what was there stays in force
        assert (await verifier.verify(new)).name == "archive2"

    run()


def test_a_token_without_the_scope_is_denied(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        token = new_token()
        write_token_file(tmp_path / "tokens.yaml", [entry(token, *(set(Scope) - {Scope.STEPS_READ}))])
        error = await refusal(StaticTokens(tmp_path / "tokens.yaml"), token)
        assert type(error) is MissingScope
        assert error.metadata() == {"scope": "steps:read", "principal": "archive"}
        assert error.grpc_code == "PERMISSION_DENIED"

    run()


def test_a_stream_knows_who_calls_as_long_as_it_runs(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        tokens = {name: new_token() for name in ("first", "second")}
        entries = [entry(token, Scope.PROCESS, name=name) for name, token in tokens.items()]
        write_token_file(tmp_path / "tokens.yaml", entries)

        async def process(_request: Any, _context: Any) -> AsyncIterator[ProcessResponse]:
            for _ in range(2):
                yield ProcessResponse(progress=Progress(phase=current_principal().name))

        async with serving(Detector1(process=process), verifier=StaticTokens(tmp_path / "tokens.yaml")) as served:
            headers = [(("authorization", f"Bearer {token.get_secret_value()}"),) for token in tokens.values()]
            calls = [served.detector1.Process(ProcessRequest(), metadata=header) for header in headers]
            answers = [(await call.read()).progress.phase for call in (*calls, *calls)]
        assert answers == ["first", "second", "first", "second"]

    run()


def test_streams_are_guarded_too(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        token = new_token()
        write_token_file(tmp_path / "tokens.yaml", [entry(token, Scope.STEPS_READ)])
        servicer = Detector1()
        options = {"token": lambda: token}
        verifier = StaticTokens(tmp_path / "tokens.yaml")
        async with serving(servicer, verifier=verifier, channel_options=options) as served:
            with pytest.raises(MissingScope), remote_errors():
                async for _ in served.detector1.Process(ProcessRequest()):
                    pass
        assert servicer.calls == []

    run()


def test_a_method_that_is_not_in_the_table_is_denied_to_everybody() -> None:
    @in_event_loop
    async def run() -> None:
        table = {method: scope for method, scope in METHOD_SCOPES.items() if method != LIST_STEPS}
        async with serving(Detector1(), scopes=table) as served:
            with pytest.raises(PermissionDenied) as caught, remote_errors():
                await served.detector1.ListSteps(ListStepsRequest())
        assert caught.value.metadata() == {"method": LIST_STEPS}

    run()


def test_a_file_with_a_plain_token_in_it_is_refused_without_repeating_it(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text("tokens: [{name: a, sha256: my-plain-token, scopes: ['runs:write']}]", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"tokens.0.sha256") as caught:
        StaticTokens(path)
    assert "my-plain-token" not in f"{caught.value} {caught.value.metadata()} {caught.value.__cause__}"


def test_a_file_with_an_unknown_scope_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text(f"tokens: [{{name: a, sha256: {'0' * 64}, scopes: ['runs:wirte']}}]", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"tokens.0.scopes"):
        StaticTokens(path)


def test_tokens_are_in_no_log_error_or_repr(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @in_event_loop
    async def run() -> None:
        good, bad = new_token(), new_token()
        write_token_file(tmp_path / "tokens.yaml", [entry(good, Scope.STEPS_READ)])
        verifier = StaticTokens(tmp_path / "tokens.yaml")

        async def fail(_request: Any, _context: Any) -> Any:
            raise RuntimeError("broken")

        with caplog.at_level(logging.DEBUG):
            error = await refusal(verifier, bad)
            with pytest.raises(JwcalError):
                await ask(verifier, good, Detector1(list_steps=fail))
        told = f"{error!r} {error} {error.metadata()} {verifier!r} {good!r} {good}"
        told += "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
        assert "broken" in told
        assert good.get_secret_value() not in told
        assert bad.get_secret_value() not in told

    run()


def test_the_client_reads_its_token_from_a_file_again_when_it_changes(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        token = new_token()
        write_token_file(tmp_path / "tokens.yaml", [entry(token, Scope.STEPS_READ)])
        file = tmp_path / "token"
        file.write_text("old\n", encoding="utf-8")
        client = ClientSettings(plaintext=True, token_file=file)
        async with serving(Detector1(), verifier=StaticTokens(tmp_path / "tokens.yaml"), client=client) as served:
            with pytest.raises(InvalidToken), remote_errors():
                await served.detector1.ListSteps(ListStepsRequest())
            file.write_text(f"{token.get_secret_value()}\n", encoding="utf-8")
            await served.detector1.ListSteps(ListStepsRequest())

    run()


def test_health_and_reflection_need_no_token(tmp_path: Path) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    @in_event_loop
    async def run() -> None:
        write_token_file(tmp_path / "tokens.yaml", [])
        async with serving(Detector1(), verifier=StaticTokens(tmp_path / "tokens.yaml")) as served:
            stub = health_pb2_grpc.HealthStub(served.channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    run()
