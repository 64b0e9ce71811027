"""Names of objects and places in the store, checked when they are made.

A key that passes is safe with every adapter: no part of it leaves the bucket, none is changed on the way, and each fits
a file system's limit for names.
"""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from urllib.parse import quote, unquote

from jwcal.core.errors import ChecksumMismatch, InvalidKey

MAX_KEY_BYTES = 1024
MAX_PART_BYTES = 255
_BUCKET = re.compile(r"(?!.*(\.\.|\.-|-\.))(?!\d+\.\d+\.\d+\.\d+\Z)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_PLAIN_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._+=-]{0,200}\Z")
"""Nearly all parts of keys; what it matches needs no look at each character."""
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_REFUSED_CATEGORIES = {
    "Cc": "a control character",
    "Cs": "half of a surrogate pair",
    "Cn": "a code that is no character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One object of the store.

    Before it is written: the address, with `sha256` and `size` where they are known already, which the contents must
    then have.  As the store answers it: the object as it is there.

    Raises
    ------
    InvalidKey
        For a bucket or key that no store is asked for.
    """

    bucket: str
    key: str
    version: str = ""
    """Where the store keeps versions."""
    sha256: str = ""
    """Lower-case hexadecimal; empty where it is not known."""
    size: int = 0
    """Bytes; 0 where it is not known."""
    kind: str = ""
    """What it is: ``uncal``, ``rate``, ``log``.  It belongs to the reference; no store keeps it."""

    def __post_init__(self) -> None:
        check_bucket(self.bucket)
        check_key(self.key)
        if self.sha256 and not _SHA256.match(self.sha256):
            raise InvalidKey("sha256 is not 64 lower-case hexadecimal digits", key=self.key)
        if self.size < 0:
            raise InvalidKey(f"a size of {self.size} bytes", key=self.key)
        if not self.version.isascii() or any(not character.isprintable() for character in self.version):
            raise InvalidKey("the version is not printable ASCII", key=self.key)

    @property
    def uri(self) -> str:
        """``s3://bucket/key``, percent-encoded."""
        return f"s3://{self.bucket}/{quote(self.key)}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @classmethod
    def from_uri(cls, uri: str, *, kind: str = "") -> Self:
        """The object of an ``s3://bucket/key`` address."""
        bucket, key = _split_uri(uri)
        return cls(bucket, key, kind=kind)

    def found(self, *, sha256: str, size: int, version: str = "") -> Self:
        """This object as the store answers it.

        Raises
        ------
        ChecksumMismatch
            Where it is not what this reference announces.
        """
        self.check_size(size)
        self.check_sha256(sha256)
        return replace(self, version=version, sha256=sha256 or self.sha256, size=size)

    def check_size(self, size: int) -> None:
        """Refuse another size than the one announced."""
        if self.size and size != self.size:
            raise ChecksumMismatch(
                f"{self.uri} has another size than announced", uri=self.uri, expected_size=self.size, size=size
            )

    def check_sha256(self, sha256: str) -> None:
        """Refuse another checksum than the one announced; nothing is said against an unknown one."""
        if self.sha256 and sha256 and sha256 != self.sha256:
            raise ChecksumMismatch(
                f"{self.uri} has another SHA-256 than announced",
                uri=self.uri,
                expected_sha256=self.sha256,
                sha256=sha256,
            )


@dataclass(frozen=True, slots=True)
class Location:
    """Everything in a bucket whose key begins with ``prefix/``; the whole bucket for an empty prefix."""

    bucket: str
    prefix: str = ""

    def __post_init__(self) -> None:
        check_bucket(self.bucket)
        if self.prefix:
            check_key(self.prefix)

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix``, percent-encoded."""
        return f"s3://{self.bucket}/{quote(self.prefix)}".rstrip("/")

    @property
    def folder(self) -> str:
        """What the keys begin with: the prefix and a slash, or nothing."""
        return f"{self.prefix}/" if self.prefix else ""

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """The place of an ``s3://bucket/prefix`` address."""
        bucket, prefix = _split_uri(uri)
        return cls(bucket, prefix.removesuffix("/"))

    def object(self, name: str, *, kind: str = "") -> ObjectRef:
        """The object of this name, which may have folders, under here."""
        return ObjectRef(self.bucket, f"{self.folder}{name}", kind=kind)

    def under(self, name: str) -> "Location":
        """The place of this name under here."""
        return Location(self.bucket, f"{self.folder}{name}")

    def contains(self, ref: ObjectRef) -> bool:
        """Whether the object lies under here."""
        return ref.bucket == self.bucket and ref.key.startswith(self.folder)


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it: its checksum is not known, the time of its last change is."""

    ref: ObjectRef
    modified: datetime


def content_addressed(location: Location, sha256: str, name: str) -> ObjectRef:
    """The object with these contents: equal contents have one key, and writing them again changes nothing."""
    found = location.object(f"sha256/{sha256[:2]}/{sha256}/{check_part(name)}")
    return replace(found, sha256=sha256)


def check_bucket(bucket: str) -> str:
    """The name, if S3 allows it.

    Raises
    ------
    InvalidKey
        If not.
    """
    if not _BUCKET.match(bucket):
        raise InvalidKey(
            f"{_shown(bucket)} is no bucket name",
            remedy="use 3 to 63 lower-case letters, digits, hyphens and dots",
        )
    return bucket


def check_key(key: str) -> str:
    """The key, if every store takes it and none can read it as a way out of the bucket.

    Raises
    ------
    InvalidKey
        If not.
    """
    for part in key.split("/"):
        check_part(part)
    if len(key.encode()) > MAX_KEY_BYTES:
        raise InvalidKey(f"the key {_shown(key)} is longer than {MAX_KEY_BYTES} bytes")
    return key


def check_part(part: str) -> str:
    """One part of a key between slashes, if it is allowed.

    Raises
    ------
    InvalidKey
        If not.
    """
    if _PLAIN_PART.match(part):
        return part
    if not part or part.isspace():
        raise InvalidKey("a key has an empty part", remedy="no slash at the beginning, at the end or after another")
    if part in (".", ".."):
        raise InvalidKey(f"a key has the part {part!r}", remedy="write the key without '.' and '..'")
    for character in part:
        if character in "\\/":  # some stores make a slash of a backslash
            raise InvalidKey(f"the name {_shown(part)} has a {character!r} in it")
        refused = _REFUSED_CATEGORIES.get(unicodedata.category(character))
        if refused:
            raise InvalidKey(f"the name {_shown(part)} has {refused} in it: U+{ord(character):04X}")
    if len(part.encode()) > MAX_PART_BYTES:
        raise InvalidKey(f"the name {_shown(part)} is longer than {MAX_PART_BYTES} bytes")
    return part


def _split_uri(uri: str) -> tuple[str, str]:
    scheme, _, rest = uri.partition("://")
    if scheme != "s3" or not rest:
        raise InvalidKey(f"{_shown(uri)} is no address of the store", remedy="write s3://bucket/key")
    bucket, _, key = rest.partition("/")
    try:
        return bucket, unquote(key, errors="strict")
    except UnicodeDecodeError:
        raise InvalidKey(f"{_shown(uri)} is not UTF-8 when decoded") from None


def _shown(text: str) -> str:
    """Short and printable, whatever it is."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")
