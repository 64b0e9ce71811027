"""Bearer tokens of small sites: a YAML file that knows them by their hashes.

```yaml
tokens:
  - name: archive
    sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    scopes: ["runs:read", "runs:write"]
    expires: 2027-01-01T00:00:00Z   # optional
    program: "1234"                 # optional
```
"""

import hmac
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from jwcal.core.errors import ConfigurationError, ExpiredToken, InvalidToken
from jwcal.core.rpc.authorization import TokenVerifier
from jwcal.core.rpc.principal import Principal
from jwcal.core.rpc.scopes import Scope
from jwcal.core.rpc.settings import TokenSettings
from jwcal.core.rpc.watched_files import WatchedFiles, read_text
from jwcal.core.rpc.web_tokens import WebTokens


class TokenEntry(BaseModel):
    """A token as the file knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    scopes: frozenset[Scope]
    expires: AwareDatetime | None = None
    program: str | None = None


class _TokenFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: tuple[TokenEntry, ...] = ()


def utc_now() -> datetime:
    """The time by the system's clock."""
    return datetime.now(UTC)


def new_token() -> SecretStr:
    """A token of 256 random bits; so many cannot be guessed, which is why a plain hash of it may be stored."""
    return SecretStr(token_urlsafe(32))


def hash_token(token: SecretStr) -> str:
    """What the file holds of a token."""
    return sha256(token.get_secret_value().encode()).hexdigest()


def write_token_file(path: Path, entries: Iterable[TokenEntry]) -> None:
    """Write a file of tokens that only its owner can read."""
    text = yaml.safe_dump({"tokens": [entry.model_dump(mode="json", exclude_none=True) for entry in entries]})
    path.touch(mode=0o600)
    path.chmod(0o600)  # it may have been there
    path.write_text(text, encoding="utf-8")


class StaticTokens:
    """Tokens of a file; a changed file is taken over at once."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self._entries = WatchedFiles([path], lambda: _read(path))
        self._now = now

    async def verify(self, token: SecretStr) -> Principal:
        """Whose token it is."""
        presented = hash_token(token)
        found: TokenEntry | None = None
        for entry in self._entries.current():  # all of them, so that the time tells nothing
            if hmac.compare_digest(entry.sha256, presented):
                found = entry
        if found is None:
            raise InvalidToken("the token is not known here")
        if found.expires is not None and found.expires <= self._now():
            raise ExpiredToken("the token has expired", expired=found.expires.isoformat(), principal=found.name)
        return Principal(found.name, found.scopes, found.program)


class AnyToken:
    """Tokens of the file and of the issuer, told apart by their form: only JWTs have two dots."""

    def __init__(self, static: TokenVerifier, web: TokenVerifier) -> None:
        self._static = static
        self._web = web

    async def verify(self, token: SecretStr) -> Principal:
        """Whose token it is."""
        verifier = self._web if token.get_secret_value().count(".") == 2 else self._static
        return await verifier.verify(token)


def token_verifier(settings: TokenSettings) -> TokenVerifier | None:
    """Who knows the tokens that `settings` accept; None where they accept none."""
    static = StaticTokens(settings.file) if settings.file else None
    web = WebTokens(settings.web) if settings.web else None
    return AnyToken(static, web) if static and web else static or web


def _read(path: Path) -> tuple[TokenEntry, ...]:
    try:
        return _TokenFile.model_validate(yaml.safe_load(read_text(path)) or {}).tokens
    except yaml.YAMLError as error:
        raise ConfigurationError("is no YAML", file=path) from error
    except ValidationError as error:  # what it found wrong, without the values: somebody may have put a token there
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)
        )
        raise ConfigurationError(f"is no file of tokens: {wrong}", file=path) from None
