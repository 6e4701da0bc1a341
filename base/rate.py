"""Keeping below a rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from base.clock import Clock


class Rate:
    """So many units a second at the most, on average; 0: as fast as it goes."""

    def __init__(
        self,
        most: float,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._most = most
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    async def take(self, units: float) -> None:
        """Returns when as many units may be used; who asks for more than there is waits first, not after."""
        if not self._most:
            return
        now = self._clock()
        begins = max(self._free_at, now)
        self._free_at = begins + units / self._most
        if begins > now:
            await self._sleep(begins - now)
