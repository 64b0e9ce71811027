"""Free ports of loopback."""

from jwcal.client.local.ports import free_ports_with_grpc

__all__ = ["free_ports_with_grpc"]
