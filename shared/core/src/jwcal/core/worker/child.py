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
from pathlib import Path
from typing import cast

from pydantic import BaseModel

from jwcal.core.errors import JwcalError, OutOfMemory, OutputError, ScratchFailure
from jwcal.core.logs import log_file
from jwcal.core.worker.work import Failed, Ready, Stage, Tell, Work

_PR_SET_PDEATHSIG = 1
_logger = logging.getLogger("jwcal.core.worker.child")  # the module itself is __main__


class Line:
    """Writes one line of JSON for each message."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def __call__(self, event: BaseModel) -> None:
        """Send it."""
        with self._lock:
            self._connection.sendall(event.model_dump_json().encode() + b"\n")


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
    try:
        _print_to(work.log_file)
        with log_file(work.log_file, work.about):
            return _processed(stage, work, send)
    except (OSError, OutputError) as error:  # the log cannot be opened
        return Failed.of(ScratchFailure(f"the worker's scratch directory takes no log: {error}"))


def _processed(stage: Stage, work: Work, tell: Tell) -> BaseModel:
    try:
        return stage.process(work, tell)
    except OutputError as error:  # the output is in the scratch directory
        _logger.exception("job failed")
        return Failed.of(ScratchFailure(f"the worker's scratch directory: {error.message}", file=error.file))
    except JwcalError as error:
        _logger.exception("job failed")
        return Failed.of(error)
    except MemoryError:
        _logger.exception("out of memory")
        return Failed.of(OutOfMemory("the process could not get the memory it asked for"))
    except Exception as error:  # the worker's boundary
        _logger.exception("internal error")
        return Failed(
            reason="INTERNAL",
            message=f"internal error: {type(error).__name__}; the job's log has the traceback",
            metadata={"error": type(error).__name__},
            retryable=False,
        )


def _print_to(path: Path) -> None:
    """Send what is printed, by libraries and by the interpreter in a crash too, to the job's log."""
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
