"""The layer that refuses calls without a good token or without the scope of the method."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from pydantic import SecretStr

from jwcal.core.errors import InvalidToken, MissingToken, PermissionDenied
from jwcal.core.rpc.call import Call, Layer
from jwcal.core.rpc.principal import LOCAL, Principal, acting_as
from jwcal.core.rpc.scopes import Scope


class TokenVerifier(Protocol):
    """Knows tokens."""

    async def verify(self, token: SecretStr) -> Principal:
        """Whose token it is; raises `Unauthenticated`."""
        ...


def authorizing(verifier: TokenVerifier | None, scopes: Mapping[str, Scope | None]) -> Layer:
    """Default deny: a method that the table does not name is refused to everybody.

    Without a verifier callers are `LOCAL`; `build_server` allows that at addresses of this machine only.
    """

    @asynccontextmanager
    async def layer(call: Call) -> AsyncIterator[None]:
        if call.method not in scopes:
            raise PermissionDenied("no scope allows this method", method=call.method)
        scope = scopes[call.method]
        if scope is None:
            yield
            return
        principal = LOCAL if verifier is None else await verifier.verify(_bearer_token(call))
        call.principal = principal.name
        principal.require(scope)
        with acting_as(principal):
            yield

    return layer


def _bearer_token(call: Call) -> SecretStr:
    headers = call.values("authorization")
    if not headers:
        raise MissingToken("the call has no token", remedy="send the metadata 'authorization: Bearer TOKEN'")
    kind, _, token = headers[0].partition(" ")
    if len(headers) > 1 or kind.lower() != "bearer" or not token.strip():
        raise InvalidToken("the authorization is no bearer token", remedy="send 'authorization: Bearer TOKEN'")
    return SecretStr(token.strip())
