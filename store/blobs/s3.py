"""Blobs in a bucket of S3, or of a server that speaks as S3 does. Obeys the law of `store.blobs.driver`.

An upload is written once: parts go straight to the object that the blob will be, and completing the upload makes it
appear. What a turn leaves over, less than a part may have (5 MiB), lies in an object of its own, the tail, until the
next turn writes it in front of its own bytes, or the commit as the last part; a blob that never grew to a part is its
tail. Nothing else is ever written twice, and nothing is copied.

A staged blob's state is in its name, which the caller's row holds: the object, the upload, which parts count, and a
digest over their ETags. Every upload and every tail has an object of its own, so whatever a writer does that was
overtaken, it never touches what another has written or committed, with one exception: writers that go on with one
upload share it. A turn writes parts under numbers that no turn that ended well has used, and completing names the parts
with their ETags, so such a writer can spoil the upload, which then fails, but not mix its bytes into one. It may complete
the upload with its own parts, too; so what is complete and was not completed, for that very name, by the process that
commits it is read and compared with the digest first.

Reading staged bytes, to hash them anew, completes the upload first: that object is what a commit returns. Such an upload
goes on, in a new object, only in the process that read it.

Requests run on threads, by botocore, which retries what may be retried (twice a second apart at the most, with
jitter). Objects are `PREFIX/blobs/<stage>~<id>` and `PREFIX/tails/<stage>.<id>`; only put, get, head, delete, list and
the multipart calls are used, no tags, no copies but of a blob that was completed too early.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import botocore.config
import botocore.exceptions
import botocore.session

from base.digest import Digest, algorithm_of, new_hash
from base.ids import Ids
from base.threads import Threads
from store.blobs.driver import BytesMissing, Content, Fenced, Hash, NoRoom, Page, Span, Stored, StoreUnavailable, Writer

T = TypeVar("T")

MIN_PART = 5 * 1024 * 1024
"""S3's smallest part but the last."""
PART = 6 * 1024 * 1024
"""Bytes of a part while there are few: they double every 1,000 parts, so 10,000 hold 6 TB."""
_MOST_PARTS = 10_000
_PARTS_BEFORE_DOUBLING = 1000
_COPY = 1024 * 1024 * 1024
_AHEAD = 256 * 1024
"""Bytes that opening a blob reads already."""
_HASH_HERE = 64 * 1024
_REMEMBERED = 512
_TAILS = 32 * 1024 * 1024
"""Bytes of tails that are kept at hand for their next turn or their commit."""
_DELETED = 1000
"""Objects in one request to delete them (S3 API, DeleteObjects)."""
_LISTED = 1000
"""Things in one answer to a request to list them."""
_NO_SUCH_CALL = frozenset({400, 405, 411, 501})
"""How servers answer that do not know DeleteObjects, or want its checksum in another form."""
_COMPARED = 4 * 1024 * 1024
_AGAIN = 3
"""Times that bytes are asked for whose answer broke off."""
_WAITING = 10.0
"""Seconds that the pauses between the attempts of a call and a queue of calls may take, about."""
_COMPLETING = 600.0
"""Seconds in which S3 completes the largest upload; it goes on answering meanwhile (S3 API, CompleteMultipartUpload)."""
_SLOWEST = 256 * 1024
"""Bytes a second at least."""
_SKIPPED = 16
"""Part numbers left to each turn that did not end well: its writer may still be at it."""
_GONE = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge"})


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where the bucket is and how to write to it. Empty keys: botocore's own search for credentials.

    `sse` is `AES256`, `aws:kms` or empty, `kms_key_id` a key for the second. `redirect`: clients may be sent to the
    bucket for blobs. Timeouts are in seconds: to connect, and of silence; both for each of the attempts.
    """

    bucket: str
    endpoint_url: str = ""
    prefix: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = ""
    sse: str = ""
    kms_key_id: str = ""
    redirect: bool = True
    connect_timeout: float = 5.0
    read_timeout: float = 15.0
    attempts: int = 4
    threads: int = 32


@dataclass(frozen=True, slots=True)
class _State:
    """What a staged blob consists of: `parts` are ranges of part numbers, in order; `etags` is a digest over theirs.

    `tail` bytes lie in the object `mark`; the tail `former` is not needed once a row has this name.
    """

    object: str = ""
    upload: str = ""
    parts: tuple[tuple[int, int], ...] = ()
    size: int = 0
    etags: str = ""
    tail: int = 0
    turn: int = 0
    mark: str = ""
    former: str = ""

    @property
    def last(self) -> int:
        return self.parts[-1][1] if self.parts else 0

    @property
    def count(self) -> int:
        return sum(last - first + 1 for first, last in self.parts)

    @property
    def whole(self) -> int:
        return self.size + self.tail

    def numbers(self) -> Iterator[int]:
        for first, last in self.parts:
            yield from range(first, last + 1)

    def with_part(self, number: int, size: int, etag: str) -> "_State":
        follows = bool(self.parts) and self.last == number - 1
        parts = (*self.parts[:-1], (self.parts[-1][0], number)) if follows else (*self.parts, (number, number))
        chained = hashlib.sha256(f"{self.etags} {number} {etag}".encode()).hexdigest()[:32]
        return replace(self, parts=parts, size=self.size + size, etags=chained)

    def tails(self) -> tuple[str, ...]:
        """The objects of its tails."""
        return tuple(filter(None, (self.mark if self.tail else "", self.former)))

    def write(self, staged: str) -> str:
        parts = [list(span) for span in self.parts]
        fields = [self.object, self.upload, parts, self.size, self.etags, self.tail, self.turn, self.mark, self.former]
        return f"{staged} {json.dumps(fields, separators=(',', ':'))}"


def _read_name(name: str) -> tuple[str, _State]:
    """(the name's stable part, state)."""
    staged, _, text = name.partition(" ")
    if not text:
        return staged, _State()
    made, upload, parts, *rest = json.loads(text)
    return staged, _State(made, upload, tuple((first, last) for first, last in parts), *rest)


def part_size(count: int) -> int:
    """Bytes of the part that follows `count` others."""
    return int(PART * 2 ** (count // _PARTS_BEFORE_DOUBLING))


class S3Blobs:
    """Implements `store.blobs.driver.BlobDriver`."""

    fences = False
    era = ""

    def __init__(self, settings: S3Settings, *, ids: Ids) -> None:
        self._settings = settings
        self._ids = ids
        self._client = connect(settings)
        self._threads = Threads(settings.threads, "s3")
        self._prefix = f"{settings.prefix.strip('/')}/" if settings.prefix.strip("/") else ""
        self._encryption: dict[str, str] = {}
        if settings.sse:
            self._encryption["ServerSideEncryption"] = settings.sse
        if settings.kms_key_id:
            self._encryption["SSEKMSKeyId"] = settings.kms_key_id
        self._etags: dict[str, dict[int, str]] = {}
        self._completed: dict[str, _State] = {}
        self._tails: dict[str, bytes] = {}
        self._written: dict[str, int] = {}
        self._deletes_many = True
        self._abandoning: set[asyncio.Task[None]] = set()

    # -- the law

    def stage(self) -> str:
        return f"s/{self._ids()}"

    async def writer(self, staged: str, *, turn: int, offset: int) -> Writer:
        name, state = _read_name(staged)
        if turn < state.turn:
            raise Fenced(name)
        if offset > state.whole:
            raise BytesMissing(name)
        if state.former:
            await self._forget(self._path(state.former))
        former = state.mark
        if offset < state.whole:
            state, held = await self._begin_again(name, state, turn, offset)
        else:
            try:
                held = await self._tail(state) if state.tail else b""
            except BytesMissing:
                if not state.upload:
                    raise
                state, held = await self.grow(name, state, turn)  # completed, to be hashed
        begun = replace(state, former=former, tail=0, mark="")
        return _S3Writer(self, name, begun, turn, held, named=_read_name(staged)[1].upload)

    async def commit(self, staged: str, *, turn: int, size: int) -> str:
        return await self._commit(staged, turn, size, None)

    async def _commit(self, staged: str, turn: int, size: int, digest: Digest | None) -> str:
        name, state = _read_name(staged)
        if size > state.whole:
            raise BytesMissing(name)
        if size < state.whole:
            writer = await self.writer(staged, turn=max(turn, state.turn), offset=size)
            name, state = _read_name(await writer.close())
        if not state.upload:
            return await self._commit_tail(name, state)
        await self._complete(state, digest)
        self._etags.pop(state.upload, None)
        for tail in state.tails():
            self._tails.pop(tail, None)
            await self._forget(self._path(tail))
        return state.object

    async def seal(
        self, staged: str, *, turn: int, size: int, digest: Digest | None = None
    ) -> tuple[str, Callable[[], None] | None]:
        return await self._commit(staged, turn, size, digest), None

    async def open(self, key: str) -> Content:
        if key.startswith("s/"):
            name, state = _read_name(key)
            if not state.upload and not state.tail:
                raise BytesMissing(name)
            if state.upload:
                await self._complete(state)
            key = state.object or state.mark
        return await _S3Content.open(self, self._path(key), key)

    async def url(self, key: str, *, seconds: int) -> str | None:
        if not self._settings.redirect:
            return None
        made: str = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._settings.bucket, "Key": self._path(key)}, ExpiresIn=seconds
        )
        return made

    async def delete(self, key: str, *, keep: str = "") -> None:
        if key.startswith("s/"):
            (_, state), (_, kept) = _read_name(key), _read_name(keep)
            if state.upload and state.upload != kept.upload:
                await self._abort(state.object, state.upload)
                await self._forget(self._path(state.object))
            for tail in state.tails():
                if tail not in kept.tails():
                    self._tails.pop(tail, None)
                    await self._forget(self._path(tail))
        elif key.startswith("u/"):
            made, _, upload = key[2:].partition(" ")
            await self._abort(f"o/{made}", upload)
        else:
            await self._forget(self._path(key))

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        objects = {self._path(key): key for key in keys if not key.startswith(("s/", "u/"))}
        singly = [key for key in keys if key.startswith(("s/", "u/"))]
        failures: dict[str, Exception] = {}
        paths = list(objects)
        for start in range(0, len(paths), _DELETED):
            some = paths[start : start + _DELETED]
            stuck = await self._forget_many(some)
            if stuck is None:
                singly += [objects[path] for path in some]
            else:
                failures.update({objects[path]: error for path, error in stuck.items()})
        at_once = max(1, self._settings.threads // 4)  # the others are for requests
        for start in range(0, len(singly), at_once):
            some = singly[start : start + at_once]
            done = await asyncio.gather(*map(self.delete, some), return_exceptions=True)
            failures.update({key: error for key, error in zip(some, done, strict=True) if isinstance(error, Exception)})
        return failures

    async def _forget_many(self, paths: Sequence[str]) -> dict[str, Exception] | None:
        """Delete objects in one request; why some could not be, or None where the server has no such request."""
        if not self._deletes_many:
            return None
        doomed = {"Objects": [{"Key": path} for path in paths], "Quiet": True}
        try:
            answer = await self.call("delete_objects", Delete=doomed)
        except _NoBucket:  # or a server that knows no such request
            return None
        except StoreUnavailable as error:
            if isinstance(error, _Refused) and error.status in _NO_SUCH_CALL:
                self._deletes_many = False
                return None
            return dict.fromkeys(paths, error)
        return {
            error["Key"]: StoreUnavailable(f"the bucket does not delete: {error.get('Code')}")
            for error in answer.get("Errors", ())
            if error.get("Code") not in _GONE
        }

    async def inventory(self, *, before: float, after: str = "") -> AsyncGenerator[Page, None]:
        for place, folder in (("o", "blobs"), ("t", "tails")):
            if after[:1] > place:
                continue
            where = {"Prefix": f"{self._prefix}{folder}/"}
            if after[:1] == place:
                where["StartAfter"] = after[2:]
            async for page in self._pages("list_objects_v2", **where):
                entries = page.get("Contents", ())
                if entries:
                    found = _stored(place, entries, before, "LastModified")
                    yield Page(found, f"{place} {entries[-1]['Key']}")
        where = {"Prefix": f"{self._prefix}blobs/"}
        if after.startswith("u "):
            _, where["KeyMarker"], where["UploadIdMarker"] = after.split(" ", 2)
        async for page in self._pages("list_multipart_uploads", **where):
            entries = page.get("Uploads", ())
            if entries:
                found = _stored("u", entries, before, "Initiated")
                yield Page(found, f"u {entries[-1]['Key']} {entries[-1]['UploadId']}")

    async def free_space(self) -> int | None:
        return None

    async def probe(self) -> None:
        await self.call("head_bucket")

    async def close(self) -> None:
        await asyncio.gather(*self._abandoning)
        await self._threads.close()
        self._client.close()

    # -- steps

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One request, on a thread. Raises BytesMissing (also for an upload that is over), NoRoom, StoreUnavailable."""
        longest = _COMPLETING if operation == "complete_multipart_upload" else 0.0
        longest += len(parameters.get("Body", b"")) / _SLOWEST
        return await self.run(self._call, operation, parameters, longest=longest)

    def _call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            found: dict[str, Any] = getattr(self._client, operation)(Bucket=self._settings.bucket, **parameters)
            return found
        except botocore.exceptions.ClientError as error:
            raise translated(error, parameters.get("Key", ""), self._settings.bucket) from error
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            raise StoreUnavailable(f"the bucket does not answer: {error}") from error

    async def run(self, function: Callable[..., T], *arguments: Any, longest: float = 0.0) -> T:
        """Blocking work of the driver's, on one of its threads. `longest`: seconds that it may take more than others.

        Raises StoreUnavailable where it does not end in time, or does not begin because too much is waiting.
        """
        patience = self._settings.attempts * self._settings.read_timeout + _WAITING + longest
        try:
            async with asyncio.timeout(patience):
                return await self._threads.run(function, *arguments)
        except TimeoutError as error:
            raise StoreUnavailable("the bucket does not answer in time") from error

    async def fetch(self, path: str, offset: int, size: int) -> tuple[dict[str, Any], bytes]:
        """Bytes of an object, fewer only at its end: (the answer, bytes). Raises BytesMissing, StoreUnavailable."""
        return await self.run(self._fetch, path, offset, size)

    def _fetch(self, path: str, offset: int, size: int) -> tuple[dict[str, Any], bytes]:
        for attempt in range(_AGAIN):
            found = self._call("get_object", {"Key": path, "Range": f"bytes={offset}-{offset + size - 1}"})
            try:
                return found, drain(found["Body"])
            except StoreUnavailable:  # it broke off in the middle
                if attempt + 1 == _AGAIN:
                    raise
        raise AssertionError

    async def begin(self, name: str, state: _State) -> _State:
        """Open a multipart upload for an object of its own."""
        key = f"o/{name.partition('/')[2]}~{self._ids()}"
        made = await self.call("create_multipart_upload", Key=self._path(key), **self._encryption)
        return replace(state, object=key, upload=made["UploadId"])

    async def put_part(self, state: _State, number: int, data: bytes) -> str:
        """Returns the part's ETag. Raises Fenced where the upload is over."""
        if number > _MOST_PARTS:
            raise NoRoom("a blob has at most 10,000 parts")
        try:
            made = await self.call(
                "upload_part", Key=self._path(state.object), UploadId=state.upload, PartNumber=number, Body=data
            )
        except BytesMissing as error:
            raise Fenced(state.object) from error
        etag: str = made["ETag"]
        self._note(state.upload, number, etag)
        return etag

    async def put_tail(self, name: str, data: bytes) -> str:
        """Returns the tail's key."""
        key = f"t/{name.partition('/')[2]}.{self._ids()}"
        await self.call("put_object", Key=self._path(key), Body=data, **self._encryption)
        self._written[key] = len(data)
        while len(self._written) > _REMEMBERED:
            self._written.pop(next(iter(self._written)))
        self._tails[key] = data
        while sum(map(len, self._tails.values())) > _TAILS:
            self._tails.pop(next(iter(self._tails)))
        return key

    async def _tail(self, state: _State) -> bytes:
        known = self._tails.get(state.mark)
        if known is not None:
            return known
        return await self._read(self._path(state.mark), 0, state.tail)

    async def _read(self, path: str, offset: int, size: int) -> bytes:
        _, data = await self.fetch(path, offset, size)
        if len(data) != size:
            raise BytesMissing(path)
        return data

    async def _commit_tail(self, name: str, state: _State) -> str:
        if state.whole == 0:
            return await self._commit_nothing(name)
        key = state.mark
        if self._written.pop(key, -1) != state.tail:
            found = await self.call("head_object", Key=self._path(key))
            if found["ContentLength"] != state.tail:
                raise BytesMissing(key)
        self._tails.pop(key, None)
        if state.former:
            await self._forget(self._path(state.former))
        return key

    async def _commit_nothing(self, name: str) -> str:
        key = f"t/{name.partition('/')[2]}.0"
        await self.call("put_object", Key=self._path(key), Body=b"", **self._encryption)
        return key

    async def _complete(self, state: _State, digest: Digest | None = None) -> None:
        """Make the object appear; it may have before.

        Raises BytesMissing where its parts are not what they were, Fenced where others were completed than those with
        this digest.
        """
        path = self._path(state.object)
        try:
            etags = await self._find_etags(state)
            if state.tail:
                number = state.last + 1
                etags[number] = await self.put_part(state, number, await self._tail(state))
            parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())]
            await self.call(
                "complete_multipart_upload", Key=path, UploadId=state.upload, MultipartUpload={"Parts": parts}
            )
        except (BytesMissing, Fenced):
            found = await self.call("head_object", Key=path)  # completed before, or gone
            if found["ContentLength"] != state.whole:
                raise BytesMissing(state.object) from None
            if digest is not None and not self._has_completed(state):
                await self._compare(state, digest)
        else:
            self._note_completed(state)

    async def _compare(self, state: _State, digest: Digest) -> None:
        content = await _S3Content.open(self, self._path(state.object), state.object)
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
            self._completed[state.upload] = replace(state, former="")
            if len(self._completed) > _REMEMBERED:
                self._completed.pop(next(iter(self._completed)))

    def _has_completed(self, state: _State) -> bool:
        return self._completed.get(state.upload) == replace(state, former="")

    async def _find_etags(self, state: _State) -> dict[int, str]:
        """The ETags of the parts that count, as they were when they were written."""
        known = self._etags.get(state.upload, {})
        wanted = list(state.numbers())
        if all(number in known for number in wanted):
            found = {number: known[number] for number in wanted}
        else:
            counted = set(wanted)
            found = {}
            pages = self._pages("list_parts", Key=self._path(state.object), UploadId=state.upload)
            async for page in pages:
                found.update(
                    {
                        part["PartNumber"]: part["ETag"]
                        for part in page.get("Parts", ())
                        if part["PartNumber"] in counted
                    }
                )
        chained = ""
        for number in wanted:
            chained = hashlib.sha256(f"{chained} {number} {found.get(number, '')}".encode()).hexdigest()[:32]
        if chained != state.etags:
            raise BytesMissing(f"{state.object}: another writer has changed its parts")
        return found

    async def _begin_again(self, name: str, state: _State, turn: int, offset: int) -> tuple[_State, bytes]:
        """A new object that begins with the first `offset` bytes: what parts hold can neither be cut nor go on once complete.

        Raises Fenced.
        """
        if not state.upload:
            return _State(turn=turn), (await self._tail(state))[:offset]
        await self._complete(state)
        if not self._has_completed(state):
            raise Fenced(name)
        return await self._copy(name, state, turn, offset)

    async def _copy(self, name: str, state: _State, turn: int, offset: int) -> tuple[_State, bytes]:
        """Like the state, but for an object that is complete and has to grow, or be less."""
        source = self._path(state.object)
        fresh = _State(turn=turn)
        start = 0
        while offset - start >= MIN_PART:
            if not fresh.upload:
                fresh = await self.begin(name, fresh)
            size = min(_COPY, offset - start)
            number = fresh.last + 1
            made = await self.call(
                "upload_part_copy",
                Key=self._path(fresh.object),
                UploadId=fresh.upload,
                PartNumber=number,
                CopySource={"Bucket": self._settings.bucket, "Key": source},
                CopySourceRange=f"bytes={start}-{start + size - 1}",
            )
            etag = made["CopyPartResult"]["ETag"]
            self._note(fresh.upload, number, etag)
            fresh = fresh.with_part(number, size, etag)
            start += size
        held = await self._read(source, start, offset - start) if offset > start else b""
        return fresh, held

    async def grow(self, name: str, state: _State, turn: int) -> tuple[_State, bytes]:
        """For a writer whose upload is over: where this process completed it (to hash it), go on in a new object.

        Raises Fenced where it was another.
        """
        if not self._has_completed(state):
            raise Fenced(name)
        return await self._copy(name, state, turn, state.whole)

    async def _abort(self, key: str, upload: str) -> None:
        try:
            await self.call("abort_multipart_upload", Key=self._path(key), UploadId=upload)
        except BytesMissing:
            return

    def abandon(self, state: _State) -> None:
        """Free the parts of an upload that no name knows; where the store is away, a search of it will."""

        async def do() -> None:
            with contextlib.suppress(StoreUnavailable):
                await self._abort(state.object, state.upload)

        task = asyncio.create_task(do())
        self._abandoning.add(task)
        task.add_done_callback(self._abandoning.discard)

    async def _forget(self, path: str) -> None:
        try:
            await self.call("delete_object", Key=path)
        except BytesMissing:
            return

    async def _pages(self, operation: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        paginator = self._client.get_paginator(operation)
        pages = iter(
            paginator.paginate(Bucket=self._settings.bucket, PaginationConfig={"PageSize": _LISTED}, **parameters)
        )

        def take() -> dict[str, Any] | None:
            try:
                return next(pages, None)
            except botocore.exceptions.ClientError as error:
                raise translated(error, parameters.get("Key", ""), self._settings.bucket) from error
            except (botocore.exceptions.BotoCoreError, OSError) as error:
                raise StoreUnavailable(f"the bucket does not answer: {error}") from error

        while (page := await self.run(take)) is not None:
            yield page

    def _note(self, upload: str, number: int, etag: str) -> None:
        if upload not in self._etags and len(self._etags) >= _REMEMBERED:
            self._etags.pop(next(iter(self._etags)))
        self._etags.setdefault(upload, {})[number] = etag

    def _path(self, key: str) -> str:
        kind, _, made = key.partition("/")
        return f"{self._prefix}{'blobs' if kind == 'o' else 'tails'}/{made}"


class _S3Writer:
    """Holds back what a part has and the least that the next one must have, so that no turn of that much leaves a tail."""

    def __init__(self, blobs: S3Blobs, name: str, state: _State, turn: int, held: bytes, *, named: str) -> None:
        """`named`: the multipart upload that the staged name knows; another one is this writer's own until it closes."""
        self._blobs = blobs
        self._name = name
        self._state = self._found = state
        self._named = named
        # numbers that turns which did not end well may be using are left out
        self._skip = max(0, turn - state.turn - 1) * _SKIPPED
        self._turn = turn
        self._held: list[bytes] = [held] if held else []
        self._size = len(held)
        self._over = False

    async def write(self, pieces: Sequence[bytes], hashes: Sequence[Hash]) -> None:
        if self._over:
            raise Fenced(self._name)
        size = sum(map(len, pieces))
        if hashes and size > _HASH_HERE:
            await self._blobs.run(_feed, pieces, hashes)
        else:
            _feed(pieces, hashes)
        self._held += pieces
        self._size += size
        while self._size >= (wanted := part_size(self._state.count)) + MIN_PART:
            await self._send(wanted)

    async def _send(self, size: int) -> None:
        data = self._take(size)
        if not self._state.upload:
            self._state = await self._blobs.begin(self._name, self._state)
        number = self._state.last + 1 + self._skip
        try:
            etag = await self._blobs.put_part(self._state, number, data)
        except Fenced:
            if self._state != self._found:  # it was over while this turn wrote to it
                raise
            self._state, held = await self._blobs.grow(self._name, self._found, self._turn)
            self._held.insert(0, held + data)
            self._size += len(held) + len(data)
            self._skip = 0
            return
        self._skip = 0
        self._state = self._state.with_part(number, len(data), etag)

    def _take(self, size: int) -> bytes:
        """The first `size` bytes held, which are held no longer; copied once."""
        taken, missing = [], size
        while missing:
            piece = self._held.pop(0)
            if len(piece) > missing:
                self._held.insert(0, piece[missing:])
                piece = piece[:missing]
            taken.append(piece)
            missing -= len(piece)
        self._size -= size
        return b"".join(taken)

    async def close(self) -> str:
        if self._over:
            raise Fenced(self._name)
        while self._size >= MIN_PART:
            wanted = part_size(self._state.count)
            if self._size < wanted and not self._state.upload:
                break  # one small object, rather than an upload of one part
            await self._send(self._size if self._size < wanted + MIN_PART else wanted)
        tail = b"".join(self._held)
        mark = await self._blobs.put_tail(self._name, tail) if tail else ""
        self._state = replace(self._state, tail=len(tail), turn=self._turn, mark=mark)
        self._over = True
        return self._state.write(self._name)

    def discard(self) -> None:
        if not self._over and self._state.upload not in {"", self._named}:
            self._blobs.abandon(self._state)
        self._over = True
        self._held.clear()


class _S3Content:
    """An object, open. What is read one after the other comes from one request."""

    span: Span | None = None

    def __init__(self, blobs: S3Blobs, path: str, key: str, size: int, first: bytes) -> None:
        self._blobs = blobs
        self._path = path
        self._key = key
        self._size = size
        self._first = first
        self._stream: Any = None
        self._at = 0

    @classmethod
    async def open(cls, blobs: S3Blobs, path: str, key: str) -> "_S3Content":
        """Raises BytesMissing."""
        try:
            found, first = await blobs.fetch(path, 0, _AHEAD)
        except _NothingToRange:
            return cls(blobs, path, key, 0, b"")
        total = str(found.get("ContentRange", "")).rpartition("/")[2]
        return cls(blobs, path, key, int(total) if total.isdigit() else len(first), first)

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
        return await self._blobs.run(self._read, offset, end - offset)

    def _read(self, offset: int, size: int) -> bytes:
        pieces: list[bytes] = []
        for _ in range(_AGAIN):  # a connection that broke in the middle: go on where it stood
            try:
                if self._stream is None or self._at != offset:
                    self._end()
                    found = self._blobs._call(  # noqa: SLF001 - this thread is the driver's
                        "get_object", {"Key": self._path, "Range": f"bytes={offset}-{self._size - 1}"}
                    )
                    self._stream, self._at = found["Body"], offset
                while size:
                    data = self._stream.read(size)
                    if not data:
                        break
                    pieces.append(data)
                    offset += len(data)
                    size -= len(data)
                    self._at = offset
                if not size:
                    return b"".join(pieces)
                last: Exception = EOFError("the answer ended early")
                self._end()
            except (botocore.exceptions.BotoCoreError, OSError) as error:
                self._end()
                last = error
        raise StoreUnavailable(f"the bucket does not answer: {last}") from last

    def _end(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        self._end()


class _NothingToRange(BytesMissing):
    """The object has no bytes."""


class _Refused(StoreUnavailable):
    """The bucket said no."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(f"the bucket refuses: {said or status}")
        self.status = status


class _NoBucket(StoreUnavailable):
    """Which says nothing of what may be in it."""


def _feed(pieces: Sequence[bytes], hashes: Sequence[Hash]) -> None:
    for running in hashes:
        for piece in pieces:
            running.update(piece)


def drain(body: Any) -> bytes:
    """The rest of an answer's body. Raises StoreUnavailable."""
    try:
        data: bytes = body.read()
        return data
    except (botocore.exceptions.BotoCoreError, OSError) as error:
        raise StoreUnavailable(f"the bucket does not answer: {error}") from error
    finally:
        body.close()


def _stored(place: str, entries: Sequence[dict[str, Any]], before: float, written: str) -> list[Stored]:
    """What is old enough of a page of a listing; `written` is what the entries call the time."""
    found = []
    for entry in entries:
        made = entry["Key"].rpartition("/")[2]
        at = entry[written].timestamp()
        if at < before:
            key = f"u/{made} {entry['UploadId']}" if place == "u" else f"{place}/{made}"
            found.append(Stored(key, at, _stage_of(made), entry.get("Size", 0)))
    return found


def _stage_of(made: str) -> str:
    """The stable part of the staged name that an object or tail belongs to."""
    return f"s/{made.partition('.')[0].partition('~')[0]}"


def translated(error: botocore.exceptions.ClientError, path: str, bucket: str) -> Exception:
    """What S3 said, as the law says it. `path` is empty where the bucket itself was asked."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket" or (status == 404 and not path):
        return _NoBucket(f"the bucket `{bucket}` is not there")
    if code in _GONE or status == 404:
        return BytesMissing(path)
    if code in {"InvalidRange", "416"}:
        return _NothingToRange(path)
    if code in {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}:
        return BytesMissing(path)
    if code in _FULL or status == 507:
        return NoRoom("the bucket is full")
    return _Refused(code, status)


@cache
def _models() -> botocore.session.Session:
    """botocore's session, which holds the model of S3: reading it takes longer than connecting."""
    return botocore.session.get_session()


def connect(settings: S3Settings) -> Any:
    """A client of botocore's."""
    keys: dict[str, Any] = {}
    if settings.access_key_id:
        keys = {
            "aws_access_key_id": settings.access_key_id,
            "aws_secret_access_key": settings.secret_access_key,
        }
    config = botocore.config.Config(
        # AWS_ENDPOINT_URL of a shell in which somebody works with the registry is the registry
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg] # which the stubs do not know
        signature_version="s3v4",
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_pool_connections=settings.threads,
        retries={"total_max_attempts": settings.attempts, "mode": "standard"},
        s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return _models().create_client(
        "s3", region_name=settings.region, endpoint_url=settings.endpoint_url or None, config=config, **keys
    )
