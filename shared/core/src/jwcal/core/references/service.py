"""References of a worker: rules from the reference service, files through the cache of its node.

A worker needs no CRDS server, no mappings and no CRDS cache.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import grpc

from jwcal.api.product.v1.product_pb2 import ProductRef
from jwcal.api.reference.v1 import reference_pb2 as pb
from jwcal.api.reference.v1.reference_pb2_grpc import ReferenceServiceStub
from jwcal.core.errors import MissingReference, ReferenceServerUnavailable
from jwcal.core.metadata import Metadata
from jwcal.core.references.best import NOT_APPLICABLE, NOT_FOUND, selection_header
from jwcal.core.references.node_cache import CachedFile, HeldFile, NodeCache

Bring = Callable[[ProductRef, Path], None]
"""Writes an object of the store to a path."""
_UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class ServiceReferences:
    """A `ReferenceFinder` for one job at a time; files stay on the node until it is closed.

    Parameters
    ----------
    stub
        Of a blocking channel.
    timeout
        Seconds for one answer, which may have to wait for downloads of the service.
    """

    def __init__(self, stub: ReferenceServiceStub, cache: NodeCache, bring: Bring, *, timeout: float = 900) -> None:
        self._stub = stub
        self._cache = cache
        self._bring = bring
        self._timeout = timeout
        self._objects: dict[str, ProductRef] = {}
        self._held: dict[str, HeldFile] = {}

    def __enter__(self) -> "ServiceReferences":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the files go when the node needs room."""
        for held in self._held.values():
            held.release()
        self._held.clear()
        self._objects.clear()

    def default_context(self) -> str:
        """The context that the service chose."""
        try:
            return self._stub.GetContext(pb.GetContextRequest(), timeout=self._timeout).context.name
        except grpc.RpcError as error:
            raise _failure(error, "") from error

    def recommendations(self, metadata: Metadata, types: Iterable[str], context: str) -> dict[str, str | None]:
        """The plain answers by type; files are in the store then."""
        request = pb.GetBestReferencesRequest(context=context, header=selection_header(metadata), types=types)
        try:
            answer = self._stub.GetBestReferences(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise _failure(error, context) from error
        self._objects.update({found.file: found.object for found in answer.references if found.HasField("object")})
        return {found.type: _plain(found) for found in answer.references}

    def locate(self, name: str, context: str) -> Path:
        """Path of a file that the service has named."""
        if name not in self._held:
            stored = self._objects.get(name)
            if stored is None:
                raise MissingReference(
                    f"{name} of {context} was not among the answers of the reference service",
                    remedy="ask for best references first",
                    context=context,
                )
            file = CachedFile(name, stored.sha256, stored.size)
            self._held[name] = self._cache.get(file, lambda path: self._bring(stored, path))
        return self._held[name].path


def _plain(found: pb.Reference) -> str:
    return f"{NOT_FOUND} {found.not_found}" if found.not_found else found.file or NOT_APPLICABLE


def _failure(error: grpc.RpcError, context: str) -> MissingReference:
    code = error.code() if isinstance(error, grpc.Call) else None
    said = error.details() if isinstance(error, grpc.Call) else str(error)
    kind = ReferenceServerUnavailable if code in _UNAVAILABLE else MissingReference
    return kind(
        f"the reference service answers {code.name if code else 'nothing'}: {said}",
        remedy="see the log of the reference service",
        context=context or None,
    )
