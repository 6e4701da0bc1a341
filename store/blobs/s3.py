"""Blobs in a bucket of S3, or of a server that speaks as S3 does. Obeys the law of `store.blobs.driver`.

An upload is written once: parts go straight to the object that the blob will be, and completing the upload makes it
appear. What a turn leaves over, less than a part may have (5 MiB), lies in objects of its own, the tails, until it is
enough for a part with what later turns bring, or is the last one; a blob that never grew to a part is its tail. Nothing
else is ever written twice (but where memory is short, see `store.blobs.gathering`), and nothing is copied.

A staged blob's state is in its name, which the caller's row holds: the object, the upload, which parts count, and a
digest over their ETags. Every upload and every tail has an object of its own, so whatever a writer does that was
overtaken, it never touches what another has written or committed, with one exception: writers that go on with one
upload share it. A turn writes parts under numbers that no turn that ended well has used, and completing names the parts
with their ETags, so such a writer can spoil the upload, which then fails, but not mix its bytes into one. It may complete
the upload with its own parts, too; so what is complete and was not completed, for that very name, by the process that
commits it is read and compared with the digest first.

Reading staged bytes, to hash them anew, completes the upload first: that object is what a commit returns. Such an upload
goes on, in a new object, only in the process that read it.

Objects are `PREFIX/blobs/<stage>~<id>` and `PREFIX/tails/<stage>.<id>`; there are no copies but of a blob that was
completed too early.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from base.digest import Digest, algorithm_of, new_hash
from base.ids import Ids
from base.threads import Threads
from store.blobs.driver import BytesMissing, Content, Fenced, Hash, NoRoom, Page, Span, Stored, StoreUnavailable, Writer
from store.blobs.gathering import Allowance, Crumb, Gathered, Segment
from store.bucket import (
    DELETED,
    Body,
    Bucket,
    Bytes,
    Listed,
    NoBucket,
    NothingToRange,
    Piece,
    Refused,
    S3Settings,
    Stream,
)

T = TypeVar("T")

MIN_PART = 5 * 1024 * 1024
"""S3's smallest part but the last."""
PART = MIN_PART
"""Bytes of a part while there are few: after 4,000 (19.5 GiB) they double every 600, so 10,000 hold more than 5 TiB."""
GATHERED = 3 * PART
"""Bytes of parts that all writers of a process hold together; parts of more are gathered in crumbs."""
_MOST_PARTS = 10_000
_PARTS_BEFORE_DOUBLING = 4000
_PARTS_BETWEEN_DOUBLINGS = 600
_OWNER = "owner"
"""The object that says whose the store is."""
_LONGEST_OWNER = 1024
_COPY = 1024 * 1024 * 1024
_FIRST, _UNCOUNTED = 256 * 1024, 64 * 1024
"""Bytes that every writer may hold besides: of what is written at first, as small blobs are, and then."""
_SLOW = 2.0
"""Seconds in which a client should bring a part, where others wait."""
_PATIENCE = 5.0
"""Seconds without any part being sent after which what waits goes to the bucket in crumbs."""
_TAILS = 32
"""Tails that an upload has, at the most: then they become one."""
_AHEAD = 256 * 1024
"""Bytes that opening a blob reads already."""
_STREAMS = 24
"""Blobs that are read in one stream at once; others are read piece by piece, so that slow clients hold no bytes here."""
_IDLE = 0.2
"""Seconds without a read after which a stream may be ended for another."""
_HASH_HERE = 64 * 1024
_HASHING = 4
"""Threads that hash."""
_REMEMBERED = 512
_DELETING = 8
"""Objects that are deleted at once, each in a request of its own."""
_NO_SUCH_CALL = frozenset({400, 405, 411, 501})
"""How servers answer that do not know DeleteObjects, or want its checksum in another form."""
_COMPARED = 1024 * 1024
_AGAIN = 3
"""Times that bytes are asked for whose answer broke off."""
_SKIPPED = 16
"""Part numbers left to each turn that did not end well: its writer may still be at it."""


@dataclass(frozen=True, slots=True)
class _State:
    """What a staged blob consists of: `parts` are ranges of part numbers, in order; `etags` is a digest over theirs.

    Behind the parts come the `tails`; the objects `former` are not needed once a row has this name.
    """

    object: str = ""
    upload: str = ""
    parts: tuple[tuple[int, int], ...] = ()
    size: int = 0
    etags: str = ""
    tails: tuple[Crumb, ...] = ()
    turn: int = 0
    former: tuple[str, ...] = ()

    @property
    def last(self) -> int:
        return self.parts[-1][1] if self.parts else 0

    @property
    def count(self) -> int:
        return sum(last - first + 1 for first, last in self.parts)

    @property
    def whole(self) -> int:
        return self.size + sum(tail.size for tail in self.tails)

    def numbers(self) -> Iterator[int]:
        for first, last in self.parts:
            yield from range(first, last + 1)

    def with_part(self, number: int, size: int, etag: str) -> "_State":
        follows = bool(self.parts) and self.last == number - 1
        parts = (*self.parts[:-1], (self.parts[-1][0], number)) if follows else (*self.parts, (number, number))
        chained = _chain(self.etags, number, etag)
        return replace(self, parts=parts, size=self.size + size, etags=chained)

    @property
    def merged(self) -> str:
        """The object that several tails become. Of the same tails it is always the same."""
        marks = " ".join(tail.mark for tail in self.tails)
        return f"{self.tails[0].mark.partition('.')[0]}.{hashlib.sha256(marks.encode()).hexdigest()[:32]}"

    def objects(self) -> tuple[str, ...]:
        """The objects that hold its tails, or did."""
        found = [tail.mark for tail in self.tails]
        if len(found) > 1:
            found.append(self.merged)
        return (*found, *self.former)

    def write(self, staged: str) -> str:
        parts = [list(span) for span in self.parts]
        tails = [[tail.mark, tail.size] for tail in self.tails]
        fields = [self.object, self.upload, parts, self.size, self.etags, tails, self.turn, list(self.former)]
        return f"{staged} {json.dumps(fields, separators=(',', ':'))}"


def _read_name(name: str) -> tuple[str, _State]:
    """(the name's stable part, state)."""
    staged, _, text = name.partition(" ")
    if not text:
        return staged, _State()
    made, upload, parts, size, etags, tails, turn, former = json.loads(text)
    return staged, _State(
        made,
        upload,
        tuple((first, last) for first, last in parts),
        size,
        etags,
        tuple(Crumb(mark, count) for mark, count in tails),
        turn,
        tuple(former),
    )


def _chain(etags: str, number: int, etag: str) -> str:
    return hashlib.sha256(f"{etags} {number} {etag}".encode()).hexdigest()[:32]


def part_size(count: int) -> int:
    """Bytes of the part that follows `count` others."""
    doublings = max(0, count - _PARTS_BEFORE_DOUBLING + _PARTS_BETWEEN_DOUBLINGS) // _PARTS_BETWEEN_DOUBLINGS
    return int(PART * 2**doublings)


class S3Blobs:
    """Implements `store.blobs.driver.BlobDriver`."""

    fences = False
    era = ""

    def __init__(self, settings: S3Settings, *, ids: Ids) -> None:
        self._settings = settings
        self._ids = ids
        self.bucket = Bucket(settings)
        self.allowance = Allowance(GATHERED, patience=_PATIENCE)
        self._threads = Threads(_HASHING, "s3")
        self._prefix = f"{settings.prefix.strip('/')}/" if settings.prefix.strip("/") else ""
        self._etags: dict[str, dict[int, str]] = {}
        self._completed: dict[str, _State] = {}
        self._written: dict[str, int] = {}
        self._deletes_many = True
        self._piecemeal = asyncio.Semaphore(_STREAMS)
        self._streams: dict[_S3Content, None] = {}
        """Blobs that are being read in one stream, the one that was read from longest ago first."""
        self.opened = 0
        """Blobs that are open."""
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the law

    def stage(self) -> str:
        return f"s/{self._ids()}"

    async def writer(self, staged: str, *, turn: int, offset: int) -> Writer:
        name, found = _read_name(staged)
        if turn < found.turn:
            raise Fenced(name)
        if offset > found.whole:
            raise BytesMissing(name)
        for mark in found.former:
            await self.forget(mark)
        state, segments = replace(found, tails=(), former=()), list[Segment]()
        if offset < found.whole:
            state, segments = await self._begin_again(name, found, turn, offset)
        elif self._has_completed(found):
            state, segments = await self.grow(name, found, turn)  # completed, to be hashed
        elif found.tails:
            try:
                segments += await self._confirm_tails(found)
            except BytesMissing:
                if not found.upload:
                    raise
                state, segments = await self.grow(name, found, turn)
        return _S3Writer(self, name, found, state, turn, segments)

    async def commit(self, staged: str, *, turn: int, size: int) -> str:
        return await self._commit(staged, turn, size, None)

    async def _commit(self, staged: str, turn: int, size: int, digest: Digest | None) -> str:
        name, state = _read_name(staged)
        if size > state.whole:
            raise BytesMissing(name)
        if size < state.whole:
            writer = await self.writer(staged, turn=max(turn, state.turn), offset=size)
            name, state = _read_name(await writer.close())
        if state.upload:
            await self._complete(state, digest)
            self._etags.pop(state.upload, None)
            key = state.object
        else:
            key = await self._unite(name, state)
        for mark in state.objects():
            self._written.pop(mark, None)
            if mark != key:
                await self.forget(mark)
        return key

    async def seal(
        self, staged: str, *, turn: int, size: int, digest: Digest | None = None
    ) -> tuple[str, Callable[[], None] | None]:
        return await self._commit(staged, turn, size, digest), None

    async def open(self, key: str) -> Content:
        if key.startswith("s/"):
            name, state = _read_name(key)
            if not state.upload and not state.tails:
                raise BytesMissing(name)
            if state.upload:
                await self._complete(state)
                key = state.object
            else:
                key = await self._unite(name, state)
        return await _S3Content.open(self, self.path(key), key)

    async def url(self, key: str, *, seconds: int) -> str | None:
        if not self._settings.redirect:
            return None
        return await self.bucket.link(self.path(key), seconds=seconds)

    async def delete(self, key: str, *, keep: str = "") -> None:
        if key.startswith("s/"):
            (_, state), (_, kept) = _read_name(key), _read_name(keep)
            if state.upload and state.upload != kept.upload:
                await self.bucket.abort(self.path(state.object), state.upload)
                await self.forget(state.object)
            for mark in set(state.objects()).difference(kept.objects()):
                await self.forget(mark)
        elif key.startswith("u/"):
            made, _, upload = key[2:].partition(" ")
            await self.bucket.abort(self.path(f"o/{made}"), upload)
        else:
            await self.forget(key)

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        objects = {self.path(key): key for key in keys if not key.startswith(("s/", "u/"))}
        singly = [key for key in keys if key.startswith(("s/", "u/"))]
        failures: dict[str, Exception] = {}
        paths = list(objects)
        for start in range(0, len(paths), DELETED):
            some = paths[start : start + DELETED]
            stuck = await self._forget_many(some)
            if stuck is None:
                singly += [objects[path] for path in some]
            else:
                failures.update({objects[path]: error for path, error in stuck.items()})
        for start in range(0, len(singly), _DELETING):
            some = singly[start : start + _DELETING]
            done = await asyncio.gather(*map(self.delete, some), return_exceptions=True)
            failures.update({key: error for key, error in zip(some, done, strict=True) if isinstance(error, Exception)})
        return failures

    async def _forget_many(self, paths: Sequence[str]) -> dict[str, Exception] | None:
        """Delete objects in one request; why some could not be, or None where the server has no such request."""
        if not self._deletes_many:
            return None
        try:
            stuck = await self.bucket.delete_many(paths)
        except NoBucket:  # or a server that knows no such request
            return None
        except StoreUnavailable as error:
            if isinstance(error, Refused) and error.status in _NO_SUCH_CALL:
                self._deletes_many = False
                return None
            return dict.fromkeys(paths, error)
        return {path: StoreUnavailable(f"the bucket does not delete: {code}") for path, code in stuck.items()}

    async def inventory(self, *, before: float, after: str = "") -> AsyncGenerator[Page, None]:
        for place, folder in (("o", "blobs"), ("t", "tails")):
            if after[:1] > place:
                continue
            behind = after[2:] if after[:1] == place else ""
            async for entries in self.bucket.list_objects(f"{self._prefix}{folder}/", after=behind):
                if entries:
                    yield Page(_stored(place, entries, before), f"{place} {entries[-1].key}")
        marker: tuple[str, str] | None = None
        if after.startswith("u "):
            _, key, upload = after.split(" ", 2)
            marker = key, upload
        async for entries in self.bucket.list_uploads(f"{self._prefix}blobs/", after=marker):
            if entries:
                yield Page(_stored("u", entries, before), f"u {entries[-1].key} {entries[-1].upload}")

    async def owner(self) -> str:
        try:
            _, data = await self.bucket.get(f"{self._prefix}{_OWNER}", 0, _LONGEST_OWNER)
        except (BytesMissing, NothingToRange):
            return ""
        return data.decode().strip()

    async def claim(self, name: str) -> str:
        if not (owner := await self.owner()):
            await self.bucket.put(f"{self._prefix}{_OWNER}", Bytes(f"{name}\n".encode()))
            owner = await self.owner()
        return owner

    async def free_space(self) -> int | None:
        return None

    async def probe(self) -> None:
        await self.bucket.probe()

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._threads.close()
        await self.bucket.close()

    # -- steps

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Computing, on a thread."""
        return await self._threads.run(function, *arguments)

    def path(self, key: str) -> str:
        """The object's name in the bucket."""
        kind, _, made = key.partition("/")
        return f"{self._prefix}{'blobs' if kind == 'o' else 'tails'}/{made}"

    async def fetch(self, crumb: Crumb) -> AsyncIterator[bytes]:
        """The bytes of a crumb, or a tail, as they come. Raises BytesMissing where they are not all there."""
        at = broken = 0
        while at < crumb.size:
            stream = await self.bucket.stream(self.path(crumb.mark), at, crumb.size)
            try:
                while data := await stream.read(crumb.size - at):
                    at += len(data)
                    yield data
            except StoreUnavailable:  # it broke off: go on where it stood
                broken += 1
                if broken == _AGAIN:
                    raise
                continue
            finally:
                stream.close()
            if at < crumb.size:
                raise BytesMissing(crumb.mark)

    def begin_task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Of a writer, beside what else it does. What it raises is the writer's, if that still waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)
        return task

    def _end_task(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def begin(self, name: str, state: _State) -> _State:
        """Open a multipart upload for an object of its own."""
        key = f"o/{name.partition('/')[2]}~{self._ids()}"
        return replace(state, object=key, upload=await self.bucket.begin(self.path(key)))

    async def put_part(self, state: _State, number: int, body: Body) -> str:
        """Returns the part's ETag. Raises Fenced where the upload is over."""
        if number > _MOST_PARTS:
            raise NoRoom("a blob has at most 10,000 parts")
        try:
            etag = await self.bucket.put_part(self.path(state.object), state.upload, number, body)
        except BytesMissing as error:
            raise Fenced(state.object) from error
        self._note(state.upload, number, etag)
        return etag

    async def put_tail(self, name: str, body: Body) -> Crumb:
        """The bytes in an object of their own."""
        tail = Crumb(f"t/{name.partition('/')[2]}.{self._ids()}", body.size)
        await self.bucket.put(self.path(tail.mark), body)
        self._written[tail.mark] = tail.size
        while len(self._written) > _REMEMBERED:
            self._written.pop(next(iter(self._written)))
        return tail

    async def forget(self, mark: str) -> None:
        self._written.pop(mark, None)
        await self.bucket.delete(self.path(mark))

    async def _confirm_tails(self, state: _State) -> tuple[Crumb, ...]:
        """The tails, or what they have become. Raises BytesMissing."""
        last = state.tails[-1]
        if self._written.get(last.mark) == last.size:
            return state.tails
        try:
            await self._confirm(last.mark, last.size)
        except BytesMissing:
            if len(state.tails) == 1 or state.upload:
                raise
            await self._confirm(state.merged, state.whole)
            return (Crumb(state.merged, state.whole),)
        return state.tails

    async def _confirm(self, mark: str, size: int) -> None:
        """Raises BytesMissing where there is no such object of that size."""
        if await self.bucket.head(self.path(mark)) != size:
            raise BytesMissing(mark)

    async def _unite(self, name: str, state: _State) -> str:
        """The object with the bytes of what never grew to a part."""
        if not state.tails:
            key = f"t/{name.partition('/')[2]}.0"
            await self.bucket.put(self.path(key), Bytes(b""))
            return key
        if len(state.tails) == 1:
            (tail,) = state.tails
            if self._written.get(tail.mark) != tail.size:
                await self._confirm(tail.mark, tail.size)
            return tail.mark
        try:
            await self.bucket.put(self.path(state.merged), Gathered(self.fetch, [*state.tails]))
        except BytesMissing:  # done before
            await self._confirm(state.merged, state.whole)
        return state.merged

    async def _complete(self, state: _State, digest: Digest | None = None) -> None:
        """Make the object appear; it may have before.

        Raises BytesMissing where its parts are not what they were, Fenced where others were completed than those with
        this digest.
        """
        path = self.path(state.object)
        try:
            etags = await self._find_etags(state)
            if state.tails:
                number = state.last + 1
                etags[number] = await self.put_part(state, number, Gathered(self.fetch, [*state.tails]))
            await self.bucket.complete(path, state.upload, etags)
        except (BytesMissing, Fenced):
            await self._confirm(state.object, state.whole)  # completed before, or gone
            if digest is not None and not self._has_completed(state):
                await self._compare(state, digest)
        else:
            self._note_completed(state)

    async def _compare(self, state: _State, digest: Digest) -> None:
        content = await _S3Content.open(self, self.path(state.object), state.object)
        running = new_hash(algorithm_of(digest))
        try:
            for start in range(0, state.whole, _COMPARED):
                await self.run(running.update, await content.read(start, _COMPARED))
        finally:
            content.close()
        if f"{algorithm_of(digest)}:{running.hexdigest()}" != digest:
            raise Fenced(state.object)
        self._note_completed(state)

    def _note_completed(self, state: _State) -> None:
        """The object is what this state says."""
        if state.upload:
            self._completed.pop(state.upload, None)
            self._completed[state.upload] = replace(state, former=())
            if len(self._completed) > _REMEMBERED:
                self._completed.pop(next(iter(self._completed)))

    def _has_completed(self, state: _State) -> bool:
        return self._completed.get(state.upload) == replace(state, former=())

    async def _find_etags(self, state: _State) -> dict[int, str]:
        """The ETags of the parts that count, as they were when they were written."""
        known = self._etags.get(state.upload, {})
        wanted = list(state.numbers())
        if all(number in known for number in wanted):
            found = {number: known[number] for number in wanted}
        else:
            counted = set(wanted)
            found = {}
            async for page in self.bucket.list_parts(self.path(state.object), state.upload):
                found.update({number: etag for number, etag in page.items() if number in counted})
        chained = ""
        for number in wanted:
            chained = _chain(chained, number, found.get(number, ""))
        if chained != state.etags:
            raise BytesMissing(f"{state.object}: another writer has changed its parts")
        return found

    async def _begin_again(self, name: str, state: _State, turn: int, offset: int) -> tuple[_State, list[Segment]]:
        """A new object that begins with the first `offset` bytes: what parts hold can neither be cut nor go on once complete.

        Raises Fenced.
        """
        if state.upload:
            await self._complete(state)
            if not self._has_completed(state):
                raise Fenced(name)
            return await self._copy(name, state, turn, offset)
        segments: list[Segment] = []
        for tail in await self._confirm_tails(state):
            if tail.size <= offset:
                segments.append(tail)
            elif offset:
                segments.append(await self._read(self.path(tail.mark), 0, offset))
            offset -= min(offset, tail.size)
        return _State(turn=turn), segments

    async def _copy(self, name: str, state: _State, turn: int, offset: int) -> tuple[_State, list[Segment]]:
        """Like the state, but for an object that is complete and has to grow, or be less."""
        source = self.path(state.object)
        fresh = _State(turn=turn)
        start = 0
        while offset - start >= MIN_PART:
            if not fresh.upload:
                fresh = await self.begin(name, fresh)
            size = min(_COPY, offset - start)
            number = fresh.last + 1
            etag = await self.bucket.copy_part(
                self.path(fresh.object), fresh.upload, number, source, start, start + size
            )
            self._note(fresh.upload, number, etag)
            fresh = fresh.with_part(number, size, etag)
            start += size
        return fresh, [await self._read(source, start, offset - start)] if offset > start else []

    async def _read(self, path: str, offset: int, size: int) -> bytes:
        _, data = await self.bucket.get(path, offset, size)
        if len(data) != size:
            raise BytesMissing(path)
        return data

    async def piece(self, path: str, offset: int, size: int) -> bytes:
        """Bytes of a blob that is not read in one stream, fewer only at its end."""
        async with self._piecemeal:
            return (await self.bucket.get(path, offset, size))[1]

    def begin_stream(self, content: "_S3Content") -> bool:
        """Whether it may be read in one stream: there is room, or another's stream is idle and ends."""
        if len(self._streams) >= _STREAMS:
            first = next(iter(self._streams))
            if not first.is_idle(asyncio.get_running_loop().time()):
                return False
            first.end_stream()
        self._streams[content] = None
        return True

    def touch_stream(self, content: "_S3Content") -> None:
        """It was read from."""
        self._streams[content] = self._streams.pop(content)

    def end_stream(self, content: "_S3Content") -> None:
        self._streams.pop(content, None)

    async def grow(self, name: str, state: _State, turn: int) -> tuple[_State, list[Segment]]:
        """For a writer whose upload is over: where this process completed it (to hash it), go on in a new object.

        Raises Fenced where it was another.
        """
        if not self._has_completed(state):
            raise Fenced(name)
        return await self._copy(name, state, turn, state.whole)

    def _note(self, upload: str, number: int, etag: str) -> None:
        if upload not in self._etags and len(self._etags) >= _REMEMBERED:
            self._etags.pop(next(iter(self._etags)))
        self._etags.setdefault(upload, {})[number] = etag


class _S3Writer:
    """Gathers parts and sends them, one while the next one comes.

    A full part is held back until the next one has the least that it must have, so that no turn of that much leaves a
    tail; but not where memory is short.
    """

    def __init__(
        self, blobs: S3Blobs, name: str, found: _State, state: _State, turn: int, segments: list[Segment]
    ) -> None:
        """`found` is the state that the turn begins from, `state` what goes on with it, `segments` what it has already."""
        self._blobs = blobs
        self._name = name
        self._found = found
        self._state = state
        self._begun = state
        # numbers that turns which did not end well may be using are left out
        self._skip = max(0, turn - state.turn - 1) * _SKIPPED
        self._turn = turn
        self._full: Gathered | None = None
        self._filling = Gathered(blobs.fetch, segments)
        self._sent = 0
        """Parts that were handed on to be sent."""
        self._sending: asyncio.Task[None] | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._crumbs: set[Crumb] = set()
        """That it put into the bucket and that are there still."""
        self._uncounted = _FIRST
        self._over = False

    async def write(self, pieces: Sequence[bytes], hashes: Sequence[Hash]) -> None:
        if self._over:
            raise Fenced(self._name)
        if hashes and sum(map(len, pieces)) > _HASH_HERE:
            await self._blobs.run(_feed, pieces, hashes)
        else:
            _feed(pieces, hashes)
        for piece in pieces:
            rest: Piece = piece
            while rest:
                room = self._wanted - self._filling.size
                if room <= 0:
                    await self._begin_next()
                    continue
                some = rest
                if len(rest) > room:
                    some, rest = memoryview(rest)[:room], memoryview(rest)[room:]
                else:
                    rest = b""
                await self._make_room(len(some))
                self._filling.add(some)
                if self._filling.size >= MIN_PART:
                    await self._send_full()
        self._uncounted = _UNCOUNTED
        await self._yield_memory()

    @property
    def _wanted(self) -> int:
        """Bytes of the part that is being filled."""
        return part_size(self._begun.count + self._sent + (self._full is not None))

    async def _begin_next(self) -> None:
        await self._send_full()
        self._full, self._filling = self._filling, Gathered(self._blobs.fetch)

    async def _make_room(self, size: int) -> None:
        """Memory for `size` bytes more; where there is none, they will go to the bucket as a crumb."""
        part, allowance = self._filling, self._blobs.allowance
        needed = part.held_size + size
        if needed <= max(part.allowed, self._uncounted):
            return
        if allowance.try_take(PART):
            self._allow(PART)
            return
        if part.allowed:  # a part of more than all may hold
            await self._crumble()
            return
        await self._send_full()  # rather than hold it back
        if not part.crumbled and await allowance.take(PART):
            self._allow(PART)
        else:
            part.crumbled = True

    def _allow(self, size: int) -> None:
        part = self._filling
        if not part.allowed:
            part.began = asyncio.get_running_loop().time()
        part.allowed += size

    async def _yield_memory(self) -> None:
        """Give up what is not this writer's to keep."""
        part, allowance = self._filling, self._blobs.allowance
        if not part.allowed and not part.crumbled:
            return
        slow = part.allowed and asyncio.get_running_loop().time() - part.began > _SLOW
        if not part.allowed or (slow and allowance.is_wanted and part.size < self._wanted):
            await self._crumble()
            self._release(part)

    async def _crumble(self) -> None:
        """What the part has in memory goes to the bucket, for a while."""
        part = self._filling
        if part.held:
            crumb = await self._blobs.put_tail(self._name, Gathered(self._blobs.fetch, [*part.held]))
            self._crumbs.add(crumb)
            part.replace_held(crumb)

    async def _send_full(self) -> None:
        """Send what is full, in a while."""
        part, self._full = self._full, None
        if part is not None:
            self._sent += 1
            await self._settle()
            self._sending = self._blobs.begin_task(self._send(part))
            self._sending.add_done_callback(lambda _: self._release(part))  # it may be cancelled before it begins

    async def _settle(self) -> None:
        """What is being sent has been. Raises what it ended with."""
        sending, self._sending = self._sending, None
        if sending is not None:
            await sending

    async def _send(self, part: Gathered) -> None:
        try:
            if not self._state.upload:
                await self._begin()
            number = self._state.last + 1 + self._skip
            try:
                etag = await self._blobs.put_part(self._state, number, part)
            except Fenced:
                if self._state != self._begun:  # it was over while this turn wrote to it
                    raise
                self._state, segments = await self._blobs.grow(self._name, self._found, self._turn)
                part.begin_with(segments, instead_of=self._found.tails)
                if not self._state.upload:
                    await self._begin()
                number = self._state.last + 1
                etag = await self._blobs.put_part(self._state, number, part)
            self._skip = 0
            self._state = self._state.with_part(number, part.size, etag)
        finally:
            self._release(part)
        await self._forget(part.crumbs)

    async def _begin(self) -> None:
        """Open the upload; to its end, whoever gives up meanwhile, for else nobody would know what to abort."""

        async def do() -> None:
            self._state = await self._blobs.begin(self._name, self._state)

        self._beginning = self._blobs.begin_task(do())
        await asyncio.shield(self._beginning)

    def _release(self, part: Gathered) -> None:
        """Its memory is for others now."""
        allowed, part.allowed = part.allowed, 0
        self._blobs.allowance.give_back(allowed)

    async def _forget(self, crumbs: Iterable[Crumb]) -> None:
        """Of what this turn wrote; what it found is needed until a row has its new name."""
        for crumb in crumbs:
            if crumb not in self._found.tails:
                await self._blobs.forget(crumb.mark)
                self._crumbs.discard(crumb)

    async def close(self) -> str:
        if self._over:
            raise Fenced(self._name)
        await self._settle()
        rest = self._filling
        if self._full is not None:
            self._full.join(rest)
            rest, self._full = self._full, None
        tails: tuple[Crumb, ...] = ()
        if rest.size >= MIN_PART and (self._state.upload or rest.size >= PART):
            self._filling = Gathered(self._blobs.fetch)
            await self._send(rest)
        elif rest.size:
            tails = await self._leave(rest)
        former = {*replace(self._found, former=()).objects()}.difference(tail.mark for tail in tails)
        self._state = replace(self._state, tails=tails, turn=self._turn, former=tuple(sorted(former)))
        self._over = True
        return self._state.write(self._name)

    async def _leave(self, rest: Gathered) -> tuple[Crumb, ...]:
        """Too little for a part is left to the next turn."""
        tails = rest.crumbs
        if len(tails) < _TAILS:
            if rest.held:
                tails += (await self._blobs.put_tail(self._name, Gathered(self._blobs.fetch, [*rest.held])),)
        else:
            tails = (await self._blobs.put_tail(self._name, rest),)
            await self._forget(rest.crumbs)
        self._release(rest)
        return tails

    def discard(self) -> None:
        if not self._over:
            self._over = True
            self._blobs.begin_task(self._abandon(self._sending))
        for part in filter(None, (self._full, self._filling)):
            self._release(part)
        self._full, self._filling = None, Gathered(self._blobs.fetch)

    async def _abandon(self, sending: "asyncio.Task[None] | None") -> None:
        """Free what no name knows; where the store is away, a search of it will."""
        if sending is not None:
            sending.cancel()
            await asyncio.wait([sending])
        if self._beginning is not None:
            await asyncio.wait([self._beginning])
        with contextlib.suppress(StoreUnavailable):
            if self._state.upload not in {"", self._found.upload}:
                await self._blobs.bucket.abort(self._blobs.path(self._state.object), self._state.upload)
            await self._forget(tuple(self._crumbs))


class _BrokeOff(Exception):
    """An answer, in the middle."""


class _S3Content:
    """An object, open. What is read one after the other comes from one request, unless very many are read at once."""

    span: Span | None = None

    def __init__(self, blobs: S3Blobs, path: str, key: str, size: int, first: bytes) -> None:
        self._blobs = blobs
        self._path = path
        self._key = key
        self._size = size
        self._first = first
        self._stream: Stream | None = None
        self._at = 0
        self._read_at = 0.0
        self._reading = False
        self._closed = False
        blobs.opened += 1

    @classmethod
    async def open(cls, blobs: S3Blobs, path: str, key: str) -> "_S3Content":
        """Raises BytesMissing."""
        try:
            total, first = await blobs.bucket.get(path, 0, _AHEAD)
        except NothingToRange:
            total, first = 0, b""
        if total > len(first) and blobs.opened >= _STREAMS:  # it would lie here for as long as the client likes
            first = b""
        return cls(blobs, path, key, total, first)

    @property
    def size(self) -> int:
        return self._size

    def read_now(self, offset: int, size: int) -> bytes | None:
        end = min(offset + size, self._size)
        return self._first[offset:end] if end <= len(self._first) else None

    async def read(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self._size)
        if end <= offset:
            return b""
        if end <= len(self._first):
            return self._first[offset:end]
        found: list[bytes] = []
        if offset < len(self._first):
            found.append(self._first[offset:])
            offset = len(self._first)
        self._first = b""  # who reads on holds no more than it reads
        broken = 0
        while offset < end:
            try:
                data = await self._read_some(offset, end - offset)
            except _BrokeOff as error:  # go on where it stood
                self.end_stream()
                broken += 1
                if broken == _AGAIN:
                    raise StoreUnavailable(f"the bucket's answers break off: {error}") from error
                continue
            found.append(data)
            offset += len(data)
        return found[0] if len(found) == 1 else b"".join(found)

    async def _read_some(self, offset: int, size: int) -> bytes:
        """At least one byte. Raises _BrokeOff."""
        if self._stream is None or self._at != offset:
            self.end_stream()
            if not self._blobs.begin_stream(self):
                data = await self._blobs.piece(self._path, offset, size)
                if not data:
                    raise _BrokeOff("it has fewer bytes than before")
                return data
            self._reading = True
            try:
                self._stream = await self._blobs.bucket.stream(self._path, offset, self._size)
            finally:
                self._reading = False
                if self._stream is None:
                    self._blobs.end_stream(self)
            self._at = offset
        self._reading = True
        try:
            data = await self._stream.read(size)
        except StoreUnavailable as error:
            raise _BrokeOff(str(error)) from error
        finally:
            self._reading = False
        if not data:
            raise _BrokeOff("it ended early")
        self._at += len(data)
        self._read_at = asyncio.get_running_loop().time()
        self._blobs.touch_stream(self)
        return data

    def is_idle(self, now: float) -> bool:
        """Whether nobody reads, or has for a while."""
        return not self._reading and now - self._read_at > _IDLE

    def end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
            self._blobs.end_stream(self)

    def close(self) -> None:
        self.end_stream()
        if not self._closed:
            self._closed = True
            self._blobs.opened -= 1


def _feed(pieces: Sequence[bytes], hashes: Sequence[Hash]) -> None:
    for running in hashes:
        for piece in pieces:
            running.update(piece)


def _stored(place: str, entries: Sequence[Listed], before: float) -> list[Stored]:
    """What is old enough of a page of a listing."""
    found = []
    for entry in entries:
        made = entry.key.rpartition("/")[2]
        if entry.written_at < before:
            key = f"u/{made} {entry.upload}" if place == "u" else f"{place}/{made}"
            found.append(Stored(key, entry.written_at, _stage_of(made), entry.size))
    return found


def _stage_of(made: str) -> str:
    """The stable part of the staged name that an object or tail belongs to."""
    return f"s/{made.partition('.')[0].partition('~')[0]}"
