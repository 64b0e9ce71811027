"""The blocking client takes what the asynchronous one takes."""

import inspect

from jwcal.client import AsyncClient, Client
from jwcal.client.async_client import SubmitOptions


def test_every_option_of_a_submission_is_typed_for_both() -> None:
    parameters = inspect.signature(AsyncClient.submit).parameters
    keywords = {name for name, one in parameters.items() if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert keywords == set(SubmitOptions.__annotations__)


def test_every_method_is_there_twice_with_the_same_parameters() -> None:
    names = {name for name in vars(AsyncClient) if not name.startswith("_")} - {"references", "submit", "close"}
    assert names <= set(vars(Client))
    for name in names:
        ours, theirs = (inspect.signature(getattr(one, name)).parameters for one in (Client, AsyncClient))
        assert {n: p.default for n, p in ours.items()} == {n: p.default for n, p in theirs.items()}, name
