"""A file takes its place whole, or not at all."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jwcal.core.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path of the same name to write to; at the end it takes the place of `path`, after an error nothing does.

    Raises
    ------
    OutputError
        For any OSError on the way.
    """
    staging: Path | None = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=".jwcal-", dir=path.parent))
        yield staging / path.name
        (staging / path.name).replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def output_error(path: Path, error: OSError) -> OutputError:
    """The error for a file that cannot be written."""
    if error.errno == errno.ENOSPC or "Not enough" in str(error):  # astropy's word for it has no number
        return OutputError("the disk is full", file=path, remedy="free space or choose another output directory")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError("no permission to write here", file=path, remedy="choose another output directory")
    return OutputError(
        f"cannot be written: {error.strerror or error}", file=path, remedy="choose another output directory"
    )
