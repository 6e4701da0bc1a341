"""Parts of the commit path, each alone, for `Ground.run`: what a process does and acknowledges."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from base.ids import new_uuid
from config.settings import Settings, load_settings
from server.first import prepare
from server.stores import open_database
from store.blobs.filesystem import FilesystemBlobs
from store.database import Unit
from tests.faults.power import journal


def acknowledge(**what: Any) -> None:
    print(json.dumps({"at": journal.position(Path(os.environ["POWER_JOURNAL"])), **what}), flush=True)


def settings_below(root: Path) -> Settings:
    """The data directory and the database's are apart, and neither is there at first."""
    rows = root / "made" / "rows" / "longshore.db"
    data = {("server", "data"): str(root / "made" / "data")}
    return load_settings(environment={}, overrides={**data, ("database", "url"): f"sqlite:///{rows}"})


def secrets() -> None:
    """The first start makes a root key and a server key."""
    first = prepare(settings_below(Path(sys.argv[1])))
    acknowledge(root=first.root.id, secret=first.root.secret, keys=first.server_keys)


def rows() -> None:
    asyncio.run(_rows(Path(sys.argv[1])))


async def _rows(root: Path) -> None:
    database = open_database(settings_below(root))

    def create() -> Unit[None]:
        yield "CREATE TABLE things (name TEXT PRIMARY KEY)", ()

    def insert(name: str) -> Unit[None]:
        yield "INSERT INTO things (name) VALUES (?)", (name,)

    await database.write(create)
    for number in range(3):
        await database.write(lambda name=str(number): insert(name))  # type: ignore[misc]
        acknowledge(row=str(number))
    os._exit(0)  # closing would fold the log into the database


def folded() -> None:
    """A checkpoint copies what was committed and not flushed; then a row is acknowledged."""
    asyncio.run(_folded(Path(sys.argv[1])))


async def _folded(root: Path) -> None:
    database = open_database(settings_below(root))

    def create() -> Unit[None]:
        yield "CREATE TABLE things (name TEXT PRIMARY KEY)", ()

    def insert(names: list[str]) -> Unit[None]:
        for name in names:
            yield "INSERT INTO things (name) VALUES (?)", (name,)

    await database.write(create)
    for number in range(4):
        await database.write(lambda name=f"{number}": insert([name]))  # type: ignore[misc]
        acknowledge(row=f"{number}")
        # by the writer's thread, which looks at the log when it is done
        some = [f"{'x' * 900} {number} {one}" for one in range(60)]
        await database.write(lambda some=some: insert(some), durable=False, first=lambda: None)  # type: ignore[misc]
    os._exit(0)


@asynccontextmanager
async def _blobs(root: Path) -> AsyncIterator[FilesystemBlobs]:
    driver = FilesystemBlobs(root / "made" / "data" / "blobs", ids=new_uuid)
    try:
        yield driver
    finally:
        await driver.close()


def data_of(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def bytes_() -> None:
    """A blob of each kind, committed."""
    asyncio.run(_bytes(Path(sys.argv[1])))


async def _bytes(root: Path) -> None:
    async with _blobs(root) as driver:
        for seed, size in enumerate((1, 20_000, 300_000, 900_000)):
            writer = await driver.writer(driver.stage(), turn=1, offset=0)
            await writer.write([data_of(seed, size)], ())
            key = await driver.commit(await writer.close(), turn=1, size=size)
            acknowledge(key=key, seed=seed, size=size)


def staged() -> None:
    """Commits a file; under a rule, it ends after the rename."""
    asyncio.run(_staged(Path(sys.argv[1])))


async def _staged(root: Path) -> None:
    async with _blobs(root) as driver:
        writer = await driver.writer(driver.stage(), turn=1, offset=0)
        await writer.write([data_of(7, 400_000)], ())
        await driver.commit(await writer.close(), turn=1, size=400_000)


def committed_again() -> None:
    """Commits what another process had staged, and perhaps committed."""
    asyncio.run(_committed_again(Path(sys.argv[1])))


async def _committed_again(root: Path) -> None:
    async with _blobs(root) as driver:
        found = [one async for batch in driver.inventory(before=time.time() + 3600) for one in batch]
        (name,) = {one.key for one in found}
        key = await driver.commit(name, turn=1, size=400_000)
        acknowledge(key=key, seed=7, size=400_000)
