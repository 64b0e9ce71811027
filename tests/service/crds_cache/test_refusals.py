"""Who may not ask, and requests that make no sense: each is refused with its status, none is a defect of ours."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwcal.api.reference.v1 import reference_pb2 as pb
from jwcal.core.rpc.scopes import METHOD_SCOPES, Scope
from jwcal.core.rpc.tokens import StaticTokens, TokenEntry, hash_token, new_token, write_token_file
from tests.builders import CONTEXT, in_cache, write_crds_cache, write_gain
from tests.service.answers import answer_to
from tests.service.crds_cache.servers import SERVICE, Replica, a_store, replica, some_settings
from tests.service.event_loop import in_event_loop
from tests.service.fuzzing import messages

GAIN = "jwst_nircam_gain_0001.fits"
METHODS = {method.name: method for method in pb.DESCRIPTOR.services_by_name["ReferenceService"].methods}
DEFECTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED)


@asynccontextmanager
async def a_replica(place: Path, **options: Any) -> AsyncIterator[Replica]:
    """An offline one with a gain."""
    cache = write_crds_cache(place / "crds", {"gain": {("NRCA1", "SUB160"): GAIN}, "refpix": "N/A"})
    write_gain(in_cache(cache, GAIN), shape=(16, 16))
    chosen = some_settings(place / "replica", crds_path=cache)
    async with a_store(place / "store") as store, replica(chosen, store, **options) as running:
        yield running


@pytest.mark.parametrize("method", METHODS)
def test_only_a_token_with_the_method_s_scope_is_served(tmp_path: Path, method: str) -> None:
    needed = METHOD_SCOPES[f"/{SERVICE}/{method}"]
    assert needed is not None
    right, wrong = new_token(), new_token()
    entries = [
        TokenEntry(name="right", sha256=hash_token(right), scopes=frozenset({needed})),
        TokenEntry(name="wrong", sha256=hash_token(wrong), scopes=frozenset(Scope) - {needed}),
    ]
    write_token_file(tmp_path / "tokens.yaml", entries)

    @in_event_loop
    async def test() -> None:
        async with a_replica(tmp_path, verifier=StaticTokens(tmp_path / "tokens.yaml")) as running:

            async def answer(token: str | None) -> grpc.StatusCode:
                metadata = [("authorization", f"Bearer {token}")] if token else []
                return await answer_to(running.channel, METHODS[method], b"", metadata=metadata)

            assert await answer(None) == grpc.StatusCode.UNAUTHENTICATED
            assert await answer("guessed") == grpc.StatusCode.UNAUTHENTICATED
            assert await answer(wrong.get_secret_value()) == grpc.StatusCode.PERMISSION_DENIED
            assert running.calls.counts.total() == 0
            assert await answer(right.get_secret_value()) in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)
            assert running.calls.counts[method] == 1

    test()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def running(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    stack = AsyncExitStack()
    yield runner.run(stack.enter_async_context(a_replica(tmp_path_factory.mktemp("fuzzed"))))
    runner.run(stack.aclose())


@pytest.mark.parametrize("method", METHODS)
def test_no_message_is_answered_with_internal(runner: asyncio.Runner, running: Replica, method: str) -> None:
    kind = GetMessageClass(METHODS[method].input_type)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(messages(kind))
    def send(message: Message) -> None:
        raw = message.SerializeToString()
        assert runner.run(answer_to(running.channel, METHODS[method], raw)) not in DEFECTS

    send()


ODD = st.sampled_from(
    ["NIRCAM", "NRCA1", "N/A", "", "\x00", "../x", "nan", "2024-99-99", "{}", "'", "a" * 3000, "(1,2)"]
)
KEYWORDS = st.sampled_from(
    [
        "META.INSTRUMENT.DETECTOR",
        "META.SUBARRAY.NAME",
        "META.OBSERVATION.DATE",
        "META.OBSERVATION.TIME",
        "DATE-OBS",
        "X",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(header=st.dictionaries(KEYWORDS, ODD, max_size=5), names_only=st.booleans(), types=st.lists(ODD, max_size=2))
def test_no_header_of_a_known_instrument_is_answered_with_internal(
    runner: asyncio.Runner, running: Replica, header: dict[str, str], names_only: bool, types: list[str]
) -> None:
    request = pb.GetBestReferencesRequest(
        context=CONTEXT, header=header | {"INSTRUME": "NIRCAM"}, names_only=names_only, types=types
    )
    raw = request.SerializeToString()
    assert runner.run(answer_to(running.channel, METHODS["GetBestReferences"], raw)) not in DEFECTS


@in_event_loop
async def test_a_request_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with a_replica(tmp_path) as running:
        request = pb.GetBestReferencesRequest(header={"INSTRUME": "x" * (2 << 20)})
        code = await answer_to(running.channel, METHODS["GetBestReferences"], request.SerializeToString())
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
