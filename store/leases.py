"""Leases: which process runs a background loop, across workers and replicas. A row a name.

A lease is taken over when its time is up, by whichever process looks next. Processes compare that time with their own
clocks, so one that is ahead takes over early, and one that slept may believe for a while that it still holds. Neither
does harm: whatever only the holder may do begins with `confirm` in the same unit, and fails once another has taken over.
"""

from collections.abc import Callable
from typing import TypeVar

from base.clock import Clock
from store.database import Database, Unit

T = TypeVar("T")

PIN = "pin:"
"""What the names of pins begin with: leases, of any number of holders, under which no bytes are deleted."""
UNPINNED = "NOT EXISTS (SELECT 1 FROM leases WHERE name >= 'pin:' AND name < 'pin;' AND expires_at > ?)"
"""A condition of statements that list what is to be deleted, with the present time: whatever was pinned before something
was condemned keeps its bytes."""


async def is_pinned(database: Database, now: float) -> bool:
    """Whether bytes are kept at the moment, whatever was condemned."""
    return await database.fetch_one(f"SELECT 1 WHERE {UNPINNED}", (now,)) is None


class LeaseLost(Exception):
    """Another process has taken the lease over."""


class Lease:
    """A lease as one process holds it, or tries to. `holder` is a name that no other process has."""

    def __init__(self, database: Database, name: str, holder: str, *, clock: Clock, seconds: float = 10.0) -> None:
        self._database = database
        self._name = name
        self._holder = holder
        self._clock = clock
        self._seconds = seconds
        self._taken_at = 0.0

    async def is_free(self) -> bool:
        """Whether `take` would succeed now. One read, so that many processes may look often."""
        row = await self._database.fetch_one("SELECT holder, expires_at FROM leases WHERE name = ?", (self._name,))
        return row is None or row[0] == self._holder or row[1] < self._clock()

    async def take(self, *, seize: bool = False) -> bool:
        """Take or renew the lease. False where another holds it; with `seize` it is taken from them."""
        now = self._clock()
        if seize:
            await self._database.write(
                lambda: seize_lease(self._name, self._holder, now, seconds=self._seconds), durable=False
            )
            held = True
        else:
            held = await self._database.write(
                lambda: take_lease(self._name, self._holder, now, seconds=self._seconds), durable=False
            )
        if held:
            self._taken_at = now
        return held

    async def keep(self) -> None:
        """Renew the lease if a good part of its time is over. Raises LeaseLost.

        Between two calls the holder does what takes less than the rest of that time.
        """
        if 0 <= self._clock() - self._taken_at < self._seconds / 3:
            return
        now = self._clock()
        await self._database.write(
            lambda: renew_lease(self._name, self._holder, now, seconds=self._seconds), durable=False
        )
        self._taken_at = now

    def guard(self, unit: Callable[[], Unit[T]]) -> Callable[[], Unit[T]]:
        """The unit, for the holder alone: it raises LeaseLost, and changes nothing, where another has taken over."""

        def guarded() -> Unit[T]:
            yield from confirm_lease(self._name, self._holder)
            return (yield from unit())

        return guarded

    async def drop(self) -> None:
        """Give the lease back, if it is held, so that another process need not wait for its end."""
        await self._database.write(lambda: drop_lease(self._name, self._holder), durable=False)


def take_lease(name: str, holder: str, now: float, *, seconds: float) -> Unit[bool]:
    """Take or renew the lease. False where another holds it."""
    rows = yield (
        "INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at "
        "WHERE leases.holder = excluded.holder OR leases.expires_at < ? RETURNING 1",
        (name, holder, now + seconds, now),
    )
    return bool(rows)


def seize_lease(name: str, holder: str, now: float, *, seconds: float) -> Unit[None]:
    """Take the lease, whoever holds it."""
    yield (
        "INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at",
        (name, holder, now + seconds),
    )


def renew_lease(name: str, holder: str, now: float, *, seconds: float) -> Unit[None]:
    """Raises LeaseLost where another has taken it over."""
    rows = yield (
        "UPDATE leases SET expires_at = ? WHERE name = ? AND holder = ? RETURNING 1",
        (now + seconds, name, holder),
    )
    if not rows:
        raise LeaseLost(f"another process has taken over the lease `{name}`")


def confirm_lease(name: str, holder: str) -> Unit[None]:
    """For the beginning of a unit that only the holder may run. Raises LeaseLost."""
    rows = yield "SELECT 1 FROM leases WHERE name = ? AND holder = ?", (name, holder)
    if not rows:
        raise LeaseLost(f"another process has taken over the lease `{name}`")


def drop_lease(name: str, holder: str) -> Unit[None]:
    """Give the lease back, so that another process need not wait for its end."""
    yield "DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder)
