"""Memory that is shared by those who gather parts."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from store.blobs.gathering import Allowance, Crumb, Gathered
from store.bucket import UNSIGNED


async def test_no_more_is_given_than_there_is_and_those_who_wait_are_served_in_their_order():
    allowance = Allowance(10, patience=60.0)
    assert await allowance.take(6)
    order: list[str] = []

    async def wait(name: str, size: int) -> None:
        assert await allowance.take(size)
        order.append(name)

    waiting = []
    for name, size in (("large", 7), ("small", 2), ("last", 1)):
        waiting.append(asyncio.create_task(wait(name, size)))
        await asyncio.sleep(0)
    assert order == []
    assert not allowance.try_take(1), "others were there before"
    assert allowance.is_wanted
    allowance.give_back(6)
    await asyncio.gather(*waiting)
    assert order == ["large", "small", "last"]
    assert allowance.free == 0


async def test_more_than_there_ever_is_is_not_waited_for():
    assert not await Allowance(10, patience=60.0).take(11)


async def test_nobody_waits_for_those_who_keep_theirs():
    allowance = Allowance(10, patience=0.05)
    assert await allowance.take(10)
    assert not await allowance.take(1)
    allowance.give_back(10)
    assert allowance.try_take(10)


async def test_who_gives_up_leaves_its_place_to_others():
    allowance = Allowance(10, patience=60.0)
    assert await allowance.take(6)
    gone = asyncio.create_task(allowance.take(9))
    await asyncio.sleep(0)
    small = asyncio.create_task(allowance.take(3))
    await asyncio.sleep(0)
    gone.cancel()
    assert await small
    assert not allowance.is_wanted
    allowance.give_back(9)
    assert allowance.free == 10


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3), st.booleans()), max_size=12))
def test_whatever_is_asked_and_cancelled_all_of_it_comes_back(asked: list[tuple[int, int, bool]]):
    async def run() -> None:
        allowance = Allowance(10, patience=0.02)
        held = 0

        async def hold(size: int, turns: int) -> None:
            nonlocal held
            if not await allowance.take(size):
                return
            held += size
            assert held <= 10
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                held -= size
                allowance.give_back(size)

        tasks = [asyncio.create_task(hold(size, turns)) for size, turns, _ in asked]
        await asyncio.sleep(0)
        for task, (_, _, cancelled) in zip(tasks, asked, strict=True):
            if cancelled:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert allowance.free == 10
        assert not allowance.is_wanted

    asyncio.run(run())


async def test_a_part_is_its_segments_in_order_wherever_they_lie():
    async def fetch(crumb: Crumb):
        yield crumb.mark.encode()

    part = Gathered(fetch, [Crumb("one ", 4)])
    part.add(b"two ")
    assert (part.size, part.held_size) == (8, 4)
    part.replace_held(Crumb("two ", 4))
    part.add(memoryview(b"three"))
    more = Gathered(fetch, [b" four"])
    more.allowed = 3
    part.join(more)
    assert (part.size, part.held_size, part.allowed, more.allowed) == (18, 10, 3, 0)
    assert b"".join([bytes(piece) async for piece in part.pieces()]) == b"one two three four"
    assert await part.digest() == UNSIGNED, "what is not here is not read for a hash"
    part.begin_with([b"zero "], instead_of=(Crumb("one ", 4),))
    assert b"".join([bytes(piece) async for piece in part.pieces()]) == b"zero two three four"
