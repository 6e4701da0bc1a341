"""The law of databases: what SQLite and PostgreSQL promise alike.

SQL is written in the tongue that both speak: `?` placeholders, `INSERT ... ON CONFLICT`, `RETURNING`, explicit column
lists. A read is one statement. A write is a *unit*: a generator that yields statements and is sent their rows, with
nothing between them but decisions, so that a driver may run it in a writer thread or over a socket, alone or grouped
with others, and run it again after a conflict:

    def rename(old: str, new: str) -> Unit[bool]:
        rows = yield "UPDATE things SET name = ? WHERE name = ? RETURNING 1", (new, old)
        return bool(rows)

    await database.write(lambda: rename("a", "b"))

A unit is atomic: it raises, and nothing of it happened. With `durable` (the default) `write` returns after its changes
survive a power cut; without it they survive the end of the process, and a power cut may take them back, in order.
"""

from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = tuple[str, Sequence[Any]]
Unit: TypeAlias = Generator[Statement, list[Row], T]


class DatabaseUnavailable(Exception):
    """The database cannot be reached or did not answer in time; the same call may work later."""


class DatabaseFull(Exception):
    """No room is left where the database writes; nothing of the unit happened."""


class Sealed(Exception):
    """Nothing may be changed at the moment; the message is the reason (`store.seals`). Nothing of the unit happened."""


class Snapshot(Protocol):
    """Everything that was committed when it was taken, and nothing else, until it is left."""

    def stream(self, sql: str, parameters: Sequence[Any] = (), *, size: int = 64) -> AsyncIterator[list[Row]]:
        """The rows of one SELECT in lists of at most `size`. One at a time. Raises DatabaseUnavailable."""
        ...


Tell: TypeAlias = Callable[[str], None]
"""Is told what is being done, in words for people."""


def untold(_: str) -> None:
    """Nobody wants to know."""


class Alteration(Protocol):
    """Changes of the schema, by one process at a time."""

    async def run(self, unit: Callable[[], Unit[T]], *, apart: bool = False) -> T:
        """Run a unit that changes the schema and return its value, however long its statements take.

        It is atomic, but with `apart`: then each statement is by itself, for those that build beside writers. Readers and
        writers wait for what a unit has locked, never for what it waits for itself: it gives way for a moment and begins
        again. Raises DatabaseUnavailable where that is to no avail for long.
        """
        ...


class Database(Protocol):
    """Rows. Every method may raise DatabaseUnavailable."""

    vocabulary: Mapping[str, str]
    """What is not the common tongue, in its own SQL. Migrations write in braces `{clustered}` (rows lie in the order of the
    primary key) and `{concurrently}` (beside writers); `columns` is the query for the columns of the table of a name."""

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of one SELECT. Sees everything that any process committed before the call."""
        ...

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row of one SELECT, or None."""
        ...

    async def write(
        self,
        unit: Callable[[], Unit[T]],
        *,
        durable: bool = True,
        first: Callable[[], None] | None = None,
        heed: bool = False,
    ) -> T:
        """Run a unit atomically and return its value.

        `first` is a blocking flush that the unit's rows rely on: it has run before the unit does, on a thread of the
        driver's; equal ones of units that wait together run once. With `heed` the unit does not run while there is a
        seal. Raises whatever the unit or `first` raises, DatabaseFull, and Sealed.
        """
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """A view that stands still, for as long as it takes to read everything; nobody waits for it."""
        ...

    def altering(self, tell: Tell = untold) -> AbstractAsyncContextManager[Alteration]:
        """For changing the schema. Waits while another process does. `tell` is told, now and then, what it waits for."""
        ...

    async def close(self) -> None:
        """Finish what is queued, then let go."""
        ...


def placeholders(count: int) -> str:
    """`?, ?, ?` for an IN list or a row of VALUES."""
    return ", ".join("?" * count)
