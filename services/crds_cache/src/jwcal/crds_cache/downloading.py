"""One file from a server to the disk, verified on the way: constant memory, whatever its size."""

import hashlib
import http.client
import ssl
import threading
import urllib.request
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError

from jwcal.core.errors import Cancelled, InvalidReference, MissingReference, ReferenceServerUnavailable
from jwcal.core.products.replacing import output_error
from jwcal.core.references.contents import CataloguedFile
from jwcal.core.references.publishing import Checksums

_CHUNK = 1 << 20


def download(file: CataloguedFile, path: Path, *, timeout: float, stop: threading.Event) -> Checksums:
    """Write the file at its URL to `path`; what is there after an error is of no use.

    Raises
    ------
    ReferenceServerUnavailable
        It cannot be reached, or the connection broke.
    MissingReference
        The server does not have the file.
    InvalidReference
        What came is not what the catalogue says.
    """
    try:
        with (
            urllib.request.urlopen(file.url, timeout=timeout) as response,  # only http and https: see Settings
            path.open("wb") as target,
        ):
            return _checked(file, _copy(response, target, stop))
    except HTTPError as error:
        error.close()  # it is a response too
        kind = ReferenceServerUnavailable if error.code >= 500 else MissingReference
        raise kind(
            f"the server answers {error.code} for {file.name}", remedy="ask again later", url=file.url
        ) from error
    except (URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        raise ReferenceServerUnavailable(
            f"{file.name} cannot be fetched: {error}", remedy="check the CRDS server and the connection", url=file.url
        ) from error
    except OSError as error:
        raise output_error(path, error) from error


def measure(file: CataloguedFile, path: Path, *, stop: threading.Event) -> Checksums:
    """Verify a file that is here already; errors as of `download`."""
    with path.open("rb") as source:
        return _checked(file, _copy(source, None, stop))


def _copy(source: BinaryIO | http.client.HTTPResponse, target: BinaryIO | None, stop: threading.Event) -> Checksums:
    sha1, sha256, size = hashlib.sha1(), hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        if stop.is_set():
            raise Cancelled("the service stops")
        for digest in (sha1, sha256):
            digest.update(chunk)
        size += len(chunk)
        if target is not None:
            target.write(chunk)
    return Checksums(sha1.hexdigest(), sha256.hexdigest(), size)


def _checked(file: CataloguedFile, found: Checksums) -> Checksums:
    for what, is_, should_be in (("size", found.size, file.size), ("SHA-1", found.sha1, file.sha1 or found.sha1)):
        if is_ != should_be:
            raise InvalidReference(
                f"its {what} is {is_}, the catalogue says {should_be}",
                file=file.name,
                remedy="ask again; if it stays so, tell the operators of the CRDS server",
            )
    return found
