"""Where the servers of a run keep what they keep: on a disk of their own, or (`pytest --backing`) in PostgreSQL and S3."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from base.ids import new_uuid
from store.blobs.driver import BlobDriver
from store.blobs.filesystem import FilesystemBlobs
from store.blobs.s3 import S3Blobs
from store.bucket import S3Settings
from store.database import Database
from store.postgres import PostgresDatabase, translate
from store.sqlite import SqliteDatabase
from tests.postgres import PostgresServer
from tests.s3 import S3Server

CHOICES = ("disk", "postgres", "s3", "postgres+s3")


class Answer(Protocol):
    def __iter__(self) -> Iterator[Any]: ...
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


def open_blobs(settings: Mapping[str, str], data: Path) -> BlobDriver:
    """The store of blobs of a server with those settings."""
    if settings.get("storage.driver") != "s3":
        return FilesystemBlobs(data / "blobs", clock=time.time, ids=new_uuid)
    return S3Blobs(
        S3Settings(
            bucket=settings["storage.s3_bucket"],
            endpoint_url=settings["storage.s3_endpoint_url"],
            access_key_id=settings["storage.s3_access_key_id"],
            secret_access_key=settings["storage.s3_secret_access_key"],
        ),
        ids=new_uuid,
    )


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


def all_rows_of(settings: Mapping[str, str], data: Path) -> bytes:
    """All that the database of a server with those settings holds, in whatever form; texts can be searched for."""
    if not settings.get("database.url"):
        return b"".join(path.read_bytes() for path in data.glob("longshore.db*"))
    with rows_of(settings, data) as rows:
        tables = rows.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        found = [text for (table,) in tables.fetchall() for (text,) in rows.execute(f"SELECT t::text FROM {table} t")]
    return "\n".join(found).encode()


class _PostgresRows:
    def __init__(self, url: str) -> None:
        self._url = url

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Answer:
        found: list[tuple[Any, ...]] = []

        async def ask() -> None:
            readable = {"bytea_output": "escape"}
            connection = await asyncpg.connect(self._url, timeout=5, server_settings=readable)
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
