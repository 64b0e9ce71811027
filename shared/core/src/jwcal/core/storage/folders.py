"""Folders under a root, entered part by part without ever following a symbolic link out of it."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def entered(root: Path, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """Descriptor of a folder under `root`.

    Raises
    ------
    FileNotFoundError
        If it, or a folder above it, is not there and not to be created.
    NotADirectoryError
        If a part of the way is a file or a symbolic link.
    """
    descriptor = _enter(root, parts, create=create)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_file(folder: int, name: str) -> int:
    """Descriptor for reading a regular file of the folder.

    Raises
    ------
    FileNotFoundError
        If it is not there, or is a link, a folder or a device.
    """
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG):
            raise FileNotFoundError(errno.ENOENT, "no regular file", name) from error
        raise
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no regular file", name)
    return descriptor


def remove(root: Path, parts: Sequence[str], *, keep: int) -> None:
    """Remove a file, then the folders above it that are empty, but not the first `keep` of them."""
    with suppress(FileNotFoundError, NotADirectoryError), entered(root, parts[:-1]) as folder:
        os.close(open_file(folder, parts[-1]))  # a folder or link of this name is no object
        os.unlink(parts[-1], dir_fd=folder)
    for depth in range(len(parts) - 1, keep, -1):
        try:
            with entered(root, parts[: depth - 1]) as above:
                os.rmdir(parts[depth - 1], dir_fd=above)
        except OSError:  # not empty, or gone already
            return


def files(folder: int, before: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Relative paths and status of the regular files under a folder, in the order of the paths' bytes."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if not entry.is_symlink()]
    for name, is_folder in sorted(found, key=lambda item: os.fsencode(f"{item[0]}/" if item[1] else item[0])):
        with suppress(FileNotFoundError, NotADirectoryError):  # removed meanwhile
            if is_folder:
                inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                try:
                    yield from files(inner, f"{before}{name}/")
                finally:
                    os.close(inner)
            else:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if S_ISREG(status.st_mode):
                    yield f"{before}{name}", status


def _enter(root: Path, parts: Sequence[str], *, create: bool) -> int:
    descriptor = os.open(root, _FOLDER)
    for part in parts:
        try:
            inner = _inner(descriptor, part, create=create)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def _inner(folder: int, part: str, *, create: bool) -> int:
    try:
        return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=folder)
    return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
