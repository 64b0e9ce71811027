"""Who may call what: bearer tokens of a file and of an issuer."""

import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

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
    Unavailable,
)
from jwcal.core.rpc.authorization import TokenVerifier
from jwcal.core.rpc.principal import Principal, current_principal
from jwcal.core.rpc.scopes import METHOD_SCOPES, Scope
from jwcal.core.rpc.settings import ClientSettings, TokenSettings, WebTokenSettings
from jwcal.core.rpc.status import remote_errors
from jwcal.core.rpc.tokens import StaticTokens, TokenEntry, hash_token, new_token, token_verifier, write_token_file
from jwcal.core.rpc.web_tokens import WebTokens
from tests.service.event_loop import in_event_loop
from tests.service.rpc.serving import LIST_STEPS, Detector1, serving

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ISSUER = "https://issuer.example"
AUDIENCE = "jwcal"


def entry(token: SecretStr, *scopes: Scope, name: str = "archive", **more: Any) -> TokenEntry:
    return TokenEntry(name=name, sha256=hash_token(token), scopes=frozenset(scopes), **more)


async def ask(
    verifier: TokenVerifier, token: SecretStr | str | None, servicer: Detector1 | None = None, **metadata: str
) -> None:
    """List the steps with a token."""
    source = None if token is None else lambda: SecretStr(token) if isinstance(token, str) else token
    async with serving(servicer or Detector1(), verifier=verifier, channel_options={"token": source}) as served:
        with remote_errors():
            await served.detector1.ListSteps(ListStepsRequest(), metadata=tuple(metadata.items()))


async def refusal(verifier: TokenVerifier, token: SecretStr | str | None, **metadata: str) -> JwcalError:
    servicer = Detector1()
    with pytest.raises(JwcalError) as caught:
        await ask(verifier, token, servicer, **metadata)
    assert servicer.calls == []
    return caught.value


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


# Tokens of an issuer.

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
STRANGER = rsa.generate_private_key(65537, 2048)


def jwks() -> str:
    keys = [
        jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "rsa", "use": "sig"},
        jwt.algorithms.ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec", "use": "sig"},
    ]
    return json.dumps({"keys": keys})


def web_token(*, key: Any = RSA_KEY, algorithm: str = "RS256", kid: str = "rsa", **claims: Any) -> str:
    now = datetime.now(UTC)
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "observer",
        "nbf": now - timedelta(seconds=5),
        "exp": now + timedelta(minutes=5),
        "scope": "steps:read unknown:scope",
    }
    given = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(given, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def issuer(tmp_path: Path) -> WebTokens:
    path = tmp_path / "jwks.json"
    path.write_text(jwks(), encoding="utf-8")
    return WebTokens(WebTokenSettings(issuer=ISSUER, audience=AUDIENCE, keys=path))


def test_tokens_of_the_issuer_are_accepted_in_both_kinds_of_signature(issuer: WebTokens) -> None:
    @in_event_loop
    async def run() -> None:
        await ask(issuer, web_token())
        await ask(issuer, web_token(key=EC_KEY, algorithm="ES256", kid="ec"))
        principal = await issuer.verify(SecretStr(web_token(scope=None, scp=["runs:read"], program="77")))
        assert principal == Principal("observer", frozenset({Scope.RUNS_READ}), "77")

    run()


def minutes_ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"exp": timedelta(minutes=-1.5)}, ExpiredToken),
        ({"nbf": timedelta(minutes=5)}, InvalidToken),
        ({"aud": "another"}, InvalidToken),
        ({"iss": "https://elsewhere.example"}, InvalidToken),
        ({"exp": None}, InvalidToken),
        ({"nbf": None}, InvalidToken),
        ({"aud": None}, InvalidToken),
        ({"iss": None}, InvalidToken),
        ({"sub": None}, InvalidToken),
        ({"scope": "runs:read"}, MissingScope),
        ({"scope": None}, MissingScope),
        ({"scope": 7}, MissingScope),
        ({"kid": "unknown"}, InvalidToken),
        ({"key": STRANGER}, InvalidToken),
        ({"algorithm": "RS512"}, InvalidToken),
        ({"key": EC_KEY, "algorithm": "ES256"}, InvalidToken),  # names the key of the other kind
        ({"key": "a shared secret of thirty-two bytes and more", "algorithm": "HS256"}, InvalidToken),
        ({"key": None, "algorithm": "none"}, InvalidToken),
    ],
    ids=lambda given: f"{next(iter(given))}-{next(iter(given.values()))!s:.20}" if isinstance(given, dict) else "",
)
def test_other_tokens_are_refused(issuer: WebTokens, claims: dict[str, Any], error: type[JwcalError]) -> None:
    @in_event_loop
    async def run() -> None:
        now = datetime.now(UTC)  # the suite may have run for long since these claims were listed
        given = {name: now + value if isinstance(value, timedelta) else value for name, value in claims.items()}
        assert type(await refusal(issuer, web_token(**given))) is error

    run()


def test_clocks_may_differ_by_less_than_a_minute(issuer: WebTokens) -> None:
    @in_event_loop
    async def run() -> None:
        await ask(issuer, web_token(exp=minutes_ago(0.5)))
        await ask(issuer, web_token(nbf=minutes_ago(-0.5)))

    run()


def test_a_tampered_token_is_refused(issuer: WebTokens) -> None:
    @in_event_loop
    async def run() -> None:
        mine = web_token(scope="runs:read").split(".")
        theirs = web_token(scope="steps:read").split(".")
        assert type(await refusal(issuer, ".".join((mine[0], theirs[1], mine[2])))) is InvalidToken
        assert type(await refusal(issuer, "a.b.c")) is InvalidToken

    run()


def test_a_public_key_used_as_a_shared_secret_is_refused(issuer: WebTokens) -> None:
    """The classical confusion of algorithms: HS256 signed with what everybody knows."""
    import base64
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"HS256","kid":"rsa"}', b"{}")]
    signature = hmac.digest(public, b".".join(encoded), "sha256")
    forged = b".".join([*encoded, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()

    @in_event_loop
    async def run() -> None:
        assert type(await refusal(issuer, forged)) is InvalidToken

    run()


@contextmanager
def key_server(text: str) -> Iterator[tuple[str, list[str]]]:
    """An issuer's address of keys, and the requests that it got."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/keys", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_keys_are_fetched_once_and_unknown_ids_do_not_make_the_server_ask_again() -> None:
    @in_event_loop
    async def run() -> None:
        with key_server(jwks()) as (address, requests):
            verifier = WebTokens(WebTokenSettings(issuer=ISSUER, audience=AUDIENCE, keys=address))
            assert type(await refusal(verifier, web_token(algorithm="RS512"))) is InvalidToken
            assert requests == []  # what cannot be accepted is not worth a question
            await ask(verifier, web_token())
            await ask(verifier, web_token(key=EC_KEY, algorithm="ES256", kid="ec"))
            for number in range(5):
                assert type(await refusal(verifier, web_token(kid=f"unknown-{number}"))) is InvalidToken
        assert len(requests) == 1

    run()


def test_an_issuer_that_cannot_be_reached_is_not_the_callers_fault() -> None:
    @in_event_loop
    async def run() -> None:
        with key_server(jwks()) as (address, _):
            pass
        verifier = WebTokens(WebTokenSettings(issuer=ISSUER, audience=AUDIENCE, keys=address))
        with pytest.raises(Unavailable):
            await verifier.verify(SecretStr(web_token()))

    run()


def test_keys_are_not_fetched_in_plaintext_from_elsewhere() -> None:
    with pytest.raises(ConfigurationError, match="plaintext"):
        WebTokens(WebTokenSettings(issuer=ISSUER, audience=AUDIENCE, keys="http://issuer.example/keys"))


def test_a_site_may_have_both_kinds_of_token(tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        token = new_token()
        write_token_file(tmp_path / "tokens.yaml", [entry(token, Scope.STEPS_READ)])
        (tmp_path / "jwks.json").write_text(jwks(), encoding="utf-8")
        web = WebTokenSettings(issuer=ISSUER, audience=AUDIENCE, keys=tmp_path / "jwks.json")
        verifier = token_verifier(TokenSettings(file=tmp_path / "tokens.yaml", web=web))
        assert verifier is not None
        await ask(verifier, token)
        await ask(verifier, web_token())
        assert token_verifier(TokenSettings()) is None

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
