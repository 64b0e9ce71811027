"""How long callers wait, by method, unless they say otherwise."""

from collections.abc import Mapping

DEFAULT_SECONDS = 10.0

_STAGES = (
    "jwcal.api.detector1.v1.Detector1Service",
    "jwcal.api.stage2.v1.Stage2Service",
    "jwcal.api.stage3.v1.Stage3Service",
)

METHOD_SECONDS: Mapping[str, float] = {
    "/jwcal.api.pipeline.v1.PipelineService/CreateRun": 60.0,  # expands an association
    "/jwcal.api.pipeline.v1.PipelineService/WatchRun": 3600.0,  # then goes on with its cursor
    "/jwcal.api.queue.v1.QueueService/LeaseJob": 40.0,  # waits up to 30 s for a job
    "/jwcal.api.queue.v1.QueueService/WatchQueueStats": 3600.0,
    "/jwcal.api.reference.v1.ReferenceService/GetBestReferences": 1800.0,  # may fetch gigabytes
    "/jwcal.api.reference.v1.ReferenceService/PrefetchReferences": 6 * 3600.0,
    "/grpc.health.v1.Health/Watch": 3600.0,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": 60.0,
    **{f"/{stage}/ListSteps": 30.0 for stage in _STAGES},  # may load the steps first
    **{f"/{stage}/Process": 6 * 3600.0 for stage in _STAGES},
}
