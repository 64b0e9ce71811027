"""Settings of the orchestrator, from the environment (``JWCAL_ORCHESTRATOR_...``)."""

from importlib.metadata import version

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from jwcal.core.references.builds import KNOWN
from jwcal.core.rpc.settings import ClientSettings, ObservabilitySettings, ServerSettings, TokenSettings
from jwcal.core.storage.opening import StoreSettings
from jwcal.orchestrator.model import Stage
from jwcal.orchestrator.store.port import Policy


class Settings(BaseSettings):
    """All that can be set; times in seconds."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="JWCAL_ORCHESTRATOR_", env_nested_delimiter="__", extra="ignore"
    )

    server: ServerSettings = ServerSettings(listen=("127.0.0.1:7700",))
    tokens: TokenSettings = TokenSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    objects: StoreSettings = Field(default_factory=StoreSettings)
    """The object store; from ``JWCAL_STORE_...``, as for workers."""
    database: str = Field(default="sqlite:///jwcal.db", repr=False)  # may hold a password
    database_connections: int = Field(default=8, ge=1)
    buckets: frozenset[str] = frozenset({"jwcal"})
    output_bucket: str = "jwcal"
    output_prefix: str = "products"
    references: str = ""
    """Address of ReferenceService, which resolves builds and contexts; without it `context` and `builds` do."""
    client: ClientSettings = ClientSettings()
    """How it calls the reference service."""
    context: str = ""
    """Of runs that name none."""
    builds: dict[str, str] = {build.name: build.context for build in KNOWN}
    """Context by operational build."""
    required_memory: dict[Stage, int] = {}
    """Bytes that a worker must have, by stage, for jobs that do not say."""
    lease_duration: float = Field(default=60.0, gt=0)
    heartbeat: float = Field(default=15.0, gt=0)
    max_attempts: int = Field(default=3, ge=1)
    ageing: float = Field(default=60.0, gt=0)
    program_quota: int = Field(default=0, ge=0)
    program_quotas: dict[str, int] = {}
    keep_runs: float = Field(default=90 * 86400.0, gt=0)
    keep_workers: float = Field(default=86400.0, gt=0)
    sweep_interval: float = Field(default=2.0, gt=0)
    retention_interval: float = Field(default=3600.0, gt=0)
    measure_interval: float = Field(default=5.0, gt=0)
    code_version: str = version("jwcal-orchestrator")

    def policy(self) -> Policy:
        """The rules of the queue."""
        return Policy(
            lease_duration=self.lease_duration,
            max_attempts=self.max_attempts,
            ageing=self.ageing,
            program_quota=self.program_quota,
            program_quotas=self.program_quotas,
            required_memory=self.required_memory,
            code_version=self.code_version,
        )
