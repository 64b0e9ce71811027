"""The tables by method know every method of the interfaces, and no other."""

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from jwcal.core.rpc.deadlines import DEFAULT_SECONDS, METHOD_SECONDS
from jwcal.core.rpc.drain import is_endless
from jwcal.core.rpc.scopes import METHOD_SCOPES
from tests.service.interfaces import methods, services

OURS = dict(methods())
OPEN = {
    f"/{service.full_name}/{method.name}"
    for module in (health_pb2, reflection_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def test_all_services_are_found() -> None:
    assert {service.name for service in services()} >= {
        "PipelineService",
        "QueueService",
        "Detector1Service",
        "Stage2Service",
        "Stage3Service",
        "ReferenceService",
    }


def test_every_method_has_a_scope_and_only_health_and_reflection_are_open() -> None:
    assert {method for method, scope in METHOD_SCOPES.items() if scope is not None} == set(OURS)
    assert {method for method, scope in METHOD_SCOPES.items() if scope is None} == OPEN


def test_methods_that_change_something_do_not_ask_for_a_scope_that_only_reads() -> None:
    reading = ("Get", "List", "Watch")
    for method in OURS:
        name, scope = method.rsplit("/", 1)[1], METHOD_SCOPES[method]
        if scope is not None and scope.endswith(":read") and name not in ("GetBestReferences",):
            assert name.startswith(reading), method


def test_streams_have_deadlines_of_their_own_and_the_table_names_no_other_methods() -> None:
    assert set(METHOD_SECONDS) <= set(OURS) | OPEN
    streams = {name for name, method in OURS.items() if method.server_streaming}
    assert streams <= set(METHOD_SECONDS)
    assert min(METHOD_SECONDS.values()) > DEFAULT_SECONDS


def test_only_streams_are_taken_for_endless() -> None:
    assert {name for name in OURS if is_endless(name.rsplit("/", 1)[1])} == {
        "/jwcal.api.pipeline.v1.PipelineService/WatchRun",
        "/jwcal.api.queue.v1.QueueService/WatchQueueStats",
    }
