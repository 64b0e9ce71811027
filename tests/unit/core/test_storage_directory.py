"""What is particular to a directory as a store: files and links that others put there."""

import asyncio
import hashlib
import os
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jwcal.core.errors import BucketNotFound, ChecksumMismatch, InvalidKey, ObjectNotFound, StorageError
from jwcal.core.storage.directory import DirectoryStore
from jwcal.core.storage.ref import Location, ObjectRef

T = TypeVar("T")
ESCAPE = ObjectRef("bucket", "link/secret")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


async def keys(store: DirectoryStore) -> list[str]:
    return [listed.ref.key async for listed in store.list(Location("bucket"))]


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / "bucket"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def store(bucket: Path) -> Iterator[DirectoryStore]:
    opened = DirectoryStore(bucket.parent)
    yield opened
    run(opened.close())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


def test_a_folder_that_is_a_link_is_not_entered(store: DirectoryStore, bucket: Path, outside: Path) -> None:
    (bucket / "link").symlink_to(outside)
    for attempt in (store.get_bytes(ESCAPE), store.stat(ESCAPE), store.copy(ESCAPE, ObjectRef("bucket", "a"))):
        with pytest.raises(ObjectNotFound):
            run(attempt)
    for if_absent in (False, True):
        with pytest.raises(InvalidKey):
            run(store.put_bytes(b"x", ObjectRef("bucket", "link/new"), if_absent=if_absent))
    run(store.delete(ESCAPE))
    assert run(keys(store)) == []
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_file_that_is_a_link_is_no_object(store: DirectoryStore, bucket: Path, outside: Path) -> None:
    ref = ObjectRef("bucket", "link")
    (bucket / "link").symlink_to(outside / "secret")
    with pytest.raises(ObjectNotFound):
        run(store.get_bytes(ref))
    assert run(keys(store)) == []
    run(store.put_bytes(b"mine", ref))  # takes the place of the link
    assert run(store.get_bytes(ref)) == b"mine"
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_bucket_that_is_a_link_is_none(store: DirectoryStore, bucket: Path, outside: Path) -> None:
    (bucket.parent / "other").symlink_to(outside)
    with pytest.raises(BucketNotFound):
        run(store.get_bytes(ObjectRef("other", "secret")))


def test_a_pipe_is_no_object_and_holds_nobody_up(store: DirectoryStore, bucket: Path) -> None:
    os.mkfifo(bucket / "pipe")
    with pytest.raises(ObjectNotFound):
        run(store.get_bytes(ObjectRef("bucket", "pipe")))
    assert run(keys(store)) == []


def test_a_file_put_there_by_hand_is_an_object(store: DirectoryStore, bucket: Path) -> None:
    (bucket / "inputs").mkdir()
    (bucket / "inputs" / "a.fits").write_bytes(b"contents")
    found = run(store.stat(ObjectRef("bucket", "inputs/a.fits")))
    assert (found.size, found.sha256) == (8, hashlib.sha256(b"contents").hexdigest())
    assert run(store.get_bytes(found)) == b"contents"


def test_a_file_changed_by_hand_has_the_checksum_of_its_new_contents(store: DirectoryStore, bucket: Path) -> None:
    old = run(store.put_bytes(b"contents", ObjectRef("bucket", "a")))
    (bucket / "a").write_bytes(b"CONTENTS")  # the attribute stays with the file
    found = run(store.stat(ObjectRef("bucket", "a")))
    assert found.sha256 == hashlib.sha256(b"CONTENTS").hexdigest()
    with pytest.raises(ChecksumMismatch):
        run(store.get_bytes(old))


def test_names_that_are_no_keys_are_not_listed(store: DirectoryStore, bucket: Path) -> None:
    (bucket / "a\nb").write_bytes(b"")
    (bucket / "good").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(bucket) + b"/\xff")).write_bytes(b"")
    assert run(keys(store)) == ["good"]


def test_empty_folders_go_with_their_last_object_and_the_bucket_stays(store: DirectoryStore, bucket: Path) -> None:
    ref = run(store.put_bytes(b"", ObjectRef("bucket", "a/b/c")))
    run(store.put_bytes(b"", ObjectRef("bucket", "a/d")))
    run(store.delete(ref))
    assert [path.name for path in (bucket / "a").iterdir()] == ["d"]
    run(store.delete(ObjectRef("bucket", "a/d")))
    assert list(bucket.iterdir()) == []


def test_files_of_a_process_that_was_killed_are_removed_after_a_day(tmp_path: Path) -> None:
    staging = tmp_path / "store" / ".jwcal-staging"
    staging.mkdir(parents=True)
    for name, age in (("old", 25 * 3600), ("new", 23 * 3600)):
        (staging / name).write_bytes(b"half")
        os.utime(staging / name, (time.time() - age,) * 2)
    run(DirectoryStore(tmp_path / "store").close())
    assert [path.name for path in staging.iterdir()] == ["new"]


def test_an_object_is_readable_by_whom_the_umask_allows(store: DirectoryStore, bucket: Path) -> None:
    run(store.put_bytes(b"", ObjectRef("bucket", "a")))
    mask = os.umask(0)
    os.umask(mask)
    assert (bucket / "a").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        DirectoryStore(tmp_path / "file")


def a_product(folder: Path) -> Path:
    path = folder / "product"
    path.write_bytes(b"pixels")
    return path


def test_a_file_that_is_given_away_becomes_the_object(store: DirectoryStore, bucket: Path, tmp_path: Path) -> None:
    source = a_product(tmp_path)
    written = run(store.put_file(source, ObjectRef("bucket", "a/product"), give=True))
    assert written.sha256 == hashlib.sha256(b"pixels").hexdigest()
    assert (bucket / "a" / "product").samefile(source)
    source.unlink()
    assert run(store.get_bytes(written)) == b"pixels"
    assert list((bucket.parent / ".jwcal-staging").iterdir()) == []


def test_a_file_that_is_not_given_away_is_copied(store: DirectoryStore, bucket: Path, tmp_path: Path) -> None:
    source = a_product(tmp_path)
    run(store.put_file(source, ObjectRef("bucket", "product")))
    assert not (bucket / "product").samefile(source)


def test_a_file_with_another_name_is_copied_though_given_away(
    store: DirectoryStore, bucket: Path, tmp_path: Path
) -> None:
    source = a_product(tmp_path)
    os.link(source, tmp_path / "other")
    run(store.put_file(source, ObjectRef("bucket", "product"), give=True))
    assert not (bucket / "product").samefile(source)


def test_a_link_that_is_given_away_is_not_kept(store: DirectoryStore, bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(a_product(tmp_path))
    run(store.put_file(tmp_path / "link", ObjectRef("bucket", "product"), give=True))
    assert not (bucket / "product").is_symlink()
    assert not (bucket / "product").samefile(tmp_path / "product")


def test_a_file_that_is_only_read_is_the_object_itself_and_checked(
    store: DirectoryStore, bucket: Path, tmp_path: Path
) -> None:
    written = run(store.put_bytes(b"pixels", ObjectRef("bucket", "a/product")))
    run(store.get_file(written, tmp_path / "input", only_read=True))
    assert (tmp_path / "input").samefile(bucket / "a" / "product")
    (bucket / "a" / "product").write_bytes(b"pixelz")
    with pytest.raises(ChecksumMismatch):
        run(store.get_file(written, tmp_path / "again", only_read=True))
    assert not (tmp_path / "again").exists()


def test_a_file_that_is_fetched_may_be_written_to(store: DirectoryStore, bucket: Path, tmp_path: Path) -> None:
    written = run(store.put_bytes(b"pixels", ObjectRef("bucket", "product")))
    run(store.get_file(written, tmp_path / "input"))
    assert not (tmp_path / "input").samefile(bucket / "product")
