"""Read an exposure and its references and write products of the same size, without any step between.

usage: floor_run.py SPEC.json
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from ours_run import peak_mib


def main() -> None:
    """Run every job of the list in this process."""
    spec_path = Path(sys.argv[1])
    report = []
    for job in json.loads(spec_path.read_text()):
        peak_mib(reset=True)
        cpu, begin = time.process_time(), time.perf_counter()
        timings = read_and_write(Path(job["input"]), Path(job["output_dir"]))
        report.append(
            {
                "error": "",
                "wall": time.perf_counter() - begin,
                "cpu": time.process_time() - cpu,
                "peak_mib": peak_mib(),
                "steps": {},
                "timings": timings,
            }
        )
    spec_path.with_suffix(".report.json").write_text(json.dumps(report))


def read_and_write(file: Path, out: Path) -> dict[str, float]:
    """One pass; seconds by phase."""
    from jwcal.core.products.read import open_exposure
    from jwcal.core.references.best import default_context
    from jwcal.core.references.geometry import Subarray
    from jwcal.core.references.load import CrdsReferences
    from jwcal.core.scratch import Scratch
    from jwcal.detector1.naming import root_name
    from jwcal.detector1.plans import OFFICIAL_PIPELINES
    from jwcal.detector1.process import plan_name, shared_cache
    from jwcal.detector1.products import ProductWriter
    from jwcal.detector1.settings import plan_run

    began = time.perf_counter()
    exposure = open_exposure(file)
    plan = plan_name(None, exposure)
    context = default_context()
    steps, _ = plan_run(
        plan,
        OFFICIAL_PIPELINES[plan],
        exposure.metadata,
        context,
        parameters={},
        parameter_files=[],
        skip=[],
        save_steps=False,
        use_crds_parameters=True,
    )
    kinds = tuple({kind for step in steps if not step.params.skip for kind in step.definition.references})
    target = Subarray.of_exposure(exposure.metadata, exposure.planes["SCI"].shape)
    references = CrdsReferences(exposure.metadata, kinds, target, context=context, cache=shared_cache)
    opened = time.perf_counter()
    ramp: Any = exposure.read(Scratch(None))
    read = time.perf_counter()
    for kind in kinds:
        references.load(kind)
    loaded = time.perf_counter()
    ProductWriter(out, root_name(file), lambda _: None).save_result(some_rates(ramp), "rate", {})
    written = time.perf_counter()
    return {"open": opened - began, "read": read - opened, "references": loaded - read, "write": written - loaded}


def some_rates(ramp: Any) -> Any:
    """Rates of the ramp's size."""
    import numpy as np

    from jwcal.core.data import RateCube, RateImage, Rates

    nints, (ny, nx) = ramp.nints, ramp.pixeldq.shape[-2:]
    ny = 2048 if ny == 3200 else ny  # the interleaved reference pixels of IRS2 are not in the products
    names = ("data", "err", "var_poisson", "var_rnoise")
    image: dict[str, Any] = {name: np.ones((ny, nx), np.float32) for name in names}
    cube: dict[str, Any] = {name: np.ones((nints, ny, nx), np.float32) for name in names}
    return Rates(
        rate=RateImage(**image, dq=np.ones((ny, nx), np.uint32), metadata=ramp.metadata),
        rateints=RateCube(
            **cube, dq=np.ones((nints, ny, nx), np.uint32), metadata=ramp.metadata.copy(), tables=ramp.tables
        ),
        metadata=ramp.metadata,
        tables=ramp.tables,
        extra=ramp.extra,
    )


if __name__ == "__main__":
    main()
