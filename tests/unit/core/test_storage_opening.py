"""Settings of the store: from the environment, complete, and silent about secrets."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jwcal.core.storage.directory import DirectoryStore
from jwcal.core.storage.memory import MemoryStore
from jwcal.core.storage.opening import StoreSettings, open_store, opened_store
from jwcal.core.storage.ref import ObjectRef
from jwcal.core.storage.s3 import S3Store

S3 = {"kind": "s3", "endpoint": "store.example:8333", "access_key": "name", "secret_key": "hush"}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({"kind": "memory"}, MemoryStore), ({"kind": "directory"}, DirectoryStore), (S3, S3Store)],
)
def test_each_kind_opens_its_store(tmp_path: Path, settings: dict[str, Any], kind: type) -> None:
    store = open_store(StoreSettings(**{"root": tmp_path / "store"} | settings))
    assert isinstance(store, kind)
    asyncio.run(store.close())


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**S3, "secure": "false", "patience": "5", "part_size": str(16 << 20)}.items():
        monkeypatch.setenv(f"JWCAL_STORE_{name.upper()}", value)
    settings = StoreSettings()
    assert (settings.kind, settings.endpoint, settings.secure) == ("s3", "store.example:8333", False)
    assert (settings.patience, settings.part_size) == (5, 16 << 20)
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == "hush"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"kind": "tape"},
        {"kind": "s3"},
        {**S3, "endpoint": ""},
        {**S3, "endpoint": "https://store.example"},
        {**S3, "secret_key": None},
        {**S3, "access_key": None, "secret_key": None},
        {**S3, "access_key_file": "a", "secret_key_file": "b"},
        {**S3, "part_size": 1 << 20},
        {**S3, "parallel": 0},
        {**S3, "patience": -1},
        {**S3, "bucket": "unknown setting"},
    ],
)
def test_incomplete_or_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        StoreSettings(**settings)
    assert "hush" not in str(refused.value)


def test_secrets_are_not_shown() -> None:
    settings = StoreSettings(**S3)  # type: ignore[arg-type]
    store = open_store(settings)
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(store), str(vars(store))):
        assert "hush" not in text
    asyncio.run(store.close())


def test_an_opened_store_serves_one_loop_after_another(tmp_path: Path) -> None:
    ref = ObjectRef("bucket", "a")

    async def write() -> None:
        async with opened_store(StoreSettings(kind="directory", root=tmp_path)) as store:
            await store.make_bucket("bucket")
            await store.put_bytes(b"x", ref)

    asyncio.run(write())
    store = open_store(StoreSettings(kind="directory", root=tmp_path))
    for _ in range(2):
        assert asyncio.run(store.get_bytes(ref)) == b"x"
    asyncio.run(store.close())
