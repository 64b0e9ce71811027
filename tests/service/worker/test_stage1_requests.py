"""Whatever a job asks of stage 1, it is done or refused with a typed error."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwcal.core import dqflags
from jwcal.core.errors import JwcalError
from jwcal.core.step import StepDefinition
from jwcal.core.worker.work import InputFile, Progressing, Work
from jwcal.detector1.stage import Detector1
from jwcal.observatory import simulate
from tests.builders import use_crds
from tests.service.fuzzing import ODD_TEXTS

pytestmark = pytest.mark.slow
STEPS = {step.name: step for plan in Detector1().plans() for step in plan.steps}
ODD: list[Any] = [None, True, False, -1, 0, 1, 2, 3.5, -1e300, 1e-300, 2**31, 2**53, [], [1], {}, {"a": 1}, *ODD_TEXTS]


@dataclass(frozen=True)
class Bench:
    exposure: Path
    out: Path
    context: str


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    place = tmp_path_factory.mktemp("requests")
    made = simulate("nircam-tso", place, ngroups=4, nints=2)
    with pytest.MonkeyPatch.context() as environment:
        use_crds(made.crds, environment)
        yield Bench(made.exposures[0], place / "out", made.context)


def values(step: StepDefinition, name: str) -> st.SearchStrategy[Any]:
    default = step.params.model_fields[name].default if name in step.params.model_fields else None
    return st.one_of(st.sampled_from(ODD), st.just(default), st.floats(allow_nan=False, allow_infinity=False))


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    chosen: dict[str, dict[str, Any]] = {}
    for step in draw(st.lists(st.sampled_from(sorted(STEPS)), max_size=3, unique=True)):
        names = st.sampled_from([*STEPS[step].params.model_fields, "no_such_parameter"])
        chosen[step] = {
            name: draw(values(STEPS[step], name)) for name in draw(st.lists(names, max_size=3, unique=True))
        }
    return chosen


names = st.one_of(st.just(""), st.sampled_from(sorted(STEPS)), st.sampled_from(ODD_TEXTS))
plans = st.one_of(st.just(""), st.sampled_from([plan.name for plan in Detector1().plans()]), st.sampled_from(ODD_TEXTS))
kinds = st.sampled_from(["gain", "dark", "mask", "", "../gain"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    given_parameters=parameters(),
    plan=plans,
    skip=st.lists(names, max_size=2),
    only_through=names,
    overrides=st.dictionaries(kinds, st.sampled_from(["N/A", "/nowhere/gain.fits", "/etc/passwd"]), max_size=1),
    memory_limit=st.sampled_from([0, 0, 0, 1, 1 << 20, 1 << 40]),
)
def test_every_request_is_done_or_refused_with_a_typed_error(
    bench: Bench,
    given_parameters: dict[str, dict[str, Any]],
    plan: str,
    skip: list[str],
    only_through: str,
    overrides: dict[str, str],
    memory_limit: int,
) -> None:
    bench.out.mkdir(exist_ok=True)
    work = Work(
        inputs=(InputFile(path=bench.exposure, kind="uncal"),),
        output_dir=bench.out,
        log_file=bench.out / "job.log",
        plan=plan,
        parameters=given_parameters,
        skip=tuple(skip),
        only_through=only_through,
        overrides=overrides,
        context=bench.context,
        memory_limit=memory_limit,
    )
    told: list[Progressing] = []
    try:
        made = Detector1().process(work, told.append)
    except JwcalError as error:
        assert error.reason != "INTERNAL"
    else:
        assert all(product.path.parent == bench.out for product in made.products)


def test_windows_of_an_exposure_reach_the_next_one(bench: Bench) -> None:
    def flagged(name: str, *windows: InputFile, dn_threshold: float | None = None) -> tuple[int, InputFile]:
        out = bench.out.parent / name
        out.mkdir()
        persistence = {"skip": False, "persistence_time": 100_000, "save_persistence": "jw1_persistence.asdf"}
        work = Work(
            inputs=(InputFile(path=bench.exposure, kind="uncal"), *windows),
            output_dir=out,
            log_file=out / "job.log",
            parameters={"persistence": persistence | {"dn_threshold": dn_threshold}},
            only_through="persistence",
            context=bench.context,
        )
        made = {product.kind: product.path for product in Detector1().process(work, lambda _: None).products}
        flags = fits.getdata(made["ramp"], "GROUPDQ")
        count = int(np.count_nonzero(flags & dqflags.PERSISTENCE))
        return count, InputFile(path=made["persistence"], kind="persistence")

    _, windows = flagged("first", dn_threshold=100.0)
    alone, _ = flagged("alone")
    followed, _ = flagged("second", windows)
    assert followed > alone
