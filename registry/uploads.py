"""Uploads: from a session to a blob of a repository.

The states of an upload are few: it stands at `received` bytes under a turn, until it is finished, cancelled or expired.
Whoever brings bytes compares where it stands, streams, and advances it by comparing again; who loses that race gets
OffsetWrong, and nothing that it wrote counts. Nothing is held while the network is read. Up to 256 KiB are collected
before anything is claimed (fewer of a body that is known to have more), so the usual small blob costs one row written
when it starts, one when it arrives, and one, durable, when it is finished.

    begin -> (received 0, turn 0) -- receive --> (received n, turn t+1) -- receive --> ... -- finish --> a blob
                                                    `-- cancel, expire --> condemned

The running hash of an upload stays in the process that has it. A process without it stores the bytes, and `finish`
reads them once. So it does where the driver's era has changed since: what was staged before a power cut may be other
bytes after it, whatever the row says of them.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Protocol

from base.clock import Clock
from base.digest import CANONICAL, Digest, algorithm_of, new_hash
from base.ids import Ids
from registry import rows
from registry.errors import DigestInvalid, OffsetWrong, SizeInvalid, StorageFull, UploadUnknown
from registry.names import RegistryId, RepositoryName
from registry.rows import Upload
from store.blobs.driver import BlobDriver, BytesMissing, Fenced, NoRoom, Writer
from store.database import Database, DatabaseFull, DatabaseUnavailable

if TYPE_CHECKING:
    from hashlib import _Hash

FIRST_READ = 256 * 1024
"""Bytes that are collected in memory before an upload is claimed."""
BATCH = 1024 * 1024
"""Bytes that are hashed and written at a time, the next ones being read; fewer, and one after the other, where many do so."""
_LEAST = 64 * 1024
_IN_HAND = 4 * 1024 * 1024
"""Bytes of batches, about, that a process has in hand."""
NO_PART = 2**62
_REMEMBERED = 512
_SPACE_AGE = 0.1
"""Seconds for which the free space is known well enough; what this process writes in them is counted."""


class Body(Protocol):
    """The bytes of a request."""

    @property
    def length(self) -> int | None:
        """Announced bytes, or None: until it ends."""
        ...

    async def read(self, size: int) -> list[bytes]:
        """The next bytes, at least `size` of them unless the body ends before. Raises ClientGone."""
        ...


class ClientGone(Exception):
    """The client went away, or fell silent, in the middle of its request."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    received: int
    turn: int
    running: "_Hash"


class Uploads:
    """The use-cases of uploads."""

    def __init__(self, database: Database, blobs: BlobDriver, *, clock: Clock, ids: Ids, reserve: int) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._ids = ids
        self._reserve = reserve
        self._hashes: OrderedDict[str, _Remembered] = OrderedDict()
        self._space: tuple[float, int | None] = (0.0, None)
        self._streaming = 0
        """Bodies that are being read."""

    async def begin(self, repository_id: int, principal: str, *, algorithm: str = CANONICAL) -> Upload:
        """Open a session. Raises StorageFull, DigestMalformed (unknown algorithm), UploadUnknown (repository gone)."""
        upload = await self._new(repository_id, principal, algorithm)
        now = self._clock()
        if not await self._database.write(lambda: rows.insert_upload(upload, now), durable=False):
            raise UploadUnknown("the repository was deleted")
        return upload

    async def begin_named(
        self, registry: RegistryId, name: RepositoryName, principal: str, *, algorithm: str = CANONICAL
    ) -> Upload | None:
        """Like `begin`, by the repository's name; None where there is no such repository."""
        upload = await self._new(0, principal, algorithm)
        now = self._clock()
        made = await self._database.write(lambda: rows.insert_named_upload(registry, name, upload, now), durable=False)
        return upload if made else None

    async def _new(self, repository_id: int, principal: str, algorithm: str) -> Upload:
        await self.check_space(0)
        return Upload(
            id=self._ids(),
            repository_id=repository_id,
            principal=principal,
            algorithm=algorithm,
            staged=self._blobs.stage(),
            received=0,
            digest=_nothing(algorithm),
            turn=0,
            smallest_part=NO_PART,
            last_part=0,
            era=self._blobs.era,
        )

    async def find(self, registry: RegistryId, name: RepositoryName, principal: str, identifier: str) -> Upload:
        """The session with that id, if it is this principal's, in this repository. Raises UploadUnknown."""
        upload = await rows.find_named_upload(self._database, registry, name, identifier)
        if upload is None or upload.principal != principal:
            raise _unknown(identifier)
        return upload if upload.era == self._blobs.era else replace(upload, digest="")

    async def receive(self, upload: Upload, body: Body, *, offset: int | None = None) -> Upload:
        """Append a chunk and return the upload as it stands then. `offset`: where the client believes it stands.

        Raises OffsetWrong, StorageFull, ClientGone, UploadUnknown.
        """
        return await self._receive(upload, body, offset, last=False)

    async def finish(
        self, upload: Upload, digest: Digest, body: Body | None = None, *, offset: int | None = None
    ) -> Digest:
        """Take a last chunk, prove the digest, and make the bytes a blob of the repository, durably.

        Raises DigestInvalid (the upload stands where it stood before), OffsetWrong, StorageFull, ClientGone, UploadUnknown.
        """
        stored, before = upload.staged, upload
        if body is not None:
            upload = await self._receive(upload, body, offset, last=True, algorithm=algorithm_of(digest))
        elif offset is not None and offset != upload.received:
            raise _elsewhere(upload)
        try:
            await self._prove(upload, digest)
        except DigestInvalid:
            if upload.staged != stored:
                # no row knows these bytes: they go now, or only a search of the store finds them
                await self._blobs.delete(upload.staged, keep=stored)
            raise
        if upload.staged.startswith("f/") and upload.staged != stored:
            # bytes that came with the closing request: their name is recorded before they are made durable, so that
            # the collector knows it whatever happens in between
            await self._advance(upload, before, claimed_at=upload.turn)
        await self._commit(upload, digest)
        self._hashes.pop(upload.id, None)
        return digest

    async def identify(self, upload: Upload, candidates: Sequence[Digest]) -> Upload | None:
        """The upload with the one of `candidates` that is its bytes' digest, for `finish`; None where none is.

        Reads the bytes only where this process has not hashed them. Raises UploadUnknown, OffsetWrong.
        """
        for algorithm in dict.fromkeys(map(algorithm_of, candidates)):
            known = upload.digest if upload.algorithm == algorithm else ""
            found = known or await self._hash_again(upload, algorithm)
            if found in candidates:
                return replace(upload, algorithm=algorithm, digest=found)
        return None

    async def take(self, repository_id: int, digest: Digest, body: Body) -> Digest:
        """A whole blob in one request, without a session. Raises DigestInvalid, StorageFull, ClientGone, UploadUnknown."""
        upload = await self.begin(repository_id, "", algorithm=algorithm_of(digest))
        try:
            return await self.finish(upload, digest, body)
        except Exception:
            # what went wrong is what is said: the session may be over already, and the database away
            with contextlib.suppress(UploadUnknown, DatabaseFull, DatabaseUnavailable):
                await self.cancel(upload)
            raise

    async def cancel(self, upload: Upload) -> None:
        """End the session; its bytes are the collector's. Raises UploadUnknown."""
        self._hashes.pop(upload.id, None)
        now = self._clock()
        if not await self._database.write(lambda: rows.end_upload(upload, now), durable=False):
            raise _unknown(upload.id)

    async def check_space(self, wanted: int) -> None:
        """Raises StorageFull where `wanted` bytes more would leave less than the reserve."""
        at, free = self._space
        now = self._clock()
        if not 0 <= now - at < _SPACE_AGE:
            free = await self._blobs.free_space()
            self._space = (now, free)
        if free is not None and free - wanted < self._reserve:
            raise StorageFull(
                f"the registry's storage is full: {free} bytes are free, {self._reserve} are kept in reserve; delete images first"
            )

    async def _take_space(self, size: int) -> None:
        """Check before `size` bytes are written, and count them. A body may announce no length, or others may write too."""
        await self.check_space(size)
        at, free = self._space
        if free is not None:
            self._space = (at, free - size)

    # -- the steps

    async def _receive(
        self, upload: Upload, body: Body, offset: int | None, *, last: bool, algorithm: str | None = None
    ) -> Upload:
        if offset is not None and offset != upload.received:
            raise _elsewhere(upload)
        await self.check_space(body.length or 0)
        large = body.length is not None and body.length > FIRST_READ
        asked = _LEAST if large else FIRST_READ
        pieces = await body.read(asked)
        size = sum(map(len, pieces))
        if size == 0 and last and not body.length:
            return upload
        if algorithm is not None and algorithm != upload.algorithm and upload.received == 0:
            upload = replace(upload, algorithm=algorithm, digest=f"{algorithm}:{new_hash(algorithm).hexdigest()}")
        turn = upload.turn + 1
        in_file = large or size >= FIRST_READ or upload.received > 0
        if in_file:  # bytes are about to go where another writer might be writing: take the turn first
            await self._claim(upload)
        running = self._running(upload)
        hashes = () if running is None else (running,)
        try:
            writer = await self._blobs.writer(upload.staged, turn=turn, offset=upload.received)
        except (Fenced, BytesMissing):
            raise await self._lost(upload) from None
        except NoRoom as error:
            raise StorageFull(str(error)) from error
        try:
            received, staged = await self._stream(writer, pieces, asked, body, hashes)
        except Fenced:
            raise await self._lost(upload) from None
        except NoRoom as error:
            raise StorageFull(str(error)) from error
        finally:
            writer.discard()
        if not in_file and last and staged.startswith("f/"):
            # a file after all: the turn that wrote it is the one that commits
            await self._claim(upload)
            in_file = True
        if body.length is not None and received != body.length:
            if staged != upload.staged:
                await self._blobs.delete(staged, keep=upload.staged)
            raise SizeInvalid(f"the request announced {body.length} bytes and brought {received}")
        moved = Upload(
            id=upload.id,
            repository_id=upload.repository_id,
            principal=upload.principal,
            algorithm=upload.algorithm,
            staged=staged,
            received=upload.received + received,
            digest="" if running is None else f"{upload.algorithm}:{running.hexdigest()}",
            # bytes of a closing request are not counted: if the digest is wrong, the upload stands where it stood
            turn=upload.turn if last and not in_file else turn,
            smallest_part=min(upload.smallest_part, upload.last_part) if upload.received else NO_PART,
            last_part=received,
            era=self._blobs.era,
        )
        if last:
            return moved
        try:
            await self._advance(moved, upload, claimed_at=turn if in_file else upload.turn)
        except (OffsetWrong, UploadUnknown):
            # another was quicker, or the upload is over: bytes whose name nobody else knows go now
            if not in_file or _stem(moved.staged) != _stem(upload.staged):
                await self._blobs.delete(moved.staged, keep=upload.staged)
            raise
        if running is not None:
            self._remember(moved, running)
        return moved

    async def _stream(
        self, writer: Writer, first: list[bytes], asked: int, body: Body, hashes: Sequence["_Hash"]
    ) -> tuple[int, str]:
        """Write `first` and the rest of the body, reading the next batch while one is written. (bytes, staged name).

        `first` is what came when `asked` bytes were, and is empty then: whoever called would hold it for as long as the
        body comes.
        """
        pieces = first.copy()
        first.clear()
        received = 0
        self._streaming += 1
        try:
            while pieces:
                size = sum(map(len, pieces))
                await self._take_space(size)
                received += size
                if size < asked:
                    await writer.write(pieces, hashes)
                    break
                asked = max(_LEAST, min(BATCH, _IN_HAND // self._streaming))
                if asked < BATCH // 4:  # and no more than one at a time
                    await writer.write(pieces, hashes)
                    pieces = []
                    pieces = await body.read(asked)
                    continue
                writing = asyncio.ensure_future(writer.write(pieces, hashes))
                try:
                    pieces = await body.read(asked)
                except BaseException:
                    await asyncio.wait([writing])
                    writing.exception()
                    raise
                await writing
        finally:
            self._streaming -= 1
        return received, await writer.close()

    async def _claim(self, upload: Upload) -> None:
        now = self._clock()
        if not await self._database.write(lambda: rows.claim_upload(upload, now), durable=False):
            raise await self._lost(upload)

    async def _advance(self, upload: Upload, before: Upload, *, claimed_at: int) -> None:
        now = self._clock()
        copied = bool(before.received) and _stem(before.staged) != _stem(upload.staged)
        former = (before.staged, before.received) if copied else None
        unit = partial(rows.advance_upload, upload, claimed_at, now, former=former)
        if not await self._database.write(unit, durable=False):
            raise await self._lost(upload)

    async def _prove(self, upload: Upload, digest: Digest) -> None:
        found = upload.digest
        if not found or algorithm_of(digest) != upload.algorithm:
            found = await self._hash_again(upload, algorithm_of(digest))
        if found != digest:
            raise DigestInvalid(f"the bytes have the digest `{found}`, not `{digest}`")

    async def _hash_again(self, upload: Upload, algorithm: str) -> str:
        running = new_hash(algorithm)
        try:
            content = await self._blobs.open(upload.staged)
        except BytesMissing:
            if upload.received:
                raise await self._lost(upload) from None
            return f"{algorithm}:{running.hexdigest()}"
        try:
            for start in range(0, upload.received, BATCH):
                data = await content.read(start, min(BATCH, upload.received - start))
                await asyncio.to_thread(running.update, data)
        except BytesMissing:
            raise await self._lost(upload) from None
        finally:
            content.close()
        return f"{algorithm}:{running.hexdigest()}"

    async def _commit(self, upload: Upload, digest: Digest) -> None:
        try:
            key, flush = await self._blobs.seal(upload.staged, turn=upload.turn, size=upload.received, digest=digest)
            now = self._clock()
            held = await self._database.write(lambda: rows.finish_upload(upload, digest, key, now), first=flush)
        except (Fenced, BytesMissing):
            raise await self._lost(upload) from None
        except NoRoom as error:
            raise StorageFull(str(error)) from error
        if held is None:
            raise await self._lost(upload)

    async def _lost(self, upload: Upload) -> Exception:
        """What to raise when another request moved the upload on: where it stands now, or that it is gone."""
        stored = await rows.find_upload(self._database, upload.id)
        return _unknown(upload.id) if stored is None else _elsewhere(stored)

    # -- running hashes

    def _running(self, upload: Upload) -> "_Hash | None":
        if upload.received == 0:
            return new_hash(upload.algorithm)
        known = self._hashes.get(upload.id)
        if known is None or (known.received, known.turn) != (upload.received, upload.turn):
            return None
        return known.running.copy()

    def _remember(self, upload: Upload, running: "_Hash") -> None:
        self._hashes[upload.id] = _Remembered(upload.received, upload.turn, running)
        self._hashes.move_to_end(upload.id)
        if len(self._hashes) > _REMEMBERED:
            self._hashes.popitem(last=False)


@cache
def _nothing(algorithm: str) -> str:
    """The digest of no bytes."""
    return f"{algorithm}:{new_hash(algorithm).hexdigest()}"


def _stem(staged: str) -> str:
    """What stays the same of a staged name as long as its bytes are not copied."""
    return staged.partition(" ")[0]


def _unknown(identifier: str) -> UploadUnknown:
    return UploadUnknown(f"the upload `{identifier}` is not known here: it was finished, cancelled, or never begun")


def _elsewhere(upload: Upload) -> OffsetWrong:
    return OffsetWrong(f"the upload stands at {upload.received} bytes", received=upload.received)
