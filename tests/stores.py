"""Stores of every kind for tests that copy from one to the other, and what there is to see in one."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from base.clock import Clock
from base.ids import new_uuid
from registry.rows.tables import BLOBS, CARRIED
from store.blobs.driver import BlobDriver
from store.blobs.filesystem import FilesystemBlobs
from store.blobs.s3 import S3Blobs
from store.database import Database, Row
from store.dump import insert_rows
from store.migrate import migrate
from store.postgres import PostgresDatabase
from store.schema import Table, newest, tables
from store.sqlite import SqliteDatabase
from tests.rooms import read_key

DATABASES = ("sqlite", "postgres")
STORES = ("disk", "s3")
KINDS = tuple(itertools.product(DATABASES, STORES))


@dataclass
class Store:
    """A database and a driver of blobs."""

    database: Database
    blobs: BlobDriver


Opener = Callable[[str, str, str], Any]
"""(name, kind of database, kind of blobs) -> a context manager that gives a Store."""


def opener(request: pytest.FixtureRequest, directory: Path, clock: Clock) -> Opener:
    """Opens stores below a directory, or in servers of the whole run; the same name is the same store."""
    made: dict[str, Any] = {}

    @asynccontextmanager
    async def open_store(name: str, database: str, blobs: str) -> AsyncIterator[Store]:
        place = directory / name
        place.mkdir(exist_ok=True)
        rows: Database
        if database == "postgres":
            url = made.setdefault(f"{name}/url", None) or request.getfixturevalue("postgres").new_database()
            made[f"{name}/url"] = url
            rows = PostgresDatabase(url)
        else:
            rows = SqliteDatabase(place / "longshore.db")
        driver: BlobDriver
        if blobs == "s3":
            bucket = made.get(f"{name}/bucket") or request.getfixturevalue("s3").new_bucket()
            made[f"{name}/bucket"] = bucket
            driver = S3Blobs(bucket, ids=new_uuid)
        else:
            driver = FilesystemBlobs(place / "blobs", clock=clock, ids=new_uuid, threads=2)
        try:
            yield Store(rows, driver)
        finally:
            await driver.close()
            await rows.close()

    return open_store


async def everything(store: Store) -> dict[str, list[Row]]:
    """All rows of the carried tables, and of `blobs` what is the same wherever they lie."""
    found = {name: await store.database.fetch(tables(newest())[name].select) for name in CARRIED}
    found[BLOBS] = await store.database.fetch("SELECT digest, size FROM blobs ORDER BY digest")
    return found


async def contents(store: Store) -> dict[str, bytes]:
    """The bytes of every blob."""
    rows = await store.database.fetch("SELECT digest, key FROM blobs")
    return {digest: await read_key(store.blobs, key) for digest, key in rows}


async def fill(store: Store, *, schema: int | None = None) -> None:
    """A row, or some, in every table of the schema that is carried, whatever it says."""
    await migrate(store.database, now=1.0, upto=schema)
    known = tables(schema or newest())
    for table in (known[name] for name in CARRIED if name in known):
        rows = [row_of(table, number) for number in range(3)]
        await store.database.write(lambda table=table, rows=rows: insert_rows(table, rows))  # type: ignore[misc]


def row_of(table: Table, number: int) -> Row:
    made = {
        "TEXT": f"{table.name} ünïcode {number}",
        "BYTEA": bytes([number, 0, 255]),
        "BIGINT": 2**60 + number,
        "INTEGER": number,
        "DOUBLE PRECISION": 1764096505.1234567 + number,
    }
    return tuple(made[column.type] for column in table.columns)
