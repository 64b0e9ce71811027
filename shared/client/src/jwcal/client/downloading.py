"""Products from the store to a directory."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from jwcal.client.first_failure import first_failure
from jwcal.core.errors import OutputError
from jwcal.core.storage.port import BytesListener, ObjectStore
from jwcal.core.storage.ref import ObjectRef

_AT_ONCE = 4


async def download(
    store: ObjectStore, products: Sequence[ObjectRef], directory: Path, on_bytes: BytesListener | None = None
) -> list[Path]:
    """Fetch objects under their own names, size and checksum verified; the files in the order of `products`.

    Raises
    ------
    OutputError
        The directory cannot be made, or two products have one name.
    StorageError
        See the store.
    """
    names: dict[str, ObjectRef] = {}
    for product in products:
        if names.setdefault(product.name, product) != product:
            raise OutputError(
                f"{names[product.name].uri} and {product.uri} have one name", remedy="fetch them into two directories"
            )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", file=directory) from error
    free = asyncio.Semaphore(_AT_ONCE)

    async def fetch(ref: ObjectRef) -> None:
        async with free:
            await store.get_file(ref, directory / ref.name, on_bytes=on_bytes)

    with first_failure():
        async with asyncio.TaskGroup() as group:
            for ref in names.values():
                group.create_task(fetch(ref))
    return [directory / name for name in names]
