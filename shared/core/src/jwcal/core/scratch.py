"""Arrays that live in a scratch file, so that an exposure may be larger than the memory limit.

A scratch array is a shared mapping of an unlinked file.  Whoever goes through it calls `Scratch.trim` on the way, and
while any is alive a watcher thread does: where the process's resident set is above the threshold, the mapped pages go
back to the page cache (``MADV_DONTNEED`` on a shared file mapping keeps the contents).  Computation goes on meanwhile;
results do not depend on it.  The watcher alone does not suffice where a kernel strides through a whole mapping: the
system maps up to 2 MiB at a touch, a gigabyte within the watcher's period.  Such kernels get `jwcal.core.blocks`.
"""

import mmap
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from jwcal.core.errors import InvalidParameter, OutputError

_FRACTION = 0.80
_PERIOD_SECONDS = 0.01
_BLOCK_FRACTION = 1 / 16


class Scratch:
    """Gives arrays in memory, or in scratch files when `limit` (bytes) asks for it."""

    def __init__(self, limit: int | None, directory: Path | None = None) -> None:
        self.limit = limit
        self._directory = directory
        self._maps: list[mmap.mmap] = []
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._process = psutil.Process()

    @property
    def block_bytes(self) -> int:
        """What a block of an array in a scratch file may take of the memory."""
        return max(1 << 20, int(_BLOCK_FRACTION * (self.limit or 0)))

    def must_spill(self, nbytes: int) -> bool:
        """Whether arrays of `nbytes` and the work on them would pass the limit."""
        if self.limit is None:
            return False
        resident = psutil.Process().memory_info().rss
        if resident > _FRACTION * self.limit:
            raise InvalidParameter(
                f"a memory limit of {self.limit / 2**20:.0f} MiB is below what the program itself holds "
                f"({resident / 2**20:.0f} MiB)",
                remedy="raise --memory-limit to 1 GiB or more",
            )
        return resident + 1.5 * nbytes > _FRACTION * self.limit

    def zeros(self, shape: tuple[int, ...], dtype: Any, *, spill: bool) -> NDArray[Any]:
        """A zeroed array, in a scratch file when `spill` says so."""
        if not spill:
            return np.zeros(shape, dtype)
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        try:
            with tempfile.TemporaryFile(dir=self._directory) as file:
                os.posix_fallocate(file.fileno(), 0, nbytes)  # a sparse file on a full disk would kill the process
                mapping = mmap.mmap(file.fileno(), nbytes)
        except OSError as error:
            raise OutputError(
                f"no scratch space for {nbytes / 2**20:.0f} MiB: {error.strerror}",
                file=self._directory,
                remedy="free disk space, or set TMPDIR to a larger disk",
            ) from error
        self._maps.append(mapping)
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="scratch-watcher", daemon=True)
            self._watcher.start()
        return np.frombuffer(mapping, dtype=dtype).reshape(shape)

    def _watch(self) -> None:
        while not self._stop.wait(_PERIOD_SECONDS):
            self.trim()

    def trim(self) -> None:
        """Hand mapped pages back if too many are in memory."""
        if self.limit is not None and self._process.memory_info().rss > _FRACTION * self.limit:
            for mapping in tuple(self._maps):
                mapping.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Stop watching; the files go when the last array does."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
        self._maps.clear()
