"""Free ports of loopback."""

import random
import socket

_GRPC_OFFSET = 10_000
_RANGE = (20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections."""


def free_ports_with_grpc(count: int) -> list[int]:
    """`count` ports that are free, and so is each port 10,000 above, where some servers listen for gRPC."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(*_RANGE)
        if port not in found and _is_free(port) and _is_free(port + _GRPC_OFFSET):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
