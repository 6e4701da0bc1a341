"""When the collector works: rounds every minute or so, a search of the store now and then, by one process at a time.

What has been done, and where a search stands, is in rows, so it does not matter who goes on with it. Processes look every
few seconds whether work is due and nobody is at it; one takes the lease, does a step at a time with rests in between, and
gives the lease back. One that dies is followed when its lease is over; one that slept meanwhile does nothing any more.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from base.clock import Clock
from base.pace import Pace
from registry import rows
from registry.garbage import Amount, Garbage, Tally
from registry.gc import Collected, Collector, Place
from registry.rows.collections import Kind
from store.database import Database, DatabaseFull, DatabaseUnavailable, Sealed
from store.leases import Lease, LeaseLost

COLLECTOR = "collector"
"""The name of the lease."""
_LOOK = 3.0
"""Seconds between two looks of an idle process."""
_PAGE = 1000
"""Rows that are counted in one step."""
_MARK = 5.0
"""Seconds between two marks of where a search stands."""
_SKEW = 60.0
"""Seconds by which clocks differ at the most; what is renewed so long after counting began is not counted again."""
_COUNTED = 10_000
"""Deleted repositories and subjects are counted up to so many."""
_BREATH = 2.0
"""Seconds of a rest after which the lease is renewed: it must not end while its holder rests."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between the beginnings of two rounds, and of two searches."""

    round: float
    search: float


@dataclass(slots=True)
class Waiting:
    """What there is to reclaim, as of the end of a round."""

    condemned: Tally = field(default_factory=Tally)
    graces: Amount = field(default_factory=Amount)
    """Blobs that no manifest names and whose grace is not over; bytes that no other repository keeps."""
    uploads: Amount = field(default_factory=Amount)
    """Uploads that are open."""
    repositories: int = 0
    subjects: int = 0

    def as_json(self) -> str:
        return json.dumps(
            {
                "condemned": {kind.value: [one.items, one.bytes] for kind, one in self.condemned.amounts.items()},
                "graces": [self.graces.items, self.graces.bytes],
                "uploads": [self.uploads.items, self.uploads.bytes],
                "repositories": self.repositories,
                "subjects": self.subjects,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Waiting":
        """Of what `as_json` made; nothing waits where there is no text."""
        if not text:
            return cls()
        read: dict[str, Any] = json.loads(text)
        return cls(
            Tally({Garbage(kind): Amount(*amount) for kind, amount in read["condemned"].items()}),
            Amount(*read["graces"]),
            Amount(*read["uploads"]),
            read["repositories"],
            read["subjects"],
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What the metrics say: the last round and the last search, what waits, what was reclaimed since the beginning."""

    round: rows.Collection
    search: rows.Collection
    waiting: Waiting
    reclaimed: dict[Garbage, Amount]


async def find_standing(database: Database) -> Standing:
    """Two reads of a few rows. Raises DatabaseUnavailable."""
    collections = await rows.find_collections(database)
    reclaimed = await rows.find_reclaimed(database)
    last = collections["round"]
    return Standing(last, collections["search"], Waiting.from_json(last.found), reclaimed)


class _Counting:
    """Counts what waits, a page in a step; of graces those that began before a time: one that is renewed comes last again."""

    def __init__(self, database: Database, *, before: float) -> None:
        self._database = database
        self._before = before
        self.waiting = Waiting()
        self._parts = [self._count_tombstones, self._count_graces, self._count_uploads]
        self._tombstone = (0.0, "")
        self._grace = (0.0, 0, "")
        self._upload = ""

    async def step(self) -> bool:
        """Whether there is more. A page that is not full is the last: what comes meanwhile would have no end."""
        if self._parts:
            if await self._parts[0]() < _PAGE:
                self._parts.pop(0)
            return True
        waiting = self.waiting
        waiting.repositories, waiting.subjects = await rows.count_deleted(self._database, limit=_COUNTED)
        return False

    async def _count_tombstones(self) -> int:
        found = await rows.list_tombstones(self._database, after=self._tombstone, limit=_PAGE)
        for one in found:
            self._tombstone = (one.condemned_at, one.key)
            if one.kind is not Garbage.BURIED:
                self.waiting.condemned.add(one.kind, Amount(1, one.size))
        return len(found)

    async def _count_graces(self) -> int:
        found = await rows.list_graces(self._database, after=self._grace, before=self._before, limit=_PAGE)
        for one in found:
            self._grace = (one.kept_at, one.repository_id, one.digest)
            self.waiting.graces += Amount(1, one.size or 0)
        return len(found)

    async def _count_uploads(self) -> int:
        found = await rows.list_open_uploads(self._database, after=self._upload, limit=_PAGE)
        for upload, size in found:
            self._upload = upload
            self.waiting.uploads += Amount(1, size)
        return len(found)


class _Work:
    """A round or a search under way."""

    def __init__(self, kind: Kind, began: float, after: str) -> None:
        self.kind: Kind = kind
        self.began = began
        self.done = Collected()
        self.place = Place(after)
        self.steps: AsyncGenerator[float, None] | None = None


class Rounds:
    """Rounds and searches of one process. `report` is told what one did, and what kind it was."""

    def __init__(
        self,
        database: Database,
        collector: Collector,
        lease: Lease,
        pace: Pace,
        *,
        clock: Clock,
        intervals: Intervals,
        report: Callable[[Kind, Collected], None],
    ) -> None:
        self._database = database
        self._collector = collector
        self._lease = lease
        self._pace = pace
        self._clock = clock
        self._intervals = intervals
        self._report = report
        self._round: _Work | None = None
        self._search: _Work | None = None
        self._stepped: _Work | None = None
        self._next_round = 0.0
        self._rest = 0.0
        """Seconds of the present rest that are to come."""

    async def turn(self) -> float:
        """One step of what is to be done, if it is this process that does it; returns seconds until the next.

        Raises what a round raises, and StoreForeign; the next one is tried when it is due.
        """
        try:
            if self._rest > 0:
                await self._lease.keep()
                return self._breathe()
            work = await self._find_work()
            if work is None:
                return min(_LOOK, self._intervals.round)
            await self._lease.keep()
            took = await self._step(work)
            if not self._under_way:
                await self._lease.drop()
                return self._pace.rest(took)
            self._rest = self._pace.rest(took)
            return self._breathe()
        except (LeaseLost, Sealed):
            await self._let_go()
            return _LOOK
        except asyncio.CancelledError:
            await self._hand_on()
            raise
        except BaseException:
            await self._give_up()
            raise

    async def stop(self) -> None:
        """Leave off what is under way, for another process to go on with."""
        if self._under_way:
            await self._hand_on()

    async def run(self, kinds: Sequence[Kind]) -> AsyncGenerator[tuple[Kind, Collected, float], None]:
        """Do these now, whoever was at it: yields again and again what was done so far, and for how long to rest.

        Raises LeaseLost where another process takes over in turn, and what a round raises.
        """
        await self._lease.take(seize=True)
        try:
            for kind in kinds:
                work = await self._begin(kind)
                while work in self._under_way:
                    await self._lease.keep()
                    self._rest = self._pace.rest(await self._step(work))
                    while True:
                        yield kind, work.done, self._breathe()
                        if not self._rest:
                            break
                        await self._lease.keep()
            await self._lease.drop()
        except (LeaseLost, Sealed):
            await self._let_go()
            raise
        except (asyncio.CancelledError, GeneratorExit):
            await self._hand_on()
            raise
        except BaseException:
            await self._give_up()
            raise

    async def wait(self, seconds: float) -> AsyncGenerator[float, None]:
        """Keep others from the work for so long: yields for how long to rest, again and again. Raises LeaseLost."""
        await self._lease.take(seize=True)
        self._rest = seconds
        try:
            while self._rest:
                yield self._breathe()
                await self._lease.keep()
        except (asyncio.CancelledError, GeneratorExit):
            await self._hand_on()
            raise

    def _breathe(self) -> float:
        """Seconds of the rest until the lease is to be renewed; they are taken off it."""
        some = min(self._rest, _BREATH)
        self._rest -= some
        return some

    @property
    def _under_way(self) -> list[_Work]:
        return [work for work in (self._round, self._search) if work is not None]

    # -- steps

    async def _find_work(self) -> _Work | None:
        """None where nothing is due, or another process is at it. A round and a search under way take turns."""
        if self._round is not None and self._search is not None:
            return self._search if self._stepped is self._round else self._round
        if self._round is not None:
            return self._round
        if self._search is not None:
            if self._clock() < self._next_round or "round" not in await self._find_due():
                return self._search
            return await self._begin("round")
        if not await self._find_due() or not (await self._lease.is_free() and await self._lease.take()):
            return None
        due = await self._find_due()  # another process may have done it in between
        if not due:
            await self._lease.drop()
            return None
        return await self._begin(due[0])

    async def _find_due(self) -> list[Kind]:
        """What ended longer ago comes first: rounds that take longer than their interval must not keep a search off."""
        known = await rows.find_collections(self._database)
        now = self._clock()
        kinds: list[tuple[Kind, float]] = [("round", self._intervals.round), ("search", self._intervals.search)]
        due = [
            kind
            for kind, interval in kinds
            if known[kind].under_way or abs(now - known[kind].began_at) >= interval  # clocks differ
        ]
        return sorted(due, key=lambda kind: known[kind].ended_at)

    async def _begin(self, kind: Kind) -> _Work:
        now = self._clock()
        place = await self._database.write(self._lease.guard(lambda: rows.begin_collection(kind, now)), durable=False)
        work = _Work(kind, now, place)
        if kind == "round":
            self._round = work
            self._next_round = now + self._intervals.round
            work.steps = self._steps_of_round(work)
        else:
            self._search = work
            work.steps = self._steps_of_search(work)
        return work

    async def _step(self, work: _Work) -> float:
        self._stepped = work
        assert work.steps is not None
        try:
            return await anext(work.steps)
        except StopAsyncIteration:
            if work.kind == "round":
                self._round = None
            else:
                self._search = None
            self._report(work.kind, work.done)
            return 0.0

    async def _steps_of_round(self, work: _Work) -> AsyncGenerator[float, None]:
        async with aclosing(self._collector.round(work.done, self._lease)) as steps:
            async for seconds in steps:
                yield seconds
        counting, timer, more = _Counting(self._database, before=self._clock() + _SKEW), self._pace.timer, True
        while more:
            begun = timer()
            more = await counting.step()
            yield timer() - begun
        await self._end(work, counting.waiting.as_json())

    async def _steps_of_search(self, work: _Work) -> AsyncGenerator[float, None]:
        await self._collector.claim_store()
        async with aclosing(self._collector.search(work.done, self._lease, at=work.place)) as steps:
            marked = self._pace.timer()
            async for seconds in steps:
                yield seconds
                if self._pace.timer() - marked < _MARK:
                    continue
                marked = self._pace.timer()
                mark = partial(rows.mark_collection, work.kind, work.place.place)
                await self._database.write(self._lease.guard(mark), durable=False)
        found = work.done.reclaimed.total
        await self._end(work, json.dumps([found.items, found.bytes]))

    async def _end(self, work: _Work, found: str) -> None:
        """Raises why the store could not delete something; then it was no success, but what was found counts."""
        now = self._clock()
        if work.done.stuck:
            note = self._lease.guard(lambda: rows.note_found(work.kind, found))
            await self._database.write(note, durable=False)
            work.done.require_all()
        end = self._lease.guard(lambda: rows.end_collection(work.kind, now, now - work.began, found))
        await self._database.write(end, durable=False)

    # -- ends

    async def _let_go(self) -> None:
        """Forget what is under way: its rows say where it stands."""
        self._rest = 0.0
        works, self._round, self._search = self._under_way, None, None
        for work in works:
            if work.steps is not None:
                await work.steps.aclose()

    async def _hand_on(self) -> None:
        """Another process goes on with what is under way, at once."""
        await self._let_go()
        with suppress(DatabaseFull, DatabaseUnavailable, Sealed):
            await self._lease.drop()

    async def _give_up(self) -> None:
        """It failed: another try when the next one is due, by whoever comes first."""
        kinds = [work.kind for work in self._under_way]
        await self._let_go()
        with suppress(LeaseLost, DatabaseFull, DatabaseUnavailable, Sealed):
            for kind in kinds:
                await self._database.write(self._lease.guard(partial(rows.give_up_collection, kind)), durable=False)
            await self._lease.drop()
