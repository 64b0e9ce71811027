"""Every step and product of stage 1 against the official package."""

from pathlib import Path

import pytest

from jwcal.core.errors import JwcalError
from jwcal.core.references.best import use_cache
from jwcal.detector1 import run

from . import oracle
from .cases import CASES, FULL_FRAME_CASES, Case
from .exposures import exposure
from .tolerances import tolerance_of

pytestmark = [pytest.mark.parity, pytest.mark.skipif(not oracle.available(), reason=oracle.MISSING)]


@pytest.mark.parametrize(
    "case", (*CASES, *(pytest.param(c, marks=pytest.mark.slow) for c in FULL_FRAME_CASES)), ids=lambda case: case.name
)
def test_every_product_equals_the_official_one(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uncal, crds = exposure(case.mode, case.size)
    official = oracle.run_official(
        uncal, crds, context=case.context, parameters=case.parameters, pipeline=case.pipeline
    )
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_MODE", "CRDS_READONLY_CACHE"):
        monkeypatch.setenv(name, "")
    use_cache(crds, offline=True)
    try:
        run(uncal, output_dir=tmp_path, context=case.context, parameters=case.parameters, save_steps=True)
    except JwcalError as error:
        pytest.fail(str(error))
    problems = []
    for expected in sorted(official.glob("*.fits")):
        ours = tmp_path / expected.name
        if not ours.exists():
            problems.append(f"{expected.name} is missing")
            continue
        problems += [
            f"{expected.name}: {line}" for line in oracle.compare(expected, ours, tolerance_of(expected, case))
        ]
    assert not problems, "\n".join(problems[:40])
