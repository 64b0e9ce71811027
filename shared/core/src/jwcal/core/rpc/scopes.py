"""Which scope each method asks for.  What is not in the table is refused."""

from collections.abc import Mapping
from enum import StrEnum


class Scope(StrEnum):
    """What a token may allow."""

    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    QUEUE_WORK = "queue:work"
    """Lease jobs and answer for them: workers."""
    QUEUE_READ = "queue:read"
    QUEUE_ADMIN = "queue:admin"
    STEPS_READ = "steps:read"
    PROCESS = "process"
    """Use a stage directly."""
    REFERENCES_READ = "references:read"
    REFERENCES_WRITE = "references:write"
    """Make the cache fetch what nobody needs yet."""


def _of(service: str, methods: Mapping[str, Scope | None]) -> dict[str, Scope | None]:
    return {f"/{service}/{method}": scope for method, scope in methods.items()}


_STAGE: Mapping[str, Scope | None] = {"ListSteps": Scope.STEPS_READ, "Process": Scope.PROCESS}

METHOD_SCOPES: Mapping[str, Scope | None] = {
    **_of(
        "jwcal.api.pipeline.v1.PipelineService",
        {
            "CreateRun": Scope.RUNS_WRITE,
            "GetRun": Scope.RUNS_READ,
            "ListRuns": Scope.RUNS_READ,
            "CancelRun": Scope.RUNS_WRITE,
            "RetryRun": Scope.RUNS_WRITE,
            "DeleteRun": Scope.RUNS_WRITE,
            "WatchRun": Scope.RUNS_READ,
            "GetJob": Scope.RUNS_READ,
            "ListJobs": Scope.RUNS_READ,
        },
    ),
    **_of(
        "jwcal.api.queue.v1.QueueService",
        {
            "LeaseJob": Scope.QUEUE_WORK,
            "ExtendLease": Scope.QUEUE_WORK,
            "CompleteJob": Scope.QUEUE_WORK,
            "FailJob": Scope.QUEUE_WORK,
            "ReleaseJob": Scope.QUEUE_WORK,
            "GetQueueStats": Scope.QUEUE_READ,
            "WatchQueueStats": Scope.QUEUE_READ,
            "ListWorkers": Scope.QUEUE_READ,
            "DrainWorker": Scope.QUEUE_ADMIN,
        },
    ),
    **_of("jwcal.api.detector1.v1.Detector1Service", _STAGE),
    **_of("jwcal.api.stage2.v1.Stage2Service", _STAGE),
    **_of("jwcal.api.stage3.v1.Stage3Service", _STAGE),
    **_of(
        "jwcal.api.reference.v1.ReferenceService",
        {
            "GetBestReferences": Scope.REFERENCES_READ,
            "PrefetchReferences": Scope.REFERENCES_WRITE,
            "GetContext": Scope.REFERENCES_READ,
            "ListContexts": Scope.REFERENCES_READ,
            "GetBuild": Scope.REFERENCES_READ,
            "ListBuilds": Scope.REFERENCES_READ,
        },
    ),
    # Open on purpose: probes have no token, and the interfaces are public.
    **_of("grpc.health.v1.Health", {"Check": None, "List": None, "Watch": None}),
    **_of("grpc.reflection.v1alpha.ServerReflection", {"ServerReflectionInfo": None}),
}
"""Scope by ``/package.Service/Method``; None for methods that are open to everybody."""
