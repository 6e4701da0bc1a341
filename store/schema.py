"""The tables that migrations make, as values: what a dump of a database consists of.

They are read from the migrations themselves, which run in a database in memory; so a table that a migration adds is here.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache

from store.migrate import migrations
from store.sqlite import SqliteDatabase

BYTES = "BYTEA"

CARRIED = ("properties",)
"""Of this room's own tables those that belong to a registry wherever its rows are moved."""
LEFT_OUT: Mapping[str, str] = {
    "migrations": "what was done to one database",
    "leases": "who runs what at the moment",
    "seals": "why nothing may be changed at the moment",
}
"""The others, and what they are instead."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its type as migrations write it (TEXT, BIGINT, INTEGER, DOUBLE PRECISION, BYTEA)."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns in order, and those of its primary key."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def select(self) -> str:
        """All rows, in the order of the primary key."""
        return f"SELECT {', '.join(self.names)} FROM {self.name} ORDER BY {', '.join(self.key)}"  # noqa: S608


def newest() -> int:
    """The number of this release's last migration."""
    return max(migrations())


@cache
def tables(schema: int) -> Mapping[str, Table]:
    """All tables after the migration `schema`, by name, in the order in which they were made."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, applied_at DOUBLE PRECISION)")
        for number, migration in migrations().items():
            if number <= schema:
                for statement in migration.statements:
                    connection.execute(statement.format_map(SqliteDatabase.vocabulary))
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()
        return {name: _table(connection, name) for (name,) in names}


def _table(connection: sqlite3.Connection, name: str) -> Table:
    columns = connection.execute("SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", (name,)).fetchall()
    key = sorted((place, column) for column, _, place in columns if place)
    return Table(name, tuple(Column(column, kind) for column, kind, _ in columns), tuple(column for _, column in key))
