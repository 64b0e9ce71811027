"""Every step and product of stage 1 against the official package."""

from pathlib import Path

import pytest

from jwcal.core.errors import JwcalError
from jwcal.core.references.best import use_cache
from jwcal.detector1 import run

from . import oracle
from .cases import CASES, FULL_FRAME_CASES, Case
from .tolerances import tolerance_of

pytestmark = [pytest.mark.parity, pytest.mark.skipif(not oracle.available(), reason=oracle.MISSING)]


def _exposure(case: Case) -> tuple[Path, Path]:
    """The case's raw exposure and its CRDS cache, simulated once and kept."""
    from jwcal.observatory import simulate

    out = oracle.WORK / "exposures" / f"{case.mode}-{'-'.join(f'{k}{v}' for k, v in case.size.items()) or 'default'}"
    crds = out / "crds"
    marker = out / "uncal.txt"
    if not marker.exists():
        program = simulate(case.mode, out, seed=5, crds=crds, **case.size)
        marker.write_text(str(program.exposures[0]))
    return Path(marker.read_text()), crds


@pytest.mark.parametrize(
    "case", (*CASES, *(pytest.param(c, marks=pytest.mark.slow) for c in FULL_FRAME_CASES)), ids=lambda case: case.name
)
def test_every_product_equals_the_official_one(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uncal, crds = _exposure(case)
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
