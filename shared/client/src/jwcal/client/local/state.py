"""What is known of an installation between one command and the next: a file in its directory."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from jwcal.core.errors import ConfigurationError, FailedPrecondition
from jwcal.core.rpc.settings import ClientSettings
from jwcal.core.storage.opening import StoreSettings

STATE_FILE = "state.json"
_LOCK_FILE = "lock"
_VERSION = 1


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StartedProcess(_Model):
    """A process that was started, told from any other that may get its number later."""

    pid: int
    started: float
    """Seconds of the epoch, as the system tells them."""
    command: tuple[str, ...]


class Choices(_Model):
    """What ``jwcal up`` was asked for; the same again when something that died is restarted."""

    workers: int = 1
    stages: tuple[str, ...] = ("detector1",)
    s3: bool = False
    context: str = ""
    crds: dict[str, str] = {}
    """``CRDS_...`` variables of the processes."""


class StoreState(_Model):
    """Where products are; the keys of an S3 server are in files of their own."""

    kind: str
    root: Path | None = None
    endpoint: str = ""
    access_key_file: Path | None = None
    secret_key_file: Path | None = None


class State(_Model):
    """An installation."""

    version: int = _VERSION
    server: str
    """Address of the orchestrator."""
    references: str = ""
    """Address of the service of references, where there is one."""
    bucket: str
    store: StoreState
    choices: Choices
    ports: dict[str, tuple[int, ...]]
    """By name of the service."""
    processes: dict[str, StartedProcess] = {}
    """By name of the service: those that were started and not stopped."""

    def store_settings(self) -> StoreSettings:
        """How clients open the store."""
        return StoreSettings.model_validate(self.store.model_dump() | {"secure": False})

    def client_settings(self) -> ClientSettings:
        """How clients call the services: they listen at this machine alone."""
        return ClientSettings(plaintext=True)


def default_directory(environment: Mapping[str, str]) -> Path:
    """Where an installation lives that was not told another place."""
    if place := environment.get("JWCAL_DIR"):
        return Path(place)
    data = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "jwcal"


def read_state(directory: Path) -> State | None:
    """The installation in a directory; None where there is none.

    Raises
    ------
    ConfigurationError
        Its file cannot be read.
    """
    path = directory / STATE_FILE
    try:
        return State.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        cause = f"{error.error_count()} wrong values" if isinstance(error, ValidationError) else type(error).__name__
        raise ConfigurationError(
            f"the state of the services cannot be read ({cause})",
            file=path,
            remedy="stop what runs by the ids in it, and remove the file",
        ) from error


def write_state(directory: Path, state: State) -> None:
    """Keep what is known, whole or not at all."""
    path = directory / STATE_FILE
    draft = path.with_suffix(".new")
    draft.write_text(state.model_dump_json(indent=2), encoding="utf-8")
    draft.replace(path)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One ``up`` or ``down`` at a time in a directory.

    Raises
    ------
    FailedPrecondition
        Another one is at work.
    """
    import fcntl

    with (directory / _LOCK_FILE).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FailedPrecondition(
                "another 'jwcal up' or 'jwcal down' is at work here", file=directory, remedy="wait until it is done"
            ) from error
        yield
