"""How the products of a job become visible: all at once, by one small write, once.

An attempt writes under ``PREFIX/attempts/JOB/TOKEN/``, where nobody looks; the manifest ``PREFIX/manifests/JOB.json``
is written last, and only if there is none.  So an attempt that ends early is never seen, one that comes too late
changes nothing, and one that is made again gets the manifest that is there already.
"""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from jwcal.core.errors import ChecksumMismatch, InvalidKey, ObjectExists, ObjectNotFound
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Listed, Location, ObjectRef, check_part

_FORMAT = 1
_ATTEMPTS = "attempts"
_MANIFESTS = "manifests"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job: `token` is the fencing token of its lease, or anything else that is its own."""

    location: Location
    job: str
    token: str

    def __post_init__(self) -> None:
        check_part(self.job)
        check_part(self.token)

    @property
    def folder(self) -> Location:
        """Where the attempt writes."""
        return self.location.under(f"{_ATTEMPTS}/{self.job}/{self.token}")

    def product(self, name: str, *, kind: str) -> ObjectRef:
        """The address of one of its products."""
        return self.folder.object(check_part(name), kind=kind)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a job has made."""

    job: str
    token: str
    """Of the attempt that was published."""
    products: tuple[ObjectRef, ...]

    def to_json(self) -> bytes:
        """The manifest as it is written: the same bytes for the same contents."""
        products = [asdict(ref) for ref in self.products]
        document = {"format": _FORMAT, "job": self.job, "token": self.token, "products": products}
        return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, ref: ObjectRef) -> Self:
        """The manifest that was read from `ref`.

        Raises
        ------
        ChecksumMismatch
            If it is none.
        """
        try:
            document: dict[str, Any] = json.loads(data)
            if document["format"] != _FORMAT:
                raise ValueError(f"its format is {document['format']!r}, not {_FORMAT}")
            products = tuple(ObjectRef(**product) for product in document["products"])
            return cls(job=document["job"], token=document["token"], products=products)
        except (ValueError, KeyError, TypeError, InvalidKey) as error:
            raise ChecksumMismatch(f"{ref.uri} is no manifest: {error}", uri=ref.uri) from error


async def publish(store: ObjectStore, attempt: Attempt, products: Iterable[ObjectRef]) -> Manifest:
    """Make the products of an attempt those of its job; the manifest of the job, which may be that of an earlier one.

    `products` are as the store gave them when they were written.  They lie in the attempt's folder, or where a
    published attempt or a content-addressed key has them.

    Raises
    ------
    ObjectNotFound, ChecksumMismatch
        If a product is not in the store as it was written; nothing is published then.
    """
    manifest = Manifest(attempt.job, attempt.token, tuple(products))
    for product in manifest.products:
        if not product.sha256:
            raise ChecksumMismatch(f"{product.uri} has no checksum to be published with", uri=product.uri)
        await store.stat(product)
    try:
        await store.put_bytes(manifest.to_json(), _address(attempt.location, attempt.job), if_absent=True)
    except ObjectExists:
        earlier = await published(store, attempt.location, attempt.job)
        if earlier is None:  # removed in between: the job's products are being deleted
            raise
        return earlier
    return manifest


async def published(store: ObjectStore, location: Location, job: str) -> Manifest | None:
    """The manifest of a job, or None if nothing of it has been published.

    Raises
    ------
    ChecksumMismatch
        If there is something else in its place.
    """
    address = _address(location, job)
    try:
        return Manifest.from_json(await store.get_bytes(address), address)
    except ObjectNotFound:
        return None


async def clean_attempts(store: ObjectStore, location: Location, *, now: datetime, older_than: timedelta) -> int:
    """Remove attempts that were not published and were last written to before `older_than`; how many.

    An attempt that is still at work writes, or is published, within that time: give the longest that a job may take.
    """
    removed = 0
    async for (job, token), objects in _by_attempt(store, location):
        if now - max(listed.modified for listed in objects) <= older_than:
            continue
        manifest = await published(store, location, job)
        if manifest is not None and manifest.token == token:
            continue
        for listed in objects:
            await store.delete(listed.ref)
        removed += 1
    return removed


async def _by_attempt(store: ObjectStore, location: Location) -> AsyncIterator[tuple[tuple[str, str], list[Listed]]]:
    """The objects of each attempt, which a listing shows one after another."""
    attempts = location.under(_ATTEMPTS)
    current: tuple[str, str] | None = None
    objects: list[Listed] = []
    async for listed in store.list(attempts):
        job, _, rest = listed.ref.key.removeprefix(attempts.folder).partition("/")
        token, _, name = rest.partition("/")
        if not name:
            continue  # not written by an attempt
        if (job, token) != current:
            if current is not None:
                yield current, objects
            current, objects = (job, token), []
        objects.append(listed)
    if current is not None:
        yield current, objects


def _address(location: Location, job: str) -> ObjectRef:
    return location.under(_MANIFESTS).object(f"{check_part(job)}.json", kind="manifest")
