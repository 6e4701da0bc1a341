"""A few threads for blocking work, with as little between a call and its result as can be.

`concurrent.futures` and `run_in_executor` make two futures and chain them for each call; where calls are shorter than
that costs, this is the difference.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """Runs functions on `count` threads, begun when they are first needed."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._closed = False

    def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> "asyncio.Future[T]":
        """The result of `function`, to be awaited in the loop that calls this. Raises RuntimeError once closed."""
        if self._closed:
            raise RuntimeError(f"the {self._name} threads are closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._busy += 1
        if self._busy > len(self._threads) < self._count:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._calls.put((loop, future, function, arguments, named))
        return future

    async def close(self) -> None:
        """Finish what was begun."""
        self._closed = True
        for _ in self._threads:
            self._calls.put(None)
        loop = asyncio.get_running_loop()
        for thread in self._threads:
            await loop.run_in_executor(None, thread.join)
        self._threads.clear()

    def _work(self) -> None:
        take = self._calls.get
        while (call := take()) is not None:
            loop, future, function, arguments, named = call
            if future.cancelled():  # who called gave up while it waited
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._settle, future, None, None)
                continue
            value, error = None, None
            try:
                value = function(*arguments, **named)
            except BaseException as raised:  # noqa: BLE001 - it belongs to who awaits the future
                error = raised
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._settle, future, value, error)
            del call, function, arguments, named, value, error

    def _settle(self, future: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
        self._busy -= 1
        if future.done():  # who called went away
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
