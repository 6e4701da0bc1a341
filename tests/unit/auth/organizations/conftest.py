"""The rows of organizations in every kind of database in turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.database import Database
from store.migrate import migrate
from store.postgres import PostgresDatabase
from store.sqlite import SqliteDatabase


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, place: Path) -> AsyncIterator[Database]:
    opened: Database
    if request.param == "sqlite":
        opened = SqliteDatabase(place / "test.db")
    else:
        opened = PostgresDatabase(request.getfixturevalue("postgres").new_database())
    await migrate(opened, now=0.0)
    yield opened
    await opened.close()
