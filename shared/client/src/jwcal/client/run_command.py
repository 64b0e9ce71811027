"""``jwcal run``: calibrate exposures."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jwcal.client import arguments, exit_codes
from jwcal.client.output import print_json
from jwcal.client.progress import Display, display
from jwcal.client.reporting import as_dict, check_interrupted, complain, one_line, tracebacks_shown
from jwcal.core.errors import InvalidParameter, ParameterError, UnknownParameter
from jwcal.core.events import Event

_logger = logging.getLogger(__name__)


_ONE_FILE_CACHE = 128 << 20
"""Bytes of references kept for later steps where there is no other exposure that could use them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The command line of ``jwcal run`` as given."""

    pipeline: str
    files: Sequence[Path]
    output_dir: Path | None = None
    settings: Sequence[str] = field(default_factory=list)
    skip: Sequence[str] = field(default_factory=list)
    only_through: str | None = None
    overrides: Sequence[str] = field(default_factory=list)
    parameter_files: Sequence[Path] = field(default_factory=list)
    use_crds_parameters: bool = True
    save_steps: bool = False
    context: str | None = None
    memory_limit: str | None = None
    threads: int | None = None
    plan: str | None = None
    as_json: bool = False
    quiet: bool = False
    log: Path | None = None


def run_files(options: RunOptions) -> int:
    """Run every file; a file that fails does not stop the others."""
    from jwcal.core.logs import log_file
    from jwcal.core.parameters import PIPELINE, build
    from jwcal.core.references.load import ReferenceCache
    from jwcal.detector1.settings import definitions

    plan = options.plan or arguments.pipeline_plan(options.pipeline)
    known = definitions()
    _check_steps([*options.skip, *([options.only_through] if options.only_through else [])], set(known))
    _check_products(options.files, options.output_dir)
    parameters = arguments.parameters(options.settings, known)
    for step, values in parameters.items():
        if step != PIPELINE:
            _check_steps([step], set(known))
            build(known[step], values)
    keywords: dict[str, Any] = {
        "output_dir": options.output_dir,
        "plan": plan,
        "parameters": parameters,
        "parameter_files": options.parameter_files,
        "skip": options.skip,
        "only_through": options.only_through,
        "overrides": arguments.overrides(options.overrides),
        "save_steps": options.save_steps,
        "context": options.context,
        "use_crds_parameters": options.use_crds_parameters,
        "memory_limit": arguments.memory_size(options.memory_limit),
        "threads": options.threads,
        "cache": ReferenceCache(_ONE_FILE_CACHE) if len(options.files) == 1 else None,
    }
    failures: list[Exception] = []
    with log_file(options.log), display(quiet=options.quiet) as shown:
        reports = [_run_one(file, keywords, shown, failures) for file in options.files]
    if options.as_json:
        print_json({"runs": reports, "failed": len(failures)})
    else:
        for report in reports:
            for product in report.get("products", []):
                print(product)
    if not failures:
        return exit_codes.DONE
    wrong_use = all(isinstance(error, ParameterError) for error in failures)
    return exit_codes.WRONG_USE if wrong_use else exit_codes.FAILED


def _run_one(file: Path, keywords: dict[str, Any], shown: Display, failures: list[Exception]) -> dict[str, Any]:
    from jwcal.core.logs import log_failure
    from jwcal.detector1.process import run

    def event(event: Event) -> None:
        check_interrupted()
        shown.event(event)

    shown.begin(file)
    try:
        result = run(file, on_event=event, **keywords)
    except Exception as error:  # the next file shall have its turn
        failures.append(error)
        log_failure(_logger, error, exposure=file.name)
        if tracebacks_shown():
            complain(error)
        named = one_line(error)
        shown.done(f"jwcal: error: {named if str(file) in named else f'{file}: {named}'}")
        return {"input": str(file), "error": as_dict(error)}
    counts = Counter(record.status.lower() for record in result.steps)
    outcome = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    shown.done(f"{file.name}: steps {outcome}; products written {len(result.products)}; {result.seconds:.2f} s")
    return result.as_dict()


def _check_steps(names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownParameter(f"there is no step {name!r}", remedy=f"choose one of: {', '.join(sorted(known))}")


def _check_products(files: Sequence[Path], output_dir: Path | None) -> None:
    """Refuse inputs whose products would overwrite each other's."""
    from jwcal.detector1.naming import root_name

    seen: dict[Path, Path] = {}
    for file in files:
        target = (output_dir or file.parent) / root_name(file)
        if target in seen:
            raise InvalidParameter(
                f"{seen[target]} and {file} would write the same products",
                remedy="run them one by one into different directories",
            )
        seen[target] = file
