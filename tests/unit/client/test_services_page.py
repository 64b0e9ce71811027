"""docs/services.md: what it shows exists."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict
from prometheus_client import CollectorRegistry

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.client import Client
from jwcal.client.cli_services import services
from jwcal.core.rpc.metrics import Metrics
from jwcal.core.rpc.scopes import Scope

PAGE = (Path(__file__).parents[3] / "docs" / "services.md").read_text()


def test_the_request_that_is_shown_is_one() -> None:
    (text,) = re.findall(r"-d '(\{\n.*?\n\})'", PAGE, flags=re.DOTALL)
    request = ParseDict(json.loads(text), pipeline_pb2.CreateRunRequest())
    assert request.spec.exposures.files[0].bucket == "jwcal"


def test_every_command_that_is_shown_exists() -> None:
    known = {command.name or getattr(command.callback, "__name__", "") for command in services.registered_commands}
    shown = set(re.findall(r"jwcal ([a-z]+)", PAGE)) - {"run"}
    assert shown <= known
    assert len(shown) > 10


@pytest.mark.parametrize("command", ["up", "submit"])
def test_every_option_that_is_shown_exists(command: str) -> None:
    helped = subprocess.run(
        [sys.executable, "-m", "jwcal.client", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    lines = [line for line in PAGE.splitlines() if line.startswith(f"jwcal {command} ")]
    options = {option for line in lines for option in re.findall(r"--[a-z0-9-]+", line.partition("#")[0])}
    if command == "up":
        table = PAGE.partition("| option of `up`")[2].partition("\n\n")[0]
        options |= set(re.findall(r"`(--[a-z0-9]+)", table))
    assert options
    assert all(option in helped for option in options)


def test_every_metric_and_scope_that_is_shown_exists() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    known = {metric.name for metric in registry.collect()}
    shown = set(re.findall(r"`(jwcal_[a-z_]+)`", PAGE))
    assert shown <= known
    assert len(shown) > 5
    assert set(re.findall(r"`([a-z]+:[a-z]+)`", PAGE)) <= {scope.value for scope in Scope}


def test_the_methods_of_the_example_exist() -> None:
    example = PAGE.partition("```python")[2].partition("```")[0]
    methods = set(re.findall(r"client\.([a-z_]+)\(", example))
    assert methods == {"submit", "watch", "jobs", "download"}
    assert all(hasattr(Client, method) for method in methods)
