"""Runs as they go."""

import io

import pytest
from rich.console import Console

from jwcal.client.model import JobChanged, Progress, RunChanged, State
from jwcal.client.run_display import RunBars, RunLines, follow, job_line, run_display, run_line, standing

from .services import FAILURE, a_job, a_run


def test_lines_are_printed_once_for_each_state_and_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    running = [a_job(State.RUNNING, progress=Progress(fraction=share)) for share in (0.1, 0.2)]
    again = a_job(State.RUNNING, attempt=2)
    ended = a_run(State.SUCCEEDED, jobs={State.SUCCEEDED: 1})
    with RunLines() as shown:
        jobs = [a_job(), *running, again, a_job(State.SUCCEEDED)]
        last = follow(
            [*(JobChanged(cursor=n, job=job) for n, job in enumerate(jobs)), RunChanged(cursor=9, run=ended)], shown
        )
    assert last == ended
    assert capsys.readouterr().err.splitlines() == [
        "jw1_nrcb1 detector1: queued",
        "jw1_nrcb1 detector1: running on w1",
        "jw1_nrcb1 detector1: running on w1, attempt 2",
        "jw1_nrcb1 detector1: succeeded in 1 min 30 s",
        "runs/1: succeeded, jobs 1 succeeded",
    ]


def test_a_terminal_gets_a_bar_for_each_job() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with RunBars(console) as shown:
        shown.show(RunChanged(cursor=1, run=a_run()))
        for number in range(3):
            progress = Progress(phase="ramp_fit", fraction=0.5, steps_done=11, steps_total=15)
            job = a_job(State.RUNNING, name=f"jobs/{number}", title=f"exposure_{number}", progress=progress)
            shown.show(JobChanged(cursor=2, job=job))
        failed = a_job(State.FAILED, failure=FAILURE, name="jobs/0", title="exposure_0")
        for cursor in (3, 4):
            shown.show(JobChanged(cursor=cursor, job=failed))
    drawn = screen.getvalue()
    assert all(f"exposure_{number}" in drawn for number in range(3))
    assert "ramp_fit 11/15" in drawn
    assert "failed: MISSING_REFERENCE" in drawn
    assert drawn.count("exposure_0 detector1: failed (MISSING_REFERENCE: no dark for this)") == 1
    assert "1 succeeded, 2 queued" in drawn


def test_of_a_large_run_only_what_runs_or_failed_has_a_bar() -> None:
    screen = io.StringIO()
    with RunBars(Console(file=screen, force_terminal=True, width=120, height=100)) as shown:
        for number in range(40):
            state = State.RUNNING if number == 30 else State.QUEUED
            shown.show(JobChanged(cursor=1, job=a_job(state, name=f"jobs/{number}", title=f"exposure_{number:02d}")))
    last_frame = screen.getvalue().rpartition("\x1b[2K")[2]
    assert "exposure_30" in screen.getvalue()
    assert "exposure_35" not in last_frame


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with run_display(quiet=True) as shown:
        shown.show(RunChanged(cursor=1, run=a_run()))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (a_job(State.WAITING), "waiting"),
        (a_job(State.RUNNING), "begun"),
        (a_job(State.SUCCEEDED, reused=True), "done before"),
        (a_job(State.QUEUED, failure=FAILURE), "again after MISSING_REFERENCE"),
        (a_job(State.CANCELLED), "cancelled"),
    ],
)
def test_where_a_job_stands(job: object, words: str) -> None:
    assert standing(job) == words  # type: ignore[arg-type]


def test_failures_are_named_in_lines() -> None:
    assert job_line(a_job(State.FAILED, failure=FAILURE)).endswith("failed (MISSING_REFERENCE: no dark for this)")
    assert job_line(a_job(State.SUCCEEDED, reused=True)).endswith("succeeded, done before")
    assert run_line(a_run(State.FAILED, failure=FAILURE)).endswith("(MISSING_REFERENCE)")
