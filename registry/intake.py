"""Taking a whole registry into a store that holds none: for restoring a backup and for moving.

Bytes come first, each with its row in `blobs`, so what was taken once is not taken again after an interruption. Then all
other rows. Until the end a seal lies on the database, by which a server knows that it must not start.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from base.clock import Clock
from base.digest import Digest, algorithm_of, new_hash
from registry.owner import StoreForeign
from registry.rows import copies
from registry.rows.tables import BLOBS, CARRIED
from store.blobs.driver import BlobDriver
from store.database import Database, Row
from store.dump import batches, clear, insert_rows
from store.migrate import migrate, read_schema
from store.schema import newest, tables
from store.seals import break_seal, list_seals, put_seal

T = TypeVar("T")

SEAL = "intake"
"""The seal on a database that does not hold all of a registry yet."""
_STEP = 500


_AT_ONCE = 64
"""Blobs that are copied at once, at the most."""
_BYTES_AT_ONCE = 64 * 1024 * 1024
"""Their bytes together, but for a single one that has more."""


def portions(blobs: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Blobs in lists that may be copied at once: many small ones, few large ones."""
    some: list[T] = []
    total = 0
    for blob in blobs:
        size = size_of(blob)
        if some and (len(some) == _AT_ONCE or total + size > _BYTES_AT_ONCE):
            yield some
            some, total = [], 0
        some.append(blob)
        total += size
    if some:
        yield some


class IntakeRefused(Exception):
    """The store cannot take a registry in; the message says why and what to do."""


class DigestWrong(Exception):
    """The bytes are not what their digest says."""


class Intake:
    """A store that takes a registry in."""

    def __init__(self, database: Database, blobs: BlobDriver, *, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock

    async def begin(self, origin: str, *, schema: int, registry: str = "") -> None:
        """Make the tables of the migration `schema`, or go on where an intake from the same `origin` was interrupted.

        `registry`: the identity that is taken in. Raises IntakeRefused where the database holds anything else, StoreForeign
        where the store of blobs is another registry's.
        """
        owner = await self._blobs.owner()
        if registry and owner not in {"", registry}:
            raise StoreForeign(owner, registry)
        if schema > newest():
            raise IntakeRefused(f"it was made by a newer release (schema {schema}): install that release first")
        present = (await read_schema(self._database)).number
        if present > schema:
            raise IntakeRefused(
                f"the database is at schema {present}, what is to be taken in at {schema}: name an empty database"
            )
        if (
            present < schema
        ):  # making the tables may have been interrupted; a registry of an earlier release stays as it is
            await self._require_empty(present)
        await migrate(self._database, now=self._clock(), upto=schema)
        seals = [seal for seal in await list_seals(self._database) if seal.name == SEAL]
        if seals and seals[0].reason != _reason(origin):
            raise IntakeRefused(f"another intake into this store was not finished: {seals[0].reason}")
        if not seals:
            await self._require_empty(schema)
            await self._database.write(lambda: put_seal(SEAL, _reason(origin), self._clock()))

    async def _require_empty(self, schema: int) -> None:
        """Raises IntakeRefused."""
        for table in tables(schema) if schema else ():
            if table not in _MAY_HAVE_ROWS and await copies.has_rows(self._database, table):
                raise IntakeRefused(
                    f"the store is not empty (there are rows in `{table}`): name an empty database and an empty "
                    "directory or prefix"
                )

    async def absent(self, digests: Sequence[str]) -> list[str]:
        """Those of `digests` whose bytes have yet to be taken, in order."""
        held = await copies.find_held(self._database, digests)
        return [digest for digest in digests if digest not in held]

    async def take(self, digest: Digest, size: int, pieces: AsyncIterator[bytes]) -> None:
        """The bytes of one blob. Raises DigestWrong, NoRoom: then nothing is kept."""
        running = new_hash(algorithm_of(digest))
        staged = self._blobs.stage()
        writer = await self._blobs.writer(staged, turn=1, offset=0)
        try:
            received = 0
            async for piece in pieces:
                received += len(piece)
                await writer.write([piece], (running,))
            staged = await writer.close()
        finally:
            writer.discard()
        found = f"{algorithm_of(digest)}:{running.hexdigest()}"
        if (found, received) != (digest, size):
            await self._blobs.delete(staged)
            raise DigestWrong(f"{digest}: the bytes have the digest {found} and the size {received}, not {size}")
        key, flush = await self._blobs.seal(staged, turn=1, size=size)
        now = self._clock()
        await self._database.write(lambda: copies.put_blob(digest, key, size, now), first=flush)

    async def clear(self, schema: int, *, blobs: bool) -> None:
        """Forget the rows that an earlier attempt has brought, those of `blobs` only if so told: its bytes go on to count."""
        for name in CARRIED if not blobs else (*CARRIED, BLOBS):
            table = tables(schema).get(name)
            if table is not None and await copies.has_rows(self._database, name):
                await self._database.write(lambda table=table: clear(table))  # type: ignore[misc]

    async def put(self, schema: int, name: str, rows: Sequence[Row]) -> None:
        """Rows of one table."""
        table = tables(schema)[name]
        for some in batches(rows, _STEP):
            await self._database.write(lambda some=some: insert_rows(table, some), durable=False)  # type: ignore[misc]

    async def finish(self, counts: Mapping[str, int]) -> None:
        """All is here: what no row needs is condemned, the seal broken, and the schema brought to this release.

        `counts` says how many rows each table has to have. Raises IntakeRefused.
        """
        for name, count in counts.items():
            if name != BLOBS and (found := await copies.count_rows(self._database, name)) != count:
                raise IntakeRefused(f"`{name}` has {found} rows after the copy and {count} before: run it again")
        now = self._clock()
        gone = _STEP
        while gone == _STEP:
            gone = await self._database.write(lambda: copies.condemn_unlinked_blobs(now, _STEP))
        await self._database.write(lambda: break_seal(SEAL))
        await migrate(self._database, now=self._clock())


_MAY_HAVE_ROWS = {"migrations", "epochs", "leases"}


def _reason(origin: str) -> str:
    return f"a copy of {origin} is not complete yet"


async def require_complete(database: Database) -> None:
    """Raises IntakeRefused where a registry was taken in only in part."""
    for seal in await list_seals(database):
        if seal.name == SEAL:
            raise IntakeRefused(f"{seal.reason}: run the same `longshore restore` or `longshore move` again")
