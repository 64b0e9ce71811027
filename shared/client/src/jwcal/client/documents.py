"""Runs, jobs and the like as JSON documents, and their values as text for tables."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from jwcal.client.model import Failure, State
from jwcal.core.storage.ref import ObjectRef

_UNITS = ("B", "kB", "MB", "GB", "TB")


def document(value: Any) -> Any:
    """The value as JSON has it: times in ISO 8601, objects of the store with their address."""
    if isinstance(value, ObjectRef):
        plain = {"uri": value.uri, "sha256": value.sha256, "size": value.size, "kind": value.kind}
        return plain | ({"version": value.version} if value.version else {})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: document(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(document(name)): document(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [document(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def when(moment: datetime | None) -> str:
    """A time as people of this place have it."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def lasting(seconds: float | None) -> str:
    """A duration: ``0.42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: float) -> str:
    """Bytes: ``1.5 MB``."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"


def counts(jobs: Mapping[State, int]) -> str:
    """Jobs by state: ``3 succeeded, 1 running``."""
    return ", ".join(f"{jobs[state]} {state.value.lower()}" for state in reversed(State) if jobs.get(state))


def why(failure: Failure | None) -> str:
    """A failure in one line."""
    return "" if failure is None else " ".join(f"{failure.reason}: {failure.message}".split())
