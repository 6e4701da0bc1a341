"""What a process remembers of identities and policies, and when it forgets."""

from collections.abc import AsyncIterator

import pytest

from auth.epoch import LOOK_AGAIN, Epoch, Memory
from store.database import DatabaseUnavailable, Unit
from store.sqlite import SqliteDatabase
from tests.rooms import Time


class Reading:
    """A thing to read, and how often it was read."""

    def __init__(self, value: str | None = "first") -> None:
        self.value = value
        self.times = 0

    async def __call__(self) -> str | None:
        self.times += 1
        return self.value


def nothing() -> Unit[str]:
    yield "SELECT 1", ()
    return "done"


def failing() -> Unit[None]:
    yield "SELECT 1", ()
    raise LookupError


@pytest.fixture
def memory(epoch: Epoch) -> Memory:
    return Memory(epoch, limit=10)


@pytest.fixture
async def elsewhere(database: SqliteDatabase, clock: Time) -> AsyncIterator[Epoch]:
    """Another process."""
    other = SqliteDatabase(database._path)
    yield Epoch(other, clock)
    await other.close()


async def test_what_was_read_is_remembered(memory: Memory, clock: Time):
    reading = Reading()
    for _ in range(5):
        assert await memory.get("key", reading) == "first"
        clock.pass_(LOOK_AGAIN)
    assert reading.times == 1


async def test_a_change_here_is_seen_at_once(memory: Memory, epoch: Epoch):
    reading = Reading()
    await memory.get("key", reading)
    assert await epoch.change(nothing) == "done"
    reading.value = "second"
    assert await memory.get("key", reading) == "second"


async def test_a_change_elsewhere_is_seen_when_it_is_looked_for(memory: Memory, elsewhere: Epoch, clock: Time):
    reading = Reading()
    await memory.get("key", reading)
    await elsewhere.change(nothing)
    reading.value = "second"
    clock.pass_(LOOK_AGAIN - 0.01)
    assert await memory.get("key", reading) == "first"
    clock.pass_(0.01)
    assert await memory.get("key", reading) == "second"


async def test_a_change_that_failed_forgets_too_and_says_nothing_to_others(
    memory: Memory, epoch: Epoch, elsewhere: Epoch
):
    reading, before = Reading(), await elsewhere.confirm()
    await memory.get("key", reading)
    with pytest.raises(LookupError):
        await epoch.change(failing)
    await memory.get("key", reading)
    assert reading.times == 2
    assert await elsewhere.confirm() == before


async def test_what_was_read_while_something_changed_is_not_remembered(memory: Memory, epoch: Epoch):
    async def overtaken() -> str:
        await epoch.change(nothing)
        return "old"

    reading = Reading("new")
    assert await memory.get("key", overtaken) == "old"
    assert await memory.get("key", reading) == "new"


async def test_an_absence_is_read_each_time_and_makes_nobody_forget(memory: Memory):
    reading, absent = Reading(), Reading(None)
    await memory.get("key", reading)
    for number in range(100):
        assert await memory.get(number, absent) is None
    await memory.get("key", reading)
    assert (reading.times, absent.times) == (1, 100)


async def test_memory_is_bounded(memory: Memory):
    for number in range(100):
        await memory.get(number, Reading())
        assert len(memory._things) <= 10


async def test_some_things_weigh_more(memory: Memory):
    for number in range(100):
        await memory.get(number, Reading(), weigh=lambda _: 4)
        assert len(memory._things) <= 2
    reading = Reading()
    for _ in range(2):
        assert await memory.get("key", reading, weigh=lambda _: 100) == "first"


async def test_what_cannot_be_confirmed_is_not_used(
    memory: Memory, epoch: Epoch, clock: Time, monkeypatch: pytest.MonkeyPatch
):
    reading = Reading()
    await memory.get("key", reading)

    async def unreachable(_: object) -> int:
        raise DatabaseUnavailable

    monkeypatch.setattr("auth.epoch.read_epoch", unreachable)
    assert await memory.get("key", reading) == "first"
    clock.pass_(LOOK_AGAIN)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await memory.get("key", reading)
    monkeypatch.undo()
    assert await memory.get("key", reading) == "first"
