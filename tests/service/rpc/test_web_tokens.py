"""Who may call what: bearer tokens of an issuer (JWT)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from jwcal.core.errors import (
    ConfigurationError,
    ExpiredToken,
    InvalidToken,
    JwcalError,
    MissingScope,
    Unavailable,
)
from jwcal.core.rpc.principal import Principal
from jwcal.core.rpc.scopes import Scope
from jwcal.core.rpc.settings import TokenSettings, WebTokenSettings
from jwcal.core.rpc.tokens import new_token, token_verifier, write_token_file
from jwcal.core.rpc.web_tokens import WebTokens
from tests.service.event_loop import in_event_loop
from tests.service.rpc.token_calls import ask, entry, refusal

ISSUER = "https://issuer.example"
AUDIENCE = "jwcal"
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
