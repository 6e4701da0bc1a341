"""Rows as text that every database reads: a line of JSON a row, its values in the order of the columns.

Bytes are in base64, times and other numbers are JSON's, an absent value is null. The first line of a dump names the table
and its columns, so that it can be read without this program.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from store.database import Row, Unit
from store.schema import BYTES, Table

_VALUES = 10_000
"""Values of one statement at the most: fewer than any database refuses."""
_ROWS = 200


class DumpMalformed(ValueError):
    """The text is no dump of that table."""


def encode_head(table: Table) -> bytes:
    """The first line."""
    return json.dumps({"table": table.name, "columns": table.names}).encode() + b"\n"


def encode_rows(table: Table, rows: Iterable[Row]) -> bytes:
    """The lines of some rows."""
    binary = [place for place, column in enumerate(table.columns) if column.type == BYTES]
    lines = []
    for row in rows:
        values: list[Any] = list(row)
        for place in binary:
            if values[place] is not None:
                values[place] = base64.b64encode(values[place]).decode()
        lines.append(json.dumps(values, ensure_ascii=False, separators=(",", ":")))
    return "".join(f"{line}\n" for line in lines).encode()


class Decoder:
    """Takes the pieces of a dump and gives its rows."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._binary = [place for place, column in enumerate(table.columns) if column.type == BYTES]
        self._real = [place for place, column in enumerate(table.columns) if column.type.startswith("DOUBLE")]
        self._rest = b""
        self._begun = False

    def feed(self, piece: bytes) -> list[Row]:
        """The rows that the piece completes. Raises DumpMalformed."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if lines and not self._begun:
            self._begun = True
            head = _load(lines.pop(0))
            if head != {"table": self._table.name, "columns": list(self._table.names)}:
                raise DumpMalformed(f"the dump of `{self._table.name}` has other columns than the table")
        return [self._row(line) for line in lines]

    def end(self) -> None:
        """Raises DumpMalformed where the dump was cut short."""
        if self._rest or not self._begun:
            raise DumpMalformed(f"the dump of `{self._table.name}` ends in the middle of a line")

    def _row(self, line: bytes) -> Row:
        values = _load(line)
        if not isinstance(values, list) or len(values) != len(self._table.columns):
            raise DumpMalformed(f"the dump of `{self._table.name}` has a row of another form")
        for place in self._binary:
            if values[place] is not None:
                values[place] = base64.b64decode(values[place])
        for place in self._real:
            if values[place] is not None:
                values[place] = float(values[place])
        return tuple(values)


def _load(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DumpMalformed(f"a line of the dump is no JSON: {error}") from error


def insert_rows(table: Table, rows: Sequence[Row]) -> Unit[None]:
    """Rows that are there already, by their primary key, stay as they are."""
    most = min(_ROWS, _VALUES // len(table.columns))
    one = f"({', '.join('?' * len(table.columns))})"
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        yield (
            f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES {', '.join([one] * len(some))} "  # noqa: S608
            "ON CONFLICT DO NOTHING",
            tuple(value for row in some for value in row),
        )


def clear(table: Table) -> Unit[None]:
    """Delete all its rows."""
    yield f"DELETE FROM {table.name}", ()  # noqa: S608


def batches(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """The rows in lists of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
