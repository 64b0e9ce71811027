"""What stage 1 says that a job may need: enough for whatever the job's parameters turn on, and no more."""

from pathlib import Path
from typing import Any

import pytest

from jwcal.core.errors import InvalidParameter, MissingReference
from jwcal.core.products.read import open_exposure
from jwcal.core.references.best import selection_header
from jwcal.core.references.resolved import ResolvedReferences
from jwcal.core.worker.work import InputFile, Work
from jwcal.detector1.plans import NEAR_INFRARED
from jwcal.detector1.settings import definitions
from jwcal.detector1.stage import STAGE
from tests.builders import CONTEXT
from tests.tiny_exposure import write_references, write_uncal


@pytest.fixture
def exposure(tmp_path: Path) -> Path:
    return write_uncal(tmp_path)


def work(exposure: Path, **more: Any) -> Work:
    place = exposure.parent
    return Work(inputs=(InputFile(path=exposure),), output_dir=place, log_file=place / "job.log", **more)


def wanted(exposure: Path, **more: Any) -> set[str]:
    found = STAGE.wanted_references(work(exposure, **more))
    assert found is not None
    return set(found.types)


def test_the_header_is_that_of_the_exposure(exposure: Path) -> None:
    found = STAGE.wanted_references(work(exposure))
    assert found is not None
    assert found.header == selection_header(open_exposure(exposure).metadata)


def test_every_step_of_the_plan_may_run_and_has_parameters(exposure: Path) -> None:
    steps = [definitions()[name] for name in NEAR_INFRARED]
    of_steps = {reference.reftype for step in steps for reference in step.references}
    of_parameters = {step.pars_type for step in steps} | {"pars-detector1pipeline"}
    assert wanted(exposure) == of_steps | of_parameters


def test_what_the_job_leaves_out_is_not_wanted(exposure: Path) -> None:
    assert not any(name.startswith("pars-") for name in wanted(exposure, use_reference_parameters=False))
    assert wanted(exposure) - wanted(exposure, skip=("dark_current",)) == {"dark"}
    assert wanted(exposure) - wanted(exposure, overrides={"gain": "/a/gain.fits"}) == {"gain"}
    assert "readnoise" not in wanted(exposure, only_through="linearity")


def test_a_job_of_two_exposures_is_refused_before_its_references_are_brought(exposure: Path) -> None:
    two = Work(inputs=(InputFile(path=exposure),) * 2, output_dir=exposure.parent, log_file=exposure.parent / "log")
    with pytest.raises(InvalidParameter, match="one exposure"):
        STAGE.wanted_references(two)


def test_a_job_runs_on_what_it_wanted_alone(exposure: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDS_PATH", str(tmp_path / "nothing"))
    paths = {kind: Path(path) for kind, path in write_references(tmp_path / "references").items() if path != "N/A"}
    answers = dict.fromkeys(wanted(exposure), "N/A") | {kind: path.name for kind, path in paths.items()}
    found = ResolvedReferences(context=CONTEXT, answers=answers, files={path.name: path for path in paths.values()})
    little = work(exposure, context=CONTEXT, references=found, memory_limit=1)
    with pytest.raises(InvalidParameter, match="memory limit"):  # and the next job keeps its references again
        STAGE.process(little, lambda _: None)
    made = STAGE.process(work(exposure, context=CONTEXT, references=found), lambda _: None)
    assert {product.kind for product in made.products} == {"rate", "rateints"}
    assert f"crds://{paths['gain'].name}" in made.held_references
    used = {name for step in made.steps for name in step.references.values()}
    assert used - {"N/A"} <= set(made.held_references)
    lacking = found.model_copy(update={"files": {}})
    with pytest.raises(MissingReference):
        STAGE.process(work(exposure, context=CONTEXT, references=lacking), lambda _: None)
