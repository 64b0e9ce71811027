"""What an installation shall be: the choices made now and before, and where its services listen."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jwcal.client.local import seaweed
from jwcal.client.local.ports import free_port, free_ports_with_grpc, is_free
from jwcal.client.local.services import (
    BUCKET,
    HEALTH_NAMES,
    OBJECTS,
    ORCHESTRATOR,
    REFERENCES,
    has_reference_service,
    worker_names,
)
from jwcal.client.local.state import Choices, State, StoreState
from jwcal.core.errors import ConfigurationError, InvalidParameter
from jwcal.core.references.best import OFFLINE_SERVER

_USUAL_PORTS = (7700,)
_WHILE_UP = frozenset({"workers"})
"""Choices that can be changed while services run."""
_MOST_WORKERS = 64


def planned(earlier: State | None, chosen: Mapping[str, Any], alive: Collection[str], directory: Path) -> State:
    """The installation with these choices over those made before.

    Raises
    ------
    ConfigurationError
        Services run that were set up otherwise, or products are in another store already.
    InvalidParameter
        A choice that is none.
    """
    before = Choices() if earlier is None else earlier.choices
    choices = _choices(before, chosen)
    if earlier is None:
        return _new(choices, directory)
    changed = {name for name in Choices.model_fields if getattr(choices, name) != getattr(before, name)}
    if "s3" in changed:
        raise ConfigurationError(
            f"the products here are in {'an S3 store' if before.s3 else 'a directory'}",
            file=directory,
            remedy="choose another --dir",
        )
    if alive and changed - _WHILE_UP:
        raise ConfigurationError(
            f"the services that run here have other settings ({', '.join(sorted(changed))})",
            file=directory,
            remedy="'jwcal down' first",
        )
    return earlier.model_copy(update={"choices": choices})


def with_ports(state: State, alive: Collection[str]) -> State:
    """The installation with a port for every service.

    A service keeps the port it had, as long as it lives or the port is free; the orchestrator's as long as anything
    that calls it lives.
    """
    ports = dict(state.ports)

    def kept(name: str, bound: bool) -> bool:
        return name in ports and (bound or all(is_free(port) for port in ports[name]))

    if state.choices.s3 and not kept(OBJECTS, bool(alive)):
        ports[OBJECTS] = tuple(free_ports_with_grpc(seaweed.PORTS))
    references = has_reference_service() and "CRDS_PATH" in state.choices.crds
    for name in (ORCHESTRATOR, *([REFERENCES] if references else [])):
        if not kept(name, bool(alive)):
            taken = {port for several in ports.values() for port in several}
            ports[name] = (free_port([port for port in _USUAL_PORTS if port not in taken]),)
    for name in worker_names(state.choices.stages, state.choices.workers):
        while not kept(name, name in alive) or sum(ports[name][0] in several for several in ports.values()) > 1:
            ports[name] = (free_port(),)
    store = state.store
    if state.choices.s3:
        store = store.model_copy(update={"endpoint": f"127.0.0.1:{ports[OBJECTS][-1]}"})
    return state.model_copy(
        update={
            "ports": ports,
            "store": store,
            "server": f"127.0.0.1:{ports[ORCHESTRATOR][0]}",
            "references": f"127.0.0.1:{ports[REFERENCES][0]}" if references else "",
        }
    )


def usual_crds(crds: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that the workers get: an offline cache in a directory, or those of the environment.

    Raises
    ------
    ConfigurationError
        There is no such directory.
    """
    if crds is None:
        found = {name: value for name, value in environment.items() if name.startswith("CRDS_")}
        if path := found.get("CRDS_PATH"):
            found["CRDS_PATH"] = str(Path(path).resolve())
        return found
    if not crds.is_dir():
        raise ConfigurationError("there is no such directory", file=crds, remedy="give the directory of a CRDS cache")
    return {
        "CRDS_PATH": str(crds.resolve()),
        "CRDS_SERVER_URL": OFFLINE_SERVER,
        "CRDS_MODE": "local",
        "CRDS_READONLY_CACHE": "1",
    }


def _choices(before: Choices, chosen: Mapping[str, Any]) -> Choices:
    try:
        choices = Choices.model_validate(before.model_dump() | dict(chosen))
    except ValidationError as error:
        raise InvalidParameter(f"these choices cannot be: {error.errors()[0]['msg']}") from error
    if not 0 <= choices.workers <= _MOST_WORKERS:
        raise InvalidParameter(f"--workers {choices.workers} is not from 0 to {_MOST_WORKERS}", remedy="give fewer")
    known = [name for name in HEALTH_NAMES if name not in (ORCHESTRATOR, REFERENCES)]
    for stage in choices.stages:
        if stage not in known:
            raise InvalidParameter(f"there is no stage {stage!r}", remedy=f"choose of {', '.join(known)}")
    return choices


def _new(choices: Choices, directory: Path) -> State:
    if choices.s3:
        access_key, secret_key = directory / "s3" / "access_key", directory / "s3" / "secret_key"
        store = StoreState(kind="s3", access_key_file=access_key, secret_key_file=secret_key)
    else:
        store = StoreState(kind="directory", root=directory / "objects")
    return State(server="", bucket=BUCKET, store=store, choices=choices, ports={})
