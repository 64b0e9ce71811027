"""The stage 3 service: ``python -m jwcal.stage3``; its settings are in `jwcal.core.worker.settings`."""

from jwcal.api.stage3.v1 import stage3_pb2, stage3_pb2_grpc
from jwcal.core.worker.serving import run_worker

if __name__ == "__main__":
    run_worker(
        "jwcal.stage3.stage:STAGE",
        "jwcal.api.stage3.v1.Stage3Service",
        stage3_pb2,
        stage3_pb2_grpc.add_Stage3ServiceServicer_to_server,
        "jwcal-stage3",
    )
