"""The references of one job: resolved once, decoded when a step asks."""

from collections.abc import Mapping
from typing import Protocol

from jwcal.core.errors import MissingReference
from jwcal.core.references.types import AnyReference, Reference


class ReferenceSource(Protocol):
    """Gives decoded references of one exposure."""

    def load(self, kind: type[AnyReference], *, note: bool = True) -> AnyReference | None:
        """The reference, or None where the context says that none is needed (N/A); `note` records its use."""
        ...


class ReferenceSet:
    """What a step may ask of references."""

    def __init__(self, source: ReferenceSource) -> None:
        self._source = source

    @classmethod
    def of(cls, *references: Reference) -> "ReferenceSet":
        """A set of references already in memory; every other type is N/A."""
        return cls(_InMemory({type(reference): reference for reference in references}))

    def get(self, kind: type[AnyReference], *, note: bool = True) -> AnyReference | None:
        """The reference of this kind, None for N/A.

        Its name goes into the product's R_* keyword, unless `note` is False: for what only helps to make a mask.
        """
        return self._source.load(kind, note=note)

    def require(self, kind: type[AnyReference], *, note: bool = True) -> AnyReference:
        """The reference of this kind; MissingReference for N/A."""
        reference = self._source.load(kind, note=note)
        if reference is None:
            raise MissingReference(
                f"the step needs a {kind.reftype} reference and the context answers N/A",
                remedy=f"override it with --override {kind.reftype}=FILE or skip the step",
                reftype=kind.reftype,
            )
        return reference


class _InMemory:
    def __init__(self, references: Mapping[type[Reference], Reference]) -> None:
        self._references = references

    def load(self, kind: type[AnyReference], *, note: bool = True) -> AnyReference | None:
        del note
        found = self._references.get(kind)
        return found if isinstance(found, kind) else None
