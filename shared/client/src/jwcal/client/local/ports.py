"""Free ports of loopback."""

import random
import socket
from collections.abc import Callable, Sequence

GRPC_OFFSET = 10_000
"""Some servers listen for gRPC so far above each of their ports."""
_RANGE = (20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections."""


def free_ports_with_grpc(count: int, choose: Callable[[int, int], int] = random.randrange) -> list[int]:
    """`count` ports that are free, and so is each port 10,000 above."""
    found: list[int] = []
    while len(found) < count:
        port = choose(*_RANGE)
        if port not in found and is_free(port) and is_free(port + GRPC_OFFSET):
            found.append(port)
    return found


def free_port(preferred: Sequence[int] = ()) -> int:
    """One of the ports preferred, or any other that is free."""
    return next((port for port in preferred if is_free(port)), None) or free_ports_with_grpc(1)[0]


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed connection is no server
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
