"""A place of each kind of database."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.places import Place, PostgresPlace, SqlitePlace
from tests.rooms import quick_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    with quick_directory() as name:
        yield name


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place[Any]]:
    opened: Place[Any]
    if request.param == "sqlite":
        opened = SqlitePlace(request.getfixturevalue("directory"))
    else:
        opened = PostgresPlace(request.getfixturevalue("postgres").new_database())
    yield opened
    await opened.close()
