"""Files appear whole or not at all, also when several processes make the same one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A place of the same name to write to, that becomes `path` at the end."""
    folder = path.parent / f".making-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / path.name
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()
