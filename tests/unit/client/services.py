"""Runs and jobs to show."""

from datetime import UTC, datetime, timedelta
from typing import Any

from jwcal.client.model import Failure, Job, Progress, Run, Stage, State

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAILURE = Failure(reason="MISSING_REFERENCE", message="no dark\nfor this", metadata={"reftype": "dark"})


def a_job(state: State = State.QUEUED, **changes: Any) -> Job:
    ended = BEGIN + timedelta(seconds=90) if state.is_final else None
    values: dict[str, Any] = {
        "name": "jobs/1",
        "run": "runs/1",
        "stage": Stage.DETECTOR1,
        "title": "jw1_nrcb1",
        "state": state,
        "inputs": (),
        "parents": (),
        "attempt": 1,
        "max_attempts": 3,
        "worker": "w1",
        "progress": Progress(),
        "plan": "",
        "context": "",
        "steps": (),
        "products": (),
        "log": None,
        "seconds": {},
        "peak_memory": 0,
        "failure": None,
        "reused": False,
        "created": BEGIN,
        "started": BEGIN,
        "ended": ended,
        "not_before": None,
    }
    return Job(**values | changes)


def a_run(state: State = State.RUNNING, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "name": "runs/1",
        "state": state,
        "products_asked": ("rate",),
        "priority": 0,
        "program": "",
        "labels": {},
        "context": "",
        "owner": "me",
        "created": BEGIN,
        "started": BEGIN,
        "ended": None,
        "jobs": {State.QUEUED: 2, State.SUCCEEDED: 1},
        "fraction": 0.4,
        "products": (),
        "failure": None,
    }
    return Run(**values | changes)
