"""The process that computes: ``python -m jwcal.core.worker.child FD package.module:stage``.

It takes one `Work` a line from the socket, does it, and answers with events, the last of them `Made` or `Failed`.  It
ends when the socket is closed, and dies with its supervisor.
"""

import ctypes
import faulthandler
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import cast

from pydantic import BaseModel

from jwcal.core.errors import JwcalError, OutOfMemory
from jwcal.core.worker.work import Failed, Progressing, Ready, Stage, Work

_PR_SET_PDEATHSIG = 1
_logger = logging.getLogger(__name__)


class Line:
    """Writes one line of JSON for each message."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def __call__(self, message: BaseModel) -> None:
        """Send it."""
        with self._lock:
            self._connection.sendall(message.model_dump_json().encode() + b"\n")


def main() -> None:
    """Serve until the socket is closed."""
    descriptor, name = int(sys.argv[1]), sys.argv[2]
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    connection = socket.socket(fileno=descriptor)
    send = Line(connection)
    started = time.perf_counter()
    stage = find_stage(name)
    stage.warm_up()
    send(Ready(seconds=time.perf_counter() - started))
    with connection.makefile("rb") as lines:
        for line in lines:
            send(_outcome(stage, Work.model_validate_json(line), send))


def find_stage(name: str) -> Stage:
    """The stage called ``package.module:object``."""
    module, _, attribute = name.partition(":")
    return cast(Stage, getattr(importlib.import_module(module), attribute))


def _outcome(stage: Stage, work: Work, send: Line) -> BaseModel:
    """Do one job; whatever goes wrong in it is told, and the next job has its turn."""

    def tell(event: Progressing) -> None:
        send(event)

    _log_to(work.log_file)
    try:
        return stage.process(work, tell)
    except JwcalError as error:
        _logger.exception("job failed")
        return Failed.of(error)
    except MemoryError:
        _logger.exception("out of memory")
        return Failed.of(OutOfMemory("the process could not get the memory it asked for"))
    except Exception as error:  # the worker's boundary
        traceback.print_exc()
        return Failed(
            reason="INTERNAL",
            message=f"internal error: {type(error).__name__}; the job's log has the traceback",
            metadata={"error": type(error).__name__},
            retryable=False,
        )


def _log_to(path: Path) -> None:
    """Send everything that is printed, by libraries and by the interpreter in a crash too, to the job's log."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.enable()


def _die_with_parent() -> None:
    """Be killed when the supervisor is, however it ends (Linux)."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died meanwhile
        sys.exit(1)


if __name__ == "__main__":
    main()
