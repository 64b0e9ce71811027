"""Processes that outlive the command that starts them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from jwcal.client.local.processes import ProcessSpec, find, log_path, start, stop
from jwcal.client.local.state import StartedProcess, locked
from jwcal.core.errors import ConfigurationError, FailedPrecondition

READY = "print('ready', flush=True)\n"
PATIENT = f"import time\n{READY}time.sleep(60)"
STUBBORN = f"import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{READY}time.sleep(60)"
PARENT = (
    "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n{READY}time.sleep(60)"
)


@contextmanager
def running(place: Path, program: str, environment: dict[str, str] | None = None) -> Iterator[StartedProcess]:
    (place / "logs").mkdir(exist_ok=True)
    spec = ProcessSpec(name="one", command=(sys.executable, "-c", program), environment=environment or {})
    started = start(spec, place)
    try:
        with log_path(place, "one").open() as log:
            while "ready" not in log.read() and find(started) is not None:
                log.seek(0)
        yield started
    finally:
        if (process := find(started)) is not None:
            stop(process, seconds=5, kill_only=True)


def test_a_started_process_is_found_until_it_is_stopped(tmp_path: Path) -> None:
    with running(tmp_path, PATIENT) as started:
        process = find(started)
        assert process is not None
        assert psutil.Process().pid in [parent.pid for parent in process.parents()]
        assert stop(process, seconds=10)
        assert find(started) is None


def test_a_process_that_has_only_the_number_is_another(tmp_path: Path) -> None:
    with running(tmp_path, PATIENT) as started:
        assert find(started.model_copy(update={"started": started.started - 100})) is None
        assert find(started.model_copy(update={"command": (sys.executable, "-c", "other")})) is None
        assert find(started) is not None


def test_one_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    with running(tmp_path, PARENT) as started:
        process = find(started)
        assert process is not None
        (child,) = process.children()
        assert not stop(process, seconds=0.2)
        assert find(started) is None
        _, alive = psutil.wait_procs([child], 10)
        assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def test_one_may_be_killed_at_once(tmp_path: Path) -> None:
    with running(tmp_path, STUBBORN) as started:
        process = find(started)
        assert process is not None
        assert stop(process, seconds=10, kill_only=True)
        assert find(started) is None


def test_settings_of_the_shell_are_not_those_of_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWCAL_ORCHESTRATOR_DATABASE", "sqlite:///wrong.db")
    monkeypatch.setenv("CRDS_CONTEXT", "wrong")
    monkeypatch.setenv("LANGUAGE_OF_MINE", "kept")
    program = f"import os\nprint(sorted(os.environ.items()), flush=True)\n{READY}import time\ntime.sleep(60)"
    with running(tmp_path, program, {"JWCAL_WORKER_NAME": "w1"}):
        told = log_path(tmp_path, "one").read_text()
    assert "wrong" not in told
    assert "('JWCAL_WORKER_NAME', 'w1')" in told
    assert "('LANGUAGE_OF_MINE', 'kept')" in told


def test_what_cannot_be_started_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with pytest.raises(ConfigurationError, match="nothing-here"):
        start(ProcessSpec(name="one", command=("/nothing-here",), environment={}), tmp_path)


def test_only_one_is_at_work_in_a_directory(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(FailedPrecondition, match="at work"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
