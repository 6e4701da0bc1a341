"""The collector: frees what nothing needs any more, while the registry works.

A round takes rows away that are due, in this order: uploads that nobody touched for a while; what repositories left that
were deleted; what refers to images that were deleted, where the settings say so; blobs that no manifest of their
repository names, once their grace is over. Where no repository links a blob any more, a tombstone takes its row's place
in the same unit. Later, when whoever saw the row has read the bytes, they are deleted, and the tombstone is buried. A
search goes through the store itself for bytes that no row knows: a crash leaves them, or a request that was overtaken at
its very end.

Keys are never used twice, and a push at any moment either finds the blob in its row, or finds none and brings its own
bytes. So nothing here waits for anybody, and nobody for it: all is found by indices, in steps of milliseconds. A step
that a crash cuts off is done again by whoever collects next; two collectors at once do no harm.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from base.clock import Clock
from base.ids import new_uuid
from base.pace import Pace
from registry import rows
from registry.garbage import Amount, Garbage, Tally
from registry.owner import claim_store
from registry.rows import Taken, Tombstone
from store.blobs.driver import BlobDriver, Stored, StoreUnavailable
from store.database import Database, Unit

T = TypeVar("T")
_Phase: TypeAlias = Callable[[], Awaitable[bool]]

_STEP = 1000
"""Things in one step at the most; the pace says how many."""
_ORPHAN_AGE = 3600.0
"""Seconds for which bytes without a row are left alone at the least: their row may be about to come."""
_SETTLE = 60.0
"""Seconds between a tombstone and the end of the bytes: a reader that saw the row has read them by then."""
_STORE_HOLD = 1.0
"""Seconds that a step deletes bytes at the most, about: a slow store must not outlast the lease."""
_SUBJECTS_KEPT = 86400.0
"""Seconds for which it is remembered that a subject was deleted, where what refers to it is kept."""


class Held(Protocol):
    """A lease, as the collector sees it (`store.leases.Lease`)."""

    def guard(self, unit: Callable[[], Unit[T]]) -> Callable[[], Unit[T]]: ...

    async def keep(self) -> None: ...


class Unleased:
    """For a collector that nobody competes with, or that does not mind."""

    def guard(self, unit: Callable[[], Unit[T]]) -> Callable[[], Unit[T]]:
        return unit

    async def keep(self) -> None:
        return


@dataclass(slots=True)
class Collected:
    """What was done so far."""

    uploads: int = 0
    """Uploads given up."""
    purged: int = 0
    """Tags, manifests and blobs of deleted repositories."""
    referrers: int = 0
    """Manifests whose subject was deleted."""
    unlinked: int = 0
    """Blobs taken out of a repository, their grace over."""
    reclaimed: Tally = field(default_factory=Tally)
    """What was deleted from the store."""
    stuck: dict[str, Exception] = field(default_factory=dict)
    """Keys that the store could not delete."""

    @property
    def freed(self) -> int:
        """Things deleted that rows knew."""
        return self.reclaimed.total.items - self.orphans

    @property
    def orphans(self) -> int:
        """Things deleted that no row knew."""
        return self.reclaimed.amounts.get(Garbage.ORPHAN, Amount()).items

    @property
    def bytes(self) -> int:
        return self.reclaimed.total.bytes

    @property
    def anything(self) -> bool:
        return bool(self.uploads or self.purged or self.referrers or self.unlinked or self.reclaimed.amounts)

    def require_all(self) -> None:
        """Raises why the first of the keys could not be deleted that the store did not delete."""
        for error in self.stuck.values():
            raise error


class Collector:
    """Rounds and searches, step by step: each yields the seconds that a step took, and may be left off after any."""

    def __init__(
        self,
        database: Database,
        blobs: BlobDriver,
        *,
        clock: Clock,
        grace: float,
        upload_expiry: float,
        settle: float = _SETTLE,
        orphan_age: float = _ORPHAN_AGE,
        referrers_after: float = 0.0,
        pace: Pace | None = None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._grace = grace
        self._upload_expiry = upload_expiry
        self._settle = settle
        self._orphan_age = orphan_age
        self._referrers_after = referrers_after
        self._pace = pace or Pace()
        self._deletions = Pace(hold=_STORE_HOLD, most=_STEP, timer=self._pace.timer)

    async def collect(self) -> Collected:
        """A round at once, by whoever calls. Raises what `round` raises, and why a key could not be deleted."""
        done = Collected()
        async for _ in self.round(done):
            pass
        done.require_all()
        return done

    async def collect_orphans(self) -> Collected:
        """A search at once, by whoever calls. Raises what `search` raises, and why a key could not be deleted."""
        done = Collected()
        async for _ in self.search(done):
            pass
        done.require_all()
        return done

    async def round(self, done: Collected, lease: Held | None = None) -> AsyncGenerator[float, None]:
        """Everything that is due. Adds to `done` what it does, and what the store could not delete.

        Raises LeaseLost, DatabaseUnavailable, and StoreUnavailable where the store deletes nothing at all.
        """
        held = lease or Unleased()
        for phase in self._phases(self._clock(), done, held):
            more = True
            while more:
                begun = self._pace.timer()
                await held.keep()
                more = await phase()
                yield self._pace.timer() - begun

    async def search(
        self, done: Collected, lease: Held | None = None, *, at: "Place | None" = None
    ) -> AsyncGenerator[float, None]:
        """Look through the whole store, or what comes behind the place `at`, which goes along, for bytes without a row.

        Raises like `round`.
        """
        held, at = lease or Unleased(), at or Place()
        before = self._clock() - max(self._orphan_age, self._grace)
        begun = self._pace.timer()
        async with aclosing(self._blobs.inventory(before=before, after=at.place)) as pages:
            async for page in pages:
                for start in range(0, len(page.found), _STEP):
                    await held.keep()
                    await self._look_at(page.found[start : start + _STEP], done, held)
                at.place = page.place
                yield self._pace.timer() - begun
                begun = self._pace.timer()

    async def claim_store(self) -> None:
        """Before a search. Raises StoreForeign."""
        await claim_store(self._database, self._blobs, ids=new_uuid)

    # -- phases: each does a step and says whether there is more

    def _phases(self, now: float, done: Collected, held: Held) -> "Iterable[_Phase]":
        async def expire() -> bool:
            taken = await self._take(partial(rows.expire_uploads, now - self._upload_expiry, now), held)
            done.uploads += taken.items
            return taken.more

        async def purge() -> bool:
            repository_id = await rows.find_deleted_repository(self._database)
            if repository_id is None:
                return False
            taken = await self._take(partial(rows.purge_repository, repository_id, now), held)
            done.uploads += taken.uploads
            done.purged += taken.items - taken.uploads
            return True

        async def refer() -> bool:
            if self._referrers_after > 0:
                unit = partial(rows.collect_referrers, now - self._referrers_after, now)
            else:
                unit = partial(rows.forget_subjects, now - _SUBJECTS_KEPT)
            taken = await self._take(unit, held)
            done.referrers += taken.items
            return taken.more

        async def unlink() -> bool:
            taken = await self._take(partial(rows.unlink_unreferenced, now - self._grace, now), held)
            done.unlinked += taken.items
            return taken.more

        return expire, purge, refer, unlink, self._freeing(now, done, held)

    def _freeing(self, now: float, done: Collected, held: Held) -> "_Phase":
        after = (0.0, "")

        async def free() -> bool:
            """Delete the bytes of tombstones that have stood long enough; those that could not go are passed over."""
            nonlocal after
            size = min(self._size, self._deletions.size)
            before = now - self._settle
            doomed = await rows.list_doomed(self._database, before=before, now=self._clock(), after=after, limit=size)
            if doomed:
                after = (doomed[-1].condemned_at, doomed[-1].key)
                await self._delete(doomed, done, held)
            return len(doomed) == size

        return free

    async def _look_at(self, stored: Sequence[Stored], done: Collected, held: Held) -> None:
        """Delete what of that no row knows."""
        unknown = await rows.find_unknown(self._database, stored)
        if unknown:
            doomed = await self._write(partial(rows.condemn_unknown, unknown, self._clock()), held)
            while doomed:
                size = self._deletions.size
                await held.keep()
                await self._delete(doomed[:size], done, held)
                doomed = doomed[size:]

    async def _delete(self, doomed: Sequence[Tombstone], done: Collected, held: Held) -> None:
        """Bytes first, tombstones after; what the store cannot delete does not keep the rest.

        Raises StoreUnavailable where it deletes nothing.
        """
        begun = self._pace.timer()
        stuck = await self._blobs.delete_many([one.key for one in doomed])
        self._deletions.held(self._pace.timer() - begun, full=len(doomed) >= self._deletions.size)
        done.stuck.update(stuck)
        gone = [one for one in doomed if one.key not in stuck]
        if not gone:
            for error in stuck.values():
                if isinstance(error, StoreUnavailable):
                    raise error
            return
        again_at = self._clock() + self._upload_expiry + self._settle
        full = len(doomed) >= self._pace.size
        done.reclaimed.add_all(await self._write(partial(rows.bury, gone, again_at), held, full=full, durable=False))

    @property
    def _size(self) -> int:
        """Things in the next step at the most."""
        return min(_STEP, self._pace.size)

    async def _take(self, unit: Callable[[int], Unit[Taken]], held: Held) -> Taken:
        """Run a unit for as many rows as the pace has it. It survives a power cut: bytes go by what it says."""
        return await self._write(partial(unit, self._size), held)

    async def _write(self, unit: Callable[[], Unit[T]], held: Held, *, full: bool = False, durable: bool = True) -> T:
        """Run a unit and tell the pace for how long it kept others waiting, and whether it was `full`."""
        timer = self._pace.timer

        def timed() -> Unit[tuple[T, float]]:
            begun = timer()
            value = yield from unit()
            return value, timer() - begun

        value, seconds = await self._database.write(held.guard(timed), durable=durable)
        self._pace.held(seconds, full=full or (isinstance(value, Taken) and value.more))
        return value


@dataclass(slots=True)
class Place:
    """Where a search of the store stands."""

    place: str = ""
