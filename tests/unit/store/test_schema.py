"""The tables as values, and their rows as text."""

import re
import sqlite3
from contextlib import closing

import pytest

from registry.rows.tables import BLOBS, CARRIED, LEFT_OUT
from store.database import Row
from store.dump import Decoder, DumpMalformed, encode_head, encode_rows
from store.migrate import migrations
from store.schema import Column, Table, newest, tables

EVERYTHING = Table(
    "everything",
    (Column("a", "TEXT"), Column("b", "BYTEA"), Column("c", "BIGINT"), Column("d", "DOUBLE PRECISION")),
    ("a",),
)
ROWS: list[Row] = [
    ("plain", b"\x00\xff", 2**62, 1e15),
    ("ünïcode \n \u2028 \U0001f4a9", b"", -1, 0.1),
    ("absent", None, None, None),
    ("", b"x" * 1000, 0, 1764096505.123456),
]


def test_every_table_is_carried_or_left_out_for_a_reason_and_named_once():
    """Whoever adds a table by a migration says here what becomes of it in a backup."""
    named = [BLOBS, *CARRIED, *LEFT_OUT]
    assert len(named) == len(set(named))
    assert set(named) == set(tables(newest()))


def test_tables_are_those_of_the_migrations_with_their_keys():
    found = tables(newest())
    made = {
        name
        for migration in migrations().values()
        for text in migration.statements
        for name in re.findall(r"CREATE TABLE (\w+)", text)
    }
    assert found.keys() == made | {"migrations"}
    assert all(table.key for table in found.values())
    assert found["tags"].key == ("repository_id", "name")
    assert found["blobs"].select == "SELECT digest, key, size FROM blobs ORDER BY digest"
    assert {column.type for table in found.values() for column in table.columns} == {
        "TEXT", "BIGINT", "INTEGER", "DOUBLE PRECISION", "BYTEA",
    }  # fmt: skip


def test_tables_of_an_earlier_schema_are_those_that_it_had():
    assert "users" not in tables(2)
    assert "users" in tables(3)


def read(text: bytes) -> list[Row]:
    decoder = Decoder(EVERYTHING)
    rows = decoder.feed(text)
    decoder.end()
    return rows


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_rows_come_back_from_text_as_they_were_however_it_is_cut(size: int):
    text = encode_head(EVERYTHING) + encode_rows(EVERYTHING, ROWS)
    decoder = Decoder(EVERYTHING)
    found = [row for start in range(0, len(text), size) for row in decoder.feed(text[start : start + size])]
    decoder.end()
    assert found == ROWS


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"{}\n", b'{"table": "other", "columns": ["a", "b", "c", "d"]}\n',
        encode_head(EVERYTHING) + b"[1, 2]\n", encode_head(EVERYTHING) + b"nothing\n",
        encode_head(EVERYTHING) + encode_rows(EVERYTHING, ROWS)[:-1],
    ],
)  # fmt: skip
def test_text_that_is_no_dump_of_the_table_is_refused(text: bytes):
    with pytest.raises(DumpMalformed):
        read(text)


def test_values_of_sqlite_and_of_a_dump_have_the_types_of_their_columns():
    """SQLite gives whole times as they were put; whatever reads a dump gives them to a database that is strict."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE things (at DOUBLE PRECISION)")
        connection.execute("INSERT INTO things VALUES (5)")
        rows = connection.execute("SELECT at FROM things").fetchall()
    table = Table("things", (Column("at", "DOUBLE PRECISION"),), ("at",))
    (row,) = Decoder(table).feed(encode_head(table) + encode_rows(table, rows).replace(b"5.0", b"5"))
    assert row == (5.0,)
    assert isinstance(row[0], float)
