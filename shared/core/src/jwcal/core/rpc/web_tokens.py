"""Bearer tokens (JWT) of an OpenID Connect issuer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from pydantic import SecretStr

from jwcal.core.errors import ConfigurationError, ExpiredToken, InvalidToken, Unavailable
from jwcal.core.rpc.addresses import Address
from jwcal.core.rpc.principal import Principal
from jwcal.core.rpc.scopes import Scope
from jwcal.core.rpc.settings import WebTokenSettings
from jwcal.core.rpc.watched_files import WatchedFiles, read_text

ALGORITHMS = ("RS256", "ES256")
"""Signatures by the issuer's private key alone: no shared secrets, no "none"."""
_REQUIRED = ["exp", "nbf", "iss", "aud", "sub"]
_FETCH_SECONDS = 5.0
_KNOWN = frozenset(Scope)


class WebTokens:
    """Tokens signed by an issuer for an audience.

    Scopes are those of the claim ``scope`` (words) or ``scp`` (list) that we know; the claim ``program`` binds the
    caller to a program.
    """

    def __init__(self, settings: WebTokenSettings) -> None:
        self._settings = settings
        self._key = _keys_of(settings.keys)

    async def verify(self, token: SecretStr) -> Principal:
        """Whose token it is."""
        raw = token.get_secret_value()
        # What the library says may quote the token, so nothing of it goes on: neither text nor chained exception.
        try:
            header = jwt.get_unverified_header(raw)
        except jwt.PyJWTError:
            raise InvalidToken("the token is no JWT") from None
        if header.get("alg") not in ALGORITHMS:
            raise InvalidToken("the token's signature is of no kind that is accepted", accepted=", ".join(ALGORITHMS))
        key = await self._key(str(header.get("kid", "")))
        try:
            claims = jwt.decode(
                raw,
                key,
                algorithms=list(ALGORITHMS),
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                leeway=self._settings.leeway_seconds,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError:
            raise ExpiredToken("the token has expired") from None
        except jwt.PyJWTError as error:
            raise InvalidToken("the token is not acceptable", cause=type(error).__name__) from None
        program = claims.get("program")
        return Principal(claims["sub"], _scopes(claims), program if isinstance(program, str) else None)


def _scopes(claims: dict[str, Any]) -> frozenset[Scope]:
    given = claims.get("scope", claims.get("scp", ()))
    words = given.split() if isinstance(given, str) else given if isinstance(given, list) else ()
    return frozenset(Scope(word) for word in words if word in _KNOWN)


def _keys_of(source: Path | str) -> Callable[[str], Awaitable[jwt.PyJWK]]:
    """Finds a public key by its id, in a file or at an address."""
    if isinstance(source, str) and source.startswith(("https://", "http://")):
        host = urlsplit(source).hostname or ""
        if source.startswith("http://") and not Address(host, 0).is_local:
            raise ConfigurationError("keys fetched in plaintext could be anybody's", address=source, remedy="use https")
        client = jwt.PyJWKClient(source, timeout=_FETCH_SECONDS)  # caches; asks for unknown ids twice a minute at most

        async def fetched(key_id: str) -> jwt.PyJWK:
            try:
                return await asyncio.to_thread(client.get_signing_key, key_id)
            except jwt.PyJWKClientConnectionError:
                raise Unavailable("the issuer's keys cannot be fetched") from None
            except jwt.PyJWTError:
                raise InvalidToken("the token's key is not the issuer's") from None

        return fetched
    path = Path(source)
    watched = WatchedFiles([path], lambda: _read_keys(path))

    async def read(key_id: str) -> jwt.PyJWK:
        try:
            return watched.current()[key_id]
        except KeyError:
            raise InvalidToken("the token's key is not the issuer's") from None

    return read


def _read_keys(path: Path) -> dict[str, jwt.PyJWK]:
    try:
        return {key.key_id: key for key in jwt.PyJWKSet.from_json(read_text(path)).keys if key.key_id}
    except (ValueError, AttributeError, jwt.PyJWTError) as error:
        raise ConfigurationError("is no JWKS", file=path, cause=type(error).__name__) from None
