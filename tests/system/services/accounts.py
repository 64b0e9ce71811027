"""Nothing lost, nothing doubled: what has to be so after every fault."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.product.v1.product_pb2 import ProductRef
from jwcal.core.storage.convert import ref_from_proto

from .installation import Installation
from .world import World, contents

SUCCEEDED, FAILED = pipeline_pb2.STATE_SUCCEEDED, pipeline_pb2.STATE_FAILED


async def check_accounts(
    services: Installation,
    runs: Iterable[str],
    world: World,
    place: Path,
    *,
    failed: Mapping[str, str] | None = None,
) -> list[pipeline_pb2.Job]:
    """Wait for the runs, then look at every job and every product; the jobs.

    Each job has SUCCEEDED, or FAILED with the reason that `failed` has for its exposure.  Each that succeeded has the
    products of an undisturbed run, once, with the same contents, where its last attempt wrote them; the store has them
    with the size and checksum that their references tell; and a run has the products of its jobs and no others.
    """
    expected_failures = dict(failed or {})
    every_job: list[pipeline_pb2.Job] = []
    keys: Counter[str] = Counter()
    seen: dict[str, str] = {}
    for name in runs:
        ended = await services.ended(name)
        jobs = await services.jobs(name)
        exposures = [ref.key.rpartition("/")[2].removesuffix("_uncal.fits") for ref in ended.spec.exposures.files]
        if exposures:  # lists of files may be left out of answers
            assert sorted(job.title for job in jobs) == sorted(exposures)
        for job in jobs:
            reason = expected_failures.get(job.title)
            if reason is not None:
                assert (job.state, job.failure.reason) == (FAILED, reason), job
                assert not job.result.products
                continue
            assert job.state == SUCCEEDED, job
            keys.update(ref.key for ref in job.result.products)
            seen |= await _check_products(services, job, world, place)
        assert ended.state == (FAILED if any(job.title in expected_failures for job in jobs) else SUCCEEDED), ended
        of_jobs = sorted(ref.key for job in jobs for ref in job.result.products)
        assert sorted(ref.key for ref in ended.products) == of_jobs[:1000]
        every_job += jobs
    assert [key for key, times in keys.items() if times > 1] == []
    assert {name: world.expected[name] for name in seen} == seen
    return every_job


async def _check_products(services: Installation, job: pipeline_pb2.Job, world: World, place: Path) -> dict[str, str]:
    """Contents of a job's products by name, all of them there and where they belong."""
    found = {}
    expected = world.products_of(job.title)
    assert expected
    names = sorted(_name(ref) for ref in job.result.products)
    assert names == sorted(expected), job
    run, number = job.run.removeprefix("runs/"), job.name.removeprefix("jobs/")
    for message in job.result.products:
        attempt = message.key.removeprefix(f"products/{run}/{number}/").partition("/")[0]
        assert attempt.isdecimal(), message.key
        ref = ref_from_proto(message)
        file = place / number / ref.name
        file.parent.mkdir(parents=True, exist_ok=True)
        await services.store.get_file(ref, file)  # checks size and checksum
        found[ref.name] = await asyncio.to_thread(contents, file)
        assert found[ref.name] == expected[ref.name], (job.title, ref.name)
        file.unlink()
    return found


def _name(ref: ProductRef) -> str:
    return ref.key.rpartition("/")[2]
