"""Files that are taken over while a program runs."""

import logging
from pathlib import Path

import pytest

from jwcal.core.errors import ConfigurationError
from jwcal.core.rpc.watched_files import WatchedFiles, read_text


def numbers(*paths: Path) -> WatchedFiles[list[int]]:
    def load() -> list[int]:
        texts = [read_text(path) for path in paths]
        if not all(text.isdecimal() for text in texts):
            raise ConfigurationError("is no number")
        return list(map(int, texts))

    return WatchedFiles(paths, load)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("a", "b"):
        (tmp_path / name).write_text("1", encoding="utf-8")
    return tmp_path / "a", tmp_path / "b"


def test_files_that_do_not_change_are_loaded_once(pair: tuple[Path, Path]) -> None:
    watched = numbers(*pair)
    assert watched.current() == [1, 1]
    assert watched.current() is watched.current()


def test_a_change_of_any_file_is_seen(pair: tuple[Path, Path]) -> None:
    watched = numbers(*pair)
    pair[1].write_text("22", encoding="utf-8")
    assert watched.current() == [1, 22]


def test_a_file_behind_a_link_is_seen_as_kubernetes_replaces_it(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text("1" if name == "old" else "2", encoding="utf-8")
    link = tmp_path / "data"
    link.symlink_to("old")
    watched = numbers(link / "number")
    assert watched.current() == [1]
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").replace(link)
    assert watched.current() == [2]


@pytest.mark.parametrize("broken", ["x", None], ids=["wrong", "absent"])
def test_what_cannot_be_loaded_leaves_what_was_there_and_is_told_once(
    pair: tuple[Path, Path], broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    watched = numbers(*pair)
    if broken is None:
        pair[0].unlink()
    else:
        pair[0].write_text(broken, encoding="utf-8")
    with caplog.at_level(logging.WARNING, "jwcal"):
        assert watched.current() == watched.current() == [1, 1]
    assert [record.getMessage() for record in caplog.records] == ["files_not_reloaded"]
    pair[0].write_text("333", encoding="utf-8")
    assert watched.current() == [333, 1]


def test_what_is_not_there_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        numbers(tmp_path / "absent")
