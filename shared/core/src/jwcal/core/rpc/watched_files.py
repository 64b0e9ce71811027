"""Files whose contents are taken over while a program runs: certificates, tokens, keys."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from jwcal.core.errors import ConfigurationError

logger = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")
_Stamp = tuple[tuple[int, int, int], ...]


class WatchedFiles(Generic[Loaded]):
    """What `load` makes of some files, made again when one of them has changed.

    A new version that cannot be loaded is told to the log once, and what was there before stays in force: files are
    often replaced one after the other.  Safe to ask from any thread.
    """

    def __init__(self, paths: Sequence[Path], load: Callable[[], Loaded]) -> None:
        self._paths = tuple(paths)
        self._load = load
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._loaded = load()

    def current(self) -> Loaded:
        """What the files say now."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp  # before loading: a change during it is seen next time
                try:
                    self._loaded = self._load()
                except ConfigurationError as error:
                    fields = {"reason": error.reason, "error": str(error)}
                    logger.warning("files_not_reloaded", extra={"fields": fields})
                else:
                    logger.info("files_reloaded", extra={"fields": {"files": [str(path) for path in self._paths]}})
            return self._loaded

    def _look(self) -> _Stamp:
        stamps = []
        for path in self._paths:
            try:
                found = path.stat()
            except OSError:  # loading it will say so
                stamps.append((0, 0, 0))
            else:
                stamps.append((found.st_mtime_ns, found.st_ino, found.st_size))
        return tuple(stamps)


def read_text(path: Path) -> str:
    """The text of a file of settings.

    Raises
    ------
    ConfigurationError
        Where it is not there or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("cannot be read", file=path, cause=type(error).__name__) from error
