"""Speed and memory of a store, measured in a process of its own.

    python -m tests.contract.storage.transfers WORK_DIRECTORY LARGE_BYTES SMALL_COUNT < settings.json

prints one line of JSON.  `measure` starts that process.
"""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jwcal.core.storage.opening import StoreSettings, opened_store
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location

_AT_ONCE = 16
_SMALL_BYTES = 1000
_PLACE = Location("contract", "transfers")


def measure(settings: StoreSettings, work: Path, *, large: int, small: int) -> dict[str, float]:
    """Seconds, and bytes by which the resident set grew, of transfers of a large object and of many small ones."""
    told = settings.model_dump(mode="json")
    for name in ("access_key", "secret_key"):
        secret = getattr(settings, name)
        told[name] = secret.get_secret_value() if secret else None
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.storage.transfers", str(work), str(large), str(small)],
        input=json.dumps(told),
        text=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def _measure(settings: StoreSettings, work: Path, large: int, small: int) -> dict[str, float]:
    source, target = work / "source", work / "target"
    with source.open("wb") as file:
        for number in range(-(-large // (1 << 20))):
            seed = hashlib.sha256(str(number).encode()).digest()
            file.write((seed * (1 << 15))[: min(1 << 20, large - number * (1 << 20))])
    found: dict[str, float] = {}
    async with opened_store(settings) as store:
        await store.make_bucket(_PLACE.bucket)
        warm = await store.put_bytes(b"warm", _PLACE.object("warm"))
        await store.get_bytes(warm)
        if large:
            upload, found["upload_seconds"], found["upload_growth"] = await _watched(
                lambda: store.put_file(source, _PLACE.object("large"))
            )
            _, found["download_seconds"], found["download_growth"] = await _watched(
                lambda: store.get_file(upload, target)
            )
        if small:
            _, found["small_put_seconds"], _ = await _watched(lambda: _many(store, small, _put))
            _, found["list_seconds"], _ = await _watched(lambda: _list(store, small))
            _, found["small_get_seconds"], _ = await _watched(lambda: _many(store, small, _get))
    return found


async def _watched(work: Callable[[], Awaitable[Any]]) -> tuple[Any, float, float]:
    """Result, seconds, and growth of the resident set to its peak."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _peak()
    begun = time.perf_counter()
    result = await work()
    return result, time.perf_counter() - begun, _peak() - before


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel tells no peak of memory")


async def _many(store: ObjectStore, count: int, transfer: Callable[[ObjectStore, int], Awaitable[None]]) -> None:
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await transfer(store, number)

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


async def _put(store: ObjectStore, number: int) -> None:
    await store.put_bytes(number.to_bytes(8, "big") * (_SMALL_BYTES // 8), _PLACE.object(f"small/{number:06d}"))


async def _get(store: ObjectStore, number: int) -> None:
    data = await store.get_bytes(_PLACE.object(f"small/{number:06d}"))
    assert data[:8] == number.to_bytes(8, "big")


async def _list(store: ObjectStore, count: int) -> None:
    assert sum([1 async for _ in store.list(_PLACE.under("small"))]) == count


if __name__ == "__main__":
    os.umask(0o077)
    directory, large_bytes, small_count = sys.argv[1:]
    chosen = StoreSettings(**json.load(sys.stdin))
    print(json.dumps(asyncio.run(_measure(chosen, Path(directory), int(large_bytes), int(small_count)))))
