"""The CRDS context of a run, pinned when it is submitted: what its jobs' results depend on is known from then on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from jwcal.api.reference.v1 import reference_pb2
from jwcal.core.errors import InvalidRequest
from jwcal.core.rpc.status import remote_errors

if TYPE_CHECKING:  # the generated code has it for type checkers only
    from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceAsyncStub


class Contexts(Protocol):
    """Who knows contexts and builds."""

    async def of_build(self, build: str) -> str:
        """The context that belongs to an operational build."""

    async def check(self, context: str) -> str:
        """The context of this name; for an empty one the default's name, or nothing where there is none."""


class ContextTable:
    """Builds as the settings have them; names of contexts are taken as they are."""

    def __init__(self, builds: Mapping[str, str], default: str = "") -> None:
        self._builds, self._default = builds, default

    async def of_build(self, build: str) -> str:
        """The context that the table has.

        Raises
        ------
        InvalidRequest
            Where it has none.
        """
        if build not in self._builds:
            raise InvalidRequest(
                f"build {build[:50]!r} is not known", remedy=f"choose one of {', '.join(sorted(self._builds))}"
            )
        return self._builds[build]

    async def check(self, context: str) -> str:
        """The context, else the settings' default."""
        return context or self._default


class ServiceContexts:
    """What the reference service knows; the settings' default goes before the service's."""

    def __init__(self, stub: "ReferenceServiceAsyncStub", default: str = "") -> None:
        self._stub, self._default = stub, default

    async def of_build(self, build: str) -> str:
        """The context that the service has for the build.

        Raises
        ------
        UnknownBuild, Unavailable
        """
        with remote_errors():
            answer = await self._stub.GetBuild(reference_pb2.GetBuildRequest(name=build))
        return answer.build.context

    async def check(self, context: str) -> str:
        """The context, if the service can use it, else the default one.

        Raises
        ------
        UnknownContext, Unavailable
        """
        with remote_errors():
            answer = await self._stub.GetContext(reference_pb2.GetContextRequest(name=context or self._default))
        return answer.context.name
