"""Keys of an S3 server from files that may change while we run, as mounted secrets do."""

from pathlib import Path

from minio.credentials.credentials import Credentials
from minio.credentials.providers import Provider

from jwcal.core.errors import StoreDenied


class FileCredentials(Provider):
    """The keys in two files, read again for each request that finds them changed."""

    def __init__(self, access_key_file: Path, secret_key_file: Path) -> None:
        self._files = (access_key_file, secret_key_file)
        self._read: tuple[tuple[int, ...], Credentials] | None = None

    def retrieve(self) -> Credentials:
        """The keys as they are now.

        Raises
        ------
        StoreDenied
            If a file cannot be read.
        """
        try:
            changed = tuple(path.stat().st_mtime_ns for path in self._files)
            if self._read is None or self._read[0] != changed:
                access_key, secret_key = (path.read_text().strip() for path in self._files)
                self._read = changed, Credentials(access_key, secret_key)
        except (OSError, ValueError) as error:  # ValueError: empty, or not text
            raise StoreDenied(
                f"the store's keys cannot be read: {type(error).__name__}",
                remedy=f"check {' and '.join(map(str, self._files))}",
            ) from None
        return self._read[1]
