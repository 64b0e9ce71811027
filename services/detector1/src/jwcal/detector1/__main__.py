"""The stage 1 service: ``python -m jwcal.detector1``; its settings are in `jwcal.core.worker.settings`."""

from jwcal.api.detector1.v1 import detector1_pb2, detector1_pb2_grpc
from jwcal.core.worker.serving import run_worker

if __name__ == "__main__":
    run_worker(
        "jwcal.detector1.stage:STAGE",
        "jwcal.api.detector1.v1.Detector1Service",
        detector1_pb2,
        detector1_pb2_grpc.add_Detector1ServiceServicer_to_server,
        "jwcal-detector1",
    )
