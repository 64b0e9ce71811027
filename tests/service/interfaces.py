"""Every service and method of the interfaces, found by walking the generated code."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

import jwcal.api


def services() -> list[ServiceDescriptor]:
    """All services under ``jwcal.api``."""
    found = []
    for root in map(Path, jwcal.api.__path__):  # namespace packages: tools of the import system do not enter them
        for file in sorted(root.rglob("*_pb2.py")):
            name = ".".join(("jwcal.api", *file.relative_to(root).with_suffix("").parts))
            found += importlib.import_module(name).DESCRIPTOR.services_by_name.values()
    return found


def methods() -> Iterator[tuple[str, MethodDescriptor]]:
    """All their methods by full name, as ``/package.Service/Method``."""
    for service in services():
        for method in service.methods:
            yield f"/{service.full_name}/{method.name}", method
