"""Who calls: known to servicers while they handle a call."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from jwcal.core.errors import MissingScope, Unauthenticated
from jwcal.core.rpc.scopes import Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose token was accepted."""

    name: str
    scopes: frozenset[Scope]
    program: str | None = None
    """The only program that its work may be counted to; None for any."""

    def require(self, scope: Scope) -> None:
        """Raise `MissingScope` unless it has `scope`: for what the method alone does not decide."""
        if scope not in self.scopes:
            raise MissingScope(f"{self.name!r} lacks the scope {scope}", scope=str(scope), principal=self.name)


LOCAL = Principal("local", frozenset(Scope))
"""Callers of a server that asks for no tokens, which only this machine can reach."""

_current: ContextVar[Principal | None] = ContextVar("principal", default=None)


def current_principal() -> Principal:
    """Who makes the call that is handled now."""
    principal = _current.get()
    if principal is None:
        raise Unauthenticated("nobody is known to call here")
    return principal


@contextmanager
def acting_as(principal: Principal) -> Iterator[None]:
    """Handle what is inside for `principal`."""
    token = _current.set(principal)
    try:
        yield
    finally:
        _current.reset(token)
