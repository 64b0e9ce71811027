"""The `jwcal` command: options to calls; each command lives in a module of its own, imported when it is used."""

from pathlib import Path
from typing import Annotated

import typer

from jwcal.client.cli_services import services
from jwcal.client.reporting import reported, show_tracebacks

app = typer.Typer(
    name="jwcal",
    help="Calibrate JWST exposures: stage 1, from uncalibrated ramps to count rates.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
refs = typer.Typer(no_args_is_help=True, help="Calibration references, by the rules of CRDS.", rich_markup_mode=None)
app.add_typer(refs, name="refs")
app.add_typer(services)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Context = Annotated[
    str | None, typer.Option("--context", metavar="C", help="CRDS context, such as jwst_1413.pmap; else CRDS_CONTEXT.")
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"jwcal {version('jwcal-client')}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks (also: JWCAL_DEBUG=1).")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Calibrate JWST exposures: stage 1, from uncalibrated ramps to count rates.

    References come through CRDS as with the official package: set CRDS_PATH, CRDS_SERVER_URL and, to pin a context,
    CRDS_CONTEXT.  Exit status: 0 done, 1 failed, 2 wrong use, 130 interrupted.
    """
    del version
    if debug:
        show_tracebacks()


@app.command()
@reported
def run(
    pipeline: Annotated[
        str,
        typer.Argument(help="detector1, calwebb_detector1, calwebb_dark, calwebb_guider or the official class name."),
    ],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Exposures (_uncal.fits).")],
    output_dir: Annotated[
        Path | None, typer.Option("-o", "--output-dir", metavar="DIR", help="For the products; else beside each file.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STEP.PARAMETER=VALUE", help="Set a parameter; see 'jwcal steps'. Repeatable."),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="STEP", help="Leave a step out. Repeatable.")
    ] = None,
    only_through: Annotated[
        str | None,
        typer.Option("--only-through", metavar="STEP", help="Stop after this step and write the ramp so far."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--override", metavar="TYPE=PATH", help="Use this reference file; N/A for none. Repeatable."),
    ] = None,
    params: Annotated[
        list[Path] | None,
        typer.Option("--params", metavar="FILE", help="Parameter file, ASDF or YAML. Repeatable, later ones win."),
    ] = None,
    save_steps: Annotated[bool, typer.Option("--save-steps", help="Save the result of every step.")] = False,
    context: Context = None,
    crds_parameters: Annotated[
        bool, typer.Option("--crds-parameters/--no-crds-parameters", help="Use the context's pars-* references.")
    ] = True,
    memory_limit: Annotated[
        str | None,
        typer.Option("--memory-limit", metavar="SIZE", help="Such as 8GiB; larger exposures use a scratch file."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="Threads to compute with; else all.")
    ] = None,
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="NAME", help="Run this plan; else the header decides.")
    ] = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", help="Append what happens to FILE, a JSON object a line.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> int:
    """Calibrate exposures. A file that fails does not stop the others."""
    from jwcal.client.run_command import RunOptions, run_files

    if debug:
        show_tracebacks()
    return run_files(
        RunOptions(
            pipeline=pipeline,
            files=files,
            output_dir=output_dir,
            settings=settings or [],
            skip=skip or [],
            only_through=only_through,
            overrides=overrides or [],
            parameter_files=params or [],
            use_crds_parameters=crds_parameters,
            save_steps=save_steps,
            context=context,
            memory_limit=memory_limit,
            threads=threads,
            plan=plan,
            as_json=as_json,
            quiet=quiet,
            log=log,
        )
    )


@app.command()
@reported
def steps(
    pipeline: Annotated[str, typer.Argument(help="A pipeline, a plan, or one step.")] = "detector1",
    as_json: Json = False,
) -> int:
    """List steps in the order they run, with parameters, types, defaults and meaning."""
    from jwcal.client.steps_command import list_steps

    return list_steps(pipeline, as_json=as_json)


@app.command()
@reported
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A product.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    rtol: Annotated[float, typer.Option("--rtol", help="Values agree within this fraction of A.")] = 1e-5,
    sigma: Annotated[float, typer.Option("--sigma", help="Or within this fraction of A's ERR.")] = 1e-3,
    allowed: Annotated[float, typer.Option("--allowed", help="Fraction of elements that may differ.")] = 0.0,
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="KEYWORD", help="Leave a keyword out. Repeatable.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Compare two products: values, NaN patterns, flags, keywords. Exit status 0 for equal, 1 for different."""
    from jwcal.client.compare_command import compare_products

    ignored = frozenset(keyword.upper() for keyword in ignore or [])
    return compare_products(a, b, rtol=rtol, sigma=sigma, allowed=allowed, ignored=ignored, as_json=as_json)


@refs.command()
@reported
def bestrefs(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An exposure.")],
    context: Context = None,
    plan: Annotated[str | None, typer.Option("--plan", metavar="NAME", help="For this plan.")] = None,
    as_json: Json = False,
) -> int:
    """The reference of each type that an exposure gets. Exit status 1 where one is missing."""
    from jwcal.client.refs_command import best_references

    return best_references(file, context=context, plan=plan, as_json=as_json)


@refs.command()
@reported
def bundle(
    instrument: Annotated[str, typer.Option("--instrument", metavar="I", help="Such as NIRCAM.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The bundle, such as nircam.tar.")],
    context: Context = None,
    headers: Annotated[
        list[Path] | None,
        typer.Option("--header", metavar="FILE", help="Only what this exposure gets. Repeatable; else everything."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Write the rules of a context and an instrument's references to one file, for machines without a CRDS server."""
    from jwcal.client.bundle_command import make_bundle

    return make_bundle(output, context=context, instrument=instrument, exposures=headers or [], as_json=as_json)


@refs.command()
@reported
def load(
    source: Annotated[Path, typer.Argument(metavar="BUNDLE", help="From 'jwcal refs bundle'.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="CRDS cache, made or added to; else CRDS_PATH.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            help="Publish the references there: s3://BUCKET/PREFIX of the store of JWCAL_STORE_...; "
            "no cache is made then without --into.",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Unpack a bundle into a CRDS cache, which a reference service can serve offline, or into an object store."""
    from jwcal.client.bundle_command import load as load_bundle

    return load_bundle(source, into=into, store=store, as_json=as_json)


@refs.command()
@reported
def verify(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="A bundle, or the directory of a CRDS cache.")],
    as_json: Json = False,
) -> int:
    """Check every file against its checksum. Exit status 1 where one is damaged."""
    from jwcal.client.bundle_command import verify as verify_files

    return verify_files(source, as_json=as_json)


@app.command()
@reported
def simulate(
    mode: Annotated[str | None, typer.Argument(metavar="MODE", help="See --list.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="For the exposures and their truth.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same exposure.")] = 1,
    crds: Annotated[
        Path | None, typer.Option("--crds", metavar="DIR", help="For the offline CRDS cache; else DIR/crds.")
    ] = None,
    ngroups: Annotated[int | None, typer.Option("--ngroups", help="Groups; else the mode's.")] = None,
    nints: Annotated[int | None, typer.Option("--nints", help="Integrations; else the mode's.")] = None,
    segments: Annotated[int | None, typer.Option("--segments", help="Files the exposure is cut into.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the modes.")] = False,
    as_json: Json = False,
) -> int:
    """Make synthetic exposures with their truth and an offline CRDS cache."""
    from jwcal.client import simulate_command

    if list_all:
        return simulate_command.list_modes(as_json=as_json)
    if mode is None or out is None:
        raise typer.BadParameter("give a MODE and --out DIR, or --list")
    return simulate_command.simulate_exposure(
        mode, out, seed=seed, crds=crds, ngroups=ngroups, nints=nints, segments=segments, as_json=as_json
    )


@app.command()
@reported
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="For everything the demonstration makes.")] = Path(
        "jwcal-demo"
    ),
    seed: Annotated[int, typer.Option("--seed", help="Of the simulated exposures.")] = 1,
    as_json: Json = False,
) -> int:
    """Simulate four dithers, calibrate them through the services, compare with the truth, draw a picture."""
    from jwcal.client.demo import run_demo

    return run_demo(out, seed=seed, as_json=as_json)


def main() -> None:
    """Entry point."""
    app()
