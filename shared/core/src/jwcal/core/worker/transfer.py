"""Between the object store and a job's scratch directory."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from jwcal.core.errors import InvalidData
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.core.worker.work import InputFile, Product


async def fetch(
    store: ObjectStore, inputs: Sequence[ObjectRef], directory: Path, on_bytes: Callable[[int], None] | None = None
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
    async with asyncio.TaskGroup() as group:
        for ref in inputs:
            group.create_task(store.get_file(ref, directory / ref.name, on_bytes=on_bytes))
    return tuple(InputFile(path=directory / ref.name, kind=ref.kind) for ref in inputs)


async def publish(store: ObjectStore, products: Sequence[Product], to: Location) -> list[ObjectRef]:
    """Store the products of an attempt; they count once the orchestrator has accepted the attempt's result."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(store.put_file(p.path, to.object(p.path.name, kind=p.kind))) for p in products]
    return [task.result() for task in tasks]


async def publish_log(store: ObjectStore, log: Path, to: Location) -> ObjectRef | None:
    """Store the log of an attempt; None where there is none."""
    if not log.exists():
        return None
    return await store.put_file(log, to.object(log.name, kind="log"))
