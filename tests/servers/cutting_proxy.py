"""A connection that breaks at the worst moment: after the server has done what it was asked, before it can say so."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


def http_request(data: bytes) -> bytes | None:
    """The request line where this is the beginning of an HTTP request."""
    first_line = data.partition(b"\r\n")[0]
    return first_line if first_line.endswith(b"HTTP/1.1") else None


def postgres_query(data: bytes) -> bytes | None:
    """The text of a simple query of PostgreSQL's protocol: a Q, four bytes of length, and the text."""
    return data[5:].partition(b"\0")[0] if data.startswith(b"Q\0") else None


@dataclass
class CuttingProxy:
    """Passes connections on to `target`, and cuts those whose request `cuts` wants before an answer goes back."""

    target: tuple[str, int]
    cuts: Callable[[bytes], bool]
    """Asked with each request that is the first of its connection or follows an answer."""
    request_in: Callable[[bytes], bytes | None] = http_request
    """What is asked with: the request at the beginning of what was received, where there is one."""
    cut: list[bytes] = field(default_factory=list)
    """The requests whose answers were lost."""
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _threads: list[threading.Thread] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """Host and port to connect to."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Pass connections on until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            thread = threading.Thread(target=self._pass_on, args=(client,))
            self._threads.append(thread)
            thread.start()

    def drop(self) -> int:
        """End all connections that are open, whatever they are at; how many.  New ones are taken."""
        dropped, self._open = self._open, []
        for connection in dropped:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return len(dropped)

    def close(self) -> None:
        """Take no more connections, and end those that are open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        for thread in self._threads:
            thread.join()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.target) as server:
            doomed = threading.Event()
            back = threading.Thread(target=self._answers, args=(client, server, doomed))
            back.start()
            with suppress(OSError):
                while data := client.recv(1 << 16):
                    request = self.request_in(data)
                    if request is not None and self.cuts(request):
                        self.cut.append(request)
                        doomed.set()
                    server.sendall(data)
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _answers(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if doomed.is_set() and not data.startswith(b"HTTP/1.1 100"):
                    break
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting_proxy(
    target: str, cuts: Callable[[bytes], bool], request_in: Callable[[bytes], bytes | None] = http_request
) -> Iterator[CuttingProxy]:
    """A running proxy in front of ``host:port``."""
    host, _, port = target.partition(":")
    proxy = CuttingProxy((host, int(port)), cuts, request_in)
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
