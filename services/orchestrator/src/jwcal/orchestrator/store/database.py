"""Transactions on SQLite and PostgreSQL, run in threads of their own.

What the two differ in is here: SQLite has one writing thread, whose transactions take the write lock at once and are
committed in groups (WAL, synchronous: what was answered survives a power cut); PostgreSQL has a pool, and transactions
that lost a race are run again.
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, event, literal_column, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from jwcal.orchestrator.store.group_commit import GroupCommit

T = TypeVar("T")
Clock = Callable[[Connection], float]

_LOG = logging.getLogger(__name__)
_TRIES = 6
_READERS = 2
_SERIALIZATION_FAILURES = frozenset({"40001", "40P01"})
_MIGRATION_LOCK = 0x6A776361


def database_clock(connection: Connection) -> float:
    """Seconds of the epoch by the database's own clock."""
    if connection.dialect.name == "sqlite":
        expression = "(julianday('now') - 2440587.5) * 86400.0"
    else:
        expression = "extract(epoch from clock_timestamp())"
    return float(connection.execute(select(literal_column(expression))).scalar_one())


class Database:
    """A database of the job store, by its SQLAlchemy address: ``sqlite:///FILE`` or ``postgresql+psycopg://...``."""

    def __init__(self, url: str, *, connections: int = 8, clock: Clock = database_clock) -> None:
        self.clock = clock
        self.url = sqlalchemy.make_url(url)
        if self.url.get_backend_name() == "sqlite":
            self._writer = _sqlite_engine(self.url, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(self.url, begin="BEGIN")
            self._group: GroupCommit | None = GroupCommit(self._writer)
            self._writing = ThreadPoolExecutor(1, thread_name_prefix="database-migration")
        else:
            self._writer = self._reader = sqlalchemy.create_engine(
                self.url, pool_size=connections + _READERS, max_overflow=0, pool_pre_ping=True
            )
            self._group = None
            self._writing = ThreadPoolExecutor(connections, thread_name_prefix="database-writer")
        # Of their own: who reads does not stand in line behind the workers.
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix="database-reader")

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction that writes."""
        if self._group is not None:
            return await self._group.run(work)
        return await _in_thread(self._writing, functools.partial(_transact, self._writer, work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction that only reads."""
        return await _in_thread(self._reading, functools.partial(_transact, self._reader, work))

    async def migrate(self) -> None:
        """Bring the tables to this code's form."""
        await _in_thread(self._writing, functools.partial(_migrate, self._writer))

    async def close(self) -> None:
        """Close every connection."""
        if self._group is not None:
            await asyncio.to_thread(self._group.close)
        for threads in (self._writing, self._reading):
            await asyncio.to_thread(threads.shutdown)
        for engine in (self._writer, self._reader):
            engine.dispose()


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, work)


def _transact(engine: Engine, work: Callable[[Connection], T]) -> T:
    for attempt in range(1, _TRIES + 1):
        try:
            with engine.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            if attempt == _TRIES or not _lost_a_race(error):
                raise
            _LOG.info("transaction again", extra={"attempt": attempt, "cause": type(error.orig).__name__})
    raise AssertionError("unreachable")


def _lost_a_race(error: DBAPIError) -> bool:
    """Whether another transaction was in the way: a deadlock, the same key at once, or a connection that was cut.

    A transaction whose commit was cut off may have taken place; every operation of the store may be repeated.
    """
    if isinstance(error, IntegrityError) or error.connection_invalidated:
        return True
    return getattr(error.orig, "sqlstate", None) in _SERIALIZATION_FAILURES


def _sqlite_engine(url: sqlalchemy.URL, *, begin: str) -> Engine:
    engine = sqlalchemy.create_engine(url, connect_args={"timeout": 30.0})

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin transactions by its own rules
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _migrate(engine: Engine) -> None:
    configuration = Config()
    configuration.set_main_option("script_location", "jwcal.orchestrator.store:migrations")
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
