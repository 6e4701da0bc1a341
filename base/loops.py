"""Named background loops with one owner.

A loop is a coroutine function that does one round and returns how many seconds to wait before the next. A round that
raises is reported and tried again with a growing pause; it never ends the process. `Supervisor.stop` wakes every loop,
lets the round under way finish within a bound, and cancels what is still running after it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Round: TypeAlias = Callable[[], Awaitable[float]]
Report: TypeAlias = Callable[[str, BaseException], None]

_LONGEST_PAUSE = 60.0


class Supervisor:
    """Owns the background loops of one process; bound to the running event loop."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._stopping = asyncio.Event()
        self._wakes: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, turn: Round) -> None:
        """Run `turn` again and again under `name` until `stop`."""
        self._wakes[name] = asyncio.Event()
        self._tasks.append(asyncio.create_task(self._run(name, turn), name=name))

    def wake(self, name: str) -> None:
        """Cut the pause of loop `name` short."""
        self._wakes[name].set()

    async def stop(self, within: float = 5.0) -> None:
        """End every loop: rounds under way have `within` seconds to finish."""
        self._stopping.set()
        for wake in self._wakes.values():
            wake.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._tasks.clear()

    async def _run(self, name: str, turn: Round) -> None:
        failures = 0
        wake = self._wakes[name]
        while not self._stopping.is_set():
            wake.clear()
            try:
                pause = await turn()
                failures = 0
            except Exception as error:  # noqa: BLE001 - a loop outlives whatever its round meets, and says so
                self._report(name, error)
                pause = min(_LONGEST_PAUSE, 2.0**failures)
                failures += 1
            try:
                async with asyncio.timeout(pause):
                    await wake.wait()
            except TimeoutError:
                continue
