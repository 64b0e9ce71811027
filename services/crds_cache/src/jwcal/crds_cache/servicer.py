"""ReferenceService: convert, call, convert.  Errors are raised as they are; the server makes statuses of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from jwcal.api.reference.v1 import reference_pb2 as pb
from jwcal.api.reference.v1 import reference_pb2_grpc
from jwcal.core.errors import InvalidParameter
from jwcal.core.references.builds import BuildTable
from jwcal.core.references.publishing import Published
from jwcal.crds_cache import convert
from jwcal.crds_cache.contexts import Contexts
from jwcal.crds_cache.fetching import Fetcher
from jwcal.crds_cache.rules import Rules

_PREFETCHED_AT_ONCE = 8
"""What a prefetch asks for at once: all that goes on when its caller leaves."""
RpcContext = grpc.aio.ServicerContext[Any, Any]


class ReferenceServicer(reference_pb2_grpc.ReferenceServiceServicer):
    """Best references and contexts over gRPC."""

    def __init__(self, rules: Rules, contexts: Contexts, builds: BuildTable, fetcher: Fetcher) -> None:
        self._rules = rules
        self._contexts = contexts
        self._builds = builds
        self._fetcher = fetcher

    async def GetBestReferences(
        self, request: pb.GetBestReferencesRequest, context: RpcContext
    ) -> pb.GetBestReferencesResponse:
        """Answer each type; files are in the store by then."""
        name = await self._contexts.resolve(request.context)
        answers = await self._rules.best(request.header, convert.types_of(request.types), name)
        published: dict[str, Published] = {}
        if not request.names_only:
            files = convert.files_of(answers)
            published = dict(zip(files, await asyncio.gather(*map(self._fetcher.fetch, files)), strict=True))
        return pb.GetBestReferencesResponse(
            references=[
                convert.reference(kind, answer, published.get(answer or "")) for kind, answer in answers.items()
            ],
            context=name,
        )

    async def PrefetchReferences(
        self, request: pb.PrefetchReferencesRequest, context: RpcContext
    ) -> AsyncIterator[pb.PrefetchReferencesResponse]:
        """Fetch, a message for each file that is there; the first tells how many there are."""
        files = await self._expected(request)
        slots = asyncio.Semaphore(_PREFETCHED_AT_ONCE)

        async def fetch(name: str) -> Published:
            async with slots:
                return await self._fetcher.fetch(name)

        yield pb.PrefetchReferencesResponse(total=len(files))
        tasks = [asyncio.create_task(fetch(name)) for name in files]
        nbytes = 0
        try:
            for done, ended in enumerate(asyncio.as_completed(tasks), 1):
                found = await ended
                nbytes += found.object.size
                yield pb.PrefetchReferencesResponse(done=done, total=len(files), bytes=nbytes, file=found.name)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def GetContext(self, request: pb.GetContextRequest, context: RpcContext) -> pb.GetContextResponse:
        """One context."""
        return pb.GetContextResponse(context=convert.context(await self._contexts.get(request.name)))

    async def ListContexts(self, request: pb.ListContextsRequest, context: RpcContext) -> pb.ListContextsResponse:
        """A page of contexts."""
        found, token = await self._contexts.page(request.page_size, request.page_token)
        return pb.ListContextsResponse(contexts=map(convert.context, found), next_page_token=token)

    async def GetBuild(self, request: pb.GetBuildRequest, context: RpcContext) -> pb.GetBuildResponse:
        """The build of a number or of a context."""
        match request.WhichOneof("key"):
            case "name":
                found = self._builds.named(request.name)
            case "context":
                found = self._builds.of_context(request.context)
            case _:
                raise InvalidParameter("no build is named", remedy="give its number or a context")
        return pb.GetBuildResponse(build=convert.build(found))

    async def ListBuilds(self, request: pb.ListBuildsRequest, context: RpcContext) -> pb.ListBuildsResponse:
        """The table of builds."""
        return pb.ListBuildsResponse(builds=map(convert.build, self._builds.builds))

    async def _expected(self, request: pb.PrefetchReferencesRequest) -> tuple[str, ...]:
        name = await self._contexts.resolve(request.context)
        types = convert.types_of(request.types)
        if not request.instrument:
            raise InvalidParameter("no instrument is named", remedy="give one such as NIRCAM")
        if not request.kinds:
            return await self._rules.files(name, request.instrument, types)
        files: set[str] = set()
        for kind in request.kinds:
            header = {**kind.header, "META.INSTRUMENT.NAME": request.instrument}
            files.update(convert.files_of(await self._rules.best(header, types, name)))
        return tuple(sorted(files))
