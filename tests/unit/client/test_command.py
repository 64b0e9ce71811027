"""The command as its users run it: a process, its exit status, stdout and stderr."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_exposure import NAME, write_references, write_uncal

COMMAND = [sys.executable, "-m", "jwcal.client"]


def jwcal(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that make a run independent of any CRDS cache."""
    paths = write_references(tmp_path_factory.mktemp("references"))
    overrides = [part for reftype, path in paths.items() for part in ("--override", f"{reftype}={path}")]
    return ["--context", "jwst_0000.pmap", "--no-crds-parameters", *overrides]


def test_a_run_names_its_products_on_stdout(tmp_path: Path, references: list[str]) -> None:
    file = write_uncal(tmp_path)
    done = jwcal("run", "detector1", file, "-o", tmp_path / "out", "--only-through", "dq_init", *references)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "out" / NAME.replace("uncal", "ramp"))]
    assert "dq_init: complete" in done.stderr


def test_a_json_run_prints_one_document(tmp_path: Path, references: list[str]) -> None:
    file = write_uncal(tmp_path)
    done = jwcal("run", "calwebb_detector1", file, "--only-through", "dq_init", "--json", *references)
    document = json.loads(done.stdout)
    assert document["failed"] == 0
    assert [step["name"] for step in document["runs"][0]["steps"]] == ["group_scale", "dq_init"]


def test_a_file_that_fails_does_not_stop_the_others(tmp_path: Path, references: list[str]) -> None:
    broken = tmp_path / "broken_uncal.fits"
    broken.write_text("not FITS")
    file = write_uncal(tmp_path)
    done = jwcal("run", "detector1", broken, file, "--only-through", "dq_init", "--json", "-q", *references)
    runs = json.loads(done.stdout)["runs"]
    assert done.returncode == 1
    assert runs[0]["error"]["reason"] == "UNREADABLE_FILE"
    assert len(runs[1]["products"]) == 1
    assert done.stderr.count("error:") == 1
    assert str(broken) in done.stderr


def test_a_log_holds_a_json_object_for_each_step_product_and_failure(tmp_path: Path, references: list[str]) -> None:
    broken = tmp_path / "broken_uncal.fits"
    broken.write_text("not FITS")
    file, log = write_uncal(tmp_path), tmp_path / "run.log"
    jwcal("run", "detector1", broken, file, "--only-through", "dq_init", "--log", log, *references)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["failed", "step", "step", "product"]
    assert lines[0]["reason"] == "UNREADABLE_FILE"
    assert (lines[2]["step"], lines[2]["status"], lines[2]["exposure"]) == ("dq_init", "COMPLETE", file.name)
    assert lines[3]["path"].endswith("_ramp.fits")


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path, references: list[str]) -> None:
    done = jwcal("run", "detector1", write_uncal(tmp_path), "--log", tmp_path / "no" / "run.log", *references)
    assert done.returncode == 1
    assert "run.log" in done.stderr


def test_two_inputs_with_the_same_products_are_refused(tmp_path: Path) -> None:
    one, two = write_uncal(tmp_path / "a"), write_uncal(tmp_path / "b")
    done = jwcal("run", "detector1", one, two, "-o", tmp_path)
    assert done.returncode == 2
    assert "same products" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "detector9", "x.fits"],
        ["run", "detector1"],
        ["run", "detector1", "x.fits", "--skip", "nope"],
        ["run", "detector1", "x.fits", "--only-through", "nope"],
        ["run", "detector1", "x.fits", "--set", "jump.nope=1"],
        ["run", "detector1", "x.fits", "--set", "nope.skip=1"],
        ["run", "detector1", "x.fits", "--set", "jump.rejection_threshold=abc"],
        ["run", "detector1", "x.fits", "--memory-limit", "lots"],
        ["run", "detector1", "x.fits", "--threads", "many"],
        ["run", "detector1", "x.fits", "--override", "dark"],
        ["run", "detector1", "x.fits", "--nope"],
        ["steps", "nope"],
        ["compare", "a.fits"],
        ["simulate"],
        ["nope"],
    ],
    ids=" ".join,
)
def test_wrong_use_exits_with_2_and_no_traceback(arguments: list[str]) -> None:
    done = jwcal(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_error_is_one_line_with_file_cause_and_remedy(tmp_path: Path) -> None:
    done = jwcal("run", "detector1", tmp_path / "absent.fits")
    assert done.returncode == 1
    assert done.stderr == f"jwcal: error: {tmp_path / 'absent.fits'}: there is no such file; remedy: check the path\n"


def test_debug_adds_the_traceback(tmp_path: Path) -> None:
    done = jwcal("run", "detector1", tmp_path / "absent.fits", "--debug")
    assert "Traceback" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_leaves_nothing(
    tmp_path: Path, references: list[str], number: signal.Signals, lost: bool
) -> None:
    """Where something swallows the interruption too, as the kernels' compiler may: the run ends at the next step."""
    file = write_uncal(tmp_path)
    out = tmp_path / "out"
    slow = tmp_path / "slow_hook.py"
    started = tmp_path / "started"
    slow.write_text(
        "import pathlib, time\n"
        f"def wait(product):\n    pathlib.Path({str(started)!r}).touch()\n    try:\n        time.sleep(60)\n"
        f"    except KeyboardInterrupt:\n        {'pass' if lost else 'raise'}\n    return product\n"
    )
    process = subprocess.Popen(
        [
            *COMMAND,
            "run",
            "detector1",
            str(file),
            "-o",
            str(out),
            "--set",
            "saturation.pre_hooks=slow_hook:wait",
            *references,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells let background jobs ignore it
    )
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, messages = process.communicate(timeout=30)
    assert process.returncode == 130
    assert messages.splitlines()[-1] == "jwcal: interrupted; no partial product is left"
    assert list(out.iterdir()) == []


def test_help_starts_fast() -> None:
    started = time.perf_counter()
    assert jwcal("--help").returncode == 0
    assert time.perf_counter() - started < 1.5  # 0.15 s on an idle machine


def test_help_imports_no_science() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from jwcal.client.cli import app;"
        "CliRunner().invoke(app, ['--help']);"
        "print([name for name in ('numpy', 'numba', 'astropy', 'matplotlib', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_steps_come_in_plan_order_with_their_parameters() -> None:
    document = json.loads(jwcal("steps", "detector1", "--json").stdout)
    assert document["plans"]["NEAR_INFRARED"][:3] == ["group_scale", "dq_init", "saturation"]
    jump = next(step for step in document["steps"] if step["name"] == "jump")
    threshold = jump["parameters"]["properties"]["rejection_threshold"]
    assert threshold["default"] == 4.0
    assert threshold["description"]


def test_one_step_can_be_listed() -> None:
    done = jwcal("steps", "jump")
    assert "rejection_threshold" in done.stdout
    assert "ramp_fit:" not in done.stdout
