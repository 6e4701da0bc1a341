"""The collector: frees what nothing needs any more, off the request path, in small units.

What it frees, in this order: uploads that nobody touched for a while; blobs that no manifest of their repository names,
once their grace is over, and their bytes where no repository links them; bytes in the store that no row knows. A row
goes, and a tombstone takes its place, before bytes are touched, and keys are never used twice; so a push at any moment
either finds the blob in its row, or finds none and brings its own bytes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from base.clock import Clock
from registry import rows
from store.blobs.driver import BlobDriver
from store.database import Database, Unit

_STEP = 200
_ORPHAN_AGE = 3600.0
"""Seconds for which bytes without a row are left alone at the least: their row may be about to come."""

_SETTLE = 60.0
"""Seconds between a tombstone and the end of the bytes: a reader that saw the row has read them by then."""


@dataclass(slots=True)
class Collected:
    """What one round did."""

    uploads: int = 0
    unlinked: int = 0
    freed: int = 0
    orphans: int = 0
    bytes: int = 0


class Collector:
    """One round at a time, in one process of a registry at a time."""

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
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._grace = grace
        self._upload_expiry = upload_expiry
        self._settle = settle
        self._orphan_age = orphan_age

    async def collect(self) -> Collected:
        """One round over everything that is due."""
        done = Collected()
        now = self._clock()
        grace = now - self._grace
        done.uploads = await self._repeat(lambda: rows.expire_uploads(now - self._upload_expiry, now, _STEP))
        done.unlinked = await self._repeat(lambda: rows.unlink_unreferenced(grace, now, _STEP))
        await self._sweep(done, now - self._settle)
        return done

    async def collect_orphans(self) -> Collected:
        """Look through the whole store for bytes without a row: a slow round, once in a while."""
        done = Collected()
        stuck: dict[str, Exception] = {}
        async for page in self._blobs.inventory(before=self._clock() - max(self._orphan_age, self._grace)):
            for start in range(0, len(page.found), _STEP):
                some = {stored.key: stored.stage for stored in page.found[start : start + _STEP]}
                unknown = await rows.find_unknown_keys(self._database, list(some))
                if any(
                    some[key] for key in unknown
                ):  # parts of uploads whose names change: their row has the name's beginning
                    staged = await rows.list_staged(self._database)
                    unknown = [key for key in unknown if some[key] not in staged]
                done.orphans += len(await self._delete(unknown, stuck))
        _raise_first(stuck)
        return done

    async def _sweep(self, done: Collected, before: float) -> None:
        stuck: dict[str, Exception] = {}
        while True:
            doomed = dict(await rows.list_condemned(self._database, before=before, now=self._clock(), limit=_STEP))
            gone = await self._delete(doomed.keys() - stuck.keys(), stuck)
            done.freed += len(gone)
            done.bytes += sum(doomed[key] for key in gone)
            if gone:
                await self._database.write(lambda gone=gone: rows.forget_condemned(gone), durable=False)  # type: ignore[misc]
            if len(doomed) < _STEP or not gone:
                break
        _raise_first(stuck)

    async def _delete(self, keys: Iterable[str], stuck: dict[str, Exception]) -> list[str]:
        """Delete what can be: one key that the store cannot delete, put into `stuck`, does not keep the others."""
        gone = []
        for key in keys:
            try:
                await self._blobs.delete(key)
            except Exception as error:  # noqa: BLE001 - raised when the round is over
                stuck[key] = error
            else:
                gone.append(key)
        return gone

    async def _repeat(self, unit: Callable[[], Unit[int]]) -> int:
        total = 0
        while True:
            count = await self._database.write(unit)
            total += count
            if count < _STEP:
                return total


def _raise_first(stuck: dict[str, Exception]) -> None:
    for error in stuck.values():
        raise error
