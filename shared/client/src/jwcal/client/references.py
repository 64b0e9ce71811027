"""What the service of references knows: contexts, builds, best references."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from jwcal.api.reference.v1 import reference_pb2
from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceStub
from jwcal.client.answers import answered
from jwcal.core.storage.convert import ref_from_proto
from jwcal.core.storage.ref import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class CrdsContext:
    """A CRDS context."""

    name: str
    is_available: bool
    """Whether its rules are with the service already."""
    is_default: bool
    builds: tuple[str, ...]
    """Operational builds that use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """An operational build of the official pipeline."""

    name: str
    package_version: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference of a type that an exposure gets."""

    type: str
    file: str
    """``N/A`` where none is needed, empty where no rule matches."""
    object: ObjectRef | None
    """In the store; none where only names were asked for."""
    sha1: str
    not_found: str
    """Why there is none, where no rule matches."""


class AsyncReferences:
    """The service at a channel; `AsyncClient.references` has one."""

    def __init__(self, channel: grpc.aio.Channel, server: str, *, page_size: int = 500) -> None:
        self._stub: Any = ReferenceServiceStub(channel)
        self._server = server
        self._page_size = page_size

    async def contexts(self) -> AsyncIterator[CrdsContext]:
        """Contexts that can be used, the newest first."""
        request = reference_pb2.ListContextsRequest(page_size=self._page_size)
        while True:
            answer = await self._answer(self._stub.ListContexts(request))
            for context in answer.contexts:
                yield _context(context)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def context(self, name: str = "") -> CrdsContext:
        """A context, or the default one."""
        request = reference_pb2.GetContextRequest(name=name)
        return _context((await self._answer(self._stub.GetContext(request))).context)

    async def builds(self) -> list[Build]:
        """The table of builds, the newest first."""
        answer = await self._answer(self._stub.ListBuilds(reference_pb2.ListBuildsRequest()))
        return [Build(name=one.name, package_version=one.package_version, context=one.context) for one in answer.builds]

    async def best(
        self,
        header: Mapping[str, str],
        *,
        context: str = "",
        types: Sequence[str] = (),
        names_only: bool = False,
    ) -> dict[str, Reference]:
        """The best references by type for an exposure with these keywords; fetched into the store unless only named."""
        request = reference_pb2.GetBestReferencesRequest(
            context=context, header=header, types=types, names_only=names_only
        )
        answer = await self._answer(self._stub.GetBestReferences(request))
        return {one.type: _reference(one) for one in answer.references}

    async def _answer(self, call: Any) -> Any:
        return await answered(call, self._server)


def _context(message: reference_pb2.Context) -> CrdsContext:
    return CrdsContext(
        name=message.name, is_available=message.available, is_default=message.default, builds=tuple(message.builds)
    )


def _reference(message: reference_pb2.Reference) -> Reference:
    return Reference(
        type=message.type,
        file=message.file,
        object=ref_from_proto(message.object) if message.HasField("object") else None,
        sha1=message.sha1,
        not_found=message.not_found,
    )
