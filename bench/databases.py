"""The databases that Longshore is measured on: started beside the stores, forgotten by the page cache, filled directly."""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import asyncpg

from bench.machine import CannotMeasure, forget
from store.postgres import translate
from tests.backing import Backing
from tests.postgres import PostgresServer, program

Kind = Literal["sqlite", "postgres"]
TITLES: Mapping[Kind, str] = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
_POSTGRES = ("max_connections=300",)
"""Beside PostgreSQL's own defaults: several servers at once."""


def installed(kind: Kind) -> bool:
    return kind == "sqlite" or program("initdb") is not None


@contextmanager
def standing(kind: Kind, place: Path) -> Iterator[Backing]:
    """What servers over directories in `place` (readable by everybody) need: each has a database of its own, on that disk."""
    if kind == "sqlite":
        yield Backing()
        return
    if not installed(kind):
        raise CannotMeasure("PostgreSQL is not installed: it is Debian's package postgresql")
    server = PostgresServer(place / "postgres", options=_POSTGRES)
    server.prepare()
    server.start()
    try:
        yield Backing(postgres=server)
    finally:
        server.stop()


def forget_rows(backing: Backing, data: Path) -> None:
    """Have the next reader find on the disk what the database holds. No server of ours may run."""
    server = backing.postgres
    if server is None:
        forget(data / "longshore.db")
        return
    server.stop()
    for path in (server.directory / "data").rglob("*"):
        if path.is_file():
            forget(path)
    server.start()


class Filling(Protocol):
    """A database that nobody serves, while rows are written into it. Statements in the common tongue."""

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None: ...


@contextmanager
def filling(settings: Mapping[str, str], data: Path) -> Iterator[Filling]:
    """The database of a server with those settings. A crash leaves a store of no use."""
    url = settings.get("database.url")
    if url is None:
        with closing(sqlite3.connect(data / "longshore.db", isolation_level=None)) as connection:
            for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000", "locking_mode=EXCLUSIVE"):
                connection.execute(f"PRAGMA {setting}")
            yield _Sqlite(connection)
            connection.execute("PRAGMA journal_mode=WAL")
        return
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url, server_settings={"synchronous_commit": "off"}))
        try:
            filled = _Postgres(connection, runner)
            yield filled
            filled.tidy()
        finally:
            runner.run(connection.close())


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters).fetchall()

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        places = ", ".join("?" * len(columns))
        self._connection.execute("BEGIN")
        self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)
        self._connection.execute("COMMIT")


class _Postgres:
    def __init__(self, connection: Any, runner: asyncio.Runner) -> None:
        self._connection = connection
        self._runner = runner
        self._tables: dict[str, None] = {}

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._runner.run(self._connection.fetch(translate(sql), *parameters))]

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self._tables[table] = None
        self._runner.run(self._connection.copy_records_to_table(table, columns=columns, records=rows))

    def tidy(self) -> None:
        """What autovacuum would have done a minute later, and the checkpoint that would follow."""
        for table in self._tables:
            self._runner.run(self._connection.execute(f"VACUUM (ANALYZE) {table}"))
        self._runner.run(self._connection.execute("CHECKPOINT"))
