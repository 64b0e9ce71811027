"""Workshops whose stage is `a_stage`, their compute processes real ones."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from jwcal.core.rpc.metrics import Metrics
from jwcal.core.storage.directory import DirectoryStore
from jwcal.core.storage.ref import ObjectRef
from jwcal.core.worker.attempt import Workshop
from jwcal.core.worker.compute import ComputeProcess
from jwcal.core.worker.references import LibraryReferences

ROOT = Path(__file__).parents[3]
STAGE = "tests.service.worker.a_stage:STAGE"
BUCKET = "jwcal"


@dataclass(frozen=True)
class Place:
    """A workshop, its store and what it counts."""

    workshop: Workshop
    store: DirectoryStore
    registry: CollectorRegistry

    async def put(self, name: str, contents: bytes = b"pixels") -> ObjectRef:
        """A raw exposure in the store."""
        return await self.store.put_bytes(contents, ObjectRef(BUCKET, f"raw/{name}_uncal.fits", kind="uncal"))

    async def text(self, ref: Any) -> str:
        """Contents of an object, by its message."""
        return (await self.store.get_bytes(ObjectRef(ref.bucket, ref.key, sha256=ref.sha256))).decode()

    def counted(self, name: str, **labels: str) -> float:
        """Value of a metric."""
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def a_workshop(place: Path, stage: str = STAGE, **more: Any) -> AsyncIterator[Place]:
    """One with a store in a directory."""
    registry = CollectorRegistry()
    store = DirectoryStore(place / "objects", durable=False)
    await store.make_bucket(BUCKET)
    scratch = place / "scratch"
    scratch.mkdir(parents=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | more.pop("environment", {})
    compute = ComputeProcess(stage, environment=environment, memory_limit=more.get("memory_limit", 0))
    settings = {"code_version": "1", "metrics": Metrics(registry)} | more
    try:
        workshop = Workshop(compute=compute, store=store, references=LibraryReferences(), scratch=scratch, **settings)
        yield Place(workshop, store, registry)
    finally:
        await compute.close()
        await store.close()


async def until(condition: Callable[[], bool]) -> None:
    """What tells nobody when it comes about is looked for."""
    while not condition():
        await asyncio.sleep(0.01)
