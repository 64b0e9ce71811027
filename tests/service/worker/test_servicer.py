"""Direct calls of a stage: what they tell, and what they are refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.json_format import ParseDict

from jwcal.api.detector1.v1 import detector1_pb2
from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest, ProcessRequest
from jwcal.api.product.v1.product_pb2 import Location, ProductRef
from jwcal.core.errors import (
    Busy,
    ChecksumMismatch,
    DeadlineExceeded,
    InvalidData,
    InvalidKey,
    JwcalError,
    ObjectNotFound,
    ParameterError,
)
from jwcal.core.rpc.status import remote_errors
from jwcal.core.storage.convert import ref_to_proto
from jwcal.core.worker.servicer import StageServicer
from jwcal.detector1.stage import STAGE as DETECTOR1
from tests.service.event_loop import in_event_loop
from tests.service.rpc.serving import Served, serving
from tests.service.worker.a_stage import STAGE
from tests.service.worker.workshops import BUCKET, Place, a_workshop, until


@dataclass(frozen=True)
class Direct:
    """A stage's service with one exposure in its store."""

    served: Served
    place: Place
    exposure: ProductRef

    def request(self, **deeds: Any) -> ProcessRequest:
        """Processing of the exposure."""
        request = ProcessRequest(inputs=[self.exposure], output=Location(bucket=BUCKET, prefix="mine"))
        ParseDict({"copy": deeds}, request.processing.parameters)
        return request

    async def process(self, request: ProcessRequest, **options: Any) -> list[Any]:
        """All answers."""
        with remote_errors():
            return [answer async for answer in self.served.detector1.Process(request, **options)]


@asynccontextmanager
async def a_service(place: Path, **options: Any) -> AsyncIterator[Direct]:
    async with a_workshop(place) as made:
        servicer: Any = StageServicer(STAGE, detector1_pb2, workshop=made.workshop, buckets={BUCKET})
        exposure = ref_to_proto(await made.put("jw1"))
        async with serving(servicer, **options) as served:
            yield Direct(served, made, exposure)
        assert list(made.workshop.scratch.iterdir()) == []


@in_event_loop
async def test_a_call_tells_its_course_and_its_products(tmp_path: Path) -> None:
    async with a_service(tmp_path) as direct:
        answers = await direct.process(direct.request())
        kinds = [answer.WhichOneof("event") for answer in answers]
        assert kinds == [*["progress"] * 5, "step", "progress", "result"]
        phases = [answer.progress.phase for answer in answers if answer.HasField("progress")]
        assert phases == ["fetch", "references", "wait", "read", "copy", "store"]
        fractions = [answer.progress.fraction for answer in answers if answer.HasField("progress")]
        assert fractions == sorted(fractions)
        result = answers[-1].result
        (product,) = result.products
        assert (product.key, product.kind) == ("mine/jw1_rate.fits", "rate")
        assert await direct.place.text(product) == "pixels"
        assert "this is printed" in await direct.place.text(result.log)


@in_event_loop
async def test_a_failure_is_the_status_of_the_call_and_names_its_log(tmp_path: Path) -> None:
    async with a_service(tmp_path) as direct:
        with pytest.raises(InvalidData, match=r"upside down") as caught:
            await direct.process(direct.request(fail=True))
        log = caught.value.metadata()["log"]
        assert log.startswith("s3://jwcal/mine/direct-")
        bucket, _, key = log.removeprefix("s3://").partition("/")
        assert "upside down" in await direct.place.text(ProductRef(bucket=bucket, key=key))


@in_event_loop
async def test_a_second_call_is_refused_while_one_runs(tmp_path: Path) -> None:
    async with a_service(tmp_path) as direct:
        go, started = tmp_path / "go", tmp_path / "started"
        first = asyncio.create_task(direct.process(direct.request(until=str(go), started=str(started))))
        await until(started.exists)
        with pytest.raises(Busy):
            await direct.process(direct.request())
        go.touch()
        assert (await first)[-1].HasField("result")
        assert (await direct.process(direct.request()))[-1].HasField("result")


@pytest.mark.parametrize("how", ["cancel", "deadline"])
def test_a_caller_that_leaves_takes_the_computation_along(tmp_path: Path, how: str) -> None:
    @in_event_loop
    async def run() -> None:
        async with a_service(tmp_path) as direct:
            await direct.process(direct.request())  # the process is warm
            started = tmp_path / "started"
            request = direct.request(seconds=600, started=str(started))
            calling = asyncio.create_task(direct.process(request, timeout=3 if how == "deadline" else None))
            await until(lambda: started.exists() and started.read_text() != "")
            if how == "cancel":
                calling.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await calling
            else:
                with pytest.raises(DeadlineExceeded):
                    await calling
            await until(lambda: not psutil.pid_exists(int(started.read_text())))
            await until(lambda: not list(direct.place.workshop.scratch.iterdir()))
            assert (await direct.process(direct.request()))[-1].HasField("result")

    run()


def without_inputs(request: ProcessRequest) -> None:
    del request.inputs[:]


def in_another_bucket(request: ProcessRequest) -> None:
    request.inputs[0].bucket = "secrets"


def out_to_another_bucket(request: ProcessRequest) -> None:
    request.output.bucket = "secrets"


def out_of_the_bucket(request: ProcessRequest) -> None:
    request.output.prefix = "mine/../../../etc"


def up_from_the_key(request: ProcessRequest) -> None:
    request.inputs[0].key = "raw/../../etc/passwd"


def from_the_root(request: ProcessRequest) -> None:
    request.inputs[0].key = "/etc/passwd"


def with_a_backslash(request: ProcessRequest) -> None:
    request.inputs[0].key = "raw\\..\\passwd"


def with_a_control_character(request: ProcessRequest) -> None:
    request.inputs[0].key = "raw/a\x00b_uncal.fits"


def with_an_override_of_this_machine(request: ProcessRequest) -> None:
    request.processing.overrides["gain"] = "/etc/passwd"


def with_an_override_by_file_address(request: ProcessRequest) -> None:
    request.processing.overrides["gain"] = "file:///etc/passwd"


def with_an_override_elsewhere(request: ProcessRequest) -> None:
    request.processing.overrides["gain"] = "s3://secrets/gain.fits"


def with_an_override_that_climbs(request: ProcessRequest) -> None:
    request.processing.overrides["gain"] = "s3://jwcal/%2e%2e/gain.fits"


def with_a_wrong_checksum(request: ProcessRequest) -> None:
    request.inputs[0].sha256 = "0" * 64


def that_is_not_there(request: ProcessRequest) -> None:
    request.inputs[0].CopyFrom(ProductRef(bucket=BUCKET, key="raw/none_uncal.fits"))


def two_that_are_not_there(request: ProcessRequest) -> None:
    missing = [ProductRef(bucket=BUCKET, key=f"raw/none{number}_uncal.fits") for number in range(2)]
    del request.inputs[:]
    request.inputs.extend(missing)


def twice_the_same_name(request: ProcessRequest) -> None:
    request.inputs.append(request.inputs[0])


def with_parameters_of_no_step(request: ProcessRequest) -> None:
    request.processing.parameters["jump"] = 4


def with_a_parameter_that_is_no_number(request: ProcessRequest) -> None:
    request.processing.parameters["copy"]["seconds"] = float("nan")


def with_an_infinite_parameter(request: ProcessRequest) -> None:
    request.processing.parameters["copy"]["seconds"] = float("inf")


REFUSED: dict[Callable[[ProcessRequest], None], type[JwcalError]] = {
    without_inputs: ParameterError,
    in_another_bucket: InvalidKey,
    out_to_another_bucket: InvalidKey,
    out_of_the_bucket: InvalidKey,
    up_from_the_key: InvalidKey,
    from_the_root: InvalidKey,
    with_a_backslash: InvalidKey,
    with_a_control_character: InvalidKey,
    with_an_override_of_this_machine: InvalidKey,
    with_an_override_by_file_address: InvalidKey,
    with_an_override_elsewhere: InvalidKey,
    with_an_override_that_climbs: InvalidKey,
    with_a_wrong_checksum: ChecksumMismatch,
    that_is_not_there: ObjectNotFound,
    two_that_are_not_there: ObjectNotFound,
    twice_the_same_name: InvalidData,
    with_parameters_of_no_step: ParameterError,
    with_a_parameter_that_is_no_number: ParameterError,
    with_an_infinite_parameter: ParameterError,
}


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_what_is_wrong_is_refused_and_nothing_is_written(
    tmp_path: Path, change: Callable[[ProcessRequest], None]
) -> None:
    @in_event_loop
    async def run() -> None:
        async with a_service(tmp_path) as direct:
            request = direct.request()
            change(request)
            with pytest.raises(REFUSED[change]) as caught:
                await direct.process(request)
            assert type(caught.value) is REFUSED[change]
            assert direct.place.workshop.compute.pid is None  # it never came so far
            written = list((tmp_path / "objects").rglob("*_rate.fits"))
            assert written == []

    run()


@pytest.mark.parametrize("name", ["out", "in", "job.log", "overrides"])
def test_a_name_of_the_workers_own_files_is_a_name_like_others(tmp_path: Path, name: str) -> None:
    @in_event_loop
    async def run() -> None:
        async with a_service(tmp_path) as direct:
            request = direct.request()
            stored = await direct.place.put("x")
            copy = await direct.place.store.copy(stored, type(stored)(BUCKET, f"raw/{name}", kind="uncal"))
            request.inputs[0].CopyFrom(ref_to_proto(copy))
            (product,) = (await direct.process(request))[-1].result.products
            assert (product.key, await direct.place.text(product)) == (f"mine/{name}", "pixels")

    run()


@in_event_loop
async def test_overrides_come_from_the_store(tmp_path: Path) -> None:
    async with a_service(tmp_path) as direct:
        override = await direct.place.put("gain", b"gain")
        request = direct.request(tell_overrides=True)
        request.processing.overrides["gain"] = override.uri
        request.processing.overrides["dark"] = "N/A"
        result = (await direct.process(request))[-1].result
        assert dict(result.steps[0].references) == {"gain": "gain", "dark": "N/A"}


@in_event_loop
async def test_stage_1_lists_its_steps_with_the_schema_of_their_parameters(tmp_path: Path) -> None:
    async with a_workshop(tmp_path) as made:
        servicer: Any = StageServicer(DETECTOR1, detector1_pb2, workshop=made.workshop, buckets={BUCKET})
        async with serving(servicer) as served:
            plans = {plan.plan: plan for plan in (await served.detector1.ListSteps(ListStepsRequest())).plans}
            (one,) = (await served.detector1.ListSteps(ListStepsRequest(plan="GUIDER"))).plans
            with pytest.raises(ParameterError, match="NEAR_INFRARED"), remote_errors():
                await served.detector1.ListSteps(ListStepsRequest(plan="none"))
    assert one == plans["GUIDER"]
    jump = next(step for step in plans["NEAR_INFRARED"].steps if step.step == "jump")
    schema = json.loads(jump.parameters_schema)
    assert schema["properties"]["rejection_threshold"]["default"] == 4.0
    assert schema["additionalProperties"] is False
    assert {"gain", "readnoise"} <= set(jump.references)
    assert all(step.description for plan in plans.values() for step in plan.steps)


@in_event_loop
async def test_a_huge_request_is_refused(tmp_path: Path) -> None:
    async with a_service(tmp_path) as direct:
        request = direct.request()
        request.processing.plan = "x" * (2 << 20)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in direct.served.detector1.Process(request):
                pass
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
