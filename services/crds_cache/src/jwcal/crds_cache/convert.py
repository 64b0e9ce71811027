"""Between the messages of the interface and the service's own types; pure functions."""

import re
from collections.abc import Iterable, Mapping

from jwcal.api.reference.v1 import reference_pb2 as pb
from jwcal.core.errors import InvalidParameter
from jwcal.core.references.best import NOT_APPLICABLE, NOT_FOUND, names_a_file
from jwcal.core.references.builds import Build
from jwcal.core.references.publishing import Published
from jwcal.core.storage.convert import ref_to_proto
from jwcal.crds_cache.contexts import Context


def types_of(names: Iterable[str]) -> tuple[str, ...]:
    """Types as CRDS writes them; InvalidParameter for what cannot be one."""
    found = tuple(sorted({name.lower() for name in names}))
    for name in found:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
            raise InvalidParameter(f"{name!r} is not a type of references", remedy='write it like "dark"')
    return found


def files_of(answers: Mapping[str, str | None]) -> tuple[str, ...]:
    """The files that answers name."""
    return tuple(sorted({answer for answer in answers.values() if names_a_file(answer)}))


def reference(reftype: str, answer: str | None, published: Published | None) -> pb.Reference:
    """One answer; `published` is None where only names are wanted."""
    if not names_a_file(answer):
        if answer is not None and answer.startswith(NOT_FOUND):
            return pb.Reference(type=reftype, not_found=answer.removeprefix(NOT_FOUND).strip() or "no rule matches")
        return pb.Reference(type=reftype, file=NOT_APPLICABLE)
    if published is None:
        return pb.Reference(type=reftype, file=answer)
    return pb.Reference(type=reftype, file=answer, object=ref_to_proto(published.object), sha1=published.sha1)


def context(found: Context) -> pb.Context:
    """A context."""
    return pb.Context(name=found.name, available=found.available, default=found.default, builds=found.builds)


def build(found: Build) -> pb.Build:
    """A build."""
    return pb.Build(name=found.name, package_version=found.package_version, context=found.context)
