"""That the exploration leaves nothing out, and can find what it is for."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from tests.interleavings.scheduler import Actor, Scene, Turns, Wrong, explore


class Counter:
    """What two actors add to by reading and writing in two steps."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.value = 0
        self.orders: set[str] = set()

    async def _read(self) -> int:
        return self.value

    async def _write(self, value: int) -> None:
        self.value = value

    async def _add(self) -> None:
        self.value += 1

    async def add_by_halves(self) -> None:
        seen = await self.turns.step("read", self._read)
        await self.turns.step("write", lambda: self._write(seen + 1))

    async def add(self) -> None:
        await self.turns.step("add", self._add)

    async def _nothing(self) -> None:
        return

    def scene(self, actors: Mapping[str, Actor], end: Callable[[Mapping[str, object]], Awaitable[None]]) -> Scene:
        async def reset() -> None:
            self.value = 0

        async def state() -> object:
            return self.value

        return Scene(self.turns, actors, reset, state, self._nothing, end)


async def test_a_lost_update_is_found():
    counter = Counter()

    async def both_count(_: Mapping[str, object]) -> None:
        assert counter.value == 2

    found = await explore(counter.scene({"a": counter.add, "b": counter.add}, both_count))
    assert found.orders >= 1
    with pytest.raises(Wrong, match="a: read") as caught:
        await explore(counter.scene({"a": counter.add_by_halves, "b": counter.add_by_halves}, both_count))
    assert "b: read" in str(caught.value), "the order is told"


async def test_every_order_is_tried():
    """What was seen is told apart, so that none of them is as an earlier one."""
    counter = Counter()
    orders: set[tuple[str, ...]] = set()

    async def walk(name: str) -> None:
        for _ in range(2):
            await counter.turns.step(name, lambda: note(name))

    walked: list[str] = []

    async def note(name: str) -> int:
        walked.append(name)
        return hash(tuple(walked))

    async def end(_: Mapping[str, object]) -> None:
        orders.add(tuple(walked))

    scene = counter.scene({"a": lambda: walk("a"), "b": lambda: walk("b")}, end)
    reset = scene.reset

    async def reset_all() -> None:
        walked.clear()
        await reset()

    scene.reset = reset_all
    await explore(scene)
    assert len(orders) == 6


async def test_who_is_killed_has_no_turn_any_more():
    counter = Counter()
    ends: set[tuple[int, bool]] = set()

    async def add_twice() -> None:
        try:
            await counter.add()
            await counter.add()
        finally:
            await counter.add()  # cleaning up is what a kill leaves out

    async def end(outcomes: Mapping[str, object]) -> None:
        ends.add((counter.value, "a" in outcomes))

    await explore(counter.scene({"a": add_twice, "kill": lambda: counter.turns.kill("a")}, end))
    assert ends == {(0, False), (1, False), (2, False), (3, True)}
