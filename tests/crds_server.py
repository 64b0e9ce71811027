"""A CRDS server on loopback that offers what a CRDS cache holds: the JSON-RPC calls and downloads of the real one."""

import ast
import fnmatch
import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO


class CrdsServer(ThreadingHTTPServer):
    """Serves the cache in `directory`; keeps the names of what was asked for."""

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {
            path.name: path
            for folder in ("mappings", "references")
            for path in (directory / folder).rglob("*")
            if path.is_file()
        }
        self.config: dict[str, Any] = ast.literal_eval((directory / "config" / "jwst" / "server_config").read_text())
        self.calls: list[str] = []
        self.downloads: list[str] = []
        self.damaged: set[str] = set()
        """Files that lose their last byte on the way."""
        self.mends = False
        """Whether a damaged file comes whole the next time."""
        self.failing: int | None = None
        """Status that downloads are refused with."""
        self.gate = threading.Event()
        """Downloads wait for it."""
        self.gate.set()
        self._sha1: dict[Path, str] = {}

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, params: list[Any]) -> Any:
        """Result of a remote call."""
        self.calls.append(method)
        if method == "get_server_info":
            base = {"unchecked": {"jwst": f"{self.url}/"}}
            urls = {"reference_url": base, "mapping_url": base}
            return self.config | urls | {"download_metadata": self._facts(), "connected": True}
        if method in ("get_default_context", "get_build_context"):
            return self.config["operational_context"]
        if method == "get_mapping_names":
            return [name for name in self.files if name.endswith("map")]
        if method == "list_mappings":
            return sorted(name for name in self.files if fnmatch.fnmatch(name, params[1]))
        if method in ("get_reference_url", "get_mapping_url", "get_url"):
            return f"{self.url}/{params[1]}"
        raise NotImplementedError(method)

    def _facts(self) -> dict[str, dict[str, str]]:
        return {
            name: {"size": str(path.stat().st_size), "sha1sum": self._digest(path)} for name, path in self.files.items()
        }

    def _digest(self, path: Path) -> str:
        if path not in self._sha1:
            with path.open("rb") as file:
                self._sha1[path] = hashlib.file_digest(file, "sha1").hexdigest()
        return self._sha1[path]


class _Handler(BaseHTTPRequestHandler):
    server: CrdsServer

    def do_POST(self) -> None:
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        result: Any = None
        error: Any = None
        try:
            result = self.server.answer(call["method"], call["params"])
        except NotImplementedError as problem:
            error = {"code": -32601, "message": f"no such method: {problem}"}
        answer = json.dumps({"id": call["id"], "error": error, "result": result}).encode()
        self._send(io.BytesIO(answer), len(answer))

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        if name not in self.server.files:
            self.send_error(404)
            return
        self.server.downloads.append(name)
        self.server.gate.wait()
        if self.server.failing is not None:
            self.send_error(self.server.failing)
            return
        path = self.server.files[name]
        damaged = name in self.server.damaged
        if damaged and self.server.mends:
            self.server.damaged.remove(name)
        with path.open("rb") as content:
            self._send(content, path.stat().st_size - damaged)

    def _send(self, content: BinaryIO, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        while size > 0:
            chunk = content.read(min(size, 1 << 18))
            self.wfile.write(chunk)
            size -= len(chunk)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(directory: Path) -> Iterator[CrdsServer]:
    """A running server of the cache in `directory`."""
    server = CrdsServer(directory)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
