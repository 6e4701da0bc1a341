"""Where the servers of a run keep what they keep: on a disk of their own, or (`pytest --backing`) in PostgreSQL and S3."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from store.database import Database
from store.postgres import PostgresDatabase, translate
from store.sqlite import SqliteDatabase
from tests.postgres import PostgresServer
from tests.s3 import S3Server

CHOICES = ("disk", "postgres", "s3", "postgres+s3")


class Answer(Protocol):
    def fetchall(self) -> list[Any]: ...
    def fetchone(self) -> Any: ...


class Rows(Protocol):
    """A database, for looking only; statements in the common tongue."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Answer: ...


@dataclass
class Backing:
    """`settings` are what servers over one directory need; each directory has a database and a bucket of its own."""

    postgres: PostgresServer | None = None
    s3: S3Server | None = None
    _made: dict[Path, dict[str, str]] = field(default_factory=dict)

    def settings(self, directory: Path) -> Mapping[str, str]:
        made = self._made.get(directory)
        if made is None:
            made = self._made[directory] = {}
            if self.postgres is not None:
                directory.mkdir(parents=True, exist_ok=True)
                keys = directory / "server.keys"
                keys.write_text("a server key of the tests, of more than thirty-two characters\n")
                made["database.url"] = self.postgres.new_database()
                made["secrets.key_file"] = str(keys)
                made["root.access_key_id"] = "AKIAROOTOFTHETESTS22"
                made["root.secret_access_key"] = "the/secret+of+the+root+user+of+the+tests"
            if self.s3 is not None:
                bucket = self.s3.new_bucket()
                made |= {
                    "storage.driver": "s3",
                    "storage.s3_bucket": bucket.bucket,
                    "storage.s3_endpoint_url": bucket.endpoint_url,
                    "storage.s3_access_key_id": bucket.access_key_id,
                    "storage.s3_secret_access_key": bucket.secret_access_key,
                    "storage.s3_redirect": "false",
                }
        return made


def open_database(settings: Mapping[str, str], data: Path) -> Database:
    """The database of a server with those settings."""
    url = settings.get("database.url")
    return PostgresDatabase(url) if url else SqliteDatabase(data / "longshore.db")


@contextlib.contextmanager
def rows_of(settings: Mapping[str, str], data: Path) -> Iterator[Rows]:
    """What the database of a server with those settings holds."""
    url = settings.get("database.url")
    if url:
        yield _PostgresRows(url)
        return
    connection = sqlite3.connect(data / "longshore.db", timeout=10)
    try:
        connection.execute("PRAGMA query_only=ON")
        yield connection
    finally:
        connection.close()


class _PostgresRows:
    def __init__(self, url: str) -> None:
        self._url = url

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Answer:
        found: list[tuple[Any, ...]] = []

        async def ask() -> None:
            connection = await asyncpg.connect(self._url, timeout=5)
            try:
                found.extend(map(tuple, await connection.fetch(translate(sql), *parameters)))
            finally:
                await connection.close()

        thread = threading.Thread(target=lambda: asyncio.run(ask()))  # whatever loop this thread may be running
        thread.start()
        thread.join()
        return _Found(found)


@dataclass
class _Found:
    rows: list[tuple[Any, ...]]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.rows[0] if self.rows else None

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)
