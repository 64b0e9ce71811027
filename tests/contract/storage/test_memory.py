"""The size of an object is not the size of the memory that it takes to transfer it."""

from pathlib import Path

import pytest

from jwcal.core.storage.opening import StoreSettings
from tests.contract.storage.transfers import measure

SIZE = 200 << 20
MOST = 64 << 20


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["directory", "s3"])
def test_a_large_object_passes_through_little_memory(settings: StoreSettings, tmp_path: Path) -> None:
    found = measure(settings, tmp_path, large=SIZE, small=0)
    assert 0 < found["upload_growth"] < MOST
    assert 0 < found["download_growth"] < MOST
