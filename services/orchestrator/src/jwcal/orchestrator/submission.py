"""The use case of submitting a run: check, read the association, expand, store."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from jwcal.core.errors import InvalidRequest
from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.orchestrator.association import MOST_BYTES, ParsedAssociation, check_bucket, check_path, parse
from jwcal.orchestrator.contexts import Contexts
from jwcal.orchestrator.errors import InvalidAssociation
from jwcal.orchestrator.graph import expand
from jwcal.orchestrator.model import Association, NewJob, NewRun, Run, RunSpec, Stage
from jwcal.orchestrator.store.port import JobStore

_MOST_ATTEMPTS = 20
_MOST_LABELS = 64


class Inputs(Protocol):
    """What submission asks of the object store."""

    async def read(self, reference: ObjectRef, *, limit: int) -> bytes:
        """A small object's contents."""

    async def describe(self, references: tuple[ObjectRef, ...]) -> tuple[ObjectRef, ...]:
        """The references completed by what the store knows of them: checksum, size, version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Where runs may read and write, and which context they get."""

    store: JobStore
    inputs: Inputs
    buckets: frozenset[str]
    output: Location
    contexts: Contexts

    async def submit(self, spec: RunSpec, *, request_id: str, owner: str, trace: Mapping[str, str]) -> Run:
        """Store the run that the specification asks for.

        Raises
        ------
        InvalidRequest
            Where it cannot be done; the association's own errors among them.
        RequestReused
        """
        _check(spec)
        earlier = await self.store.find_request(request_id)
        if earlier is not None and earlier.spec == spec:
            return earlier  # even where the association's object is not there any more
        context = await self._context(spec)
        output = check_bucket(spec.output or self.output, self.buckets)
        for processing in spec.processing.values():
            for uri in processing.overrides.values():
                self._check_override(uri)
        jobs = await self._expand(dataclasses.replace(spec, context=context))
        new = NewRun(
            spec=spec, jobs=jobs, request_id=request_id, output=output, context=context, owner=owner, trace=trace
        )
        return await self.store.create_run(new)

    async def _expand(self, spec: RunSpec) -> tuple[NewJob, ...]:
        association, members = None, None
        if spec.association is not None:
            association, members = await self._read(spec.association)
        for exposure in spec.exposures:
            self._check_object(exposure)
        jobs = expand(spec, association, members)
        named = tuple(dict.fromkeys(reference for job in jobs for reference in job.inputs))
        known = dict(zip(named, await self.inputs.describe(named), strict=True))
        return tuple(dataclasses.replace(job, inputs=tuple(known[one] for one in job.inputs)) for job in jobs)

    async def _read(self, association: Association) -> tuple[ParsedAssociation, Location]:
        members, text = association.members, association.text
        if association.object is not None:
            self._check_object(association.object)
            contents = await self.inputs.read(association.object, limit=MOST_BYTES)
            try:
                text = contents.decode()
            except UnicodeDecodeError as error:
                raise InvalidAssociation("the association is not UTF-8", key=association.object.key) from error
            folder = association.object.key.rpartition("/")[0]
            members = members or Location(bucket=association.object.bucket, prefix=folder)
        if text is None:
            raise InvalidAssociation("the association is neither given nor named")
        if members is None:
            raise InvalidAssociation("it is not told where the association's members are", remedy="set members")
        return parse(text), check_bucket(members, self.buckets)

    async def _context(self, spec: RunSpec) -> str:
        if spec.build and not spec.context:
            return await self.contexts.of_build(spec.build)
        return await self.contexts.check(spec.context)

    def _check_object(self, reference: ObjectRef) -> None:
        check_bucket(Location(bucket=reference.bucket), self.buckets)
        check_path(reference.key, "the object's key")

    def _check_override(self, uri: str) -> None:
        if uri == "N/A":
            return
        bucket, slash, key = uri.removeprefix("s3://").partition("/")
        if not uri.startswith("s3://") or not slash:
            raise InvalidRequest("a reference override is neither N/A nor s3://bucket/key", override=uri[:200])
        self._check_object(ObjectRef(bucket=bucket, key=key))


def _check(spec: RunSpec) -> None:
    if (spec.association is None) == (not spec.exposures):
        raise InvalidRequest("the run needs an association or exposures")
    if not -100 <= spec.priority <= 100:
        raise InvalidRequest("the priority is not from -100 to 100", priority=spec.priority)
    if not 0 <= spec.max_attempts <= _MOST_ATTEMPTS:
        raise InvalidRequest(f"max_attempts is not from 0 to {_MOST_ATTEMPTS}", max_attempts=spec.max_attempts)
    if unknown := sorted(set(spec.processing) - set(Stage)):
        raise InvalidRequest(f"there is no stage {unknown[0][:50]!r}", remedy=f"choose of {', '.join(Stage)}")
    if len(spec.labels) > _MOST_LABELS:
        raise InvalidRequest(f"there are more than {_MOST_LABELS} labels")
    texts = {"program": spec.program, "context": spec.context, "build": spec.build}
    for stage, processing in spec.processing.items():
        texts |= {f"{stage}'s plan": processing.plan, f"{stage}'s context": processing.context}
    for name, text in texts.items():
        check_text(text, name, most=200)
    for name, value in spec.labels.items():
        check_text(name, "the name of a label", most=200)
        check_text(value, "a label", most=1000)


def check_text(text: str, what: str, *, most: int) -> str:
    """The text, if it is printable and not absurdly long.

    Raises
    ------
    InvalidRequest
        Otherwise.
    """
    if len(text) > most or not text.isprintable():
        raise InvalidRequest(f"{what} is longer than {most} characters or not printable", value=text[:100])
    return text
