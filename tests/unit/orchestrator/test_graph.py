"""What a run is expanded to."""

import json

import pytest

from jwcal.core.errors import InvalidRequest
from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.orchestrator.association import parse
from jwcal.orchestrator.graph import detector_of, expand, is_guider
from jwcal.orchestrator.model import NewJob, Processing, RunSpec, Stage

PLACE = Location(bucket="jwcal", prefix="raw")


def association(kind: str, **products: list[str]) -> str:
    return json.dumps(
        {
            "asn_type": kind,
            "products": [
                {"name": name, "members": [{"expname": member, "exptype": "science"} for member in members]}
                for name, members in products.items()
            ],
        }
    )


def expanded(text: str, *kinds: str, **processing: Processing) -> tuple[NewJob, ...]:
    return expand(RunSpec(products=kinds, processing=processing), parse(text), PLACE)


def shape(jobs: tuple[NewJob, ...]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(job.stage.value, job.title, job.parents) for job in jobs]


def test_rate_is_one_job_an_exposure_and_rates_are_taken_as_they_are() -> None:
    jobs = expanded(association("image2", p=["b_uncal.fits", "a_uncal.fits", "c_rate.fits"]), "rate")
    assert shape(jobs) == [("detector1", "a", ()), ("detector1", "b", ())]
    assert jobs[0].inputs == (ObjectRef(bucket="jwcal", key="raw/a_uncal.fits", kind="uncal"),)
    assert jobs[0].processing.products == ("rate",)


def test_a_level_2_association_is_one_stage_2_job_a_product() -> None:
    jobs = expanded(association("spec2", p=["a_uncal.fits", "b_rate.fits"], q=["a_uncal.fits"]), "cal")
    assert shape(jobs) == [("detector1", "a", ()), ("stage2", "p", (0,)), ("stage2", "q", (0,))]
    assert [reference.key for reference in jobs[1].inputs] == ["raw/b_rate.fits"]


def test_a_level_3_association_goes_through_all_stages() -> None:
    jobs = expanded(association("image3", p=["a_uncal.fits", "b_rate.fits", "c_cal.fits"]), "i2d")
    assert shape(jobs) == [
        ("detector1", "a", ()),
        ("stage2", "a", (0,)),
        ("stage2", "b", ()),
        ("stage3", "p", (1, 2)),
    ]
    assert [reference.key for reference in jobs[3].inputs] == ["raw/c_cal.fits"]


def test_a_level_3_association_may_end_at_stage_2() -> None:
    jobs = expanded(association("image3", p=["a_uncal.fits"]), "cal")
    assert [job.stage for job in jobs] == [Stage.DETECTOR1, Stage.STAGE2]


def test_a_guider_exposure_is_calibrated_by_detector1_alone() -> None:
    name = "jw01234001001_gs-fg_2022155102030"
    exposure = ObjectRef(bucket="jwcal", key=f"raw/{name}_uncal.fits")
    jobs = expand(RunSpec(exposures=(exposure,), products=("cal",)), None, None)
    assert shape(jobs) == [("detector1", name, ())]
    assert jobs[0].processing.products == ("cal",)
    assert is_guider(name)


def test_exposures_of_a_detector_wait_for_each_other_where_persistence_asks_for_it() -> None:
    names = [f"jw01234001001_02101_0000{i}_nrc{d}" for i in (1, 2, 3) for d in ("a1", "b1")]
    text = association("image2", p=[f"{name}_uncal.fits" for name in reversed(names)])
    persistence = Processing(parameters={"persistence": {"skip": False}})
    jobs = expanded(text, "rate", detector1=persistence)
    assert [(job.title, job.after) for job in jobs] == [
        (names[0], ()),
        (names[1], ()),
        (names[2], (0,)),
        (names[3], (1,)),
        (names[4], (2,)),
        (names[5], (3,)),
    ]
    for job in jobs:
        assert job.processing.parameters["persistence"]["save_persistence"] == f"{job.title}_persistence.asdf"
        assert job.processing.products == ("rate", "persistence")
    assert all(not job.after for job in expanded(text, "rate"))


def test_jobs_of_one_detector_share_an_affinity() -> None:
    assert detector_of("jw01234001001_02101_00001_nrcb1") == "nrcb1"
    assert detector_of("jw01234001001_02101_00001-seg001_mirimage") == "mirimage"
    text = association(
        "image2", p=["jw01234001001_02101_00001_nrcb1_uncal.fits", "jw01234001001_02101_00002_nrcb1_uncal.fits"]
    )
    first, second = expanded(text, "rate")
    assert first.affinity == second.affinity


def test_the_runs_context_and_each_stages_processing_reach_its_jobs() -> None:
    text = association("image2", p=["a_uncal.fits"])
    spec = RunSpec(products=("rate",), context="jwst_1303.pmap", processing={"detector1": Processing(skip=("jump",))})
    (job,) = expand(spec, parse(text), PLACE)
    assert (job.processing.context, job.processing.skip) == ("jwst_1303.pmap", ("jump",))


def test_products_of_no_stage_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="i2d"):
        expanded(association("image3", p=["a_uncal.fits"]), "nonsense")
