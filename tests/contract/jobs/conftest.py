"""Every store that the suite runs on."""

import asyncio
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from jwcal.orchestrator.store.port import Policy
from tests.contract.jobs.stores import StoreOnTrial
from tests.servers.postgres import running_postgres

_NAMES = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with running_postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    return fresh_database(request.getfixturevalue("postgres"))


def fresh_database(server: str) -> str:
    import sqlalchemy

    name = f"jobs_{os.getpid()}_{next(_NAMES)}"
    engine = sqlalchemy.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{server}/{name}"


@pytest.fixture
def trial(address: str) -> Iterator[StoreOnTrial]:
    with asyncio.Runner() as runner:
        trial = StoreOnTrial(address, Policy(), random.Random(1), runner)
        yield trial
        trial.close()
