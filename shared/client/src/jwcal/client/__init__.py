"""The `jwcal` command, and the Python client of its services: `Client` and `AsyncClient`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jwcal.client.async_client import AsyncClient
    from jwcal.client.connection import Connection
    from jwcal.client.sync_client import Client

__all__ = ["AsyncClient", "Client", "Connection"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: the command starts without gRPC."""
    if name == "Client":
        from jwcal.client.sync_client import Client

        return Client
    if name == "AsyncClient":
        from jwcal.client.async_client import AsyncClient

        return AsyncClient
    if name == "Connection":
        from jwcal.client.connection import Connection

        return Connection
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
