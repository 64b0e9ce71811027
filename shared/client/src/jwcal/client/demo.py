"""``jwcal demo``: a small dither pattern through the services, from the sky to count rates, held against the truth."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jwcal.client import exit_codes
from jwcal.client.async_client import AsyncClient
from jwcal.client.connection import Connection
from jwcal.client.documents import document, lasting
from jwcal.client.local.installation import Installation, Listener
from jwcal.client.local.planning import usual_crds
from jwcal.client.model import Job, Run, State
from jwcal.client.output import print_json, print_table
from jwcal.client.run_display import run_display
from jwcal.client.up_command import telling
from jwcal.core.errors import FailedPrecondition

if TYPE_CHECKING:
    from jwcal.observatory import Simulation
    from jwcal.observatory.truth import JumpScore, SlopeScore, Truth

MODE: Final = "nircam-sw-sub"
KINDS: Final = ("rate", "rateints", "jump")
_CORES_A_WORKER: Final = 2
"""With fewer, workers wait for each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What one exposure's products say, against the truth."""

    exposure: str
    seconds: float
    truth: "Truth"
    jumps: "JumpScore"
    slopes: "SlopeScore"

    @property
    def caught(self) -> int:
        """Detectable cosmic-ray hits that were flagged."""
        return round(self.jumps.completeness * self.jumps.hits) if self.jumps.hits else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What the services made of the exposures."""

    run: Run
    jobs: tuple[Job, ...]
    files: tuple[Path, ...]
    seconds: float
    """From the submission to the last product."""


def run_demo(out: Path, *, seed: int, as_json: bool) -> int:
    """Simulate, start the services, submit, watch, fetch, compare, draw; the services are stopped in the end."""
    from jwcal.client.figure import draw, read_products
    from jwcal.core.products.write import check_directory

    check_directory(out)
    quiet = as_json
    if not quiet:
        print(f"Four dithers of a NIRCam field of stars and galaxies ({MODE}, seed {seed}): simulated, and meanwhile")
        print("the services started on this machine.", flush=True)
    with telling(quiet=quiet) as told:
        simulations, made = asyncio.run(_through_services(out, seed, told, quiet=quiet))
    findings = [_judge(simulation, made) for simulation in simulations]
    picture = out / "demo.png"
    first = {kind: _file(made.files, _root(simulations[0]), kind) for kind in KINDS}
    shown = read_products(first["jump"], first["rate"], first["rateints"])
    draw(shown, f"jwcal demo: NIRCam B1, SUB320, F200W, first of four dithers (simulated, seed {seed})", picture)
    if as_json:
        print_json(_document(made, findings, picture))
    else:
        _print(made, findings, picture)
    return exit_codes.DONE


async def _through_services(
    out: Path, seed: int, told: Listener, *, quiet: bool
) -> tuple[list["Simulation"], Demonstration]:
    """Simulate while the services start; then submit, follow, fetch."""
    crds = out / "input" / "crds"
    crds.mkdir(parents=True, exist_ok=True)
    simulating = asyncio.create_task(asyncio.to_thread(_simulate, out / "input", crds, seed))
    async with _services(out / "services", crds, told) as connection, AsyncClient(connection) as client:
        simulations = await simulating
        began = time.monotonic()
        run = await client.submit(
            [simulation.exposures[0] for simulation in simulations],
            products=KINDS,
            parameters={"jump": {"save_results": True}},
            context=simulations[0].context,
            ignore_earlier_results=True,  # those of an earlier demonstration would be no demonstration
        )
        with run_display(quiet=quiet) as shown:
            async for change in client.watch(run.name):
                shown.show(change)
        run = await client.run(run.name)
        if run.state is not State.SUCCEEDED:
            failure = run.failure.message if run.failure else run.state.value.lower()
            raise FailedPrecondition(f"the run did not succeed: {failure}", remedy=f"see {out / 'services' / 'logs'}")
        files = await client.download(run.name, out / "products")
        spent = time.monotonic() - began
        jobs = [job async for job in client.jobs(run.name)]
    return simulations, Demonstration(run=run, jobs=tuple(jobs), files=tuple(files), seconds=spent)


@contextlib.asynccontextmanager
async def _services(place: Path, crds: Path, told: Listener) -> AsyncIterator[Connection]:
    """Services of the demonstration's own, stopped in the end, whatever happens."""
    installation = Installation(place.resolve())
    workers = max(1, (os.cpu_count() or 1) // _CORES_A_WORKER)
    choices: Mapping[str, object] = {"workers": min(workers, 4), "crds": usual_crds(crds, os.environ)}
    try:
        await installation.up(choices, told)
        yield Connection.find(directory=installation.directory)
    finally:
        await installation.down(told)


def _simulate(out: Path, crds: Path, seed: int) -> list["Simulation"]:
    from jwcal.observatory import box, simulate

    return [simulate(MODE, out, seed=seed, crds=crds, dither=dither) for dither in box()]


def _judge(simulation: "Simulation", made: Demonstration) -> Findings:
    from astropy.io import fits

    from jwcal.observatory.truth import read_truth, score_jumps, score_rate

    truth, root = read_truth(simulation.truth), _root(simulation)
    groupdq = fits.getdata(_file(made.files, root, "jump"), "GROUPDQ")
    job = next(job for job in made.jobs if job.title == root)
    return Findings(
        exposure=root,
        seconds=job.wall_seconds or 0.0,
        truth=truth,
        jumps=score_jumps(groupdq, truth),
        slopes=score_rate(_file(made.files, root, "rate"), truth),
    )


def _root(simulation: "Simulation") -> str:
    return simulation.exposures[0].name.removesuffix("_uncal.fits")


def _file(files: Sequence[Path], root: str, kind: str) -> Path:
    return next(file for file in files if file.name == f"{root}_{kind}.fits")


def _document(made: Demonstration, findings: Sequence[Findings], picture: Path) -> dict[str, Any]:
    return {
        "run": document(made.run),
        "jobs": document(made.jobs),
        "seconds": made.seconds,
        "exposures": [
            {
                "exposure": one.exposure,
                "seconds": one.seconds,
                "stars": len(one.truth.stars),
                "cosmic_rays": asdict(one.jumps) | {"caught": one.caught},
                "slopes": asdict(one.slopes),
            }
            for one in findings
        ],
        "files": [str(file) for file in made.files],
        "picture": str(picture),
    }


def _print(made: Demonstration, findings: Sequence[Findings], picture: Path) -> None:
    columns = (
        "exposure", "time", "cosmic rays caught", "false alarms", "slope bias (DN/s)", "scatter / stated error",
    )  # fmt: skip
    rows = [
        (
            one.exposure,
            lasting(one.seconds),
            f"{one.caught} of {one.jumps.hits} ({one.jumps.completeness:.1%})",
            f"{one.jumps.false_alarm_rate:.3%}",
            f"{one.slopes.bias:+.4f} ± {one.slopes.scatter:.3f}",
            f"{one.slopes.pull_width:.3f}",
        )
        for one in findings
    ]
    print_table("Found against the truth", columns, rows)
    print(f"{len(made.files)} products in {lasting(made.seconds)}, fetched to {made.files[0].parent}")
    print(f"picture: {picture}")
    print("yours next: jwcal up; jwcal submit FILE... --wait; jwcal down")
