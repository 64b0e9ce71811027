"""Addresses that servers listen at and clients call: ``host:port``, ``[ipv6]:port``, ``unix:/path``."""

import ipaddress
from dataclasses import dataclass
from typing import Self

from jwcal.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Address:
    """An address; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address a setting names.

        Raises
        ------
        ConfigurationError
            For anything but the three forms.
        """
        if text.startswith("unix:"):
            if len(text) == len("unix:"):
                raise ConfigurationError(f"{text!r} names no socket", remedy="write unix:/path/to/socket")
            return cls(text, -1)
        host, separator, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not separator or not host or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
            raise ConfigurationError(f"{text!r} is no address", remedy="write host:port, [ipv6]:port or unix:/path")
        return cls(host.strip("[]"), int(port))

    @property
    def is_socket_file(self) -> bool:
        """Whether it is a Unix socket."""
        return self.host.startswith("unix:")

    @property
    def is_local(self) -> bool:
        """Whether nothing but this machine can reach it."""
        if self.is_socket_file or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # a name may resolve to anything

    def with_port(self, port: int) -> "Address":
        """The same host, at the port the system chose."""
        return self if self.is_socket_file else Address(self.host, port)

    def __str__(self) -> str:
        if self.is_socket_file:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
