"""Backups of a registry while it serves: its rows as they were at one moment, and every blob that they name.

In an archive, which belongs to one registry, lie

    README.txt                              what this is, for whoever finds it
    place.json                              the format, and which registry the archive belongs to
    blobs/<algorithm>/<xx>/<hex>            the bytes of blobs under their digests; <xx> are the first two digits
    backups/<id>/rows/<table>.jsonl.gz      the rows of a table (see store/dump.py)
    backups/<id>/complete.json              written last: what the backup holds, with digests of its tables

A backup without `complete.json` was interrupted and counts for nothing, but the blobs that it has copied are there for the
next one: what is under its digest already is not copied again. The rows are read in one snapshot, then the bytes that they
name are copied; a pin that was taken before the snapshot keeps the collector from deleting any of them meanwhile. Bytes
are hashed on the way: what is not what its digest says is not kept, and the backup names it as damaged.
"""

import contextlib
import hashlib
import heapq
import json
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from base.clock import Clock
from base.digest import algorithm_of, new_hash
from base.ids import Ids
from base.progress import Progress, Tell, untold
from base.together import together
from registry.intake import DigestWrong, portions
from registry.rows import copies
from registry.rows.tables import BLOBS, CARRIED, LEFT_OUT
from store.archive import Archive, ArchiveUnusable, put_whole, read_whole
from store.blobs.driver import BlobDriver, BytesMissing
from store.database import Database, Row
from store.dump import Decoder, encode_head, encode_rows
from store.leases import PIN, Lease
from store.migrate import snapshot_schema
from store.schema import Table, tables

FORMAT = 1
SINCE = 7
"""The oldest schema that has what making a backup needs."""
_PLACE = "place.json"
_README = "README.txt"
_COMPLETE = "complete.json"
_READ = 1024 * 1024
_LEASE = 10.0
_PIN_SECONDS = 300.0
_FILES = (
    "server.key, the key that encrypts secrets in the rows",
    "credentials, the root key, if the settings hold none",
)
_EXPLANATION = """A backup of a Longshore container registry.

blobs/<algorithm>/<xx>/<hex>           the bytes of images' layers and configurations, under their digests
backups/<id>/rows/<table>.jsonl.gz     the rows of the database: a line of JSON a row, the first line names the columns
backups/<id>/complete.json             what the backup holds; without this file it was interrupted

`longshore restore THIS-PLACE --data DIR` restores the newest one into an empty store.
The server key (server.key) and the root key (credentials) are not in here: keep them in another place.
"""


class BackupBusy(Exception):
    """Another process is making a backup of the registry."""


@dataclass(frozen=True, slots=True)
class Dumped:
    """A table in a backup: its rows, and size (bytes) and SHA-256 of the file."""

    rows: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Backup:
    """What `complete.json` says. Times are seconds since the epoch, sizes bytes; `copied` were not there before."""

    id: str
    registry: str
    schema: int
    began: float
    ended: float
    tables: Mapping[str, Dumped]
    blobs: int
    size: int
    copied: int
    copied_size: int
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Blobs whose bytes the store did not have, or not whole: digest -> what was wrong."""

    def write(self) -> bytes:
        left_out = {"tables": dict(LEFT_OUT), "files": _FILES}
        return json.dumps({"format": FORMAT, **asdict(self), "left_out": left_out}, indent=1).encode()

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Raises ArchiveUnusable."""
        try:
            found = json.loads(text)
            if found.pop("format") != FORMAT:
                raise ArchiveUnusable("the backup was made by a newer release: install that release first")
            found.pop("left_out")
            found["tables"] = {name: Dumped(**table) for name, table in found["tables"].items()}
            return cls(**found)
        except (ValueError, KeyError, TypeError) as error:
            raise ArchiveUnusable(f"the backup's {_COMPLETE} cannot be read: {error}") from error


def blob_name(digest: str) -> str:
    """Where a blob lies in an archive."""
    algorithm, _, hexadecimal = digest.partition(":")
    return f"blobs/{algorithm}/{hexadecimal[:2]}/{hexadecimal}"


def _rows_name(identifier: str, table: str) -> str:
    return f"backups/{identifier}/rows/{table}.jsonl.gz"


async def list_backups(archive: Archive) -> list[Backup]:
    """The complete ones, the oldest first."""
    found = [
        Backup.read(await read_whole(archive, name))
        async for names in archive.list("backups/")
        for name, _ in names
        if name.endswith(f"/{_COMPLETE}")
    ]
    return sorted(found, key=lambda backup: backup.id)


async def find_backup(archive: Archive, identifier: str = "") -> Backup:
    """The one with that id, or the newest. Raises ArchiveUnusable."""
    found = [one for one in await list_backups(archive) if not identifier or one.id == identifier]
    if not found:
        what = f"no complete backup `{identifier}`" if identifier else "no complete backup"
        raise ArchiveUnusable(f"there is {what} in `{archive.address}`")
    return found[-1]


async def read_rows(archive: Archive, backup: Backup, name: str) -> AsyncIterator[list[Row]]:
    """The rows of a table in the order of its primary key. Raises ArchiveUnusable where the file is not what was written."""
    said = backup.tables[name]
    decoder = Decoder(tables(backup.schema)[name])
    unpacker = zlib.decompressobj(wbits=31)
    running = hashlib.sha256()
    count = 0
    try:
        async for piece in archive.read(_rows_name(backup.id, name)):
            running.update(piece)
            rows = decoder.feed(unpacker.decompress(piece))
            count += len(rows)
            if rows:
                yield rows
        decoder.end()
    except BytesMissing:
        raise ArchiveUnusable(f"the backup {backup.id} has lost the rows of `{name}`") from None
    except (zlib.error, ValueError) as error:
        raise ArchiveUnusable(f"the rows of `{name}` in the backup {backup.id} are damaged: {error}") from error
    if (count, running.hexdigest()) != (said.rows, said.sha256):
        raise ArchiveUnusable(f"the rows of `{name}` in the backup {backup.id} are not those that were written")


async def read_blobs(archive: Archive, backup: Backup) -> AsyncIterator[list[tuple[str, int]]]:
    """(digest, size) of the blobs that the backup holds, by digest. Raises ArchiveUnusable."""
    async for rows in read_rows(archive, backup, BLOBS):
        yield [(digest, size) for digest, _, size in rows if digest not in backup.damaged]


class Backups:
    """Makes, verifies and forgets the backups of one registry in one archive."""

    def __init__(
        self,
        database: Database,
        blobs: BlobDriver,
        archive: Archive,
        *,
        clock: Clock,
        ids: Ids,
        tell: Tell = untold,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._archive = archive
        self._clock = clock
        self._ids = ids
        self._tell = tell
        holder = ids()
        self._turn = Lease(database, "backup", holder, clock=clock, seconds=_LEASE)
        self._pin = Lease(database, f"{PIN}{holder}", holder, clock=clock, seconds=_PIN_SECONDS)

    async def make(self, *, keep: int = 0) -> Backup:
        """A backup of the present moment; with `keep`, only so many of the newest are left afterwards.

        Raises BackupBusy, ArchiveUnusable, NoRoom, LeaseLost, and MigrationMissing where the database is of a later release.
        """
        if not await self._turn.take():
            raise BackupBusy(
                "another backup of this registry is being made (or ended without a word within the last "
                f"{_LEASE:.0f} seconds: try again then)"
            )
        try:
            await self._pin.take()
            identity = await self._claim_place()
            made = await self._make(identity)
            if keep:
                await self._prune(keep)
            return made
        finally:
            await self._pin.drop()
            await self._turn.drop()

    async def _claim_place(self) -> str:
        """The registry's identity, for whose backups the archive is. Raises ArchiveUnusable."""
        fresh = self._ids()
        identity = await self._database.write(lambda: copies.find_identity(fresh))
        try:
            place = json.loads(await read_whole(self._archive, _PLACE))
        except BytesMissing:
            async for names in self._archive.list(""):
                raise ArchiveUnusable(
                    f"`{self._archive.address}` holds something else ({names[0][0]}): name an empty place"
                ) from None
            await put_whole(self._archive, _README, _EXPLANATION.encode())
            await put_whole(
                self._archive, _PLACE, json.dumps({"format": FORMAT, "registry": identity}, indent=1).encode()
            )
        else:
            if place["registry"] != identity:
                raise ArchiveUnusable(
                    f"`{self._archive.address}` has the backups of another registry: name another place"
                )
        await self._archive.tidy()
        return identity

    async def _make(self, identity: str) -> Backup:
        began = self._clock()
        identifier = f"{datetime.fromtimestamp(began, tz=UTC):%Y%m%dT%H%M%SZ}-{self._ids()[:4]}"
        await self._forget_incomplete()
        schema, dumped = await self._dump(identifier)
        draft = Backup(identifier, identity, schema, began, began, dumped, 0, 0, 0, 0)
        copying = _Copying(self._archive, self._blobs, self._keep, self._tell, dumped[BLOBS].rows)
        async for rows in read_rows(self._archive, draft, BLOBS):
            await copying.copy(rows)
        made = Backup(
            identifier,
            identity,
            schema,
            began,
            self._clock(),
            dumped,
            copying.blobs,
            copying.size,
            copying.copied,
            copying.copied_size,
            copying.damaged,
        )
        await self._keep()
        await put_whole(self._archive, f"backups/{identifier}/{_COMPLETE}", made.write())
        return made

    async def _keep(self) -> None:
        await self._turn.keep()
        await self._pin.keep()

    async def _dump(self, identifier: str) -> tuple[int, dict[str, Dumped]]:
        """The schema and its tables."""
        dumped = {}
        async with self._database.snapshot() as snapshot:
            schema = await snapshot_schema(snapshot)
            known = tables(schema)
            wanted = [known[name] for name in (BLOBS, *CARRIED) if name in known]
            for number, table in enumerate(wanted):
                writing = _Writing(table, snapshot.stream(table.select), self._keep)
                self._tell(Progress("rows", number, len(wanted)))
                await self._archive.put(_rows_name(identifier, table.name), writing.pieces())
                dumped[table.name] = writing.dumped
        return schema, dumped

    # -- forgetting

    async def _forget_incomplete(self) -> None:
        complete = {backup.id for backup in await list_backups(self._archive)}
        async for names in self._archive.list("backups/"):
            await self._archive.delete([name for name, _ in names if name.split("/")[1] not in complete])

    async def _prune(self, keep: int) -> None:
        found = await list_backups(self._archive)
        gone, kept = found[:-keep], found[-keep:]
        if not gone:
            return
        for backup in gone:  # from here on it is incomplete, whatever happens
            await self._archive.delete([f"backups/{backup.id}/{_COMPLETE}"])
        await self._forget_incomplete()
        await self._keep()
        needed = _merged([read_blobs(self._archive, backup) for backup in kept])
        wanted = await anext(needed, None)
        async for names in self._archive.list("blobs/"):
            await self._keep()
            doomed = []
            for name, _ in names:
                while wanted is not None and wanted < name:
                    wanted = await anext(needed, None)
                if wanted != name:
                    doomed.append(name)
            await self._archive.delete(doomed)
            self._tell(Progress("forgetting blobs", len(doomed)))


async def verify_backup(archive: Archive, backup: Backup, tell: Tell = untold) -> list[str]:
    """What is wrong with a backup, as sentences: every row and every byte of it is read."""
    faults = [f"{digest} was damaged in the store: {what}" for digest, what in sorted(backup.damaged.items())]
    for name in backup.tables:
        try:
            async for _ in read_rows(archive, backup, name):
                pass
        except ArchiveUnusable as error:
            faults.append(str(error))
    done = size = 0
    with contextlib.suppress(ArchiveUnusable):  # it was named above
        async for some in read_blobs(archive, backup):
            for group in portions(some, lambda blob: blob[1]):
                found = await together(_verify_blob(archive, digest, expected) for digest, expected in group)
                faults += [fault for fault in found if fault]
                done += len(group)
                size += sum(expected for _, expected in group)
                tell(Progress("verifying", done, backup.blobs, size))
    return faults


async def _verify_blob(archive: Archive, digest: str, size: int) -> str:
    running = new_hash(algorithm_of(digest))  # type: ignore[arg-type]
    received = 0
    try:
        async for piece in archive.read(blob_name(digest)):
            running.update(piece)
            received += len(piece)
    except BytesMissing:
        return f"{digest} is missing in the backup"
    found = f"{algorithm_of(digest)}:{running.hexdigest()}"  # type: ignore[arg-type]
    if (found, received) != (digest, size):
        return f"{digest} is damaged in the backup: its {received} bytes have the digest {found}"
    return ""


async def _merged(sources: Sequence[AsyncIterator[list[tuple[str, int]]]]) -> AsyncIterator[str]:
    """The names of all blobs of some backups, each once, in order."""
    heap: list[tuple[str, int, list[str]]] = []

    async def refill(number: int) -> None:
        async for some in sources[number]:
            if some:
                names = [blob_name(digest) for digest, _ in reversed(some)]
                heapq.heappush(heap, (names.pop(), number, names))
                return

    for number in range(len(sources)):
        await refill(number)
    last = ""
    while heap:
        name, number, names = heapq.heappop(heap)
        if name != last:
            yield name
            last = name
        if names:
            heapq.heappush(heap, (names.pop(), number, names))
        else:
            await refill(number)


class _Writing:
    """A table on its way into an archive."""

    def __init__(self, table: Table, batches: AsyncIterator[list[Row]], keep: Callable[[], Any]) -> None:
        self._table = table
        self._batches = batches
        self._keep = keep
        self._running = hashlib.sha256()
        self._rows = 0
        self._size = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        packer = zlib.compressobj(level=3, wbits=31)
        yield self._count(packer.compress(encode_head(self._table)))
        async for rows in self._batches:
            self._rows += len(rows)
            packed = packer.compress(encode_rows(self._table, rows))
            if packed:
                yield self._count(packed)
            await self._keep()
        yield self._count(packer.flush())

    def _count(self, piece: bytes) -> bytes:
        self._running.update(piece)
        self._size += len(piece)
        return piece

    @property
    def dumped(self) -> Dumped:
        return Dumped(self._rows, self._size, self._running.hexdigest())


class _Copying:
    """Blobs on their way into an archive, in the order of their digests."""

    def __init__(self, archive: Archive, blobs: BlobDriver, keep: Callable[[], Any], tell: Tell, total: int) -> None:
        self._archive = archive
        self._driver = blobs
        self._keep = keep
        self._tell = tell
        self._total = total
        self._folder = ""
        self._present: dict[str, int] = {}
        self._done = 0
        self.blobs = self.size = self.copied = self.copied_size = 0
        self.damaged: dict[str, str] = {}

    async def copy(self, rows: Sequence[Row]) -> None:
        """(digest, key, size) of each."""
        for group in portions(rows, lambda row: int(row[2])):
            await self._keep()
            absent = [row for row in group if await self._size_of(blob_name(row[0])) != row[2]]
            for row, what in zip(absent, await together(self._copy(*row) for row in absent), strict=True):
                if what:
                    self.damaged[row[0]] = what
                else:
                    self.copied += 1
                    self.copied_size += row[2]
            self._done += len(group)
            whole = [row for row in group if row[0] not in self.damaged]
            self.blobs += len(whole)
            self.size += sum(row[2] for row in whole)
            self._tell(Progress("blobs", self._done, self._total, self.copied_size))

    async def _size_of(self, name: str) -> int:
        """Bytes that the archive has under the name, or -1. A folder is listed once: names come in order."""
        folder = f"{name.rpartition('/')[0]}/"
        if folder != self._folder:
            self._folder = folder
            self._present = dict([entry async for names in self._archive.list(folder) for entry in names])
        return self._present.get(name, -1)

    async def _copy(self, digest: str, key: str, size: int) -> str:
        """What is wrong with the blob, if anything is: then it is not in the archive."""
        try:
            await self._archive.put(blob_name(digest), read_proven(self._driver, digest, key, size, self._keep))
        except BytesMissing:
            return "its bytes are missing, or end early"
        except DigestWrong as error:
            return str(error)
        return ""


async def read_proven(
    driver: BlobDriver, digest: str, key: str, size: int, keep: Callable[[], Any]
) -> AsyncIterator[bytes]:
    """The bytes of a blob in pieces; `keep` is awaited between two. Raises BytesMissing, and DigestWrong after the last."""
    running = new_hash(algorithm_of(digest))  # type: ignore[arg-type]
    content = await driver.open(key)
    try:
        if content.size != size:
            raise DigestWrong(f"it has {content.size} bytes, not {size}")
        for offset in range(0, size, _READ):
            piece = await content.read(offset, min(_READ, size - offset))
            running.update(piece)
            yield piece
            await keep()
    finally:
        content.close()
    found = running.hexdigest()
    if found != digest.partition(":")[2]:
        raise DigestWrong(f"its bytes have the digest {algorithm_of(digest)}:{found}")  # type: ignore[arg-type]
