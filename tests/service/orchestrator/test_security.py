"""What is refused for what it might do."""

import json
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.product.v1 import product_pb2
from jwcal.core.rpc.principal import Principal
from jwcal.core.rpc.scopes import Scope
from jwcal.core.storage.ref import ObjectRef
from tests.service.event_loop import in_event_loop
from tests.service.orchestrator.server import Served, an_association, reason_of, serving

RAW = product_pb2.Location(bucket="jwcal", prefix="raw")
TRICKS = (
    "..",
    "../a",
    "a/../../b",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "..\\a",
    "a\\..\\b",
    "a\x00b",
    "a\nb",
    "%2e%2e/a",
    "..%2fa",
    "\u2024\u2024/a",  # looks like dots
    "\uff0e\uff0e/a",
    "a\u202eb",
    "~root/a",
    "s3://elsewhere/a",
    "file:///etc/passwd",
    "x" * 5000,
)


async def refusal(served: Served, spec: pipeline_pb2.RunSpec) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.pipeline.CreateRun(pipeline_pb2.CreateRunRequest(spec=spec, request_id=str(uuid.uuid4())))
    return refused.value


def of_text(text: str, **more: Any) -> pipeline_pb2.RunSpec:
    return pipeline_pb2.RunSpec(association=pipeline_pb2.Association(json=text, members=RAW), **more)


def of_object(key: str, bucket: str = "jwcal") -> pipeline_pb2.RunSpec:
    reference = product_pb2.ProductRef(bucket=bucket, key=key)
    return pipeline_pb2.RunSpec(association=pipeline_pb2.Association(object=reference))


@in_event_loop
async def test_no_name_in_an_association_leads_out_of_its_place(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        for trick in TRICKS:
            for text in (
                an_association(f"{trick}_uncal.fits"),
                an_association(
                    "a_uncal.fits",
                    products=[{"name": trick, "members": [{"expname": "a_uncal.fits", "exptype": "science"}]}],
                ),
            ):
                error = await refusal(served, of_text(text))
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, trick
                assert reason_of(error) == "INVALID_ASSOCIATION", trick


@in_event_loop
async def test_no_key_prefix_or_override_leads_out_of_the_allowed_buckets(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        (file,) = await served.upload("a_uncal.fits")
        for trick in (*TRICKS, "a b", "a?b"):
            exposures = pipeline_pb2.Exposures(files=[file])
            tricked = [
                pipeline_pb2.RunSpec(
                    exposures=pipeline_pb2.Exposures(files=[product_pb2.ProductRef(bucket="jwcal", key=trick)])
                ),
                pipeline_pb2.RunSpec(exposures=exposures, output=product_pb2.Location(bucket="jwcal", prefix=trick)),
                of_object(trick),
            ]
            override = pipeline_pb2.RunSpec(exposures=exposures)
            override.processing["detector1"].overrides["dark"] = f"s3://jwcal/{trick}"
            for spec in (*tricked, override):
                error = await refusal(served, spec)
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, (trick, spec)
        for spec in (
            of_object("a.json", bucket="elsewhere"),
            of_text(an_association("a_uncal.fits"), output={"bucket": "elsewhere"}),
        ):
            assert reason_of(await refusal(served, spec)) == "FORBIDDEN_LOCATION"
        override = pipeline_pb2.RunSpec(exposures=pipeline_pb2.Exposures(files=[file]))
        override.processing["detector1"].overrides["dark"] = "s3://elsewhere/dark.fits"
        assert reason_of(await refusal(served, override)) == "FORBIDDEN_LOCATION"


@in_event_loop
async def test_an_association_in_the_store_is_read_with_the_same_suspicion(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        contents = {
            "up.json": (an_association("../../other/a_uncal.fits").encode(), "INVALID_ASSOCIATION"),
            "binary.json": (b"\xff\xfe\x00", "INVALID_ASSOCIATION"),
            "large.json": (b" " * (5 * 2**20), "OBJECT_TOO_LARGE"),
        }
        for name, (content, reason) in contents.items():
            await served.objects.put_bytes(content, ObjectRef("jwcal", f"asn/{name}"))
            error = await refusal(served, of_object(f"asn/{name}"))
            assert reason_of(error) == reason, name
        assert (await refusal(served, of_object("asn/nothing.json"))).code() is grpc.StatusCode.NOT_FOUND


@in_event_loop
async def test_associations_of_absurd_sizes_are_refused(tmp_path: Path) -> None:
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}") as served:
        huge = await refusal(served, of_text("[" + "0," * 2**20 + "0]"))
        assert huge.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # more than a message may have
        members = [{"expname": f"{number}_uncal.fits", "exptype": "science"} for number in range(20_001)]
        many = json.dumps({"asn_type": "image2", "products": [{"name": "p", "members": members}]})
        await served.objects.put_bytes(many.encode(), ObjectRef("jwcal", "raw/many.json"))
        assert reason_of(await refusal(served, of_object("raw/many.json"))) == "INVALID_ASSOCIATION"
        for text in ('{"a":' * 50_000, '{"asn_type": 1e999}', '{"asn_type": ' + "9" * 5000 + "}"):
            assert reason_of(await refusal(served, of_text(text))) == "INVALID_ASSOCIATION"
        assert not (await served.pipeline.ListRuns(pipeline_pb2.ListRunsRequest())).runs


@in_event_loop
async def test_who_may_submit_for_one_program_submits_for_no_other(tmp_path: Path) -> None:
    caller = Principal("team", frozenset(Scope), program="01234")
    async with serving(f"sqlite:///{tmp_path / 'jobs.db'}", principal=caller) as served:
        run = await served.submit("a")
        assert (run.owner, run.spec.program) == ("team", "01234")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.submit("b", program="05678")
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert reason_of(refused.value) == "OTHER_PROGRAM"
