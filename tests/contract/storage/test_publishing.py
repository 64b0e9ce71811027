"""How products of a job become visible, on every store."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jwcal.core.errors import ChecksumMismatch, InvalidKey, ObjectNotFound
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.publishing import Attempt, Manifest, clean_attempts, publish, published
from jwcal.core.storage.ref import Location, ObjectRef

DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


async def written(store: ObjectStore, attempt: Attempt, *names: str) -> list[ObjectRef]:
    contents = f"{attempt.job} by {attempt.token}".encode()
    return [await store.put_bytes(contents, attempt.product(f"{name}.fits", kind=name)) for name in names]


async def keys(store: ObjectStore, place: Location) -> list[str]:
    return [listed.ref.key.removeprefix(place.folder) async for listed in store.list(place)]


async def test_products_are_visible_once_they_are_published(store: ObjectStore, place: Location) -> None:
    attempt = Attempt(place, "job-1", "token-1")
    products = await written(store, attempt, "rate", "rateints")
    assert await published(store, place, "job-1") is None
    manifest = await publish(store, attempt, products)
    assert manifest == Manifest("job-1", "token-1", tuple(products))
    assert await published(store, place, "job-1") == manifest
    assert await keys(store, place) == [
        "attempts/job-1/token-1/rate.fits",
        "attempts/job-1/token-1/rateints.fits",
        "manifests/job-1.json",
    ]


async def test_a_repeated_publication_changes_nothing(store: ObjectStore, place: Location) -> None:
    attempt = Attempt(place, "job-1", "token-1")
    first = await publish(store, attempt, await written(store, attempt, "rate"))
    assert await publish(store, attempt, await written(store, attempt, "rate")) == first


async def test_a_late_attempt_gets_what_was_published(store: ObjectStore, place: Location) -> None:
    early, late = Attempt(place, "job-1", "token-1"), Attempt(place, "job-1", "token-2")
    products = await written(store, late, "rate")
    first = await publish(store, early, await written(store, early, "rate"))
    assert await publish(store, late, products) == first
    assert await published(store, place, "job-1") == first
    assert await store.get_bytes(first.products[0]) == b"job-1 by token-1"


async def test_of_attempts_that_publish_at_once_all_agree(store: ObjectStore, place: Location) -> None:
    attempts = [Attempt(place, "job-1", f"token-{number}") for number in range(8)]
    products = [await written(store, attempt, "rate") for attempt in attempts]
    manifests = await asyncio.gather(*(publish(store, *pair) for pair in zip(attempts, products, strict=True)))
    assert len(set(manifests)) == 1
    assert await published(store, place, "job-1") == manifests[0]


async def test_what_is_not_in_the_store_is_not_published(store: ObjectStore, place: Location) -> None:
    attempt = Attempt(place, "job-1", "token-1")
    [rate] = await written(store, attempt, "rate")
    with pytest.raises(ObjectNotFound):
        await publish(store, attempt, [rate, replace(rate, key=f"{rate.key}.absent")])
    with pytest.raises(ChecksumMismatch):
        await publish(store, attempt, [replace(rate, sha256="ab" * 32)])
    with pytest.raises(ChecksumMismatch):
        await publish(store, attempt, [replace(rate, sha256="")])
    assert await published(store, place, "job-1") is None


@pytest.mark.parametrize(
    "contents",
    [b"", b"{", b"[]", b"\xff", b'{"format": 2}', b'{"format": 1, "job": "a", "token": "b", "products": [{"key": 1}]}'],
)
async def test_something_else_in_the_place_of_a_manifest_is_found_out(
    store: ObjectStore, place: Location, contents: bytes
) -> None:
    await store.put_bytes(contents, place.object("manifests/job-1.json"))
    with pytest.raises(ChecksumMismatch):
        await published(store, place, "job-1")


async def test_a_manifest_that_leads_out_of_its_bucket_is_refused(store: ObjectStore, place: Location) -> None:
    product = {"bucket": "contract", "key": "../../etc/passwd", "version": "", "sha256": "", "size": 0, "kind": "rate"}
    document = {"format": 1, "job": "job-1", "token": "t", "products": [product]}
    await store.put_bytes(json.dumps(document).encode(), place.object("manifests/job-1.json"))
    with pytest.raises(ChecksumMismatch):
        await published(store, place, "job-1")


def test_a_job_or_token_is_one_name() -> None:
    for job, token in [("a/b", "t"), ("..", "t"), ("a", "../b"), ("", "t"), ("a", "")]:
        with pytest.raises(InvalidKey):
            Attempt(Location("bucket"), job, token)
    with pytest.raises(InvalidKey):
        Attempt(Location("bucket"), "a", "t").product("../rate.fits", kind="rate")


async def test_only_old_attempts_that_were_not_published_are_removed(store: ObjectStore, place: Location) -> None:
    good, late, broken = (Attempt(place, job, token) for job, token in [("a", "1"), ("a", "2"), ("b", "1")])
    manifest = await publish(store, good, await written(store, good, "rate", "rateints"))
    await written(store, late, "rate")
    await written(store, broken, "rate")
    assert await clean_attempts(store, place, now=now(), older_than=DAY) == 0
    assert len(await keys(store, place)) == 5
    assert await clean_attempts(store, place, now=now() + 2 * DAY, older_than=DAY) == 2
    assert await published(store, place, "a") == manifest
    for product in manifest.products:
        assert await store.stat(product) == product
    assert await keys(store, place.under("attempts")) == ["a/1/rate.fits", "a/1/rateints.fits"]


async def test_an_attempt_with_one_new_object_is_kept_whole(
    store: ObjectStore, place: Location, tmp_path: Path
) -> None:
    attempt = Attempt(place, "a", "1")
    [old] = await written(store, attempt, "rate")
    (tmp_path / "new").write_bytes(b"new")
    await store.put_file(tmp_path / "new", attempt.product("new.fits", kind="cal"))
    modified = {listed.ref.key: listed.modified async for listed in store.list(place)}
    just_after_old = modified[old.key] + DAY + timedelta(microseconds=1)
    newest = max(modified.values())
    removed = await clean_attempts(store, place, now=min(just_after_old, newest + DAY), older_than=DAY)
    assert removed == 0
    assert len(await keys(store, place)) == 2
