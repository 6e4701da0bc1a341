"""Where the laws of databases are tried: a database of each kind, opened as by several processes."""

import sqlite3
from pathlib import Path
from typing import Generic, TypeVar

import asyncpg

from store.database import Database
from store.postgres import PostgresDatabase
from store.sqlite import SqliteDatabase

D = TypeVar("D", bound=Database)


class Place(Generic[D]):
    """Where databases are opened; each is another process's. `refused` is what breaking a constraint raises, `wrong` a
    statement that makes no sense."""

    refused: type[Exception]
    wrong: type[Exception]

    def __init__(self) -> None:
        self._opened: list[D] = []

    def make(self) -> D:
        """One that the caller closes, in a loop of its own."""
        raise NotImplementedError

    def open(self) -> D:
        database = self.make()
        self._opened.append(database)
        return database

    async def close(self) -> None:
        for database in self._opened:
            await database.close()


class SqlitePlace(Place[SqliteDatabase]):
    refused = sqlite3.IntegrityError
    wrong = sqlite3.OperationalError

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.path = directory / "test.db"

    def make(self) -> SqliteDatabase:
        return SqliteDatabase(self.path)


class PostgresPlace(Place[PostgresDatabase]):
    refused = asyncpg.IntegrityConstraintViolationError
    wrong = asyncpg.UndefinedTableError

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def make(self) -> PostgresDatabase:
        return PostgresDatabase(self.url)
