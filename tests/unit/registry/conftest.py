"""A registry on a disk in memory, and a second process of it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from registry.rows import Repository
from tests.rooms import House, Time, open_house, quick_directory


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_directory() as directory:
        yield directory


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def house(place: Path, clock: Time) -> AsyncIterator[House]:
    opened = await open_house(place, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def other(house: House, place: Path, clock: Time) -> AsyncIterator[House]:
    """Another process on the same data."""
    opened = await open_house(place, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def repository(house: House) -> Repository:
    return await house.repository()
