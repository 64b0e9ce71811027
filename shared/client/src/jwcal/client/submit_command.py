"""``jwcal submit`` and ``jwcal watch``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jwcal.client import exit_codes
from jwcal.client.connection import Connection
from jwcal.client.documents import document
from jwcal.client.model import Processing, Run, Stage, State
from jwcal.client.output import print_json
from jwcal.client.run_display import follow, run_display
from jwcal.client.sync_client import Client
from jwcal.core.errors import InvalidParameter

_CONSTANTS = {"none": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOptions:
    """The command line of ``jwcal submit`` as given."""

    inputs: Sequence[str]
    products: Sequence[str] = ()
    settings: Sequence[str] = ()
    skip: Sequence[str] = ()
    priority: int = 0
    context: str | None = None
    build: str | None = None
    program: str | None = None
    labels: Sequence[str] = ()
    again: bool = False
    wait: bool = False
    output: Path | None = None
    as_json: bool = False
    quiet: bool = False
    server: str | None = None
    directory: Path | None = field(default=None)


def submit(options: SubmitOptions) -> int:
    """Submit, and with ``--wait`` follow and fetch."""
    processing = processings(options.settings, options.skip)
    with Client(Connection.find(options.server, directory=options.directory)) as client:
        run = client.submit(
            list(options.inputs),
            products=[kind for given in options.products for kind in given.split(",") if kind],
            processing=processing,
            context=options.context or "",
            build=options.build or "",
            priority=options.priority,
            program=options.program or "",
            labels=dict(pair(label, "--label", "name=value") for label in options.labels),
            ignore_earlier_results=options.again,
        )
        if not options.wait and options.output is None:
            return _submitted(run, options.as_json)
        ended = watched(client, run.name, quiet=options.quiet)
        files = []
        if options.output is not None and ended.state is State.SUCCEEDED:
            files = client.download(run.name, options.output)
    if options.as_json:
        print_json(document(ended) | {"files": [str(file) for file in files]})
    else:
        for line in [str(file) for file in files] or [product.uri for product in ended.products]:
            print(line)
    return outcome(ended)


def watch(run: str | None, *, server: str | None, directory: Path | None, as_json: bool, quiet: bool) -> int:
    """Follow a run to its end."""
    with Client(Connection.find(server, directory=directory)) as client:
        ended = watched(client, name_of(client, run), quiet=quiet)
    if as_json:
        print_json(document(ended))
    elif quiet:
        print(ended.state.value.lower())
    return outcome(ended)


def watched(client: Client, run: str, *, quiet: bool) -> Run:
    """Show a run until it has ended; the run then."""
    with run_display(quiet=quiet) as shown:
        follow(client.watch(run), shown)
    return client.run(run)


def name_of(client: Client, run: str | None) -> str:
    """The run that is meant: the newest one where none is named."""
    return client.newest_run().name if run in (None, "last") else str(run)


def outcome(run: Run) -> int:
    """Exit status for a run that has ended."""
    return exit_codes.DONE if run.state is State.SUCCEEDED else exit_codes.FAILED


def processings(settings: Sequence[str], skip: Sequence[str]) -> dict[Stage, Processing]:
    """What is asked of each stage, by ``[stage:]step.parameter=value`` and ``[stage:]step``.

    It is stage 1 where none is told.  Values are read as JSON where they can be, else as text; the stage checks them.
    """
    parameters: dict[Stage, dict[str, dict[str, Any]]] = {}
    skipped: dict[Stage, list[str]] = {}
    for setting in settings:
        name, value = pair(setting, "--set", "step.parameter=value")
        stage, name = _stage(name)
        step, _, parameter = name.removeprefix("steps.").rpartition(".")
        parameters.setdefault(stage, {}).setdefault(step or "pipeline", {})[parameter] = _value(value)
    for step in skip:
        stage, name = _stage(step)
        skipped.setdefault(stage, []).append(name)
    return {
        stage: Processing(parameters=parameters.get(stage, {}), skip=tuple(skipped.get(stage, ())))
        for stage in Stage
        if stage in parameters or stage in skipped
    }


def pair(text: str, option: str, form: str) -> tuple[str, str]:
    """The two sides of ``name=value``.

    Raises
    ------
    InvalidParameter
        It has another form.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidParameter(f"{option} {text!r} has not the form {form}", remedy=f"write {option} {form}")
    return name.strip(), value.strip()


def _stage(name: str) -> tuple[Stage, str]:
    stage, colon, rest = name.partition(":")
    if not colon:
        return Stage.DETECTOR1, name
    if stage not in set(Stage):
        raise InvalidParameter(f"there is no stage {stage!r}", remedy=f"choose of {', '.join(Stage)}")
    return Stage(stage), rest


def _value(text: str) -> Any:
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text


def _submitted(run: Run, as_json: bool) -> int:
    if as_json:
        print_json(document(run))
    else:
        print(run.name)
    return exit_codes.DONE
