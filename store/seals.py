"""Seals: why nothing may be changed at the moment. A row a reason.

While there is one, units that heed seals raise Sealed, in whatever process: the driver looks in the transaction in which
such a unit runs. So once a seal is written nothing that heeds it is committed any more, however long ago it was begun.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeVar

from base.clock import Clock
from store.database import Alteration, Database, Row, Sealed, Snapshot, Tell, Unit, untold

T = TypeVar("T")

LOOK = "SELECT reason FROM seals ORDER BY sealed_at, name LIMIT 1"
"""What drivers ask in the transaction of a unit that heeds seals."""
LOOK_AGAIN = 0.5
"""Seconds; half of what the registry promises."""


@dataclass(frozen=True, slots=True)
class Seal:
    """One reason, by its name, and since when (seconds since the epoch)."""

    name: str
    reason: str
    sealed_at: float


async def list_seals(database: Database) -> list[Seal]:
    """The oldest first."""
    rows = await database.fetch("SELECT name, reason, sealed_at FROM seals ORDER BY sealed_at, name")
    return [Seal(*row) for row in rows]


def put_seal(name: str, reason: str, now: float) -> Unit[None]:
    """An existing seal of that name keeps its time."""
    yield (
        "INSERT INTO seals (name, reason, sealed_at) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET reason = excluded.reason",
        (name, reason, now),
    )


def break_seal(name: str) -> Unit[bool]:
    """False where there was none of that name."""
    rows = yield "DELETE FROM seals WHERE name = ? RETURNING 1", (name,)
    return bool(rows)


class Heeding:
    """A database as whoever serves requests sees it: every write heeds seals. Implements `store.database.Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.vocabulary = database.vocabulary
        self.fetch = database.fetch
        self.fetch_one = database.fetch_one

    async def write(
        self,
        unit: Callable[[], Unit[T]],
        *,
        durable: bool = True,
        first: Callable[[], None] | None = None,
        heed: bool = True,  # noqa: ARG002 - it always does
    ) -> T:
        return await self._database.write(unit, durable=durable, first=first, heed=True)

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        return self._database.snapshot()

    def altering(self, tell: Tell = untold) -> AbstractAsyncContextManager[Alteration]:
        return self._database.altering(tell)

    async def close(self) -> None:
        await self._database.close()


class Unwritable:
    """A database that this process never writes to, whatever the seals. Implements `store.database.Database`."""

    def __init__(self, database: Database, reason: str) -> None:
        self._database = database
        self._reason = reason
        self.vocabulary = database.vocabulary
        self.fetch = database.fetch
        self.fetch_one = database.fetch_one

    async def write(
        self,
        unit: Callable[[], Unit[T]],  # noqa: ARG002 - no unit runs
        *,
        durable: bool = True,  # noqa: ARG002
        first: Callable[[], None] | None = None,  # noqa: ARG002
        heed: bool = False,  # noqa: ARG002
    ) -> T:
        raise Sealed(self._reason)

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        return self._database.snapshot()

    def altering(self, tell: Tell = untold) -> AbstractAsyncContextManager[Alteration]:  # noqa: ARG002
        raise Sealed(self._reason)

    async def close(self) -> None:
        await self._database.close()


class Watch:
    """One process's view of the seals, at most LOOK_AGAIN seconds old: to refuse a change before its bytes are sent.

    What it lets through the database may still refuse.
    """

    def __init__(self, database: Database, clock: Clock, *, always: str = "") -> None:
        """`clock` is monotonic, in seconds; `always` is a reason that no seal has to give."""
        self._database = database
        self._clock = clock
        self._always = always
        self._reason = ""
        self._looked_at = float("-inf")

    async def reason(self) -> str:
        """Why nothing may be changed, or an empty text. Raises DatabaseUnavailable."""
        if self._always:
            return self._always
        now = self._clock()
        if now - self._looked_at >= LOOK_AGAIN:
            row: Row | None = await self._database.fetch_one(LOOK)
            self._reason = "" if row is None else row[0]
            self._looked_at = now
        return self._reason

    async def admit(self) -> None:
        """Raises Sealed, DatabaseUnavailable."""
        reason = await self.reason()
        if reason:
            raise Sealed(reason)
