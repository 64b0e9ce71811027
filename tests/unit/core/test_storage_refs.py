"""Names of objects and places: what is taken, what is refused, and that nothing is lost in between."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwcal.api.product.v1 import product_pb2
from jwcal.core.errors import ChecksumMismatch, InvalidKey
from jwcal.core.storage.convert import location_from_proto, location_to_proto, ref_from_proto, ref_to_proto
from jwcal.core.storage.ref import Location, ObjectRef, check_part, content_addressed
from tests.storage_keys import keys

SHA256 = "ab" * 32
buckets = st.from_regex(r"\A[a-z0-9][a-z0-9-]{1,20}[a-z0-9]\Z")
references = st.builds(
    ObjectRef,
    bucket=buckets,
    key=keys,
    version=st.text(string.ascii_letters + string.digits + ".-_", max_size=40),
    sha256=st.sampled_from(["", SHA256]),
    size=st.integers(0, 2**62),
    kind=st.sampled_from(["", "uncal", "rate"]),
)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "../a",
        "a/../b",
        "a/..",
        ".",
        "a/./b",
        "a\\b",
        "..\\..\\etc",
        "a\x00b",
        "a\nb",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "a\ufffeb",
        "a\ud800b",
        " ",
        "a/ /b",
        "x" * 256,
        "/".join(["x" * 200] * 6),
        "é" * 128,
    ],
)
def test_a_key_that_no_store_should_see_is_refused(key: str) -> None:
    with pytest.raises(InvalidKey):
        ObjectRef("bucket", key)
    if key:
        with pytest.raises(InvalidKey):
            Location("bucket", key)


def test_a_message_with_a_way_out_is_refused() -> None:
    with pytest.raises(InvalidKey):
        ref_from_proto(product_pb2.ProductRef(bucket="bucket", key="a/../../etc/passwd"))
    with pytest.raises(InvalidKey):
        location_from_proto(product_pb2.Location(bucket="bucket", prefix="/etc"))


@pytest.mark.parametrize(
    "bucket",
    ["", "ab", "x" * 64, "Bucket", "a_b", "-ab", "ab-", "a..b", "a.-b", "192.0.2.1", "../etc", "a/b", "abc\n", "äbc"],
)
def test_a_bucket_that_s3_does_not_allow_is_refused(bucket: str) -> None:
    with pytest.raises(InvalidKey):
        ObjectRef(bucket, "key")
    with pytest.raises(InvalidKey):
        Location(bucket)


@pytest.mark.parametrize("part", ["", "a/b", "..", ".", "\\", "a\tb"])
def test_a_part_is_one_name(part: str) -> None:
    with pytest.raises(InvalidKey):
        check_part(part)


@pytest.mark.parametrize("sha256", ["AB" * 32, "ab", "zz" * 32, "ab" * 32 + "\n"])
def test_a_checksum_that_is_none_is_refused(sha256: str) -> None:
    with pytest.raises(InvalidKey):
        ObjectRef("bucket", "key", sha256=sha256)


def test_a_negative_size_and_an_odd_version_are_refused() -> None:
    with pytest.raises(InvalidKey):
        ObjectRef("bucket", "key", size=-1)
    with pytest.raises(InvalidKey):
        ObjectRef("bucket", "key", version="1\r\nX-Header: 2")


@given(st.text())
def test_any_text_is_a_safe_key_or_refused(text: str) -> None:
    try:
        ref = ObjectRef("bucket", text)
    except InvalidKey as error:
        assert str(error).isascii()
        assert str(error).isprintable()
    else:
        assert not {"", ".", ".."} & set(ref.key.split("/"))
        assert not any(character in "\\\0\r\n" for character in ref.key)
        assert len(ref.key.encode()) <= 1024


@given(references)
def test_a_reference_survives_protobuf_and_back(ref: ObjectRef) -> None:
    message = product_pb2.ProductRef.FromString(ref_to_proto(ref).SerializeToString())
    assert ref_from_proto(message) == ref


@given(buckets, st.just("") | keys)
def test_a_place_survives_protobuf_and_back(bucket: str, prefix: str) -> None:
    location = Location(bucket, prefix)
    assert location_from_proto(location_to_proto(location)) == location


@given(references)
def test_an_address_leads_back_to_its_object(ref: ObjectRef) -> None:
    found = ObjectRef.from_uri(ref.uri, kind=ref.kind)
    assert (found.bucket, found.key, found.kind) == (ref.bucket, ref.key, ref.kind)


@given(st.text())
def test_any_address_is_an_object_or_refused(text: str) -> None:
    for uri in (text, f"s3://{text}", f"s3://bucket/{text}"):
        try:
            ObjectRef.from_uri(uri)
        except InvalidKey:
            continue


def test_a_percent_encoded_way_out_is_refused() -> None:
    for uri in ("s3://bucket/a/%2e%2e/b", "s3://bucket/%2Fetc", "s3://bucket/a%00", "s3://bucket/%ff", "file:///etc"):
        with pytest.raises(InvalidKey):
            ObjectRef.from_uri(uri)


@given(keys, keys)
def test_a_place_contains_what_is_named_under_it(prefix: str, name: str) -> None:
    if len(f"{prefix}/{name}".encode()) > 1024:
        return
    location = Location("bucket", prefix)
    assert location.contains(location.object(name))
    assert not location.contains(ObjectRef("bucket", f"{prefix}x"))
    assert Location("bucket").contains(location.object(name))
    assert not Location("other-bucket").contains(location.object(name))


def test_a_place_from_its_address() -> None:
    assert Location.from_uri("s3://bucket/a/b/") == Location("bucket", "a/b")
    assert Location.from_uri("s3://bucket") == Location("bucket")
    assert Location("bucket").uri == "s3://bucket"


def test_a_content_addressed_key_holds_the_checksum() -> None:
    ref = content_addressed(Location("bucket", "references"), SHA256, "flat.fits")
    assert ref == ObjectRef("bucket", f"references/sha256/ab/{SHA256}/flat.fits", sha256=SHA256)


def test_what_is_found_has_to_be_what_is_announced() -> None:
    announced = ObjectRef("bucket", "key", sha256=SHA256, size=3, kind="rate")
    assert announced.found(sha256="", size=3, version="7") == ObjectRef("bucket", "key", "7", SHA256, 3, "rate")
    with pytest.raises(ChecksumMismatch) as refused:
        announced.found(sha256=SHA256, size=4)
    assert refused.value.metadata() == {"uri": "s3://bucket/key", "expected_size": "3", "size": "4"}
    with pytest.raises(ChecksumMismatch):
        announced.found(sha256="cd" * 32, size=3)
