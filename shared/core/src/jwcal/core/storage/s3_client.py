"""One request each to an S3 server, through the `minio` client, with errors of ours.

The client's public methods know no conditional writes and no parallel parts of a file, so its signed request is used
for those (`_execute`): its version is pinned, and the contract tests run against a real server.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from xml.etree import ElementTree

import urllib3
from minio import Minio
from minio.commonconfig import REPLACE, ComposeSource, CopySource
from minio.credentials.providers import Provider
from minio.error import S3Error

from jwcal.core.errors import BucketNotFound, ChecksumMismatch
from jwcal.core.storage.contents import BLOCK
from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.core.storage.s3_errors import s3_errors

_SHA256 = "x-amz-meta-sha256"
_WRITE = "x-amz-meta-write"
_COPIED_AT_ONCE = 5 << 30
"""Bytes: S3 copies larger objects only by parts."""
_PAGE = 1000


@dataclass(frozen=True)
class S3Endpoint:
    """Where a server is and how it is spoken to."""

    address: str
    """Host and port."""
    region: str = "us-east-1"
    secure: bool = True
    ca_file: str | None = None
    """The authority of the server's certificate, where it is not one that everybody knows."""
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    connections: int = 16


@dataclass(frozen=True)
class S3Object:
    """What a server says about an object."""

    size: int
    etag: str
    version: str
    sha256: str
    """As it was written with the object; empty for objects of others."""
    write: str
    """Name of the write that made it."""


class S3Client:
    """Requests that are made once; they may be made from several threads."""

    def __init__(self, endpoint: S3Endpoint, credentials: Provider) -> None:
        self._http = urllib3.PoolManager(
            maxsize=endpoint.connections,
            timeout=urllib3.Timeout(connect=endpoint.connect_seconds, read=endpoint.read_seconds),
            retries=urllib3.Retry(0, redirect=False, raise_on_redirect=False),  # `retrying` knows which and how long
            cert_reqs="CERT_REQUIRED",
            ca_certs=endpoint.ca_file,
        )
        self._minio = Minio(
            endpoint.address,
            credentials=credentials,
            secure=endpoint.secure,
            region=endpoint.region,
            http_client=self._http,
        )
        self._name = f"{endpoint.address} ({endpoint.region})"

    def __repr__(self) -> str:
        return f"S3Client({self._name})"

    def put(self, to: ObjectRef, data: bytes, *, sha256: str, write: str, if_absent: bool) -> str:
        """Write an object in one request; its version."""
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        headers = _headers(sha256, write) | {"x-amz-checksum-sha256": checksum} | _condition(if_absent)
        with s3_errors(to.uri):
            answer = self._minio._execute("PUT", to.bucket, to.key, body=data, headers=dict(headers))
            return answer.headers.get("x-amz-version-id") or ""

    def begin_parts(self, to: ObjectRef, *, sha256: str, write: str) -> str:
        """Begin an object of several parts; the name of the upload."""
        with s3_errors(to.uri):
            return self._minio._create_multipart_upload(to.bucket, to.key, dict(_headers(sha256, write)))

    def put_part(self, to: ObjectRef, upload: str, number: int, data: bytes) -> str:
        """Write a part; its ETag.  The server checks it by the digest in the request's signature or by MD5."""
        with s3_errors(to.uri):
            return self._minio._upload_part(to.bucket, to.key, data, None, upload, number)

    def complete_parts(self, to: ObjectRef, upload: str, etags: list[str], *, if_absent: bool) -> str:
        """Make the object of its parts; its version."""
        body = ElementTree.Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
        for number, etag in enumerate(etags, start=1):
            part = ElementTree.SubElement(body, "Part")
            ElementTree.SubElement(part, "PartNumber").text = str(number)
            ElementTree.SubElement(part, "ETag").text = f'"{etag}"'
        headers = {"Content-Type": "application/xml"} | _condition(if_absent)
        with s3_errors(to.uri):
            answer = self._minio._execute(
                "POST",
                to.bucket,
                to.key,
                body=ElementTree.tostring(body),
                headers=dict(headers),
                query_params={"uploadId": upload},
            )
            if ElementTree.fromstring(answer.data).tag.endswith("Error"):  # S3 may say 200 and then fail
                raise S3Error.fromxml(answer)
            return answer.headers.get("x-amz-version-id") or ""

    def abort_parts(self, to: ObjectRef, upload: str) -> None:
        """Give up an upload and what has been written of it."""
        with s3_errors(to.uri):
            self._minio._abort_multipart_upload(to.bucket, to.key, upload)

    def stat(self, ref: ObjectRef) -> S3Object:
        """What the server says about an object."""
        with s3_errors(ref.uri):
            found = self._minio.stat_object(ref.bucket, ref.key, version_id=ref.version or None)
        headers: Mapping[str, str] = found.metadata or {}
        version = found.version_id or ""
        return S3Object(
            size=found.size or 0,
            etag=found.etag or "",
            version="" if version == "null" else version,
            sha256=headers.get(_SHA256, ""),
            write=headers.get(_WRITE, ""),
        )

    @contextmanager
    def read(self, ref: ObjectRef, etag: str, start: int, end: int) -> Iterator[Iterator[bytes]]:
        """Blocks of the bytes from start to end, which is behind the last, of the object that has this ETag.

        Raises
        ------
        ChecksumMismatch
            If the object has been replaced.
        StoreUnavailable
            Also on the way, if the connection is lost.
        """
        with s3_errors(ref.uri):
            try:
                answer = self._minio.get_object(
                    ref.bucket,
                    ref.key,
                    offset=start,
                    length=end - start,
                    request_headers={"If-Match": f'"{etag}"'},
                    version_id=ref.version or None,
                )
            except S3Error as error:
                if error.code == "PreconditionFailed":
                    raise ChecksumMismatch(f"{ref.uri} was replaced while it was read", uri=ref.uri) from error
                raise
        with closing(answer):
            yield self._blocks(ref, answer, end - start)
            answer.release_conn()  # a connection that was not read to its end is closed instead

    def _blocks(self, ref: ObjectRef, answer: urllib3.BaseHTTPResponse, count: int) -> Iterator[bytes]:
        with s3_errors(ref.uri):
            while count > 0:
                block = answer.read(min(BLOCK, count))
                if not block:
                    raise urllib3.exceptions.ProtocolError("the answer ended too early")
                count -= len(block)
                yield block

    def page(self, location: Location, after: str) -> list[tuple[str, int, datetime]]:
        """Key, size and time of the next objects behind the key `after`."""
        with s3_errors(location.uri):
            objects = self._minio.list_objects(
                location.bucket, prefix=location.folder, recursive=True, start_after=after or None
            )
            return [
                (found.object_name or "", found.size or 0, found.last_modified or datetime.min.replace(tzinfo=UTC))
                for found in islice(objects, _PAGE)
            ]

    def delete(self, ref: ObjectRef) -> None:
        """Remove an object."""
        with s3_errors(ref.uri):
            self._minio.remove_object(ref.bucket, ref.key, version_id=ref.version or None)

    def copy(self, source: ObjectRef, to: ObjectRef, *, sha256: str, write: str) -> None:
        """Copy within the server an object whose size is known."""
        metadata = {"sha256": sha256, "write": write} if sha256 else {"write": write}
        version = source.version or None
        with s3_errors(to.uri):
            if source.size <= _COPIED_AT_ONCE:
                origin = CopySource(source.bucket, source.key, version_id=version)
                self._minio.copy_object(to.bucket, to.key, origin, metadata=dict(metadata), metadata_directive=REPLACE)
            else:
                part = ComposeSource(source.bucket, source.key, version_id=version)
                self._minio.compose_object(to.bucket, to.key, [part], metadata=dict(metadata))

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket; one that we have already is good."""
        with s3_errors(f"s3://{bucket}"):
            try:
                self._minio.make_bucket(bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketObjectExists"):
                    raise

    def check_bucket(self, bucket: str) -> None:
        """Raise unless the server answers and has the bucket."""
        with s3_errors(f"s3://{bucket}"):
            there = self._minio.bucket_exists(bucket)
        if not there:
            raise BucketNotFound(f"there is no bucket {bucket!r}", bucket=bucket)

    def close(self) -> None:
        """Close the connections."""
        for key in self._http.pools.keys():  # noqa: SIM118 - no mapping to iterate over
            self._http.pools[key].close()
        self._http.clear()  # by itself, it leaves them to the garbage collector


def _headers(sha256: str, write: str) -> dict[str, str]:
    return {_SHA256: sha256, _WRITE: write, "Content-Type": "application/octet-stream"}


def _condition(if_absent: bool) -> dict[str, str]:
    return {"If-None-Match": "*"} if if_absent else {}
