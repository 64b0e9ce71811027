"""``jwcal up``, ``jwcal down`` and ``jwcal status``: the services as processes of this machine."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jwcal.client import exit_codes
from jwcal.client.documents import document, lasting
from jwcal.client.local.installation import Installation, Listener, Told
from jwcal.client.local.planning import usual_crds
from jwcal.client.local.state import default_directory
from jwcal.client.output import print_json, print_table
from jwcal.core.errors import ConfigurationError

_SLOW = "still starting; the very first start of a worker compiles its kernels, which takes a minute or two"


def up(
    *,
    directory: Path | None,
    workers: int | None,
    stages: list[str] | None,
    s3: bool | None,
    crds: Path | None,
    context: str | None,
    as_json: bool,
    quiet: bool = False,
) -> int:
    """Start what does not run, and wait until it is ready."""
    installation = installation_in(directory)
    earlier = installation.state()
    asked: dict[str, Any] = {"workers": workers, "stages": tuple(stages) if stages else None, "s3": s3}
    asked |= {"context": context, "crds": usual_crds(crds, os.environ) if crds or earlier is None else None}
    chosen = {name: value for name, value in asked.items() if value is not None}
    with telling(quiet=quiet) as told:
        state = asyncio.run(installation.up(chosen, told))
    if as_json:
        print_json(_status(installation))
        return exit_codes.DONE
    started = {
        name: one for name, one in state.processes.items() if earlier is None or earlier.processes.get(name) != one
    }
    print(f"up at {state.server}" + ("" if started else ", as before"))
    if started and not quiet:
        print(f"products and logs: {installation.directory}")
        print("next: jwcal submit FILE... --wait; jwcal ls; jwcal down")
    return exit_codes.DONE


def down(*, directory: Path | None, seconds: float, as_json: bool) -> int:
    """Stop what runs."""
    installation = installation_in(directory)
    with telling(quiet=False) as told:
        ran = asyncio.run(installation.down(told, seconds=seconds))
    if as_json:
        print_json(_status(installation))
    elif not ran:
        print("nothing ran")
    return exit_codes.DONE


def status(*, directory: Path | None, as_json: bool) -> int:
    """Each service and whether it runs; exit status 1 where one does not."""
    installation = installation_in(directory)
    services = installation.services()
    if not services:
        raise ConfigurationError("no services were started here", file=installation.directory, remedy="use 'jwcal up'")
    if as_json:
        print_json(_status(installation))
    else:
        rows = [
            (one.name, "running" if one.running else "not running", str(one.pid or ""), one.address, str(one.log))
            for one in services
        ]
        print_table("", ("service", "", "process", "address", "log"), rows)
    return exit_codes.DONE if all(one.running for one in services) else exit_codes.FAILED


def installation_in(directory: Path | None) -> Installation:
    """That of a directory, or of the usual one."""
    return Installation((directory or default_directory(os.environ)).expanduser().resolve())


def _status(installation: Installation) -> dict[str, Any]:
    state = installation.state()
    return {
        "directory": str(installation.directory),
        "server": state.server if state else None,
        "services": document(installation.services()),
    }


@contextmanager
def telling(*, quiet: bool) -> Iterator[Listener]:
    """Shows how services start and stop, on stderr: one line that changes on a terminal, plain lines elsewhere."""
    if quiet:
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _print_line
        return
    under_way: dict[str, str] = {}
    with console.status("looking") as line:

        def tell(told: Told) -> None:
            if told.what in ("starting", "slow", "stopping"):
                under_way[told.name] = "starting" if told.what == "slow" else told.what
            else:
                under_way.pop(told.name, None)
            if told.what not in ("starting", "stopping"):
                console.print(told_line(told), markup=False)
            line.update(", ".join(f"{what} {name}" for name, what in under_way.items()))

        yield tell


def _print_line(told: Told) -> None:
    print(told_line(told), file=sys.stderr, flush=True)


def told_line(told: Told) -> str:
    """One line."""
    if told.what == "dead":
        return f"{told.name}: did not run any more"
    if told.what == "slow":
        return f"{told.name}: {_SLOW}"
    spent = f" after {lasting(told.seconds)}" if told.seconds >= 0.1 else ""
    return f"{told.name}: {told.what}{spent}"
