"""A directory of references that many processes share."""

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from jwcal.core.errors import InvalidReference, OutputError, ReferenceCacheFull
from jwcal.core.references.node_cache import CachedFile, Fill, NodeCache

KIB = 1024
processes = multiprocessing.get_context("spawn")


def contents(number: int) -> bytes:
    return bytes([number]) * KIB


def a_file(number: int) -> CachedFile:
    data = contents(number)
    return CachedFile(f"jwst_nircam_gain_{number:04d}.fits", hashlib.sha256(data).hexdigest(), len(data))


def filling(number: int, made: list[int] | None = None) -> Fill:
    def fill(path: Path) -> None:
        path.write_bytes(contents(number))
        if made is not None:
            made.append(number)

    return fill


def never(path: Path) -> None:
    raise AssertionError(f"{path} is made a second time")


def ticking() -> Callable[[], int]:
    ticks = iter(range(1, 1000))
    return lambda: next(ticks)


def files_in(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_file_is_made_once_and_then_found(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, 10 * KIB)
    with cache.get(a_file(1), filling(1)) as path:
        assert path.read_bytes() == contents(1)
        assert path.name == a_file(1).name
    with NodeCache(tmp_path, 10 * KIB).get(a_file(1), never) as again:
        assert again == path


def test_the_longest_unused_leaves_when_room_is_needed(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, 2 * KIB, now=ticking())
    for number in (1, 2, 1, 3):
        cache.get(a_file(number), filling(number)).release()
    assert files_in(tmp_path) == [a_file(1).name, a_file(3).name]
    assert cache.nbytes() == 2 * KIB


def test_a_file_in_use_stays_however_old(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, 2 * KIB, now=ticking())
    with cache.get(a_file(1), filling(1)) as held:
        for number in (2, 3, 4):
            cache.get(a_file(number), filling(number)).release()
        assert held.read_bytes() == contents(1)
    assert files_in(tmp_path) == [a_file(1).name, a_file(4).name]


def test_beside_files_in_use_nothing_more_fits(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, 2 * KIB)
    with (
        cache.get(a_file(1), filling(1)),
        cache.get(a_file(2), filling(2)),
        pytest.raises(ReferenceCacheFull, match="2048") as caught,
    ):
        cache.get(a_file(3), filling(3))
    assert caught.value.retryable
    cache.get(a_file(3), filling(3)).release()
    assert cache.nbytes() <= 2 * KIB


def test_a_file_being_made_counts_with_its_full_size(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, 2 * KIB)

    def fill(path: Path) -> None:
        cache.get(a_file(2), filling(2)).release()
        with pytest.raises(ReferenceCacheFull), cache.get(a_file(2), never):
            cache.get(a_file(3), filling(3))
        path.write_bytes(contents(1))

    cache.get(a_file(1), fill).release()
    assert cache.nbytes() == 2 * KIB


def test_what_is_not_the_file_is_refused_and_not_kept(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, 2 * KIB)
    with pytest.raises(InvalidReference, match="SHA-256"):
        cache.get(a_file(1), filling(2))
    assert files_in(tmp_path) == []
    cache.get(a_file(1), filling(1)).release()


def test_an_error_while_making_leaves_nothing(tmp_path: Path) -> None:
    def fill(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    cache = NodeCache(tmp_path, 2 * KIB)
    with pytest.raises(OutputError, match="the disk is full"):
        cache.get(a_file(1), fill)
    assert files_in(tmp_path) == []
    assert cache.nbytes() == 0


@pytest.mark.parametrize("name", ["../up.fits", "/etc/passwd", "", "..", "a/b.fits"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InvalidReference):
        CachedFile(name, "0" * 64, 1)


@pytest.mark.parametrize("digest", ["", "0" * 63, "../" + "0" * 61, "A" * 64])
def test_what_is_no_checksum_is_refused(digest: str) -> None:
    with pytest.raises(InvalidReference):
        CachedFile("a.fits", digest, 1)


def half_made(root: Path, ready: Connection) -> None:
    """In a process of its own: stop in the middle of making file 1."""

    def fill(path: Path) -> None:
        path.write_bytes(contents(1)[: KIB // 2])
        ready.send("half")
        signal.pause()

    NodeCache(root, 2 * KIB).get(a_file(1), fill)


@pytest.mark.parametrize("wanted", [1, 2])
def test_a_process_killed_in_the_middle_leaves_nothing_in_the_way(tmp_path: Path, wanted: int) -> None:
    mine, theirs = processes.Pipe()
    process = processes.Process(target=half_made, args=(tmp_path, theirs))
    process.start()
    assert mine.poll(60)
    assert mine.recv() == "half"
    cache = NodeCache(tmp_path, 2 * KIB)
    assert cache.nbytes() == KIB
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    for number in (wanted, 3):
        cache.get(a_file(number), filling(number)).release()
    assert files_in(tmp_path) == sorted(a_file(number).name for number in (wanted, 3))
    assert cache.nbytes() == 2 * KIB


def killed_while_using(root: Path, ready: Connection) -> None:
    with NodeCache(root, 2 * KIB).get(a_file(1), filling(1)):
        ready.send("held")
        signal.pause()


def test_a_file_is_in_use_no_longer_when_its_user_was_killed(tmp_path: Path) -> None:
    mine, theirs = processes.Pipe()
    process = processes.Process(target=killed_while_using, args=(tmp_path, theirs))
    process.start()
    assert mine.poll(60)
    cache = NodeCache(tmp_path, KIB)
    with pytest.raises(ReferenceCacheFull):
        cache.get(a_file(2), filling(2))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    cache.get(a_file(2), filling(2)).release()
    assert files_in(tmp_path) == [a_file(2).name]


def churn(root: Path, record: Path, seed: int) -> None:
    """In a process of its own: ask for many files in another order; what is read must be right."""
    cache = NodeCache(root, 4 * KIB)
    for turn in range(200):
        number = (turn * (2 * seed + 1) + seed) % 8
        made: list[int] = []
        with cache.get(a_file(number), filling(number, made)) as path:
            if path.read_bytes() != contents(number):
                raise AssertionError(path)
        if cache.nbytes() > 4 * KIB:
            raise AssertionError(cache.nbytes())
        with record.open("a") as file:
            file.writelines(f"{number}\n" for number in made)


def run(target: Callable[..., None], *arguments: tuple[object, ...]) -> None:
    started = [processes.Process(target=target, args=given) for given in arguments]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * len(started)


def test_processes_that_make_and_remove_at_once_read_whole_files_within_the_limit(tmp_path: Path) -> None:
    run(churn, *((tmp_path / "cache", tmp_path / "made", seed) for seed in range(4)))
    assert len((tmp_path / "made").read_text().split()) > 8  # files did leave and come again


def ask_once(root: Path, record: Path) -> None:
    def fill(path: Path) -> None:
        with record.open("a") as file:
            file.write("made\n")
        path.write_bytes(contents(1))

    NodeCache(root, 4 * KIB).get(a_file(1), fill).release()


def test_processes_that_ask_at_once_make_a_file_once(tmp_path: Path) -> None:
    run(ask_once, *((tmp_path / "cache", tmp_path / "made") for _ in range(6)))
    assert (tmp_path / "made").read_text() == "made\n"
