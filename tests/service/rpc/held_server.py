"""A server as a program: holds each call until it reads a line, drains on SIGTERM.  Tells its course on its output."""

import asyncio
import sys
from typing import Any

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsResponse
from jwcal.api.stage.v1.stage_pb2 import PlanDescription
from jwcal.core.rpc.server import build_server, serve_until_stopped, stop_requests
from tests.service.rpc.serving import PLAINTEXT, Detector1, detector1_service


async def hold(_request: Any, _context: Any) -> ListStepsResponse:
    print("begun", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return ListStepsResponse(plans=[PlanDescription(plan="held")])


async def main() -> None:
    server = build_server([detector1_service(Detector1(hold))], PLAINTEXT, verifier=None)
    async with stop_requests() as stop, server:
        await server.set_ready(True)
        print(server.addresses[0], flush=True)
        serving = asyncio.ensure_future(serve_until_stopped(server, stop))
        await server.draining.wait()
        print("draining", flush=True)
        await serving
    print("stopped", flush=True)


asyncio.run(main())
