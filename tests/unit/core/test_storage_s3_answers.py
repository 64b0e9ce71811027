"""What the S3 adapter makes of a server's answers: which it tries again, and what it says in the end."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from jwcal.core.errors import (
    BucketNotFound,
    ChecksumMismatch,
    ObjectExists,
    StorageError,
    StoreDenied,
    StoreUnavailable,
)
from jwcal.core.storage.opening import StoreSettings, opened_store
from jwcal.core.storage.ref import ObjectRef

REF = ObjectRef("bucket", "key")
SECRET = "hush-hush-hush"
Answer = tuple[int, str]
"""Status, and code of the error."""


class ScriptedServer(ThreadingHTTPServer):
    """Gives the answers of a script, the last of them for ever, to whatever it is asked."""

    def __init__(self, script: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.asked = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, code = self.server.script[min(self.server.asked, len(self.server.script) - 1)]
        self.server.asked += 1
        body = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode() if code else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET = do_DELETE = do_POST = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def scripted(*script: Answer) -> Iterator[ScriptedServer]:
    with ScriptedServer(list(script)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


async def deletion(port: int, *, patience: float, timeout: float = 30) -> None:
    settings = StoreSettings(
        kind="s3",
        endpoint=f"127.0.0.1:{port}",
        timeout=timeout,
        secure=False,
        access_key=SecretStr("name"),
        secret_key=SecretStr(SECRET),
        patience=patience,
    )
    async with opened_store(settings) as store:
        await store.delete(REF)


@pytest.mark.parametrize(
    "answer",
    [
        (500, "InternalError"),
        (502, ""),
        (503, "SlowDown"),
        (503, "ServiceUnavailable"),
        (429, "TooManyRequests"),
        (400, "RequestTimeout"),
        (409, "ConditionalRequestConflict"),
    ],
)
def test_a_request_to_come_back_is_followed(answer: Answer) -> None:
    with scripted(answer, answer, (204, "")) as server:
        asyncio.run(deletion(server.server_port, patience=60))
        assert server.asked == 3


@pytest.mark.parametrize("answer", [(503, "SlowDown"), (500, "")])
def test_a_store_that_only_asks_to_come_back_is_unavailable(answer: Answer) -> None:
    with scripted(answer) as server, pytest.raises(StoreUnavailable):
        asyncio.run(deletion(server.server_port, patience=0.2))
    assert server.asked > 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((400, "BadDigest"), ChecksumMismatch),
        ((400, "XAmzContentSHA256Mismatch"), ChecksumMismatch),
        ((400, "EntityTooLarge"), StorageError),
        ((400, ""), StorageError),
        ((401, ""), StoreDenied),
        ((403, "AccessDenied"), StoreDenied),
        ((403, "SignatureDoesNotMatch"), StoreDenied),
        ((403, "InvalidAccessKeyId"), StoreDenied),
        ((404, "NoSuchBucket"), BucketNotFound),
        ((405, "MethodNotAllowed"), StorageError),
        ((412, "PreconditionFailed"), ObjectExists),
        ((301, "PermanentRedirect"), StorageError),
        ((307, "TemporaryRedirect"), StorageError),
        ((418, "SomethingNew"), StorageError),
    ],
)
def test_a_refusal_is_final(answer: Answer, kind: type[StorageError]) -> None:
    with scripted(answer) as server, pytest.raises(kind) as refused:
        asyncio.run(deletion(server.server_port, patience=60))
    assert server.asked == 1
    assert type(refused.value) is kind
    assert SECRET not in f"{refused.value} {refused.value.metadata()}"
    assert refused.value.metadata()["status"] == str(answer[0])


def test_what_is_not_there_is_deleted() -> None:
    with scripted((404, "NoSuchKey")) as server:
        asyncio.run(deletion(server.server_port, patience=60))
        assert server.asked == 1


def test_an_answer_that_is_no_xml_is_told_by_its_status() -> None:
    with scripted((403, "")) as server, pytest.raises(StoreDenied):
        asyncio.run(deletion(server.server_port, patience=60))


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StoreUnavailable):
        asyncio.run(deletion(silent.getsockname()[1], patience=0.3, timeout=0.1))


def test_a_server_that_is_not_there_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(StoreUnavailable):
        asyncio.run(deletion(port, patience=0.3))
