import asyncio

import pytest

from base.loops import Supervisor

FOREVER = 1e6


class Rounds:
    """A loop's round that says when it runs, and what it was reported."""

    def __init__(self, *outcomes: float | Exception) -> None:
        self.outcomes = list(outcomes)
        self.count = 0
        self.changed = asyncio.Condition()

    async def __call__(self) -> float:
        async with self.changed:
            self.count += 1
            self.changed.notify_all()
        outcome = self.outcomes.pop(0) if self.outcomes else FOREVER
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.count >= count)


class Reports(list[tuple[str, str]]):
    def __call__(self, name: str, error: BaseException) -> None:
        self.append((name, str(error)))


async def test_a_loop_runs_again_after_the_pause_it_asked_for():
    rounds, reports = Rounds(0.0, 0.0, 0.0), Reports()
    supervisor = Supervisor(reports)
    supervisor.start("loop", rounds)
    await rounds.until(4)
    await supervisor.stop()
    assert (rounds.count, reports) == (4, [])


async def test_a_wake_cuts_the_pause_short():
    rounds = Rounds()
    supervisor = Supervisor(Reports())
    supervisor.start("loop", rounds)
    for count in range(1, 4):
        await rounds.until(count)
        supervisor.wake("loop")
    await rounds.until(4)
    await supervisor.stop()


async def test_a_wake_during_a_round_is_not_lost():
    supervisor = Supervisor(Reports())
    count = 0
    done = asyncio.Event()

    async def turn() -> float:
        nonlocal count
        count += 1
        if count == 1:
            supervisor.wake("loop")
        else:
            done.set()
        return FOREVER

    supervisor.start("loop", turn)
    async with asyncio.timeout(10):
        await done.wait()
    await supervisor.stop()
    assert count == 2


async def test_a_round_that_raises_is_reported_and_the_loop_goes_on():
    rounds, reports = Rounds(ValueError("one"), KeyError("two")), Reports()
    supervisor = Supervisor(reports)
    supervisor.start("loop", rounds)
    await rounds.until(1)
    supervisor.wake("loop")
    await rounds.until(2)
    supervisor.wake("loop")
    await rounds.until(3)
    await supervisor.stop()
    assert reports == [("loop", "one"), ("loop", "'two'")]


async def test_one_loop_that_fails_leaves_the_others_alone():
    failing, well, reports = Rounds(ValueError("bad")), Rounds(0.0, 0.0), Reports()
    supervisor = Supervisor(reports)
    supervisor.start("failing", failing)
    supervisor.start("well", well)
    await well.until(3)
    await supervisor.stop()
    assert reports == [("failing", "bad")]


async def test_stopping_lets_a_round_under_way_finish():
    entered, go_on, finished = asyncio.Event(), asyncio.Event(), []

    async def turn() -> float:
        entered.set()
        await go_on.wait()
        finished.append(True)
        return 0.0

    supervisor = Supervisor(Reports())
    supervisor.start("loop", turn)
    await entered.wait()
    stopping = asyncio.ensure_future(supervisor.stop(within=10))
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert finished == [True]


async def test_stopping_cancels_what_does_not_finish_in_time():
    entered, cancelled = asyncio.Event(), []

    async def turn() -> float:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return 0.0

    supervisor = Supervisor(Reports())
    supervisor.start("loop", turn)
    await entered.wait()
    await supervisor.stop(within=0)
    assert cancelled == [True]


async def test_stopping_without_loops_and_stopping_again_are_fine():
    supervisor = Supervisor(Reports())
    await supervisor.stop()
    await supervisor.stop()


async def test_waking_an_unknown_loop_is_an_error():
    with pytest.raises(KeyError):
        Supervisor(Reports()).wake("nothing")
