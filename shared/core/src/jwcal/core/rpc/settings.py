"""Settings of servers and channels; services make them part of their own settings, read from the environment."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerTls(_Settings):
    """PEM files of a server; they are looked at with every connection, so new ones need no restart."""

    certificate: Path
    private_key: Path
    client_authority: Path | None = None
    """Clients must show a certificate that this authority signed (mTLS)."""


class ClientTls(_Settings):
    """PEM files of a client; they are looked at with every call, so new ones need no restart."""

    authority: Path | None = None
    """Who signs the servers' certificates; the system's authorities where it is not set."""
    certificate: Path | None = None
    private_key: Path | None = None
    server_name: str | None = None
    """Name to find in the server's certificate, where it is not that of the address."""

    @model_validator(mode="after")
    def _certificate_and_key_together(self) -> "ClientTls":
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key belong together")
        return self


class WebTokenSettings(_Settings):
    """Tokens (JWT) of an OpenID Connect issuer."""

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    keys: Path | str
    """JWKS: a file, or an https address."""
    leeway_seconds: float = Field(default=60.0, ge=0, le=300)


class TokenSettings(_Settings):
    """Whose bearer tokens are accepted; without any, only callers of this machine, who may do everything."""

    file: Path | None = None
    """YAML of hashed tokens."""
    web: WebTokenSettings | None = None


class ServerSettings(_Settings):
    """How a server listens."""

    listen: tuple[str, ...] = ("127.0.0.1:0",)
    tls: ServerTls | None = None
    plaintext: bool = False
    """Asks for no encryption; only addresses of this machine allow it."""
    max_concurrent_calls: int = Field(default=2048, ge=1)
    """Open streams count; calls beyond it are answered with RESOURCE_EXHAUSTED."""
    max_request_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_metadata_bytes: int = Field(default=16 * 1024, ge=1024)
    grace_seconds: float = Field(default=25.0, ge=0)
    """What calls in flight get to finish after SIGTERM; below the 30 s after which Kubernetes kills."""


class ClientSettings(_Settings):
    """How a channel is made."""

    tls: ClientTls | None = None
    plaintext: bool = False
    """Asks for no encryption; only addresses of this machine allow it."""
    token_file: Path | None = None
    """Bearer token; the file is read again when it changes."""


class ObservabilitySettings(_Settings):
    """Where metrics are shown and traces are sent; neither by default."""

    metrics_listen: str | None = None
    traces_endpoint: str | None = None
    """OTLP over gRPC, such as http://127.0.0.1:4317."""
