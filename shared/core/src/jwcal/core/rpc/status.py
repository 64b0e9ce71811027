"""Errors as they cross the wire: one `google.rpc.Status` with one `ErrorInfo`, made of a `JwcalError` and back.

Metadata of HTTP/2 is limited, so texts are cut; a client gets a shortened message rather than none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from jwcal.core.errors import (
    DeadlineExceeded,
    Exhausted,
    JwcalError,
    RemoteError,
    Unauthenticated,
    Unavailable,
)

DOMAIN = "jwcal"
_MESSAGE_BYTES = 1024
_FACT_BYTES = 256
_FACTS_BYTES = 2048
_NOT_DETAILS = frozenset({"self", "message"})

_WITHOUT_INFO: dict[str, type[JwcalError]] = {
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "CANCELLED": Unavailable,  # by the other side, which stops: who cancels a call itself gets no such error
    "RESOURCE_EXHAUSTED": Exhausted,
    "UNAUTHENTICATED": Unauthenticated,
}
"""Classes for what the transport itself answers."""


def to_status(error: JwcalError) -> status_pb2.Status:
    """What a client is told of `error`."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=_facts(error.metadata()))
    return _status(error.grpc_code, str(error), info)


def internal_status(error_id: str) -> status_pb2.Status:
    """What a client is told of a defect of ours: an id that the log has too, and nothing of the exception."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"error_id": error_id})
    return _status("INTERNAL", f"internal error {error_id}; the service's log has it", info)


def error_from(error: grpc.RpcError) -> JwcalError:
    """The error that the other side raised: of the same class where there is one with its reason, else `RemoteError`.

    A class that has more to say than its `details` is made without calling its own constructor.
    """
    if not isinstance(error, grpc.aio.AioRpcError | grpc.Call):
        return RemoteError("the call failed", cause=type(error).__name__)
    code = error.code()
    code_name = "UNKNOWN" if code is None else code.name
    text = error.details() or code_name
    info = _error_info(error)
    if info is None:
        kind = _WITHOUT_INFO.get(code_name)
        return kind(text) if kind else RemoteError(text, reason=code_name, grpc_code=code_name)
    facts = {name: value for name, value in info.metadata.items() if name not in _NOT_DETAILS}
    known = _class_of(info.reason, code_name)
    if known is None:
        return RemoteError(text, grpc_code=code_name, reason=info.reason, **_without(facts, "reason", "grpc_code"))
    message = text
    if "file" in facts:
        message = message.removeprefix(f"{facts['file']}: ")
    if "remedy" in facts:
        message = message.removesuffix(f"; remedy: {facts['remedy']}")
    made = known.__new__(known)
    JwcalError.__init__(made, message, **facts)
    return made


@contextmanager
def remote_errors() -> Iterator[None]:
    """Calls inside raise `JwcalError` instead of `grpc.RpcError`."""
    try:
        yield
    except grpc.RpcError as error:
        raise error_from(error) from error


def _status(code_name: str, text: str, info: error_details_pb2.ErrorInfo) -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.Code.Value(code_name), message=_cut(text, _MESSAGE_BYTES))
    status.details.add().Pack(info)
    return status


def _facts(metadata: dict[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    left = _FACTS_BYTES
    for name, value in metadata.items():
        cut = _cut(value, _FACT_BYTES)
        left -= len(name.encode()) + len(cut.encode())
        if left < 0:
            break
        kept[name] = cut
    return kept


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of valid UTF-8; names of files may hold half characters."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - 3].decode("utf-8", "ignore") + "..."


def _error_info(error: grpc.aio.AioRpcError | grpc.Call) -> error_details_pb2.ErrorInfo | None:
    try:
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info) and info.domain == DOMAIN:
                return info
    except (ValueError, DecodeError):  # the status is not whole, or does not fit the code
        return None
    return None


def _class_of(reason: str, code_name: str) -> type[JwcalError] | None:
    """The class with this reason and code, the most general one where there are several."""
    level: list[type[JwcalError]] = JwcalError.__subclasses__()
    while level:
        for kind in level:
            if (kind.reason, kind.grpc_code) == (reason, code_name):
                return kind
        level = [deeper for kind in level for deeper in kind.__subclasses__()]
    return None


def _without(facts: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in facts.items() if name not in names}
