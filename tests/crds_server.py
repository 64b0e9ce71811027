"""A CRDS server on loopback that offers what a CRDS cache holds: the JSON-RPC calls and downloads of the real one."""

import ast
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


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
        if method in ("get_reference_url", "get_mapping_url", "get_url"):
            return f"{self.url}/{params[1]}"
        raise NotImplementedError(method)

    def _facts(self) -> dict[str, dict[str, str]]:
        return {
            name: {"size": str(path.stat().st_size), "sha1sum": hashlib.sha1(path.read_bytes()).hexdigest()}
            for name, path in self.files.items()
        }


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
        self._send(json.dumps({"id": call["id"], "error": error, "result": result}).encode())

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        if name not in self.server.files:
            self.send_error(404)
            return
        self.server.downloads.append(name)
        content = self.server.files[name].read_bytes()
        self._send(content[:-1] if name in self.server.damaged else content)

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

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
        server.shutdown()
        server.server_close()
        thread.join()
