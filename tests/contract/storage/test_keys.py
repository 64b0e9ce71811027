"""Any allowed key names one object of its own, on every store."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwcal.core.errors import InvalidKey
from jwcal.core.storage.port import ObjectStore
from jwcal.core.storage.ref import Location
from tests.storage_keys import keys


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(names=st.sets(keys, min_size=1, max_size=4), number=st.uuids())
def test_objects_of_any_keys_are_kept_apart(
    store: ObjectStore, place: Location, names: set[str], number: object
) -> None:
    asyncio.run(_written_listed_read_and_removed(store, place.under(str(number)), names))


async def _written_listed_read_and_removed(store: ObjectStore, place: Location, names: set[str]) -> None:
    written = {}
    for name in names:
        try:
            ref = await store.put_bytes(name.encode(), place.object(name), if_absent=True)
        except InvalidKey:  # in a directory, under another of the keys
            assert any(name.startswith(f"{other}/") or other.startswith(f"{name}/") for other in names)
            continue
        written[ref.key] = ref
    listed = [item.ref.key async for item in store.list(place)]
    assert sorted(listed) == sorted(written)
    for ref in written.values():
        assert await store.get_bytes(ref) == ref.key.removeprefix(place.folder).encode()
    for ref in written.values():
        await store.delete(ref)
    assert [item.ref.key async for item in store.list(place)] == []
