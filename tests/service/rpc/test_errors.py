"""Errors cross the wire as one status with one ErrorInfo, and come back as what they were."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest
from jwcal.api.detector1.v1.detector1_pb2_grpc import Detector1ServiceStub
from jwcal.core.errors import (
    Exhausted,
    InvalidRequest,
    JwcalError,
    MissingKeyword,
    NotFound,
    RemoteError,
    UnknownParameter,
)
from jwcal.core.rpc.status import error_from, remote_errors
from tests.service.event_loop import in_event_loop
from tests.service.rpc.serving import LIST_STEPS, Detector1, serving


async def failure(error: BaseException) -> grpc.aio.AioRpcError:
    """What a client gets when a servicer raises `error`."""

    async def fail(_request: Any, _context: Any) -> Any:
        raise error

    async with serving(Detector1(list_steps=fail)) as served:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.detector1.ListSteps(ListStepsRequest())
    return caught.value


def info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    status = rpc_status.from_call(error)
    assert status is not None
    (detail,) = status.details
    info = error_details_pb2.ErrorInfo()
    assert detail.Unpack(info)
    return info


@in_event_loop
async def test_a_typed_error_is_answered_with_its_code_reason_and_facts() -> None:
    error = await failure(MissingKeyword("NGROUPS is absent", file=Path("a.fits"), keyword="NGROUPS", remedy="add it"))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "a.fits: NGROUPS is absent; remedy: add it"
    info = info_of(error)
    assert (info.reason, info.domain) == ("MISSING_KEYWORD", "jwcal")
    assert dict(info.metadata) == {"file": "a.fits", "keyword": "NGROUPS", "remedy": "add it"}


@pytest.mark.parametrize(
    "raised",
    [
        MissingKeyword("NGROUPS is absent", file=Path("a.fits"), keyword="NGROUPS", remedy="add it"),
        UnknownParameter("there is no step 'x'"),
        NotFound("there is no run 'é'", run="runs/é"),
        Exhausted("too many"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_client_gets_the_error_that_was_raised(raised: JwcalError) -> None:
    @in_event_loop
    async def call() -> None:
        found = error_from(await failure(raised))
        assert type(found) is type(raised)
        assert (str(found), found.metadata()) == (str(raised), raised.metadata())
        assert (found.reason, found.grpc_code, found.retryable) == (raised.reason, raised.grpc_code, raised.retryable)

    call()


def test_an_error_of_a_class_that_the_client_does_not_have_keeps_its_reason() -> None:
    @in_event_loop
    async def call() -> None:
        raised = RemoteError("the lease is lost", reason="NO_SUCH_CLASS", grpc_code="FAILED_PRECONDITION", token="7")
        found = error_from(await failure(raised))
        assert type(found) is RemoteError
        assert (found.reason, found.grpc_code, found.retryable) == ("NO_SUCH_CLASS", "FAILED_PRECONDITION", False)
        assert (found.message, found.metadata()) == ("the lease is lost", {"token": "7"})

    call()


def test_an_unknown_exception_is_internal_with_an_id_that_the_log_has_and_nothing_of_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @in_event_loop
    async def call() -> None:
        with caplog.at_level(logging.ERROR, "jwcal"):
            error = await failure(ZeroDivisionError("the secret is 4711"))
        assert error.code() == grpc.StatusCode.INTERNAL
        info = info_of(error)
        assert info.reason == "INTERNAL"
        assert "4711" not in f"{error.details()} {info} {error.debug_error_string()}"
        assert "ZeroDivision" not in f"{error.details()} {info}"
        (record,) = [record for record in caplog.records if record.getMessage() == "internal_error"]
        fields = record.__dict__["fields"]
        assert fields["error_id"] == info.metadata["error_id"] != ""
        assert "the secret is 4711" in fields["traceback"]

    call()


@in_event_loop
async def test_the_one_error_of_a_group_of_tasks_is_answered_as_itself() -> None:
    error = await failure(ExceptionGroup("tasks", [ExceptionGroup("more", [NotFound("there is no run")])]))
    assert (error.code(), info_of(error).reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    error = await failure(ExceptionGroup("tasks", [NotFound("there is no run"), ValueError("and a defect")]))
    assert error.code() == grpc.StatusCode.INTERNAL


@in_event_loop
async def test_a_cancelled_task_of_the_service_is_internal_and_leaves_no_caller_without_answer() -> None:
    error = await failure(asyncio.CancelledError())
    assert (error.code(), info_of(error).reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")


@in_event_loop
async def test_an_error_longer_than_metadata_may_be_is_shortened_not_lost() -> None:
    error = await failure(InvalidRequest("é" * 100_000, **{f"fact{n}": "x" * 5000 for n in range(100)}))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    info = info_of(error)
    assert info.reason == "INVALID_REQUEST"
    assert 0 < len(info.metadata) < 20


@in_event_loop
async def test_names_that_are_no_unicode_do_not_break_the_answer() -> None:
    error = await failure(NotFound("there is no \udcff.fits", file="\udcff.fits"))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert info_of(error).metadata["file"] == "?.fits"


@in_event_loop
async def test_clients_without_an_event_loop_get_the_same_errors() -> None:
    raised = NotFound("there is no run", run="runs/x")

    async def fail(_request: Any, _context: Any) -> Any:
        raise raised

    def call(address: str) -> None:
        with grpc.insecure_channel(address) as channel, remote_errors():
            Detector1ServiceStub(channel).ListSteps(ListStepsRequest(), timeout=10)

    async with serving(Detector1(list_steps=fail)) as served:
        with pytest.raises(NotFound) as caught:
            await asyncio.to_thread(call, served.address)
    assert (str(caught.value), caught.value.metadata()) == (str(raised), raised.metadata())


@in_event_loop
async def test_bytes_that_are_no_message_are_an_invalid_request() -> None:
    servicer = Detector1()
    async with serving(servicer) as served:
        with pytest.raises(InvalidRequest), remote_errors():
            await served.channel.unary_unary(LIST_STEPS)(b"\xff\xff\xff")
    assert servicer.calls == []


@in_event_loop
async def test_an_answer_of_the_wrong_type_is_internal_without_text() -> None:
    async def wrong(_request: Any, _context: Any) -> Any:
        return 42

    async with serving(Detector1(list_steps=wrong)) as served:
        with pytest.raises(RemoteError) as caught, remote_errors():
            await served.detector1.ListSteps(ListStepsRequest())
    assert caught.value.grpc_code == "INTERNAL"
    assert set(caught.value.metadata()) == {"error_id"}
