import asyncio
import threading

import pytest

from base.threads import Threads


async def test_a_function_runs_off_the_loop_and_gives_its_result():
    threads = Threads(2, "test")
    loop = threading.get_ident()

    def work(one: int, *, two: int) -> tuple[bool, int]:
        return threading.get_ident() != loop, one + two

    assert await threads.run(work, 1, two=2) == (True, 3)
    await threads.close()


async def test_what_a_function_raises_reaches_who_awaits_it():
    threads = Threads(1, "test")

    def work() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        await threads.run(work)
    assert await threads.run(lambda: 5) == 5
    await threads.close()


async def test_no_more_threads_run_than_were_asked_for():
    threads = Threads(3, "test")
    seen: set[int] = set()
    barrier = threading.Barrier(3)

    def together() -> None:
        seen.add(threading.get_ident())
        barrier.wait(10)

    for _ in range(4):
        await asyncio.gather(*(threads.run(together) for _ in range(3)))
    assert len(seen) == 3
    await threads.close()


async def test_one_call_at_a_time_needs_one_thread():
    threads = Threads(8, "test")
    seen = {await threads.run(threading.get_ident) for _ in range(20)}
    assert len(seen) == 1
    await threads.close()


async def test_a_caller_that_goes_away_leaves_the_thread_at_work():
    threads = Threads(1, "test")
    entered, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        assert go_on.wait(10)

    gone = threads.run(slow)
    await asyncio.to_thread(entered.wait, 10)
    gone.cancel()
    waiting = threads.run(lambda: "next")
    go_on.set()
    assert await waiting == "next"
    await threads.close()


async def test_closing_finishes_what_was_begun_and_refuses_more():
    threads = Threads(2, "test")
    done: list[int] = []
    futures = [threads.run(done.append, number) for number in range(50)]
    await threads.close()
    await asyncio.gather(*futures)
    assert sorted(done) == list(range(50))
    with pytest.raises(RuntimeError, match="closed"):
        threads.run(done.append, 1)
    await threads.close()
