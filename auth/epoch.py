"""What a process may remember of identities and policies, and for how long.

Every change of permissions raises a number in the database in its own transaction. A process that remembers looks at
the number at least once in `LOOK_AGAIN` seconds, when it is asked something, and forgets all when it has moved; a look
that fails is an error for who asked, so nothing stale is ever used for longer. In the process that made a change the
memory is dropped before the change is answered.
"""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from auth.rows.epochs import bump_epoch, read_epoch
from base.clock import Clock
from store.database import Database, Unit

T = TypeVar("T")

LOOK_AGAIN = 0.5
"""Seconds; half of what the registry promises."""


class Epoch:
    """One process's view of the number. `generation` moves whenever something remembered may be wrong."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """`clock` is monotonic, in seconds."""
        self._database = database
        self._clock = clock
        self._number = -1
        self._looked_at = float("-inf")
        self.generation = 0

    @property
    def age(self) -> float:
        """Seconds since the number was looked at; infinite before the first time."""
        return self._clock() - self._looked_at

    async def confirm(self) -> int:
        """The generation that holds now. Raises DatabaseUnavailable."""
        now = self._clock()
        if now - self._looked_at >= LOOK_AGAIN:
            number = await read_epoch(self._database)
            if number != self._number:
                self._number = number
                self.generation += 1
            self._looked_at = now
        return self.generation

    def moved(self) -> None:
        """This process has changed something."""
        self.generation += 1

    async def change(self, unit: Callable[[], Unit[T]]) -> T:
        """Run a unit that changes permissions, durably; afterwards no process remembers longer than promised, this one
        not at all. Raises whatever the unit raises."""

        def whole() -> Unit[T]:
            value = yield from unit()
            yield from bump_epoch()
            return value

        try:
            return await self._database.write(whole)
        finally:
            self.moved()


class Memory:
    """What was read, until the epoch moves. At most `limit` things, of which some may weigh more than one; an absence (None)
    is not remembered, so that nobody who makes up names makes others be forgotten."""

    def __init__(self, epoch: Epoch, limit: int) -> None:
        self._epoch = epoch
        self._limit = limit
        self._generation = -1
        self._things: dict[Hashable, Any] = {}
        self._weight = 0

    async def get(
        self, key: Hashable, load: Callable[[], Awaitable[T]], *, weigh: Callable[[T], int] | None = None
    ) -> T:
        """Raises DatabaseUnavailable where what is remembered cannot be confirmed, and whatever `load` raises."""
        generation = await self._epoch.confirm()
        if generation != self._generation:
            self._forget()
            self._generation = generation
        try:
            found: T = self._things[key]
            return found
        except KeyError:
            pass
        value = await load()
        unchanged = self._generation == generation == self._epoch.generation  # while it was read
        if unchanged and value is not None:
            weight = 1 if weigh is None else weigh(value)
            if self._weight + weight > self._limit:
                self._forget()
            self._weight += weight
            self._things[key] = value
        return value

    def _forget(self) -> None:
        self._things.clear()
        self._weight = 0
