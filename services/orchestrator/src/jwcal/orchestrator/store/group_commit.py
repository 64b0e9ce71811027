"""Transactions of one writing thread, committed together.

A commit waits for the disk, and SQLite has one writer: what was asked for while the thread was busy is done as
savepoints of one transaction.  Nobody is answered before it is committed; who fails is undone alone.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")
_MOST_AT_ONCE = 32


class GroupCommit:
    """Runs transactions in their order of arrival on one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        self._asked: deque[tuple[Callable[[Connection], Any], Future[Any]]] = deque()
        self._lock = threading.Lock()
        self._busy = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction, and return its answer once it is on disk."""
        answer: Future[T] = Future()
        with self._lock:
            self._asked.append((work, answer))
            if not self._busy:
                self._busy = True
                self._thread.submit(self._work)
        # Not cancelled with its caller: others are in the same transaction, and what is done can be asked for again.
        return await asyncio.shield(asyncio.wrap_future(answer))

    def close(self) -> None:
        """Finish what was asked for, and end the thread."""
        self._thread.shutdown()

    def _work(self) -> None:
        while some := self._take():
            try:
                with self._engine.begin() as connection:
                    ends = [(answer, *_within_savepoint(connection, work)) for work, answer in some]
            except Exception as error:  # the boundary of the thread: everyone in the transaction is told
                ends = [(answer, None, error) for _, answer in some]
            for answer, value, failure in ends:
                if failure is not None:
                    answer.set_exception(failure)
                else:
                    answer.set_result(value)

    def _take(self) -> list[tuple[Callable[[Connection], Any], Future[Any]]]:
        with self._lock:
            some: list[tuple[Callable[[Connection], Any], Future[Any]]] = []
            while self._asked and len(some) < _MOST_AT_ONCE:
                work, answer = self._asked.popleft()
                if answer.set_running_or_notify_cancel():  # from here on nobody can take it back
                    some.append((work, answer))
            self._busy = bool(some)
            return some


def _within_savepoint(connection: Connection, work: Callable[[Connection], Any]) -> tuple[Any, Exception | None]:
    try:
        with connection.begin_nested():
            return work(connection), None
    except Exception as error:  # the boundary of the thread: the one who asked is told
        return None, error
