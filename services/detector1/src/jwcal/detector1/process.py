"""The use case of stage 1: read an exposure, choose its plan, run it, write the products."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jwcal.core.data import Ramp, Rates
from jwcal.core.errors import InvalidData, InvalidKeyword, InvalidParameter
from jwcal.core.events import Listener, Progress, StepRecord, ignore
from jwcal.core.executor import CancelToken, PlannedStep, execute, through
from jwcal.core.logs import logged
from jwcal.core.products.read import ExposureFile, open_exposure
from jwcal.core.products.write import check_directory
from jwcal.core.references.best import CrdsLibrary, ReferenceFinder
from jwcal.core.references.geometry import Subarray
from jwcal.core.references.load import CrdsReferences, ReferenceCache
from jwcal.core.scratch import Scratch
from jwcal.detector1.naming import root_name
from jwcal.detector1.plans import OFFICIAL_PIPELINES, PLANS, choose_plan
from jwcal.detector1.products import ProductWriter
from jwcal.detector1.provenance import log, stamp
from jwcal.detector1.settings import plan_run

_logger = logging.getLogger(__name__)

shared_cache = ReferenceCache()
"""Decoded references kept between the exposures of one process."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run made."""

    input: Path
    plan: str
    context: str
    products: tuple[Path, ...]
    steps: tuple[StepRecord, ...]
    seconds: float
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds spent opening, reading, in steps and writing."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain = asdict(self)
        plain["input"] = str(self.input)
        plain["products"] = [str(path) for path in self.products]
        return plain


def run(
    file: str | Path,
    *,
    output_dir: str | Path | None = None,
    plan: str | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    parameter_files: Sequence[str | Path] = (),
    skip: Sequence[str] = (),
    only_through: str | None = None,
    overrides: Mapping[str, str] | None = None,
    save_steps: bool = False,
    context: str | None = None,
    use_crds_parameters: bool = True,
    memory_limit: int | None = None,
    threads: int | None = None,
    on_event: Listener = ignore,
    cancel: CancelToken | None = None,
    cache: ReferenceCache | None = None,
    finder: ReferenceFinder | None = None,
) -> RunResult:
    """Calibrate one exposure: ``_uncal.fits`` to ``_rate.fits`` and ``_rateints.fits``.

    Parameters
    ----------
    plan
        A name of `jwcal.detector1.plans.PLANS`, or ``DARK``; chosen from the header when None.
    parameters
        ``{step: {parameter: value}}``, over parameter files, over the context's ``pars-*`` references.
    overrides
        ``{reference type: path}``; ``N/A`` for none.
    only_through
        Stop after this step; the ramp so far is written.
    memory_limit
        Bytes; a larger exposure is worked from a scratch file, with identical results.
    finder
        Who knows the rules and has the files; the ``crds`` library in this process when None.

    Raises
    ------
    JwcalError
        See `jwcal.core.errors`.  No partial product is left behind.
    """
    started = time.perf_counter()
    path = Path(file)
    on_event = logged(_logger, on_event, exposure=path.name)
    directory = Path(output_dir) if output_dir is not None else path.parent
    if threads is not None:
        _use_threads(threads)
    exposure = open_exposure(path)
    check_directory(directory)
    chosen = plan_name(plan, exposure)
    official = OFFICIAL_PIPELINES[chosen]
    finder = finder or CrdsLibrary()
    in_context = context or finder.default_context()
    steps, pipeline_parameters = plan_run(
        chosen,
        official,
        exposure.metadata,
        in_context,
        parameters=parameters or {},
        parameter_files=[Path(name) for name in parameter_files],
        skip=skip,
        save_steps=save_steps,
        use_crds_parameters=use_crds_parameters,
        finder=finder,
    )
    _check_overrides(overrides or {}, steps)
    steps = through(steps, only_through)
    references = _references(exposure, steps, in_context, overrides or {}, cache or shared_cache, finder)
    opened = time.perf_counter()

    scratch = Scratch(memory_limit)
    try:
        on_event(Progress("read", 0, 1))
        product: Any = exposure.read(scratch)
        on_event(Progress("read", 1, 1))
        read = time.perf_counter()
        stamp(product.metadata, context=in_context)
        writer = ProductWriter(directory, root_name(path), on_event)
        save_ramp = bool(pipeline_parameters.get("save_calibrated_ramp", False))

        product, records = _execute(steps, product, references, writer, save_ramp, on_event, cancel)
        _nothing_fitted(product, path)
        stepped = time.perf_counter()
        logs = log(chosen, official, records, references.overrides)
        writer.save_side_products(product)
        writer.save_result(product, _suffix(chosen), logs)
    finally:
        scratch.close()
    done = time.perf_counter()
    return RunResult(
        input=path,
        plan=chosen,
        context=in_context,
        products=tuple(writer.written),
        steps=records,
        seconds=done - started,
        timings={"open": opened - started, "read": read - opened, "steps": stepped - read, "write": done - stepped},
    )


def _execute(
    steps: tuple[PlannedStep, ...],
    product: Any,
    references: CrdsReferences,
    writer: ProductWriter,
    save_ramp: bool,
    on_event: Listener,
    cancel: CancelToken | None,
) -> tuple[Any, tuple[StepRecord, ...]]:
    """Run the steps; a calibrated ramp, if wanted, is written just before the fit."""
    names = [step.definition.name for step in steps]
    if not save_ramp or "ramp_fit" not in names:
        return execute(steps, product, references, on_event=on_event, cancel=cancel, save=writer.save_step)
    at = names.index("ramp_fit")
    product, before = execute(steps[:at], product, references, on_event=on_event, cancel=cancel, save=writer.save_step)
    if isinstance(product, Ramp):
        writer.save_ramp(product, "ramp")
    product, after = execute(steps[at:], product, references, on_event=on_event, cancel=cancel, save=writer.save_step)
    return product, before + after


def _references(
    exposure: ExposureFile,
    steps: tuple[PlannedStep, ...],
    context: str,
    overrides: Mapping[str, str],
    cache: ReferenceCache,
    finder: ReferenceFinder,
) -> CrdsReferences:
    active = [step for step in steps if not step.params.skip]
    kinds = tuple({kind for step in active for kind in step.definition.references})
    target = Subarray.of_exposure(exposure.metadata, exposure.planes["SCI"].shape)
    return CrdsReferences(
        exposure.metadata, kinds, target, context=context, cache=cache, overrides=dict(overrides), finder=finder
    )


def _check_overrides(overrides: Mapping[str, str], steps: tuple[PlannedStep, ...]) -> None:
    types = {kind.reftype for step in steps for kind in step.definition.references}
    for reftype in overrides:
        if reftype not in types:
            raise InvalidParameter(
                f"no step of this plan uses a {reftype!r} reference",
                remedy=f"choose one of: {', '.join(sorted(types))}",
            )


def plan_name(plan: str | None, exposure: ExposureFile) -> str:
    """The plan of an exposure: the one asked for, else the header's choice."""
    if plan is None or plan.upper() == "DARK":
        return choose_plan(exposure.metadata, dark=plan is not None)
    if plan.upper() not in PLANS:
        raise InvalidParameter(f"there is no plan {plan!r}", remedy=f"choose one of: {', '.join(PLANS)}, DARK")
    if (plan.upper() == "GUIDER") != exposure.is_guider:
        raise InvalidKeyword(
            f"plan {plan.upper()} is not for EXP_TYPE {exposure.metadata.exposure_type}",
            file=exposure.path,
            keyword="EXP_TYPE",
            remedy="leave the choice of the plan to the header",
        )
    return plan.upper()


def _suffix(plan: str) -> str:
    """Suffix of a result that is not a rate."""
    if plan == "GUIDER":
        return "cal"
    return "dark" if plan.endswith("DARK") else "ramp"


def _use_threads(threads: int) -> None:
    import numba

    if not 1 <= threads <= numba.config.NUMBA_NUM_THREADS:
        raise InvalidParameter(f"threads = {threads}", remedy=f"use 1 to {numba.config.NUMBA_NUM_THREADS}")
    numba.set_num_threads(threads)


def _nothing_fitted(product: Any, source: Path) -> None:
    """Refuse a result without any usable ramp."""
    if isinstance(product, Rates) and product.rate is None:
        raise InvalidData(
            "no ramp of this exposure can be fitted: every pixel is saturated or flagged from the start",
            file=source,
            remedy="inspect the exposure; --only-through jump gives the ramp",
        )
