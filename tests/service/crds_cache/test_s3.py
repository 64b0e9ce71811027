"""Replicas that share nothing but a real S3 server."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from jwcal.api.reference.v1 import reference_pb2 as pb
from jwcal.core.storage.convert import ref_from_proto
from jwcal.core.storage.opening import StoreSettings, opened_store
from jwcal.core.storage.ref import Location
from tests.builders import CONTEXT, in_cache, write_crds_cache
from tests.crds_server import serving
from tests.servers.seaweedfs import SeaweedServer, seaweedfs
from tests.service.crds_cache.servers import replica, some_settings

DARK = "jwst_nircam_dark_0001.fits"
LARGE = 200 << 20
HEADER = {"INSTRUME": "NIRCAM", "DETECTOR": "NRCA1", "SUBARRAY": "FULL", "DATE-OBS": "2024-01-01", "TIME-OBS": "0:0:0"}
ASKING = pb.GetBestReferencesRequest(context=CONTEXT, header=HEADER, types=["dark"])


@pytest.mark.slow
def test_a_hundred_that_ask_two_replicas_for_one_large_file_cause_one_download(tmp_path: Path) -> None:
    origin = write_crds_cache(tmp_path / "served", {"dark": {("NRCA1", "FULL"): DARK}})
    in_cache(origin, DARK).parent.mkdir(parents=True)
    with in_cache(origin, DARK).open("wb") as file:
        file.write(b"a dark")
        file.truncate(LARGE)
    with seaweedfs(tmp_path / "s3") as s3, serving(origin) as server:

        async def scenario() -> None:
            settings = [some_settings(tmp_path / name, server_url=server.url) for name in ("first", "second")]
            async with opened_store(_settings(s3)) as store, opened_store(_settings(s3)) as another:
                await store.make_bucket("jwcal")
                async with replica(settings[0], store) as first, replica(settings[1], another) as second:
                    server.gate.clear()
                    asks = [
                        asyncio.ensure_future(one.stub.GetBestReferences(ASKING))
                        for one in (first, second)
                        for _ in range(50)
                    ]
                    for one in (first, second):
                        await one.calls.reached("GetBestReferences", 50)
                    server.gate.set()
                    found = {answer.references[0].object.key for answer in await asyncio.gather(*asks)}
                assert len(found) == 1
                ref = ref_from_proto((await asks[0]).references[0].object)
                brought = await store.get_file(ref, tmp_path / "brought")  # verified by size and SHA-256
                assert brought.size == LARGE
                left = [listed.ref.key async for listed in store.list(Location("jwcal", "references/claims"))]
                assert left == []

        asyncio.run(asyncio.wait_for(scenario(), 120))
        assert server.downloads.count(DARK) == 1


def _settings(server: SeaweedServer) -> StoreSettings:
    return StoreSettings(
        kind="s3",
        endpoint=server.endpoint,
        region=server.region,
        secure=False,
        access_key=SecretStr(server.access_key),
        secret_key=SecretStr(server.secret_key),
    )
