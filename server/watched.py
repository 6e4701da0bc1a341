"""The database and the store with a look at every call: how long it took, and how it ended.

These stand around whatever driver the settings name, and change nothing of what it does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Protocol, TypeVar

from base.digest import Digest
from store.blobs.driver import BlobDriver, Content, Hash, Span, Writer
from store.database import Alteration, Database, Row, Snapshot, Tell, Unit, untold

T = TypeVar("T")


class Done(Protocol):
    """Told that a call is over: what it was, when it began (time.perf_counter), what it raised, and what it was about."""

    def __call__(self, call: str, started: float, error: BaseException | None, about: str = "") -> None: ...


class WatchedDatabase:
    """Calls: read, write (a unit), commit (a durable unit). Implements `store.database.Database`."""

    def __init__(self, database: Database, done: Done) -> None:
        self._database = database
        self._fetch = database.fetch
        self._write = database.write
        self._done = done
        self.vocabulary = database.vocabulary
        self.waiting = 0
        """Units that were handed over and are not through."""

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        started = time.perf_counter()
        try:
            rows = await self._fetch(sql, parameters)
        except BaseException as error:
            self._done("read", started, error, sql)
            raise
        self._done("read", started, None, sql)
        return rows

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        rows = await self.fetch(sql, parameters)
        return rows[0] if rows else None

    async def write(
        self,
        unit: Callable[[], Unit[T]],
        *,
        durable: bool = True,
        first: Callable[[], None] | None = None,
        heed: bool = False,
    ) -> T:
        call = "commit" if durable else "write"
        started = time.perf_counter()
        self.waiting += 1
        try:
            value = await self._write(unit, durable=durable, first=first, heed=heed)
        except BaseException as error:
            self._done(call, started, error, _name(unit))
            raise
        finally:
            self.waiting -= 1
        self._done(call, started, None, _name(unit))
        return value

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        return self._database.snapshot()

    def altering(self, tell: Tell = untold) -> AbstractAsyncContextManager[Alteration]:
        return self._database.altering(tell)

    async def close(self) -> None:
        await self._database.close()


class WatchedBlobs:
    """Calls: open, read, write, seal, delete, url. Implements `store.blobs.driver.BlobDriver`."""

    def __init__(self, blobs: BlobDriver, done: Done) -> None:
        self._blobs = blobs
        self._done = done
        self.fences = blobs.fences
        self.era = blobs.era
        self.stage = blobs.stage
        self.inventory = blobs.inventory
        self.owner = blobs.owner
        self.claim = blobs.claim
        self.probe = blobs.probe
        self.free_space = blobs.free_space
        self.close = blobs.close

    async def writer(self, staged: str, *, turn: int, offset: int) -> Writer:
        return _WatchedWriter(await self._blobs.writer(staged, turn=turn, offset=offset), self._done)

    async def commit(self, staged: str, *, turn: int, size: int) -> str:
        with _Look("seal", self._done):
            return await self._blobs.commit(staged, turn=turn, size=size)

    async def seal(
        self, staged: str, *, turn: int, size: int, digest: Digest | None = None
    ) -> tuple[str, Callable[[], None] | None]:
        with _Look("seal", self._done):
            return await self._blobs.seal(staged, turn=turn, size=size, digest=digest)

    async def open(self, key: str) -> Content:
        with _Look("open", self._done):
            content = await self._blobs.open(key)
        # what lies in a local file goes to the socket by itself
        return content if content.span is not None else _WatchedContent(content, self._done)

    async def url(self, key: str, *, seconds: int) -> str | None:
        with _Look("url", self._done):
            return await self._blobs.url(key, seconds=seconds)

    async def delete(self, key: str, *, keep: str = "") -> None:
        with _Look("delete", self._done):
            await self._blobs.delete(key, keep=keep)

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        with _Look("delete", self._done):
            return await self._blobs.delete_many(keys)


class _WatchedWriter:
    def __init__(self, writer: Writer, done: Done) -> None:
        self._writer = writer
        self._done = done
        self.discard = writer.discard

    async def write(self, pieces: Sequence[bytes], hashes: Sequence[Hash]) -> None:
        with _Look("write", self._done):
            await self._writer.write(pieces, hashes)

    async def close(self) -> str:
        with _Look("write", self._done):
            return await self._writer.close()


class _WatchedContent:
    span: Span | None = None

    def __init__(self, content: Content, done: Done) -> None:
        self._content = content
        self._done = done
        self.size = content.size
        self.read_now = content.read_now
        self.close = content.close

    async def read(self, offset: int, size: int) -> bytes:
        with _Look("read", self._done):
            return await self._content.read(offset, size)


class _Look:
    __slots__ = ("_call", "_done", "_started")

    def __init__(self, call: str, done: Done) -> None:
        self._call = call
        self._done = done
        self._started = time.perf_counter()

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done(self._call, self._started, error)


def _name(unit: Callable[[], Unit[Any]]) -> str:
    """Whose unit it is: `Push.put`; of a partial one, the function's."""
    return str(getattr(getattr(unit, "func", unit), "__qualname__", "")).partition(".<locals>")[0]
