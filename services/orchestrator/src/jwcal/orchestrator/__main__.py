"""``python -m jwcal.orchestrator``: the composition root."""

import asyncio
import logging
import os
import random
import signal

import grpc

from jwcal.orchestrator.identifiers import uuid7
from jwcal.orchestrator.service import orchestrating
from jwcal.orchestrator.settings import Settings
from jwcal.orchestrator.store.database import Database
from jwcal.orchestrator.store.leasing import full_jitter
from jwcal.orchestrator.store.sql import SqlJobStore
from jwcal.orchestrator.submission import UnknownInputs

_GRACE = 10.0


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or an interrupt."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database = Database(settings.database, connections=settings.database_connections)
    await database.migrate()
    store = SqlJobStore(
        database,
        settings.policy(),
        identify=lambda moment: uuid7(moment, os.urandom(10)),
        jitter=full_jitter(random.Random(os.urandom(16))),
    )
    async with orchestrating(store, settings, UnknownInputs(), owner=lambda _: "") as orchestrator:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 1 << 20)])
        orchestrator.add_to(server)
        server.add_insecure_port(settings.listen)
        await server.start()
        await stop.wait()
        await server.stop(_GRACE)
    await store.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(serve(Settings()))
