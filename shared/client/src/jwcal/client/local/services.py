"""Which processes an installation has, and what each is told: its settings as environment variables.

`orchestrator_settings` and `worker_settings` are what anybody needs who starts the services by other means.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from jwcal.client.local.processes import ProcessSpec
from jwcal.client.local.seaweed import server_command
from jwcal.client.local.state import State
from jwcal.core.storage.opening import StoreSettings

BUCKET = "jwcal"
ORCHESTRATOR, REFERENCES, OBJECTS = "orchestrator", "crds_cache", "s3"
HEALTH_NAMES: Mapping[str, str] = {
    "orchestrator": "jwcal.api.pipeline.v1.PipelineService",
    "crds_cache": "jwcal.api.reference.v1.ReferenceService",
    "detector1": "jwcal.api.detector1.v1.Detector1Service",
    "stage2": "jwcal.api.stage2.v1.Stage2Service",
    "stage3": "jwcal.api.stage3.v1.Stage3Service",
}
"""The service whose health says that a process is ready, by its package."""
HEARTBEAT_SECONDS = 1.0
"""Between two reports of a worker: bars move and cancelled jobs stop as often.  A few workers are no load."""
WORKER_GRACE_SECONDS = 15.0
"""What a worker's job gets to finish on ``jwcal down``; then the job is given back."""


def module_of(name: str) -> str:
    """``jwcal.detector1`` of ``detector1-2``."""
    return f"jwcal.{name.partition('-')[0]}"


def health_name(name: str) -> str:
    """The service to ask after the health of."""
    return HEALTH_NAMES[name.partition("-")[0]]


def has_reference_service() -> bool:
    """Whether the service of references is installed; without it workers use the CRDS cache of their environment."""
    try:
        return importlib.util.find_spec("jwcal.crds_cache.__main__") is not None
    except ModuleNotFoundError:
        return False


def worker_names(stages: tuple[str, ...], count: int) -> list[str]:
    """``detector1-1``, ``detector1-2`` and so on, `count` for each stage."""
    return [f"{stage}-{number}" for stage in stages for number in range(1, count + 1)]


def process_specs(state: State, directory: Path, fresh: Callable[[], str]) -> Iterator[ProcessSpec]:
    """The processes in the order in which they are started.

    A worker's name ends with something `fresh`: the queue knows it by its name, and gives nothing more to one that it
    has drained.
    """
    store = store_environment(state.store_settings())
    if state.choices.s3:
        yield ProcessSpec(
            name=OBJECTS,
            command=server_command(directory / "s3", state.ports[OBJECTS]),
            environment={},
            kill_only=True,  # it takes half a minute to end, and what was written stays
        )
    if state.references:
        yield _service(REFERENCES, store | state.choices.crds | reference_settings(state.references, directory, state))
    yield _service(
        ORCHESTRATOR,
        store
        | orchestrator_settings(
            state.server,
            database=f"sqlite:///{directory}/jobs.db",
            context=state.choices.context,
            references=state.references,
            heartbeat=HEARTBEAT_SECONDS,
        ),
    )
    names = worker_names(state.choices.stages, state.choices.workers)
    for name in names:
        settings = worker_settings(
            f"{name}-{fresh()}",
            address=f"127.0.0.1:{state.ports[name][0]}",
            orchestrator=state.server,
            scratch=directory / "scratch" / name,
            references=state.references,
            reference_cache=directory / "reference-cache" if state.references else None,
            threads=max(1, (os.cpu_count() or 1) // len(names)) if len(names) > 1 else None,
        )
        yield _service(name, store | state.choices.crds | settings)


def orchestrator_settings(
    address: str, *, database: str, context: str = "", references: str = "", heartbeat: float | None = None
) -> dict[str, str]:
    """For an orchestrator on loopback."""
    settings = {
        "JWCAL_ORCHESTRATOR_SERVER__LISTEN": f'["{address}"]',
        "JWCAL_ORCHESTRATOR_SERVER__PLAINTEXT": "true",
        "JWCAL_ORCHESTRATOR_DATABASE": database,
        "JWCAL_ORCHESTRATOR_CONTEXT": context,
    }
    if heartbeat is not None:
        settings["JWCAL_ORCHESTRATOR_HEARTBEAT"] = str(heartbeat)
    if references:
        settings |= {"JWCAL_ORCHESTRATOR_REFERENCES": references, "JWCAL_ORCHESTRATOR_CLIENT__PLAINTEXT": "true"}
    return settings


def worker_settings(
    name: str,
    *,
    address: str = "127.0.0.1:0",
    orchestrator: str,
    scratch: Path,
    references: str = "",
    reference_cache: Path | None = None,
    threads: int | None = None,
) -> dict[str, str]:
    """For a worker of any stage on loopback."""
    settings = {
        "JWCAL_WORKER_NAME": name,
        "JWCAL_ORCHESTRATOR": orchestrator,
        "JWCAL_SERVER__LISTEN": f'["{address}"]',
        "JWCAL_SERVER__PLAINTEXT": "true",
        "JWCAL_CLIENT__PLAINTEXT": "true",
        "JWCAL_SCRATCH": str(scratch),
        "JWCAL_GRACE_SECONDS": str(WORKER_GRACE_SECONDS),
    }
    if references:
        settings["JWCAL_REFERENCES"] = references
    if reference_cache is not None:
        settings["JWCAL_REFERENCE_CACHE"] = str(reference_cache)
    if threads is not None:
        settings["NUMBA_NUM_THREADS"] = str(threads)
    return settings


def reference_settings(address: str, directory: Path, state: State) -> dict[str, str]:
    """For the service of references on loopback."""
    crds = state.choices.crds
    server = crds.get("CRDS_SERVER_URL", "")
    return {
        "JWCAL_CRDS_CACHE_SERVER__LISTEN": f'["{address}"]',
        "JWCAL_CRDS_CACHE_SERVER__PLAINTEXT": "true",
        "JWCAL_CRDS_CACHE_CRDS_PATH": crds["CRDS_PATH"],
        "JWCAL_CRDS_CACHE_SERVER_URL": "" if "serverless" in server else server,
        "JWCAL_CRDS_CACHE_DEFAULT_CONTEXT": state.choices.context or crds.get("CRDS_CONTEXT", ""),
        "JWCAL_CRDS_CACHE_SCRATCH": str(directory / "scratch" / REFERENCES),
    }


def store_environment(settings: StoreSettings) -> dict[str, str]:
    """The store, as every service reads it."""
    chosen = settings.model_dump(exclude_defaults=True, exclude={"access_key", "secret_key"})
    return {f"JWCAL_STORE_{name.upper()}": str(value) for name, value in chosen.items()} | {
        "JWCAL_STORE_KIND": settings.kind
    }


def _service(name: str, environment: Mapping[str, str]) -> ProcessSpec:
    return ProcessSpec(name=name, command=(sys.executable, "-m", module_of(name)), environment=environment)
