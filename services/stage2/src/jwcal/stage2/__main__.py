"""The stage 2 service: ``python -m jwcal.stage2``; its settings are in `jwcal.core.worker.settings`."""

from jwcal.api.stage2.v1 import stage2_pb2, stage2_pb2_grpc
from jwcal.core.worker.serving import run_worker

if __name__ == "__main__":
    run_worker(
        "jwcal.stage2.stage:STAGE",
        "jwcal.api.stage2.v1.Stage2Service",
        stage2_pb2,
        stage2_pb2_grpc.add_Stage2ServiceServicer_to_server,
        "jwcal-stage2",
    )
