"""Between the object store and a job's scratch directory."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jwcal.core.errors import InvalidData, JwcalError
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.core.worker.work import InputFile, Product

Moved = TypeVar("Moved")
Count = Callable[[int], None]
"""Told how many more bytes have been transferred."""
NOT_APPLICABLE = "N/A"


async def fetch(
    store: ObjectStore, inputs: Sequence[ObjectRef], directory: Path, on_bytes: Count | None = None
) -> tuple[InputFile, ...]:
    """Bring a job's inputs into `directory`, under their own names, checked.

    Raises
    ------
    InvalidData
        Two inputs have one name.
    StorageError
        See the store.
    """
    names = [ref.name for ref in inputs]
    for name in names:
        if names.count(name) > 1:
            raise InvalidData(f"two inputs are named {name}", file=name, remedy="give each input once")
    await _all(store.get_file(ref, directory / ref.name, only_read=True, on_bytes=on_bytes) for ref in inputs)
    return tuple(InputFile(path=directory / ref.name, kind=ref.kind) for ref in inputs)


async def fetch_overrides(
    store: ObjectStore, overrides: Mapping[str, str], directory: Path, on_bytes: Count | None = None
) -> dict[str, str]:
    """Reference files that a job brings itself, as local paths by type; they are objects of the store, or ``N/A``.

    Raises
    ------
    InvalidKey
        Anything else, such as a path of this machine.
    StorageError
        See the store.
    """
    wanted = {kind: ObjectRef.from_uri(uri) for kind, uri in overrides.items() if uri != NOT_APPLICABLE}
    here = {kind: directory / str(number) / ref.name for number, (kind, ref) in enumerate(wanted.items())}
    for path in here.values():
        path.parent.mkdir()
    await _all(store.get_file(ref, here[kind], only_read=True, on_bytes=on_bytes) for kind, ref in wanted.items())
    return {kind: str(here[kind]) if kind in here else NOT_APPLICABLE for kind in overrides}


async def publish(
    store: ObjectStore, products: Sequence[Product], to: Location, on_bytes: Count | None = None
) -> list[ObjectRef]:
    """Store the products of an attempt; they count once the orchestrator has accepted the attempt's result."""
    return await _all(
        store.put_file(product.path, to.object(product.path.name, kind=product.kind), give=True, on_bytes=on_bytes)
        for product in products
    )


async def publish_log(store: ObjectStore, log: Path, to: Location, name: str) -> ObjectRef | None:
    """Store the log of an attempt as it is now, under a name; None where there is none."""
    if not log.exists():
        return None
    return await store.put_file(log, to.object(name, kind="log"))


async def _all(transfers: Iterable[Coroutine[Any, Any, Moved]]) -> list[Moved]:
    """Do them at once; the first that fails ends the others, and its error is that of all."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(transfer) for transfer in transfers]
    except* JwcalError as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        failed = first
    else:
        return [task.result() for task in tasks]
    raise failed
