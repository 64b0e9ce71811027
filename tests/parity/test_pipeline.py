"""Every step and product of stage 1 against the official package."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from stdatamodels.jwst import datamodels

from jwcal.core.errors import JwcalError
from jwcal.core.references.best import use_cache
from jwcal.detector1 import run
from jwcal.detector1.settings import definitions

from . import oracle
from .case import Case
from .cases import CASES, FULL_FRAME_CASES
from .comparison import compare
from .exposures import prepare
from .tolerances import tolerance_of

pytestmark = [pytest.mark.parity, pytest.mark.skipif(not oracle.available(), reason=oracle.MISSING)]


_AHEAD = 3
"""Official runs that are asked for before their turn, so that both pipelines always have work."""
_started: dict[str, Callable[[], Path]] = {}


def start(case: Case) -> Callable[[], Path]:
    """Ask for a case's official run; what is returned waits for the directory with its products."""
    if case.name not in _started:
        uncal, crds, parameters, overrides = prepare(case)
        _started[case.name] = oracle.start_official(
            uncal, crds, context=case.context, parameters=parameters, pipeline=case.pipeline, overrides=overrides
        )
    return _started[case.name]


@pytest.fixture
def official_run(case: Case, request: pytest.FixtureRequest) -> Callable[[], Path]:
    """The official run of the case; those of the next cases are asked for too."""
    chosen = [item.callspec.params["case"] for item in request.session.items if "official_run" in item.fixturenames]
    at = chosen.index(case)
    for following in chosen[at : at + _AHEAD]:
        start(following)
    return start(case)


@pytest.mark.parametrize(
    "case", (*CASES, *(pytest.param(c, marks=pytest.mark.slow) for c in FULL_FRAME_CASES)), ids=lambda case: case.name
)
def test_every_product_equals_the_official_one(
    case: Case, official_run: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncal, crds, parameters, overrides = prepare(case)
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_MODE", "CRDS_READONLY_CACHE"):
        monkeypatch.setenv(name, "")
    use_cache(crds, offline=True)
    refusal = ""
    try:
        run(
            uncal,
            output_dir=tmp_path,
            plan="DARK" if case.pipeline == "DarkPipeline" else None,
            context=case.context,
            parameters=parameters,
            overrides=overrides,
            save_steps=True,
        )
    except JwcalError as error:
        refusal = str(error)
    if case.error:
        with pytest.raises(oracle.OfficialError, match=case.error):
            official_run()
        assert bool(refusal) != case.ours_works, refusal or "ours accepts what the official pipeline refuses"
        return
    official = official_run()
    if case.nothing:
        assert not list(official.glob("*_rate.fits"))
        assert refusal, "ours makes a rate where the official pipeline makes none"
        return
    assert not refusal, refusal
    _check_that_steps_ran(case, official)
    problems = _missing_and_extra(official, tmp_path, case)
    for expected in _products(official):
        ours = tmp_path / expected.name
        if ours.exists():
            lines = compare(expected, ours, tolerance_of(expected, case))
            problems += [f"{expected.name}: {line}" for line in lines]
    assert not problems, "\n".join(problems[:40])
    if case in FULL_FRAME_CASES:
        shutil.rmtree(official)  # gigabytes each


def _products(folder: Path) -> list[Path]:
    return sorted((*folder.glob("*.fits"), *folder.glob("*.asdf")))


def _missing_and_extra(official: Path, ours: Path, case: Case) -> list[str]:
    wanted = {path.name for path in _products(official)}
    made = {path.name for path in _products(ours)}
    extra = {name for name in made - wanted if not any(name.endswith(f"_{suffix}.fits") for suffix in case.extra)}
    return [f"{name} is missing" for name in sorted(wanted - made)] + [
        f"{name} is ours alone" for name in sorted(extra)
    ]


def _check_that_steps_ran(case: Case, official: Path) -> None:
    """A case whose step was left out would compare nothing."""
    final = next(path for suffix in ("rate", "cal", "ramp", "dark") for path in official.glob(f"*_{suffix}.fits"))
    with datamodels.open(str(final)) as model:
        statuses = model.meta.cal_step.instance
    for step in case.parameters:
        if step != "pipeline":
            status = statuses.get(definitions()[step].status)
            assert status == case.status.get(step, "COMPLETE"), f"official {step}: {status}"
