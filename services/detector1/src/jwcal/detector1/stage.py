"""Stage 1 as a worker runs it: the use case of `process` between the messages of the worker shell."""

import resource
import sys
from pathlib import Path
from typing import Any

from jwcal.core.errors import InvalidParameter
from jwcal.core.events import Event, StepFinished, StepStarted
from jwcal.core.events import Progress as Phases
from jwcal.core.references.resolved import WantedReferences
from jwcal.core.worker.work import InputFile, Made, Phase, Plan, Product, Step, Tell, Work

_SHARE_OF_REFERENCES = 4
"""Of the memory limit: one part in so many is for decoded references that stay between jobs."""
_WINDOWS = "persistence"
"""Kind of the file with the persistence windows that an exposure leaves open for the next of its detector."""


class Detector1:
    """Ramps to count rates."""

    name = "detector1"

    def plans(self) -> tuple[Plan, ...]:
        """Every plan with its steps."""
        from jwcal.detector1.plans import OFFICIAL_PIPELINES, PLANS
        from jwcal.detector1.settings import definitions

        known = definitions()
        return tuple(
            Plan(name=name, official=OFFICIAL_PIPELINES[name], steps=tuple(known[step] for step in steps))
            for name, steps in PLANS.items()
        )

    def wanted_references(self, work: Work) -> WantedReferences | None:
        """What the steps of the exposure's plan may use, and the references of their parameters."""
        from jwcal.core.products.read import open_exposure
        from jwcal.core.references.best import selection_header
        from jwcal.detector1.process import plan_name
        from jwcal.detector1.settings import wanted_types

        exposure = open_exposure(_exposure(work).path)
        types = wanted_types(
            plan_name(work.plan or None, exposure),
            skip=work.skip,
            only_through=work.only_through or None,
            use_crds_parameters=work.use_reference_parameters,
        )
        wanted = tuple(sorted(types - set(work.overrides)))
        return WantedReferences(selection_header(exposure.metadata), wanted) if wanted else None

    def warm_up(self) -> None:
        """Compile the kernels."""
        from jwcal.detector1.warm_up import warm_up

        warm_up()

    def process(self, work: Work, tell: Tell) -> Made:
        """Calibrate one exposure."""
        from jwcal.core.references.load import CACHE_LIMIT
        from jwcal.detector1.process import run, shared_cache

        exposure = _exposure(work)
        # anew for each job: the small limit of one is not that of the next
        shared_cache.limit = min(CACHE_LIMIT, (work.memory_limit or sys.maxsize) // _SHARE_OF_REFERENCES)
        result = run(
            exposure.path,
            output_dir=work.output_dir,
            plan=work.plan or None,
            parameters=_parameters(work),
            skip=work.skip,
            only_through=work.only_through or None,
            overrides=work.overrides,
            context=work.context or None,
            use_crds_parameters=work.use_reference_parameters,
            memory_limit=work.memory_limit or None,
            on_event=_Telling(tell),
            finder=work.references,
        )
        products = [Product(path=path, kind=_kind(path)) for path in result.products]
        return Made(
            products=tuple(p for p in products if not work.products or p.kind in work.products),
            steps=tuple(
                Step(
                    name=record.name,
                    status=record.status,
                    reason=record.reason,
                    seconds=record.seconds,
                    references=record.references,
                    parameters=record.parameters,
                    index=index,
                    total=len(result.steps),
                )
                for index, record in enumerate(result.steps)
            ),
            plan=result.plan,
            context=result.context,
            seconds=result.timings,
            peak_memory=_peak_memory(),
            held_references=shared_cache.names(),
        )


class _Telling:
    """Passes the events of a run on."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._done, self._total = 0, 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._total = event.total
            self._tell(Phase(name=event.name, steps_done=event.index, steps_total=event.total))
        elif isinstance(event, StepFinished):
            record = event.record
            self._done = event.index + 1
            self._tell(
                Step(
                    name=record.name,
                    status=record.status,
                    reason=record.reason,
                    seconds=record.seconds,
                    references=record.references,
                    parameters=record.parameters,
                    index=event.index,
                    total=event.total,
                )
            )
        elif isinstance(event, Phases):
            self._tell(Phase(name=event.phase, steps_done=self._done, steps_total=self._total))


def _exposure(work: Work) -> InputFile:
    """The exposure of a job; refuses what a job may not ask for."""
    from jwcal.core.worker.asked import check_parameters
    from jwcal.detector1.settings import definitions

    exposures = [file for file in work.inputs if file.kind != _WINDOWS]
    if len(exposures) != 1 or len(work.inputs) > 2:
        raise InvalidParameter(
            f"stage 1 takes one exposure, not {len(exposures)}", remedy="make one job for each exposure"
        )
    check_parameters(work.parameters, definitions())
    return exposures[0]


def _parameters(work: Work) -> dict[str, dict[str, Any]]:
    """Those of the job, with the persistence windows that the exposure before left open, if they came along."""
    parameters = dict(work.parameters)
    for file in work.inputs:
        if file.kind == _WINDOWS:
            parameters["persistence"] = parameters.get("persistence", {}) | {"persistence_array_file": str(file.path)}
    return parameters


def _kind(path: Path) -> str:
    """Suffix of a product's name."""
    return path.stem.rsplit("_", 1)[-1]


def _peak_memory() -> int:
    """Of this process so far, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


STAGE = Detector1()
"""What ``python -m jwcal.core.worker.child`` is given."""
