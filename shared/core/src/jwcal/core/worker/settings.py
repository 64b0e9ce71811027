"""Settings of a worker, from the environment: ``JWCAL_WORKER_NAME``, ``JWCAL_STORE__KIND`` and so on."""

import socket
import tempfile
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from jwcal.core.rpc.settings import ClientSettings, ObservabilitySettings, ServerSettings, TokenSettings
from jwcal.core.storage.opening import StoreSettings


class WorkerSettings(BaseSettings):
    """One worker process and its compute process."""

    model_config = SettingsConfigDict(env_prefix="JWCAL_", env_nested_delimiter="__", frozen=True, extra="ignore")

    worker_name: str = Field(default_factory=socket.gethostname)
    """The same for all of the worker's life; a pod's name does."""
    orchestrator: str = ""
    """Address of QueueService; empty for a worker that only answers direct calls."""
    server: ServerSettings = ServerSettings()
    tokens: TokenSettings = TokenSettings()
    client: ClientSettings = ClientSettings()
    """How it calls the orchestrator and the reference service."""
    store: StoreSettings = Field(default_factory=StoreSettings)
    bucket: str = "jwcal"
    """Must be there for the worker to be ready."""
    buckets: frozenset[str] = frozenset()
    """More buckets that direct calls may name; those of queued jobs are the orchestrator's to allow."""
    scratch: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / "jwcal-worker")
    """Directory of this worker alone; it is emptied at the start."""
    references: str = ""
    """Address of ReferenceService; empty to leave references to the CRDS library, as its own environment says."""
    reference_cache: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / "jwcal-references")
    """Directory for references of the service, shared by all workers of the node."""
    reference_cache_bytes: int = Field(default=64 << 30, gt=0)
    """What it may take; the longest unused go first."""
    reference_patience: float = Field(default=120.0, ge=0)
    """Seconds for which a job waits for a reference service that is away, before its attempt fails."""
    memory_limit: int = Field(default=0, ge=0)
    """Bytes of the compute process; 0 for no limit."""
    leases: int = Field(default=2, ge=1, le=8)
    """Jobs held until they are computed: one computes, the others are fetched.  As many are stored besides."""
    grace_seconds: float = Field(default=600.0, ge=0)
    """What running jobs get to finish when the worker is asked to end; then they are given back."""
    rest_seconds: float = Field(default=30.0, ge=0)
    """Without new jobs after the scratch directory failed, which others get meanwhile."""
    look_seconds: float = Field(default=5.0, gt=0)
    """Between two looks at what the worker needs to be ready."""
    observability: ObservabilitySettings = ObservabilitySettings()
