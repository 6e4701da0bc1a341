"""Rounds and searches by several processes that share a database: done once, gone on with, and paced."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from base.pace import Pace
from registry import rows
from registry.garbage import Amount, Garbage
from registry.gc import Collected, Collector
from registry.owner import StoreForeign
from registry.rounds import COLLECTOR, Intervals, Rounds, find_standing
from registry.rows import Repository
from registry.rows.collections import Kind
from registry.survey import Report, Survey
from store.blobs.driver import BlobDriver, Page, StoreUnavailable
from store.blobs.memory import MemoryBlobs
from store.leases import Lease, LeaseLost
from store.seals import Heeding, break_seal, put_seal
from tests.rooms import EXPIRY, GRACE, SETTLE, WHO, House, Time, announced, open_house, read_key
from tests.unit.registry.test_push_and_pull import blob

ROUND, SEARCH = 60.0, 20_000.0
LEASE = 10.0
LOOK = 3.0


@dataclass
class Process:
    """The collector of one process, and what it said that it did."""

    rounds: Rounds
    said: list[tuple[Kind, Collected]] = field(default_factory=list)

    async def until_idle(self, clock: Time, *, most: int = 1000) -> None:
        """Turns, and the rests between them, until it has nothing to do."""
        for _ in range(most):
            before = len(self.said)
            rest = await self.rounds.turn()
            if rest == LOOK and len(self.said) == before:
                return
            clock.pass_(rest)
        raise AssertionError("there is no end")

    def did(self, kind: Kind) -> list[Collected]:
        return [done for what, done in self.said if what == kind]


def process_of(
    house: House,
    name: str,
    *,
    share: float = 1.0,
    timer: Callable[[], float] = lambda: 0.0,
    blobs: object = None,
    grace: float = GRACE,
) -> Process:
    pace = Pace(share=share, timer=timer)
    database = Heeding(house.database)
    collector = Collector(
        database,
        cast("BlobDriver", blobs or house.blobs),
        clock=house.clock,
        grace=grace,
        upload_expiry=EXPIRY,
        settle=SETTLE,
        pace=pace,
    )
    lease = Lease(database, COLLECTOR, name, clock=house.clock, seconds=LEASE)
    intervals = Intervals(ROUND, SEARCH)
    process: Process
    rounds = Rounds(
        database, collector, lease, pace, clock=house.clock, intervals=intervals,
        report=lambda kind, done: process.said.append((kind, done)),
    )  # fmt: skip
    process = Process(rounds)
    return process


@pytest.fixture
async def one(house: House) -> AsyncIterator[Process]:
    process = process_of(house, "one")
    yield process
    await process.rounds.stop()


@pytest.fixture
async def two(house: House, other: House) -> AsyncIterator[Process]:
    process = process_of(other, "two")
    yield process
    await process.rounds.stop()


async def holder(house: House) -> str:
    row = await house.database.fetch_one("SELECT holder FROM leases WHERE name = ?", (COLLECTOR,))
    return "" if row is None else str(row[0])


async def abandoned(house: House, repository: Repository, count: int, begin: int = 0) -> None:
    """So many blobs whose grace is over."""
    for number in range(begin, begin + count):
        await blob(house, repository, f"blob {number}".encode())
    house.clock.pass_(GRACE + 1)


async def test_a_round_is_done_once_whoever_looks_first(
    house: House, repository: Repository, clock: Time, one: Process, two: Process
):
    await abandoned(house, repository, 3)
    await one.until_idle(clock)
    await two.until_idle(clock)
    assert [done.unlinked for done in one.did("round")] == [3]
    assert two.said == []
    assert await holder(house) == "", "it is given back, so that nobody waits for its end"
    clock.pass_(ROUND + 1)
    await two.until_idle(clock)
    await one.until_idle(clock)
    assert [done.freed for done in two.did("round")] == [3]
    assert len(one.did("round")) == 1


async def test_while_one_is_at_it_the_others_only_look(
    house: House, repository: Repository, clock: Time, one: Process, two: Process
):
    await abandoned(house, repository, 3)
    await one.rounds.turn()
    assert await holder(house) == "one"
    for _ in range(5):
        assert await two.rounds.turn() == LOOK
    assert (await find_standing(house.database)).round.under_way
    await one.until_idle(clock)
    assert two.said == []
    assert not (await find_standing(house.database)).round.under_way


async def test_who_died_is_followed_once_its_lease_is_over(
    house: House, repository: Repository, clock: Time, one: Process, two: Process
):
    await abandoned(house, repository, 3)
    await one.rounds.turn()
    clock.pass_(LEASE - 1)
    assert await two.rounds.turn() == LOOK
    assert two.said == []
    clock.pass_(2)
    await two.until_idle(clock)
    assert [done.unlinked for done in two.did("round")] == [3]


async def test_who_slept_meanwhile_changes_nothing_any_more(
    house: House, repository: Repository, clock: Time, one: Process, two: Process
):
    await abandoned(house, repository, 3)
    await one.rounds.turn()
    clock.pass_(LEASE + 1)
    await two.rounds.turn()
    assert await holder(house) == "two"
    assert await one.rounds.turn() == LOOK
    assert one.said == []
    await two.until_idle(clock)
    assert len(two.did("round")) == 1
    await one.until_idle(clock)
    assert one.said == []


async def test_who_stops_gives_the_work_to_the_next_at_once(
    house: House, repository: Repository, clock: Time, one: Process, two: Process
):
    await abandoned(house, repository, 3)
    await one.rounds.turn()
    await one.rounds.stop()
    assert await holder(house) == ""
    await two.until_idle(clock)
    assert [done.unlinked for done in two.did("round")] == [3]


async def test_a_rest_that_is_longer_than_the_lease_keeps_it(
    house: House, other: House, repository: Repository, clock: Time
):
    """Else another process would begin anew while this one rests, and nothing would come to its end."""
    timer = Time(0.0)
    slow = process_of(house, "slow", share=0.1, timer=timer, blobs=Slow(house.blobs, timer, seconds=1.4))
    waiting = process_of(other, "waiting")
    await abandoned(house, repository, 1)
    await slow.until_idle(clock)
    clock.pass_(SETTLE + 1)
    rested = longest = 0.0
    while not slow.did("round")[1:]:
        rest = await slow.rounds.turn()
        rested += rest
        longest = max(longest, rest)
        clock.pass_(rest)
        if not slow.did("round")[1:]:
            assert await waiting.rounds.turn() == LOOK
            assert await holder(house) == "slow"
    assert rested >= LEASE
    assert longest < LEASE / 3
    assert slow.did("round")[1].freed == 1
    assert waiting.said == []


async def test_steps_of_a_slow_store_are_short(house: House, repository: Repository, clock: Time):
    """Or the lease would be over before the tombstones are buried, again and again."""
    timer = Time(0.0)
    store = Slow(house.blobs, timer, seconds=0.05)
    process = process_of(house, "one", timer=timer, blobs=store)
    await abandoned(house, repository, 300)
    await process.until_idle(clock)
    clock.pass_(SETTLE + 1)
    await process.until_idle(clock)
    assert sum(done.freed for done in process.did("round")) == 300
    assert store.sizes[0] * 0.05 < LEASE
    assert max(store.sizes[2:]) * 0.05 <= 1.0


async def test_a_search_goes_on_where_the_one_before_was_left(house: House, other: House, clock: Time):
    """A page is read, its place is marked, and whoever read it dies."""
    timer = Time(0.0)
    store = Counted(clock)
    await store.fill(25)
    first = process_of(house, "first", timer=timer, blobs=store)
    clock.pass_(SEARCH)
    while not (await find_standing(house.database)).search.place:
        timer.pass_(1.0)
        await first.rounds.turn()
    read = store.pages
    assert 0 < read < 25
    clock.pass_(LEASE + 1)
    second = process_of(other, "second", blobs=store)
    await second.until_idle(clock)
    assert store.pages < 25 + read, "it did not begin anew"
    standing = await find_standing(house.database)
    assert (standing.search.under_way, standing.search.place) == (False, "")
    assert store.keys == set()
    assert standing.reclaimed[Garbage.ORPHAN].items == 25


async def test_rounds_are_done_while_a_search_is_under_way(house: House, repository: Repository, clock: Time):
    store = Counted(clock)
    await store.fill(500)
    process = process_of(house, "one", share=0.1, timer=Ticking(0.05), blobs=store)
    clock.pass_(SEARCH)
    await process.until_idle(clock, most=5000)
    kinds = [kind for kind, _ in process.said]
    assert kinds.index("search") > 2
    assert store.keys == set()


async def test_rounds_that_take_longer_than_their_interval_do_not_keep_a_search_off(
    house: House, repository: Repository, clock: Time, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("registry.rounds._PAGE", 1)
    for number in range(20):
        await blob(house, repository, f"in its grace {number}".encode())
    process = process_of(house, "one", share=0.1, timer=Ticking(0.7), blobs=Counted(clock), grace=10 * SEARCH)
    began = clock()
    while len(process.did("search")) < 2:
        clock.pass_(await process.rounds.turn())
        assert clock() < began + SEARCH + 20 * ROUND
    assert (await find_standing(house.database)).round.seconds > ROUND, "the next is due when one ends"


async def test_counting_comes_to_an_end_while_everything_is_asked_for_again(
    house: House, repository: Repository, clock: Time, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("registry.rounds._PAGE", 1)
    digests = [await blob(house, repository, f"blob {number}".encode()) for number in range(10)]
    process = process_of(house, "one")
    for _ in range(1000):
        clock.pass_(1.0 + await process.rounds.turn())
        for digest in digests:
            unit = partial(rows.keep_blob, repository.id, digest, clock())
            await house.database.write(unit, durable=False)
        if process.did("round"):
            break
    assert len(process.did("round")) == 1
    assert (await find_standing(house.database)).waiting.graces.items >= 10


async def test_what_cannot_be_deleted_keeps_nothing_else_and_the_round_is_no_success(
    house: House, other: House, repository: Repository, clock: Time, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("registry.gc._STEP", 2)  # the keys lie in several batches
    await abandoned(house, repository, 7)
    (stuck,) = (await house.database.fetch("SELECT key FROM blobs ORDER BY digest LIMIT 1"))[0]
    store = Stuck(house.blobs, {stuck: PermissionError(1, "Operation not permitted", stuck)})
    process = process_of(house, "one", blobs=store)
    await process.until_idle(clock)
    ended = (await find_standing(house.database)).round.ended_at
    clock.pass_(SETTLE + 1)
    with pytest.raises(PermissionError):
        await process.until_idle(clock)
    standing = await find_standing(house.database)
    assert standing.reclaimed[Garbage.UNREFERENCED].items == 6
    assert standing.waiting.condemned.total.items == 1, "what is left is told"
    assert standing.round.ended_at == ended, "and an alert sees that it does not get well by itself"
    assert not standing.round.under_way
    assert await holder(house) == ""
    assert await process.rounds.turn() == LOOK, "it is tried again when the next round is due"
    clock.pass_(ROUND)
    well = process_of(other, "two")
    await well.until_idle(clock)
    assert [done.freed for done in well.did("round")] == [1]
    standing = await find_standing(house.database)
    assert standing.round.ended_at == clock()
    assert standing.waiting.condemned.total.items == 0


async def test_a_store_that_is_away_is_tried_again_when_the_next_round_is_due(
    house: House, other: House, repository: Repository, clock: Time
):
    await abandoned(house, repository, 3)
    process = process_of(house, "one")
    await process.until_idle(clock)
    clock.pass_(SETTLE + 1)
    keys = [key for (key,) in await house.database.fetch("SELECT key FROM condemned")]
    away = process_of(other, "two", blobs=Stuck(other.blobs, dict.fromkeys(keys, StoreUnavailable("refused"))))
    with pytest.raises(StoreUnavailable):
        await away.until_idle(clock)
    assert await process.rounds.turn() == LOOK
    assert len(await house.database.fetch("SELECT 1 FROM condemned")) == 3
    clock.pass_(ROUND)
    await process.until_idle(clock)
    assert process.did("round")[-1].freed == 3


async def test_nothing_is_collected_while_the_registry_is_sealed(
    house: House, repository: Repository, clock: Time, one: Process
):
    await abandoned(house, repository, 3)
    await one.rounds.turn()
    await house.database.write(lambda: put_seal("test", "moving", clock()))
    for _ in range(10):
        clock.pass_(await one.rounds.turn())
    assert one.said == []
    assert len(await house.database.fetch("SELECT 1 FROM blobs")) == 3
    await house.database.write(lambda: break_seal("test"))
    await one.until_idle(clock)
    assert sum(done.unlinked for done in one.did("round")) == 3


async def test_a_command_takes_the_work_over_and_gives_it_back(
    house: House, repository: Repository, clock: Time, one: Process, two: Process
):
    await abandoned(house, repository, 3)
    await one.rounds.turn()
    async for _, _, rest in two.rounds.run(("round", "search")):
        await one.rounds.turn()
        clock.pass_(rest)
    assert one.said == []
    assert [kind for kind, _ in two.said] == ["round", "search"]
    assert two.did("round")[0].unlinked == 3
    assert not two.did("search")[0].anything
    assert await holder(house) == ""
    clock.pass_(ROUND)
    await one.until_idle(clock)
    assert len(one.did("round")) == 1


async def test_of_two_commands_the_later_one_goes_on(
    house: House, repository: Repository, clock: Time, one: Process, two: Process
):
    await abandoned(house, repository, 3)
    earlier = one.rounds.run(("round",))
    await anext(earlier)
    later = two.rounds.run(("round",))
    await anext(later)
    clock.pass_(LEASE / 2)
    with pytest.raises(LeaseLost):
        await anext(earlier)
    async for _ in later:
        pass
    assert (one.said, two.did("round")[0].unlinked) == ([], 3)


@pytest.mark.parametrize("waiting", [False, True])
async def test_a_command_that_is_interrupted_leaves_the_work_to_the_next_at_once(
    house: House, repository: Repository, clock: Time, one: Process, two: Process, waiting: bool
):
    await abandoned(house, repository, 3)
    async with aclosing(one.rounds.wait(600.0) if waiting else one.rounds.run(("round",))) as steps:
        await anext(steps)
    assert await holder(house) == ""
    await two.until_idle(clock)
    assert [done.unlinked for done in two.did("round")] == [3]


async def test_nobody_else_collects_while_a_command_waits(
    house: House, repository: Repository, clock: Time, one: Process, two: Process
):
    await abandoned(house, repository, 3)
    waited = 0.0
    async for rest in two.rounds.wait(5 * LEASE):
        assert await one.rounds.turn() == LOOK
        waited += rest
        clock.pass_(rest)
    assert waited == 5 * LEASE
    assert one.said == []


async def test_what_is_told_is_what_waits_and_what_was_reclaimed(
    house: House, repository: Repository, clock: Time, one: Process
):
    began = clock()
    await abandoned(house, repository, 2)
    await blob(house, repository, b"in its grace")
    upload = await house.uploads.begin(repository.id, WHO)
    await house.uploads.receive(upload, announced(b"not finished"))
    await house.repositories.delete(await house.repository("another"), force=True)
    await one.until_idle(clock)
    standing = await find_standing(house.database)
    assert standing.waiting.condemned.amounts == {Garbage.UNREFERENCED: Amount(2, 12)}
    assert standing.waiting.graces == Amount(1, 12)
    assert standing.waiting.uploads == Amount(1, 12)
    assert (standing.waiting.repositories, standing.waiting.subjects) == (0, 0), "it was purged in this round"
    assert standing.reclaimed == {}
    assert standing.round.began_at >= began
    assert standing.round.ended_at == clock()
    assert standing.search.ended_at == clock()
    clock.pass_(SETTLE + ROUND)
    await one.until_idle(clock)
    standing = await find_standing(house.database)
    assert standing.reclaimed == {Garbage.UNREFERENCED: Amount(2, 12)}
    assert standing.waiting.condemned.total == Amount()


async def test_the_store_of_another_registry_is_not_searched(house: House, place: Path, clock: Time, one: Process):
    """A new database over it, or the same bucket by mistake: nothing in it is known, and none of it is garbage."""
    await one.until_idle(clock)
    stranger = await open_house(place / "stranger", clock, blobs=house.blobs)
    theirs = process_of(stranger, "theirs")
    await blob(house, await house.repository("mine"), b"mine")
    clock.pass_(SEARCH)
    with pytest.raises(StoreForeign, match="belongs to the registry"):
        await theirs.until_idle(clock)
    assert await read_key(house.blobs, (await house.database.fetch("SELECT key FROM blobs"))[0][0]) == b"mine"
    assert [kind for kind, _ in theirs.said] == ["round"], "its own tombstones are no danger"
    report = Report()
    survey = Survey(stranger.database, stranger.blobs, clock=clock, grace=GRACE, upload_expiry=EXPIRY)
    with pytest.raises(StoreForeign):
        async for _ in survey.look(report, orphans=True):
            pass
    assert report.garbage.keys() <= {Garbage.UNREFERENCED}
    await stranger.database.close()


# -- stores that are not well


class Passing:
    """All of a driver but what a subclass says."""

    def __init__(self, blobs: BlobDriver) -> None:
        self._blobs = blobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)


class Slow(Passing):
    """Every key takes so many seconds to delete, by the timer."""

    def __init__(self, blobs: BlobDriver, timer: Time, *, seconds: float) -> None:
        super().__init__(blobs)
        self._timer = timer
        self._seconds = seconds
        self.sizes: list[int] = []

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        self.sizes.append(len(keys))
        self._timer.pass_(self._seconds * len(keys))
        return await self._blobs.delete_many(keys)


class Stuck(Passing):
    """Some keys cannot be deleted."""

    def __init__(self, blobs: BlobDriver, why: Mapping[str, Exception]) -> None:
        super().__init__(blobs)
        self._why = why

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        failed = {key: self._why[key] for key in keys if key in self._why}
        return {**failed, **await self._blobs.delete_many([key for key in keys if key not in failed])}


class Counted(MemoryBlobs):
    """A key a page, and how many pages were read."""

    def __init__(self, clock: Time) -> None:
        numbers = itertools.count()
        super().__init__(clock=clock, ids=lambda: f"{next(numbers):04}")
        self.pages = 0

    async def fill(self, count: int) -> None:
        """Bytes that no row knows."""
        for _ in range(count):
            writer = await self.writer(self.stage(), turn=1, offset=0)
            await writer.write([b"nobody's"], [])
            await self.commit(await writer.close(), turn=1, size=8)

    @property
    def keys(self) -> set[str]:
        return set(self._bytes)

    async def inventory(self, *, before: float, after: str = "") -> AsyncGenerator[Page, None]:
        async with aclosing(super().inventory(before=before, after=after)) as pages:
            async for page in pages:
                self.pages += 1
                yield page


class Ticking:
    """A timer by which every look takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._seconds
        return self._now
