"""Moving a registry to another database and another store of blobs, while it serves.

`copy` brings over the bytes that are not there yet, as often as one likes. `finish` seals the registry, so that nothing is
acknowledged any more that would stay behind, brings over the last bytes and all rows, and leaves the seal: from then on
there is one registry that changes, the new one. Where both use the same bytes these stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from base.clock import Clock
from base.digest import Digest
from base.ids import Ids
from base.progress import Progress, Tell, untold
from base.together import together
from registry.backup import read_proven
from registry.intake import DigestWrong, Intake, IntakeRefused, portions
from registry.rows import copies
from registry.rows.tables import BLOBS, CARRIED
from store.blobs.driver import BlobDriver, BytesMissing
from store.database import Database
from store.leases import PIN, Lease
from store.migrate import read_schema, require_known, snapshot_schema
from store.schema import tables
from store.seals import put_seal

SEAL = "moved"
"""The seal on a registry that is moving, or has moved."""
MOVING = "it is moving to another store"
MOVED = "it has moved to another store"
_STEP = 200
_PIN_SECONDS = 300.0


@dataclass(slots=True)
class Moved:
    """What was brought over, and what could not be: digest -> what was wrong."""

    blobs: int = 0
    size: int = 0
    rows: int = 0
    damaged: dict[str, str] = field(default_factory=dict)


class Move:
    """From a registry's database and blobs to an intake. `same_bytes`: both stores are one, blobs keep their keys."""

    def __init__(
        self,
        database: Database,
        blobs: BlobDriver,
        intake: Intake,
        *,
        clock: Clock,
        ids: Ids,
        same_bytes: bool = False,
        tell: Tell = untold,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._intake = intake
        self._clock = clock
        self._fresh = ids()
        self._same_bytes = same_bytes
        self._tell = tell
        holder = ids()
        self._pin = Lease(database, f"{PIN}{holder}", holder, clock=clock, seconds=_PIN_SECONDS)

    async def copy(self) -> Moved:
        """Bring over the bytes that are not there yet. Raises IntakeRefused, NoRoom."""
        await self._begin()
        done = Moved()
        await self._pin.take()
        try:
            await self._copy_blobs(done)
        finally:
            await self._pin.drop()
        return done

    async def finish(self) -> Moved:
        """Bring over everything, for good. Raises IntakeRefused, NoRoom; then the seal stays, and it may be called again."""
        schema = await self._begin()
        await self._database.write(lambda: put_seal(SEAL, MOVING, self._clock()))
        done = Moved()
        await self._pin.take()
        try:
            await self._copy_blobs(done)
        finally:
            await self._pin.drop()
        await self._intake.clear(schema, blobs=self._same_bytes)
        counts = {}
        known = tables(schema)
        names = [name for name in (BLOBS, *CARRIED) if name in known and (name != BLOBS or self._same_bytes)]
        async with self._database.snapshot() as snapshot:
            if await snapshot_schema(snapshot) != schema:
                raise IntakeRefused(
                    "the database was brought to another release meanwhile: move again, into an empty store"
                )
            for number, name in enumerate(names):
                self._tell(Progress("rows", number, len(names)))
                counts[name] = 0
                async for rows in snapshot.stream(known[name].select):
                    await self._intake.put(schema, name, rows)
                    counts[name] += len(rows)
        await self._intake.finish(counts)
        done.rows = sum(counts.values())
        await self._database.write(lambda: put_seal(SEAL, MOVED, self._clock()))
        return done

    async def _begin(self) -> int:
        """The schema that is copied."""
        schema = require_known((await read_schema(self._database)).number)
        identity = await self._database.write(lambda: copies.find_identity(self._fresh))
        await self._intake.begin(f"the registry {identity}", schema=schema, registry=identity)
        return schema

    async def _copy_blobs(self, done: Moved) -> None:
        if self._same_bytes:
            return
        total, _ = await copies.count_blobs(self._database)
        seen = 0
        after = ""
        while some := await copies.list_blobs(self._database, after=after, limit=_STEP):
            after = some[-1][0]
            absent = set(await self._intake.absent([digest for digest, _, _ in some]))
            wanted = [one for one in some if one[0] in absent]
            for group in portions(wanted, lambda blob: blob[2]):
                await self._pin.keep()
                await self._copy_some(group, done)
                self._tell(Progress("blobs", seen, total, done.size))
            seen += len(some)
            self._tell(Progress("blobs", seen, total, done.size))

    async def _copy_some(self, blobs: Sequence[tuple[str, str, int]], done: Moved) -> None:
        found = await together(self._copy(*blob) for blob in blobs)
        for (digest, key, size), what in zip(blobs, found, strict=True):
            if not what:
                done.blobs += 1
                done.size += size
            elif await copies.find_key(self._database, digest) == key:  # else it was deleted meanwhile
                done.damaged[digest] = what

    async def _copy(self, digest: str, key: str, size: int) -> str:
        """What was wrong, if anything was."""
        try:
            pieces = read_proven(self._blobs, digest, key, size, self._pin.keep)
            await self._intake.take(Digest(digest), size, pieces)
        except BytesMissing:
            return "its bytes are missing, or end early"
        except DigestWrong as error:
            return str(error)
        return ""
