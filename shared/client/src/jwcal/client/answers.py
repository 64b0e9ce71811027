"""Answers of a service, or typed errors that say which service did not give one."""

from collections.abc import Awaitable
from typing import TypeVar

from jwcal.core.errors import Draining, JwcalError, Unavailable
from jwcal.core.rpc.status import remote_errors

Answer = TypeVar("Answer")


async def answered(call: Awaitable[Answer], server: str) -> Answer:
    """What a call gives.

    Raises
    ------
    JwcalError
        What the service told.
    Unavailable
        It cannot be reached.
    """
    try:
        with remote_errors():
            return await call
    except JwcalError as error:
        raise plain(error, server) from error


def plain(error: JwcalError, server: str) -> JwcalError:
    """The error with an address and a remedy instead of the transport's own words."""
    if isinstance(error, Unavailable) and not isinstance(error, Draining) and "failed to connect" in error.message:
        return Unavailable(
            f"no service answers at {server}", remedy="start it with 'jwcal up', or check JWCAL_SERVER", server=server
        )
    return error
