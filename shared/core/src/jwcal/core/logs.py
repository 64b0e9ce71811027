"""Structured logs: events as records of the standard library's logging, with fields that machines read.

A record's message is one word (``step``, ``product``, ``failed``); what belongs to it stands in its ``fields``.
Nothing is shown until a program adds a handler to the logger ``jwcal``, such as `log_file`.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from jwcal.core.errors import JwcalError
from jwcal.core.events import Event, Listener, ProductWritten, StepFinished
from jwcal.core.products.replacing import output_error

logging.getLogger("jwcal").addHandler(logging.NullHandler())  # else errors would be printed where nothing listens


class JsonLines(logging.Formatter):
    """One JSON object a record: time (UTC), level, logger, event, its fields, and the traceback of its exception.

    `context` joins the fields of each record.
    """

    def __init__(self, context: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._context = dict(context or {})

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= self._context | getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def logged(logger: logging.Logger, listener: Listener, **context: Any) -> Listener:
    """`listener`, with every step and product also told to `logger`; `context` joins the fields of each record."""

    def tell(event: Event) -> None:
        listener(event)
        if isinstance(event, StepFinished):
            record = event.record
            fields = {"step": record.name, "status": record.status, "seconds": round(record.seconds, 4)}
            if record.reason:
                fields["reason"] = record.reason
            logger.info("step", extra={"fields": context | fields | {"references": record.references}})
        elif isinstance(event, ProductWritten):
            logger.info("product", extra={"fields": context | {"path": str(event.path)}})

    return tell


def log_failure(logger: logging.Logger, error: Exception, **context: Any) -> None:
    """Tell `logger` why something failed."""
    reason = error.reason if isinstance(error, JwcalError) else type(error).__name__
    logger.error("failed", extra={"fields": context | {"reason": reason, "error": str(error)}})


@contextmanager
def log_file(path: Path | None, context: Mapping[str, str] | None = None) -> Iterator[None]:
    """Append everything that is logged under ``jwcal`` to a file of JSON lines; nothing for None.

    `context` joins the fields of each record.
    """
    if path is None:
        yield
        return
    try:
        handler = logging.FileHandler(path)
    except OSError as error:
        raise output_error(path, error) from error
    handler.setFormatter(JsonLines(context))
    logger = logging.getLogger("jwcal")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()


def append_record(path: Path, logger: str, event: str, fields: Mapping[str, Any]) -> None:
    """Add one record to a file of JSON lines, as far as the disk takes it: a log that is full stops nothing."""
    record = logging.makeLogRecord({"name": logger, "levelname": "INFO", "msg": event, "fields": dict(fields)})
    with suppress(OSError), path.open("a") as file:
        file.write(JsonLines().format(record) + "\n")


def log_to(stream: TextIO, level: int = logging.INFO) -> None:
    """From now on show everything that is logged under ``jwcal`` on a stream, as JSON lines: what services do."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("jwcal")
    logger.addHandler(handler)
    logger.setLevel(level)
