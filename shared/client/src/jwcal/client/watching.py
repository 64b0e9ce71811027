"""Following a run to its end, whatever the connection does."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.client.answers import plain
from jwcal.client.convert import change_from
from jwcal.client.model import Change, RunChanged
from jwcal.core.errors import DeadlineExceeded, JwcalError, Unavailable
from jwcal.core.rpc.status import remote_errors

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds between tries while the service is away."""


async def watch(stub: Any, run: str, cursor: int, *, patience: float, server: str) -> AsyncIterator[Change]:
    """Changes of a run behind a cursor, until it has ended.

    Raises
    ------
    Unavailable
        The service was away for more than `patience` seconds.
    JwcalError
        There is no such run, and so on.
    """
    pause, heard = _FIRST_PAUSE, time.monotonic()
    has_ended = False
    while not has_ended:
        stream = stub.WatchRun(pipeline_pb2.WatchRunRequest(name=run, cursor=cursor))
        try:
            with remote_errors():
                async for message in stream:
                    pause, heard = _FIRST_PAUSE, time.monotonic()
                    cursor = message.cursor
                    change = change_from(message)
                    if change is None:
                        continue
                    yield change
                    # The stream ends a little later: a watcher that comes late hears of the run before its jobs.
                    has_ended = isinstance(change, RunChanged) and change.run.state.is_final
        except (Unavailable, DeadlineExceeded) as error:  # a stream has a deadline too, after an hour
            has_ended = False
            if time.monotonic() + pause > heard + patience:
                raise plain(error, server) from error
        except JwcalError as error:
            raise plain(error, server) from error
        finally:
            stream.cancel()
        if not has_ended:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
