"""A part of an object, as a slice names it."""

from jwcal.core.errors import ObjectTooLarge
from jwcal.core.storage.ref import ObjectRef


def clip(ref: ObjectRef, start: int, end: int | None, limit: int) -> tuple[int, int]:
    """First and last-but-one byte of the part of `ref`, whose size is that in the store; equal for nothing.

    Raises
    ------
    ValueError
        If start or end count from the end.
    ObjectTooLarge
        If it is more than `limit` bytes.
    """
    if start < 0 or (end is not None and end < 0):
        raise ValueError("bytes of an object are counted from its beginning")
    end = ref.size if end is None else min(end, ref.size)
    if end - start > limit:
        raise ObjectTooLarge(
            f"{ref.uri}: {end - start} bytes are more than may be taken into memory",
            uri=ref.uri,
            size=end - start,
            limit=limit,
        )
    return start, max(start, end)
