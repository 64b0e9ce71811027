"""Calls with and without tokens."""

from typing import Any

import pytest
from pydantic import SecretStr

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest
from jwcal.core.errors import JwcalError
from jwcal.core.rpc.authorization import TokenVerifier
from jwcal.core.rpc.scopes import Scope
from jwcal.core.rpc.status import remote_errors
from jwcal.core.rpc.tokens import TokenEntry, hash_token
from tests.service.rpc.serving import Detector1, serving


def entry(token: SecretStr, *scopes: Scope, name: str = "archive", **more: Any) -> TokenEntry:
    return TokenEntry(name=name, sha256=hash_token(token), scopes=frozenset(scopes), **more)


async def ask(
    verifier: TokenVerifier, token: SecretStr | str | None, servicer: Detector1 | None = None, **metadata: str
) -> None:
    """List the steps with a token."""
    source = None if token is None else lambda: SecretStr(token) if isinstance(token, str) else token
    async with serving(servicer or Detector1(), verifier=verifier, channel_options={"token": source}) as served:
        with remote_errors():
            await served.detector1.ListSteps(ListStepsRequest(), metadata=tuple(metadata.items()))


async def refusal(verifier: TokenVerifier, token: SecretStr | str | None, **metadata: str) -> JwcalError:
    servicer = Detector1()
    with pytest.raises(JwcalError) as caught:
        await ask(verifier, token, servicer, **metadata)
    assert servicer.calls == []
    return caught.value
