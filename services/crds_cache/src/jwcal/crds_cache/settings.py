"""Settings of the service, from environment variables that begin with ``JWCAL_CRDS_CACHE_``."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jwcal.core.references.builds import Build, BuildTable
from jwcal.core.rpc.settings import ObservabilitySettings, ServerSettings, TokenSettings
from jwcal.core.storage.opening import StoreSettings
from jwcal.core.storage.ref import Location
from jwcal.crds_cache.fetching import FetchLimits


class Settings(BaseSettings):
    """What an operator can choose."""

    model_config = SettingsConfigDict(
        env_prefix="JWCAL_CRDS_CACHE_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    server: ServerSettings = ServerSettings(listen=("127.0.0.1:7710",))
    tokens: TokenSettings = TokenSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    objects: StoreSettings = Field(default_factory=StoreSettings)
    """The object store; from ``JWCAL_STORE_...``, as for workers."""
    crds_path: Path = Field(default_factory=lambda: Path.home() / "crds_cache")
    """Cache of the CRDS library: mappings are kept here, by this process alone; offline it holds the references too."""
    server_url: str = ""
    """CRDS server; offline when empty."""
    default_context: str = ""
    """Context for who names none; else that of `default_build`, else the server's at first need."""
    default_build: str = ""
    """Operational build whose context is the default."""
    builds: tuple[Build, ...] = ()
    """Builds beside the known ones, as JSON: ``[{"name": "11.2", "package_version": "1.17.1", "context": "..."}]``."""
    bucket: str = "jwcal"
    """Bucket of the references."""
    prefix: str = "references"
    """Beginning of their keys."""
    scratch: Path = Path("/tmp/jwcal-crds-cache")
    """For downloads under way; needs room for `parallel` files."""
    parallel: int = Field(default=4, ge=1, le=64)
    """Files fetched at once."""
    attempts: int = Field(default=3, ge=1)
    """For one file, before those who wait are told of the failure."""
    backoff_seconds: float = Field(default=1.0, ge=0)
    """Before the second attempt; doubled before each further one."""
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Without a byte from the server."""
    look_seconds: float = Field(default=1.0, gt=0)
    """Between looks whether another replica has finished."""
    claim_seconds: float = Field(default=30.0, gt=0)
    """A replica that has shown no sign of life for so long is given up."""
    check_seconds: float = Field(default=10.0, gt=0)
    """Between looks whether store and default context can be had, on which readiness depends."""

    @field_validator("server_url")
    @classmethod
    def _is_web(cls, url: str) -> str:
        if url and not url.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return url

    @model_validator(mode="after")
    def _one_default(self) -> "Settings":
        if self.default_context and self.default_build:
            raise ValueError("give default_context or default_build, not both")
        return self

    def place(self) -> Location:
        """Where references lie in the store."""
        return Location(self.bucket, self.prefix)

    def build_table(self) -> BuildTable:
        """The table of builds."""
        return BuildTable(self.builds)

    def pinned_context(self) -> str:
        """The default context; empty to leave it to the server."""
        return self.build_table().named(self.default_build).context if self.default_build else self.default_context

    def fetch_limits(self) -> FetchLimits:
        """How much at once, and how patiently."""
        return FetchLimits(
            parallel=self.parallel,
            attempts=self.attempts,
            backoff_seconds=self.backoff_seconds,
            timeout_seconds=self.timeout_seconds,
            look_seconds=self.look_seconds,
        )
