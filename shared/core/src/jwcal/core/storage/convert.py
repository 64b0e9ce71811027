"""References between protobuf and domain."""

from jwcal.api.product.v1 import product_pb2
from jwcal.core.storage.ref import Location, ObjectRef


def ref_from_proto(message: product_pb2.ProductRef) -> ObjectRef:
    """The object a message names.

    Raises
    ------
    InvalidKey
        For a bucket, key or checksum that cannot be.
    """
    return ObjectRef(
        bucket=message.bucket,
        key=message.key,
        version=message.version,
        sha256=message.sha256,
        size=message.size,
        kind=message.kind,
    )


def ref_to_proto(ref: ObjectRef) -> product_pb2.ProductRef:
    """The message that names an object."""
    return product_pb2.ProductRef(
        bucket=ref.bucket, key=ref.key, version=ref.version, sha256=ref.sha256, size=ref.size, kind=ref.kind
    )


def location_from_proto(message: product_pb2.Location) -> Location:
    """The place a message names.

    Raises
    ------
    InvalidKey
        For a bucket or prefix that cannot be.
    """
    return Location(bucket=message.bucket, prefix=message.prefix)


def location_to_proto(location: Location) -> product_pb2.Location:
    """The message that names a place."""
    return product_pb2.Location(bucket=location.bucket, prefix=location.prefix)
