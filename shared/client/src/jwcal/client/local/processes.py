"""Processes that outlive the command that starts them, and are never taken for others."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from jwcal.client.local.state import StartedProcess
from jwcal.core.errors import ConfigurationError

OURS = ("JWCAL_", "CRDS_")
"""Variables beginning so are settings: those of a shell that restarts one service are not those of the others."""
_CLOCK_STEP = 2.0
"""Seconds by which a process's start may seem to move when the system's clock is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A process to start."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """All that it is told of `OURS`; of other variables it gets those of the command that starts it."""
    kill_only: bool = False
    """Whether it is not asked to end: it would take too long, and loses nothing."""


def start(spec: ProcessSpec, directory: Path) -> StartedProcess:
    """Start a process of its own session; it writes to ``logs/NAME.log``.

    Raises
    ------
    ConfigurationError
        It cannot be started.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    with log_path(directory, spec.name).open("ab") as log:
        try:
            process = subprocess.Popen(
                spec.command,
                env=others | dict(spec.environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigurationError(
                f"{spec.name} cannot be started ({error.strerror})", file=spec.command[0]
            ) from error
    try:
        started = psutil.Process(process.pid).create_time()
        return StartedProcess(pid=process.pid, started=started, command=spec.command)
    except psutil.NoSuchProcess as error:
        raise ConfigurationError(f"{spec.name} ended at once", file=log_path(directory, spec.name)) from error
    finally:
        process.returncode = process.poll() or 0  # it is not ours to wait for: no warning that it still runs


def log_path(directory: Path, name: str) -> Path:
    """The log of a service."""
    return directory / "logs" / f"{name}.log"


def find(started: StartedProcess) -> psutil.Process | None:
    """The process, if it still runs: the same number, start and command; else None."""
    try:
        process = psutil.Process(started.pid)
        command = process.cmdline()  # empty for an instant while a program begins
        same = abs(process.create_time() - started.started) <= _CLOCK_STEP and command in ([], list(started.command))
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone, or another user's and so not ours
        return None


def stop(process: psutil.Process, *, seconds: float, kill_only: bool = False) -> bool:
    """Ask a process to end, then kill it and its children; whether it ended by itself."""
    try:
        children = process.children(recursive=True)
        process.send_signal(signal.SIGKILL if kill_only else signal.SIGTERM)
    except psutil.NoSuchProcess:
        return True
    ended = _ended(process, seconds)
    if not ended:
        with_late = [*children, *_children(process)]
        for one in (process, *with_late):
            _kill(one)
        _ended(process, 10.0)
    for child in children:  # those of a killed process would stay
        _kill(child)
    return ended


def _ended(process: psutil.Process, seconds: float) -> bool:
    """Whether it ended in time.  A process that is not ours to wait for tells nobody: it is looked at."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()  # psutil checks that the number is still that process's
    except psutil.NoSuchProcess:
        return
