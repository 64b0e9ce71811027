"""Where the services are, and how they are reached: told, from the environment, or from what ``jwcal up`` left."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from jwcal.client.local.state import default_directory, read_state
from jwcal.core.errors import ConfigurationError
from jwcal.core.rpc.settings import ClientSettings
from jwcal.core.storage.opening import StoreSettings


class _Environment(BaseSettings):
    """``JWCAL_SERVER``, ``JWCAL_REFERENCES``, ``JWCAL_BUCKET``, ``JWCAL_CLIENT__TLS__AUTHORITY`` and so on."""

    model_config = SettingsConfigDict(env_prefix="JWCAL_", env_nested_delimiter="__", frozen=True, extra="ignore")

    server: str = ""
    references: str = ""
    bucket: str = "jwcal"
    client: ClientSettings = ClientSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The services of one place."""

    server: str
    """Address of the orchestrator."""
    client: ClientSettings = field(default_factory=ClientSettings)
    store: StoreSettings | None = None
    """Needed to upload files and to fetch products."""
    bucket: str = "jwcal"
    references: str = ""
    """Address of the service of references."""

    @classmethod
    def find(cls, server: str | None = None, *, directory: Path | None = None) -> Self:
        """The services at an address, or of ``JWCAL_SERVER``, or those that ``jwcal up`` started on this machine.

        How they are reached is told by ``JWCAL_CLIENT__...`` and ``JWCAL_STORE_...``; for those of ``jwcal up`` its
        state knows.

        Raises
        ------
        ConfigurationError
            No services are known, or the settings are wrong.
        """
        if directory is None and (server or os.environ.get("JWCAL_SERVER")):
            return cls._of_environment(server)
        place = directory or default_directory(os.environ)
        state = read_state(place)
        if state is None or not state.processes:
            raise ConfigurationError(
                "no services run here", file=place, remedy="start them with 'jwcal up', or set JWCAL_SERVER"
            )
        return cls(
            server=state.server,
            client=state.client_settings(),
            store=state.store_settings(),
            bucket=state.bucket,
            references=state.references,
        )

    @classmethod
    def _of_environment(cls, server: str | None) -> Self:
        try:
            found = _Environment()
            store = StoreSettings() if _has_store(os.environ) else None
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False)[0]
            raise ConfigurationError(
                f"the environment is wrong: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}",
                remedy="check the variables that begin with JWCAL_",
            ) from None
        address = server or found.server
        if found.client.tls is None and not found.client.plaintext:
            raise ConfigurationError(
                f"it is not told how to reach {address}",
                remedy="set JWCAL_CLIENT__TLS__AUTHORITY, or for services of this machine JWCAL_CLIENT__PLAINTEXT=true",
            )
        return cls(
            server=address,
            client=found.client,
            store=store,
            bucket=found.bucket,
            references=found.references,
        )


def _has_store(environment: Mapping[str, str]) -> bool:
    return any(name.startswith("JWCAL_STORE_") for name in environment)
