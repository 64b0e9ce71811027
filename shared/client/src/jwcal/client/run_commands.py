"""``jwcal ls``, ``jobs``, ``show``, ``get``, ``cancel``, ``retry``, ``delete``, ``logs``."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from jwcal.client import exit_codes
from jwcal.client.connection import Connection
from jwcal.client.documents import counts, document, lasting, size, when, why
from jwcal.client.model import Job, Run, State
from jwcal.client.output import print_json, print_table
from jwcal.client.run_display import standing
from jwcal.client.submit_command import name_of
from jwcal.client.sync_client import Client
from jwcal.core.errors import CallError, InvalidParameter


def list_runs(connection: Connection, *, states: Sequence[str], program: str | None, most: int, as_json: bool) -> int:
    """Runs, the newest first."""
    with Client(connection) as client:
        runs = list(islice(client.runs(states=states_of(states), program=program or ""), most))
    if as_json:
        print_json({"runs": [document(run) for run in runs]})
        return exit_codes.DONE
    rows = [
        (run.id, run.state.value.lower(), f"{run.fraction:.0%}", counts(run.jobs), run.program, when(run.created),
         lasting((run.ended - run.started).total_seconds() if run.ended and run.started else None))
        for run in runs
    ]  # fmt: skip
    print_table("", ("run", "state", "done", "jobs", "program", "submitted", "took"), rows)
    return exit_codes.DONE


def list_jobs(connection: Connection, run: str | None, *, states: Sequence[str], as_json: bool) -> int:
    """Jobs of a run."""
    with Client(connection) as client:
        jobs = list(client.jobs(name_of(client, run), states=states_of(states)))
    if as_json:
        print_json({"jobs": [document(job) for job in jobs]})
        return exit_codes.DONE
    rows = [
        (job.id, job.stage.value, job.title, standing(job), f"{job.attempt}/{job.max_attempts}", job.worker,
         lasting(job.wall_seconds))
        for job in jobs
    ]  # fmt: skip
    print_table("", ("job", "stage", "title", "state", "attempt", "worker", "took"), rows)
    return exit_codes.DONE


def show(connection: Connection, name: str | None, *, as_json: bool) -> int:
    """A run or a job, all that is known of it."""
    with Client(connection) as client:
        found = _run_or_job(client, name)
    if as_json:
        print_json(document(found))
    elif isinstance(found, Run):
        _show_run(found)
    else:
        _show_job(found)
    return exit_codes.DONE


def get(connection: Connection, run: str | None, directory: Path, *, kinds: Sequence[str], as_json: bool) -> int:
    """Fetch products, verified."""
    with Client(connection) as client:
        name = name_of(client, run)
        files = client.download(name, directory, kinds=kinds)
    if as_json:
        print_json({"run": name, "files": [str(file) for file in files]})
    else:
        for file in files:
            print(file)
    return exit_codes.DONE if files else exit_codes.FAILED


def change(connection: Connection, run: str, what: str, *, as_json: bool) -> int:
    """Cancel or retry a run."""
    with Client(connection) as client:
        actions: dict[str, Callable[[str], Run]] = {"cancel": client.cancel, "retry": client.retry}
        changed = actions[what](name_of(client, run))
    if as_json:
        print_json(document(changed))
    else:
        print(f"{changed.name}: {changed.state.value.lower()}, jobs {counts(changed.jobs)}")
    return exit_codes.DONE


def delete(connection: Connection, run: str, *, as_json: bool) -> int:
    """Forget a finished run."""
    with Client(connection) as client:
        client.delete(run)
    if as_json:
        print_json({"deleted": run})
    return exit_codes.DONE


def log(connection: Connection, job: str, *, as_json: bool) -> int:
    """The log of a job's last attempt."""
    with Client(connection) as client:
        text = client.log(job)
    if as_json:
        print_json({"job": job, "log": text})
    else:
        print(text, end="" if text.endswith("\n") else "\n")
    return exit_codes.DONE


def states_of(names: Sequence[str]) -> list[State]:
    """States by their names.

    Raises
    ------
    InvalidParameter
        There is none of a name.
    """
    known = {state.value: state for state in State}
    for name in names:
        if name.upper() not in known:
            raise InvalidParameter(f"there is no state {name!r}", remedy=f"choose of {', '.join(known).lower()}")
    return [known[name.upper()] for name in names]


def _run_or_job(client: Client, name: str | None) -> Run | Job:
    """What is named; of a bare id, a run, else a job."""
    if name is not None and name.startswith("jobs/"):
        return client.job(name)
    try:
        return client.run(name_of(client, name))
    except CallError as error:
        if name is None or "/" in name or error.grpc_code != "NOT_FOUND":
            raise
        return client.job(name)


def _show_run(run: Run) -> None:
    facts = {
        "state": run.state.value.lower(),
        "jobs": counts(run.jobs),
        "failure": why(run.failure),
        "products asked for": ", ".join(run.products_asked),
        "context": run.context,
        "program": run.program,
        "priority": str(run.priority),
        "labels": ", ".join(f"{name}={value}" for name, value in run.labels.items()),
        "submitted": f"{when(run.created)} by {run.owner}",
        "started": when(run.started),
        "ended": when(run.ended),
    }
    print_table(run.name, ("", ""), [(name, value) for name, value in facts.items() if value])
    rows = [(product.kind, product.uri, size(product.size), product.sha256[:16]) for product in run.products]
    if rows:
        print_table("Products", ("kind", "object", "size", "SHA-256"), rows)


def _show_job(job: Job) -> None:
    facts = {
        "of": job.run,
        "stage": job.stage.value,
        "title": job.title,
        "state": standing(job),
        "failure": why(job.failure),
        "attempt": f"{job.attempt} of {job.max_attempts}",
        "worker": job.worker,
        "plan": job.plan,
        "context": job.context,
        "started": when(job.started),
        "took": lasting(job.wall_seconds),
        "seconds": ", ".join(f"{phase} {spent:.2f}" for phase, spent in sorted(job.seconds.items())),
        "peak memory": size(job.peak_memory) if job.peak_memory else "",
        "not before": when(job.not_before),
    }
    print_table(job.name, ("", ""), [(name, value) for name, value in facts.items() if value])
    if job.steps:
        steps = [(step.name, step.outcome.lower(), f"{step.seconds:.2f}", step.reason) for step in job.steps]
        print_table("Steps", ("step", "outcome", "seconds", "reason"), steps)
    objects = [*(("in", ref) for ref in job.inputs), *(("out", ref) for ref in job.products)]
    if job.log is not None:
        objects.append(("log", job.log))
    rows = [(way, ref.kind, ref.uri, size(ref.size)) for way, ref in objects]
    print_table("Objects", ("", "kind", "object", "size"), rows)
