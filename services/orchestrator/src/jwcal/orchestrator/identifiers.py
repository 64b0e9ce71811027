"""UUIDv7: identifiers whose order is that of their making (RFC 9562, section 5.7)."""

import uuid
from collections.abc import Callable

Identify = Callable[[float], str]


def uuid7(seconds: float, random_bytes: bytes) -> str:
    """The UUID of a moment and ten random bytes."""
    value = (int(seconds * 1000) & (1 << 48) - 1) << 80 | int.from_bytes(random_bytes[:10])
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=value))
