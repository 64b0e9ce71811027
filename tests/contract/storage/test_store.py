"""What every object store does."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from jwcal.core.errors import (
    BucketNotFound,
    ChecksumMismatch,
    InvalidKey,
    ObjectExists,
    ObjectNotFound,
    ObjectTooLarge,
    OutputError,
    StorageError,
    UnreadableFile,
)
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location, ObjectRef, content_addressed
from tests.contract.storage.backstage import Backstage

PART = 8 << 20
"""The settings' part size: larger objects go by parts."""
LARGE = 3 * PART + 12_345
SIZES = (0, 1, (1 << 20) - 1, 1 << 20, PART, PART + 1, LARGE)


def some_bytes(count: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(count)


def a_file(folder: Path, count: int, seed: int = 1) -> Path:
    path = folder / f"{count}-{seed}.bin"
    path.write_bytes(some_bytes(count, seed))
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def keys(store: ObjectStore, location: Location) -> list[str]:
    return [listed.ref.key async for listed in store.list(location)]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("give", [False, True])
async def test_a_file_comes_back_as_it_was(
    store: ObjectStore, place: Location, tmp_path: Path, count: int, give: bool
) -> None:
    source = a_file(tmp_path, count)
    written = await store.put_file(source, place.object("a/b.fits", kind="rate"), give=give)
    assert (written.size, written.sha256, written.kind) == (count, sha256(source.read_bytes()), "rate")
    target = tmp_path / "target.fits"
    assert await store.get_file(written, target, only_read=give) == written
    assert target.read_bytes() == source.read_bytes()
    assert await store.stat(place.object("a/b.fits", kind="rate")) == written


@pytest.mark.parametrize("count", [0, 1, 5_000])
async def test_bytes_come_back_as_they_were(store: ObjectStore, place: Location, count: int) -> None:
    data = some_bytes(count)
    written = await store.put_bytes(data, place.object("a.json"))
    assert (written.size, written.sha256) == (count, sha256(data))
    assert await store.get_bytes(written) == data


async def test_a_part_of_an_object_is_what_a_slice_gives(store: ObjectStore, place: Location) -> None:
    data = some_bytes(3_000)
    ref = await store.put_bytes(data, place.object("a"))
    for start, end in [(0, 10), (5, 6), (2_990, None), (2_990, 9_000), (7, 7), (9, 3), (3_000, None), (4_000, 5_000)]:
        assert await store.get_bytes(ref, start, end) == data[start:end]


async def test_more_than_the_limit_is_not_taken_into_memory(store: ObjectStore, place: Location) -> None:
    ref = await store.put_bytes(b"0123456789", place.object("a"))
    assert await store.get_bytes(ref, 2, 7, limit=5) == b"23456"
    with pytest.raises(ObjectTooLarge):
        await store.get_bytes(ref, 2, 8, limit=5)


async def test_what_is_not_there_is_not_found(store: ObjectStore, place: Location, tmp_path: Path) -> None:
    await store.put_bytes(b"x", place.object("folder/there"))
    target = tmp_path / "out" / "target"
    target.parent.mkdir()
    for name in ("absent", "folder", "folder/there/below"):
        ref = place.object(name)
        for attempt in (store.stat(ref), store.get_bytes(ref), store.get_file(ref, target), store.copy(ref, ref)):
            with pytest.raises(ObjectNotFound):
                await attempt
        await store.delete(ref)
    assert list(target.parent.iterdir()) == []
    assert await keys(store, place) == [f"{place.prefix}/folder/there"]


async def test_a_bucket_that_is_not_there_is_not_found(store: ObjectStore, tmp_path: Path) -> None:
    nowhere = Location("no-such-bucket")
    for attempt in (
        store.ping(nowhere.bucket),
        store.put_bytes(b"x", nowhere.object("a")),
        store.put_file(a_file(tmp_path, LARGE), nowhere.object("a")),
        keys(store, nowhere),
        store.delete(nowhere.object("a")),
    ):
        with pytest.raises(BucketNotFound):
            await attempt
    with pytest.raises(ObjectNotFound):
        await store.get_bytes(nowhere.object("a"))


async def test_a_bucket_is_made_once_and_again(store: ObjectStore, place: Location) -> None:
    await store.put_bytes(b"x", place.object("a"))
    await store.make_bucket(place.bucket)
    await store.ping(place.bucket)
    assert await store.get_bytes(place.object("a")) == b"x"


async def test_a_write_replaces_what_was_there(store: ObjectStore, place: Location, tmp_path: Path) -> None:
    old = await store.put_file(a_file(tmp_path, LARGE, seed=1), place.object("a"))
    await store.put_file(a_file(tmp_path, 100, seed=2), place.object("a"))
    assert await store.get_bytes(place.object("a")) == some_bytes(100, seed=2)
    with pytest.raises(ChecksumMismatch):
        await store.stat(replace(old, version=""))


@pytest.mark.parametrize("count", [100, LARGE])
async def test_a_conditional_write_never_replaces(
    store: ObjectStore, place: Location, tmp_path: Path, count: int
) -> None:
    await store.put_file(a_file(tmp_path, count, seed=1), place.object("a"), if_absent=True)
    with pytest.raises(ObjectExists):
        await store.put_file(a_file(tmp_path, count, seed=2), place.object("a"), if_absent=True)
    assert (await store.stat(place.object("a"))).sha256 == sha256(some_bytes(count, seed=1))


async def test_of_many_conditional_writes_at_once_one_succeeds(store: ObjectStore, place: Location) -> None:
    for attempt in range(5):
        to = place.object(f"race/{attempt}")
        writes = (store.put_bytes(f"writer {n}".encode(), to, if_absent=True) for n in range(16))
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        won = [outcome for outcome in outcomes if isinstance(outcome, ObjectRef)]
        assert len(won) == 1
        assert sum(isinstance(outcome, ObjectExists) for outcome in outcomes) == 15
        assert await store.stat(to) == won[0]


async def test_of_large_conditional_writes_at_once_one_stays_and_has_succeeded(
    store: ObjectStore, adapter: str, place: Location, tmp_path: Path
) -> None:
    to = place.object("race")
    files = [a_file(tmp_path, PART + 1, seed) for seed in range(4)]
    outcomes = await asyncio.gather(
        *(store.put_file(file, to, if_absent=True) for file in files), return_exceptions=True
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, ObjectRef)]
    assert len(won) + sum(isinstance(outcome, ObjectExists) for outcome in outcomes) == 4
    assert await store.stat(to) in won
    if adapter != "s3":  # the server checks the end of an upload without a lock, as the port says
        assert len(won) == 1


@pytest.mark.parametrize("count", [100, LARGE])
async def test_contents_other_than_announced_are_not_written(
    store: ObjectStore, place: Location, tmp_path: Path, count: int
) -> None:
    source = a_file(tmp_path, count)
    for wrong in (
        replace(place.object("a"), sha256=sha256(b"else")),
        replace(place.object("a"), size=count + 1),
    ):
        with pytest.raises(ChecksumMismatch):
            await store.put_file(source, wrong)
        with pytest.raises(ChecksumMismatch):
            await store.put_bytes(source.read_bytes(), wrong)
    assert await keys(store, place) == []


@pytest.mark.parametrize("count", [100, LARGE])
async def test_a_damaged_object_is_found_out(
    store: ObjectStore, place: Location, tmp_path: Path, backstage: Backstage, count: int
) -> None:
    written = await store.put_file(a_file(tmp_path, count), place.object("a"))
    backstage.damage(written)
    target = tmp_path / "out" / "target"
    target.parent.mkdir()
    target.write_bytes(b"before")
    for ref in (replace(written, version=""), place.object("a")):
        with pytest.raises(ChecksumMismatch):
            await store.get_file(ref, target)
        with pytest.raises(ChecksumMismatch):
            await store.get_bytes(ref)
    with pytest.raises(ChecksumMismatch):
        await store.copy(replace(written, sha256=sha256(b"else")), place.object("b"))
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert target.read_bytes() == b"before"


async def test_a_file_that_cannot_be_read_says_so(store: ObjectStore, place: Location, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        await store.put_file(tmp_path / "absent", place.object("a"))


async def test_a_target_that_cannot_be_written_says_so(store: ObjectStore, place: Location, tmp_path: Path) -> None:
    ref = await store.put_bytes(b"x", place.object("a"))
    with pytest.raises(OutputError):
        await store.get_file(ref, tmp_path / "absent" / "target")


async def test_a_listing_shows_what_lies_under_a_place(store: ObjectStore, place: Location) -> None:
    names = ["a", "ab/c", "b/a", "b/c/d", "b.c", "b-c/d", "b0", "é/ü", "z z"]
    for name in names:
        await store.put_bytes(name.encode(), place.object(name))
    listed = [item async for item in store.list(place)]
    found = [item.ref.key.removeprefix(place.folder) for item in listed]
    by_bytes = sorted(names, key=str.encode)
    by_folders = sorted(names, key=lambda name: [part.encode() for part in name.split("/")])
    assert found in (by_bytes, by_folders)
    assert [item.ref.size for item in listed] == [len(name.encode()) for name in found]
    assert all(abs(datetime.now(UTC) - item.modified) < timedelta(minutes=5) for item in listed)
    assert await keys(store, place.under("b")) == [f"{place.prefix}/b/a", f"{place.prefix}/b/c/d"]
    assert await keys(store, place.under("nothing")) == []


async def test_a_listing_of_several_pages_is_whole(store: ObjectStore, place: Location) -> None:
    names = [f"{folder}/{number:04d}" for folder in ("a", "a.b", "a/b", "a0") for number in range(600)]
    for start in range(0, len(names), 50):
        await asyncio.gather(*(store.put_bytes(b"", place.object(name)) for name in names[start : start + 50]))
    found = await keys(store, place)
    assert len(found) == len(names)
    assert set(found) == {f"{place.prefix}/{name}" for name in names}


async def test_what_is_deleted_is_gone_and_its_key_is_free(store: ObjectStore, place: Location) -> None:
    ref = await store.put_bytes(b"x", place.object("a/b/c"))
    await store.delete(replace(ref, version=""))
    await store.delete(replace(ref, version=""))
    assert await keys(store, place) == []
    await store.put_bytes(b"y", place.object("a/b/c"), if_absent=True)
    await store.delete(place.object("a/b/c"))
    await store.put_bytes(b"z", place.object("a/b"))  # what was a folder
    assert await keys(store, place) == [f"{place.prefix}/a/b"]


async def test_deleting_and_writing_in_one_folder_at_once_lose_nothing(store: ObjectStore, place: Location) -> None:
    async def write_and_delete(number: int) -> None:
        ref = place.object(f"folder/deep/{number}")
        for _ in range(5):
            await store.put_bytes(b"x", ref, if_absent=True)
            await store.delete(ref)
        await store.put_bytes(b"x", ref, if_absent=True)

    await asyncio.gather(*(write_and_delete(number) for number in range(8)))
    assert len(await keys(store, place)) == 8


@pytest.mark.parametrize("count", [0, 100, LARGE])
async def test_a_copy_is_the_same_object_elsewhere(
    store: ObjectStore, place: Location, tmp_path: Path, count: int
) -> None:
    source = await store.put_file(a_file(tmp_path, count), place.object("a", kind="rate"))
    copy = await store.copy(source, place.object("b/c", kind="cal"))
    assert (copy.sha256, copy.size, copy.kind) == (source.sha256, source.size, "cal")
    await store.get_file(copy, tmp_path / "target")
    assert sha256((tmp_path / "target").read_bytes()) == source.sha256
    assert await store.stat(place.object("a", kind="rate")) == source


async def test_a_copy_of_something_else_than_announced_is_refused(store: ObjectStore, place: Location) -> None:
    ref = await store.put_bytes(b"x", place.object("a"))
    with pytest.raises(ChecksumMismatch):
        await store.copy(replace(ref, sha256=sha256(b"y")), place.object("b"))
    assert await keys(store, place) == [f"{place.prefix}/a"]


async def test_a_key_under_an_object_harms_neither(store: ObjectStore, place: Location) -> None:
    await store.put_bytes(b"above", place.object("a"))
    try:
        await store.put_bytes(b"below", place.object("a/b"))
        assert await store.get_bytes(place.object("a/b")) == b"below"
    except InvalidKey:  # a directory cannot have both
        assert await keys(store, place) == [f"{place.prefix}/a"]
    assert await store.get_bytes(place.object("a")) == b"above"


async def test_a_key_over_objects_harms_none(store: ObjectStore, place: Location) -> None:
    await store.put_bytes(b"below", place.object("a/b"))
    try:
        await store.put_bytes(b"above", place.object("a"))
        assert await store.get_bytes(place.object("a")) == b"above"
    except StorageError as error:
        assert isinstance(error, InvalidKey)
    assert await store.get_bytes(place.object("a/b")) == b"below"


async def test_equal_contents_have_one_content_addressed_key(store: ObjectStore, place: Location) -> None:
    to = content_addressed(place, sha256(b"flat"), "flat.fits")
    await store.put_bytes(b"flat", to, if_absent=True)
    with pytest.raises(ObjectExists):
        await store.put_bytes(b"flat", to, if_absent=True)
    with pytest.raises(ChecksumMismatch):
        await store.put_bytes(b"else", to)
    assert await store.get_bytes(to) == b"flat"


@pytest.mark.parametrize("count", [100, LARGE])
async def test_progress_counts_every_byte_once(store: ObjectStore, place: Location, tmp_path: Path, count: int) -> None:
    sent: list[int] = []
    ref = await store.put_file(a_file(tmp_path, count), place.object("a"), on_bytes=sent.append)
    received: list[int] = []
    await store.get_file(ref, tmp_path / "target", on_bytes=received.append)
    await asyncio.sleep(0)  # lets the loop deliver what was told last
    assert (sum(sent), sum(received)) == (count, count)


async def test_a_cancelled_upload_leaves_nothing(
    store: ObjectStore, place: Location, tmp_path: Path, backstage: Backstage
) -> None:
    source = a_file(tmp_path, 12 * PART)
    sent: list[int] = []

    def told(count: int) -> None:
        sent.append(count)
        upload.cancel()

    upload = asyncio.create_task(store.put_file(source, place.object("a"), on_bytes=told))
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert sum(sent) < 12 * PART
    assert await keys(store, place) == []
    assert backstage.left_over() == []


async def test_a_cancelled_download_leaves_nothing(store: ObjectStore, place: Location, tmp_path: Path) -> None:
    ref = await store.put_file(a_file(tmp_path, 12 * PART), place.object("a"))
    target = tmp_path / "out" / "target"
    target.parent.mkdir()
    received: list[int] = []

    def told(count: int) -> None:
        received.append(count)
        download.cancel()

    download = asyncio.create_task(store.get_file(ref, target, on_bytes=told))
    with pytest.raises(asyncio.CancelledError):
        await download
    assert sum(received) < 12 * PART
    assert list(target.parent.iterdir()) == []


async def test_a_file_that_changes_while_it_is_sent_is_not_written(
    store: ObjectStore, place: Location, tmp_path: Path, backstage: Backstage
) -> None:
    source = a_file(tmp_path, 12 * PART)
    begun = asyncio.Event()
    upload = asyncio.create_task(store.put_file(source, place.object("a"), on_bytes=lambda _: begun.set()))
    await begun.wait()
    with source.open("r+b") as file:
        file.truncate(11 * PART)
    with pytest.raises(ChecksumMismatch):
        await upload
    assert await keys(store, place) == []
    assert backstage.left_over() == []
