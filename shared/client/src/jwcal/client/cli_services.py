"""The commands of ``jwcal`` that start services and talk to them: options to calls."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jwcal.client.reporting import reported

if TYPE_CHECKING:
    from jwcal.client.connection import Connection

services = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Dir = Annotated[
    Path | None,
    typer.Option("--dir", metavar="D", help="Of the services here; else JWCAL_DIR, else ~/.local/share/jwcal."),
]
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="HOST:PORT", help="Services elsewhere; else JWCAL_SERVER, else those here."),
]
RunName = Annotated[str | None, typer.Argument(metavar="[RUN]", help="Name or id; else the newest run.")]
TheRun = Annotated[str, typer.Argument(metavar="RUN", help="Name or id, or 'last' for the newest run.")]
States = Annotated[
    list[str] | None, typer.Option("--state", metavar="STATE", help="Only those in this state. Repeatable.")
]


def _connection(server: str | None, directory: Path | None) -> "Connection":
    from jwcal.client.connection import Connection

    return Connection.find(server, directory=directory)


@services.command()
@reported
def up(
    workers: Annotated[int | None, typer.Option("--workers", metavar="N", help="Of each stage; at first 1.")] = None,
    stages: Annotated[
        list[str] | None,
        typer.Option("--stage", metavar="STAGE", help="detector1, stage2, stage3. Repeatable; at first detector1."),
    ] = None,
    s3: Annotated[
        bool | None, typer.Option("--s3/--no-s3", help="Keep products in an S3 server of its own, not in a directory.")
    ] = None,
    crds: Annotated[
        Path | None, typer.Option("--crds", metavar="DIR", help="An offline CRDS cache; else the CRDS_* variables.")
    ] = None,
    context: Annotated[str | None, typer.Option("--context", metavar="C", help="CRDS context of all runs.")] = None,
    directory: Dir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Start the services on this machine, or what of them has died, and wait until they are ready."""
    from jwcal.client import up_command

    return up_command.up(
        directory=directory, workers=workers, stages=stages, s3=s3, crds=crds, context=context, as_json=as_json,
        quiet=quiet,
    )  # fmt: skip


@services.command()
@reported
def down(
    seconds: Annotated[float, typer.Option("--within", metavar="SECONDS", help="Kill what has not ended then.")] = 30.0,
    directory: Dir = None,
    as_json: Json = False,
) -> int:
    """Stop the services on this machine; jobs under way go back to the queue, products stay."""
    from jwcal.client import up_command

    return up_command.down(directory=directory, seconds=seconds, as_json=as_json)


@services.command()
@reported
def status(directory: Dir = None, as_json: Json = False) -> int:
    """The services on this machine. Exit status 1 where one does not run."""
    from jwcal.client import up_command

    return up_command.status(directory=directory, as_json=as_json)


@services.command()
@reported
def submit(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="An association (.json), or exposures; s3://bucket/key too.")
    ],
    products: Annotated[
        list[str] | None, typer.Option("--products", metavar="KIND", help="Such as rate, cal, i2d. Repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="[STAGE:]STEP.PARAMETER=VALUE", help="Set a parameter. Repeatable."),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="[STAGE:]STEP", help="Leave a step out. Repeatable.")
    ] = None,
    priority: Annotated[int, typer.Option("--priority", help="From -100 to 100; greater is sooner.")] = 0,
    context: Annotated[str | None, typer.Option("--context", metavar="C", help="CRDS context of the run.")] = None,
    build: Annotated[str | None, typer.Option("--build", metavar="B", help="Build whose context to use.")] = None,
    program: Annotated[str | None, typer.Option("--program", metavar="P", help="Whom the work is counted to.")] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="To find the run by. Repeatable.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Compute what was computed before, too.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show it until it has ended.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output-dir", metavar="DIR", help="Wait, and fetch the products.")
    ] = None,
    server: Server = None,
    directory: Dir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Submit an association or exposures to the services; files of this machine are uploaded."""
    from jwcal.client import submit_command

    return submit_command.submit(
        submit_command.SubmitOptions(
            inputs=inputs,
            products=products or [],
            settings=settings or [],
            skip=skip or [],
            priority=priority,
            context=context,
            build=build,
            program=program,
            labels=labels or [],
            again=again,
            wait=wait,
            output=output,
            as_json=as_json,
            quiet=quiet,
            server=server,
            directory=directory,
        )
    )


@services.command()
@reported
def watch(
    run: RunName = None, server: Server = None, directory: Dir = None, as_json: Json = False, quiet: Quiet = False
) -> int:
    """Show a run until it has ended. Exit status 1 where it did not succeed."""
    from jwcal.client import submit_command

    return submit_command.watch(run, server=server, directory=directory, as_json=as_json, quiet=quiet)


@services.command()
@reported
def ls(
    states: States = None,
    program: Annotated[str | None, typer.Option("--program", metavar="P", help="Only those of this program.")] = None,
    most: Annotated[int, typer.Option("-n", metavar="N", min=1, help="At most so many.")] = 20,
    server: Server = None,
    directory: Dir = None,
    as_json: Json = False,
) -> int:
    """List runs, the newest first."""
    from jwcal.client import run_commands

    return run_commands.list_runs(
        _connection(server, directory), states=states or [], program=program, most=most, as_json=as_json
    )


@services.command()
@reported
def jobs(
    run: RunName = None, states: States = None, server: Server = None, directory: Dir = None, as_json: Json = False
) -> int:
    """List the jobs of a run."""
    from jwcal.client import run_commands

    return run_commands.list_jobs(_connection(server, directory), run, states=states or [], as_json=as_json)


@services.command()
@reported
def show(
    name: Annotated[
        str | None, typer.Argument(metavar="[RUN or jobs/JOB]", help="What to show; else the newest run.")
    ] = None,
    server: Server = None,
    directory: Dir = None,
    as_json: Json = False,
) -> int:
    """All about a run or a job."""
    from jwcal.client import run_commands

    return run_commands.show(_connection(server, directory), name, as_json=as_json)


@services.command()
@reported
def get(
    run: RunName = None,
    output: Annotated[Path, typer.Option("-o", "--output-dir", metavar="DIR", help="For the products.")] = Path(),
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Only these, such as rate. Repeatable.")
    ] = None,
    server: Server = None,
    directory: Dir = None,
    as_json: Json = False,
) -> int:
    """Fetch the products of a run, their checksums verified."""
    from jwcal.client import run_commands

    return run_commands.get(_connection(server, directory), run, output, kinds=kinds or [], as_json=as_json)


@services.command()
@reported
def cancel(run: TheRun, server: Server = None, directory: Dir = None, as_json: Json = False) -> int:
    """Cancel what is unfinished of a run."""
    from jwcal.client import run_commands

    return run_commands.change(_connection(server, directory), run, "cancel", as_json=as_json)


@services.command()
@reported
def retry(run: TheRun, server: Server = None, directory: Dir = None, as_json: Json = False) -> int:
    """Queue the failed and cancelled jobs of a finished run again."""
    from jwcal.client import run_commands

    return run_commands.change(_connection(server, directory), run, "retry", as_json=as_json)


@services.command()
@reported
def delete(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name or id.")],
    server: Server = None,
    directory: Dir = None,
    as_json: Json = False,
) -> int:
    """Forget a finished run; its products stay in the store."""
    from jwcal.client import run_commands

    return run_commands.delete(_connection(server, directory), run, as_json=as_json)


@services.command()
@reported
def logs(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Name or id.")],
    server: Server = None,
    directory: Dir = None,
    as_json: Json = False,
) -> int:
    """What a job wrote to its log, in its last attempt."""
    from jwcal.client import run_commands

    return run_commands.log(_connection(server, directory), job, as_json=as_json)


@services.command()
@reported
def queue(server: Server = None, directory: Dir = None, as_json: Json = False) -> int:
    """Depth and age of each stage's queue."""
    from jwcal.client import queue_commands

    return queue_commands.queue(_connection(server, directory), as_json=as_json)


@services.command()
@reported
def workers(server: Server = None, directory: Dir = None, as_json: Json = False) -> int:
    """Workers that asked for work lately."""
    from jwcal.client import queue_commands

    return queue_commands.workers(_connection(server, directory), as_json=as_json)


@services.command()
@reported
def drain(
    worker: Annotated[str, typer.Argument(metavar="WORKER", help="Its name; see 'jwcal workers'.")],
    server: Server = None,
    directory: Dir = None,
    as_json: Json = False,
) -> int:
    """Let a worker finish what it has and give it nothing more."""
    from jwcal.client import queue_commands

    return queue_commands.drain(_connection(server, directory), worker, as_json=as_json)
