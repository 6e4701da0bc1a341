"""What /readyz says: whether the database and the store answer, and what is refused meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

from base.clock import Clock
from registry.errors import StorageFull
from store.blobs.driver import BlobDriver
from store.database import Database

_LONGEST = 5.0
"""Seconds after which what does not answer is held to be away."""
_FRESH = 0.5
"""Seconds for which one look serves all who ask."""


class Readiness:
    """Looks when it is asked: once at a time, however many ask."""

    def __init__(
        self, database: Database, blobs: BlobDriver, check_space: Callable[[int], Awaitable[None]], clock: Clock
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self._database = database
        self._blobs = blobs
        self._check_space = check_space
        self._clock = clock
        self._looking: asyncio.Task[tuple[bool, str]] | None = None
        self._looked_at = float("-inf")

    async def look(self) -> tuple[bool, str]:
        """(whether requests can be answered, a sentence about it)."""
        if self._looking is None or (self._looking.done() and self._clock() - self._looked_at >= _FRESH):
            self._looking = asyncio.create_task(self._look(), name="readiness")
        return await asyncio.shield(self._looking)

    async def _look(self) -> tuple[bool, str]:
        try:
            for what, probe in (("database", self._database.fetch_one("SELECT 1")), ("store", self._blobs.probe())):
                try:
                    async with asyncio.timeout(_LONGEST):
                        await probe
                except TimeoutError:
                    return False, f"not ready: the {what} does not answer"
            try:
                await self._check_space(0)
            except StorageFull as error:
                return True, f"ready to be read from: {error}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is the same
            return False, f"not ready: {error}"
        finally:
            self._looked_at = self._clock()
        return True, "ready"
