"""Blobs in memory: for tests and for nothing else. Obeys the law of `store.blobs.driver` but for durability."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from base.clock import Clock
from base.digest import Digest
from base.ids import Ids
from store.blobs.driver import BytesMissing, Content, Fenced, Hash, Page, Span, Stored, Writer


class _MemoryContent:
    span: Span | None = None

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def read_now(self, offset: int, size: int) -> bytes | None:
        return self._data[offset : offset + size]

    async def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def close(self) -> None:
        return


class _MemoryWriter:
    def __init__(self, driver: "MemoryBlobs", staged: str, turn: int, offset: int) -> None:
        self._driver = driver
        self._staged = staged
        self._turn = turn
        self._begins = offset == 0
        self._data = bytearray(driver.bytes_of(staged)[:offset])

    async def write(self, pieces: Sequence[bytes], hashes: Sequence[Hash]) -> None:
        self._driver.check_turn(self._staged, self._turn)
        for piece in pieces:
            self._data += piece
            for running in hashes:
                running.update(piece)

    async def close(self) -> str:
        self._driver.check_turn(self._staged, self._turn)
        if self._begins:
            self._staged = self._driver.name(self._staged)
        self._driver.keep(self._staged, bytes(self._data))
        return self._staged

    def discard(self) -> None:
        return


class MemoryBlobs:
    """Implements `store.blobs.driver.BlobDriver` in a dict."""

    fences = True
    era = ""

    def __init__(self, *, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._bytes: dict[str, bytes] = {}
        self._written: dict[str, float] = {}
        self._turns: dict[str, int] = {}
        self._owner = ""

    def bytes_of(self, key: str) -> bytes:
        return self._bytes.get(key, b"")

    def keep(self, key: str, data: bytes) -> None:
        self._bytes[key] = data
        self._written[key] = self._clock()

    def check_turn(self, staged: str, turn: int) -> None:
        if self._turns.get(_stage_of(staged), 0) > turn:
            raise Fenced(staged)

    def stage(self) -> str:
        return f"m/{self._ids()}"

    def name(self, staged: str) -> str:
        """One that no other writer has, for the same staged blob."""
        return f"{_stage_of(staged)}.{self._ids()}"

    async def writer(self, staged: str, *, turn: int, offset: int) -> Writer:
        self.check_turn(staged, turn)
        if len(self.bytes_of(staged)) < offset:
            raise BytesMissing(staged)
        self._turns[_stage_of(staged)] = turn
        return _MemoryWriter(self, staged, turn, offset)

    async def commit(self, staged: str, *, turn: int, size: int) -> str:
        self.check_turn(staged, turn)
        if len(self.bytes_of(staged)) < size:
            raise BytesMissing(staged)
        self._turns[_stage_of(staged)] = turn
        self._bytes[staged] = self.bytes_of(staged)[:size]
        self._written.setdefault(staged, self._clock())
        return staged

    async def seal(
        self,
        staged: str,
        *,
        turn: int,
        size: int,
        digest: Digest | None = None,  # noqa: ARG002 - turns fence
    ) -> tuple[str, Callable[[], None] | None]:
        return await self.commit(staged, turn=turn, size=size), None

    async def open(self, key: str) -> Content:
        if key not in self._bytes:
            raise BytesMissing(key)
        return _MemoryContent(self._bytes[key])

    async def url(self, key: str, *, seconds: int) -> str | None:  # noqa: ARG002 - memory has no address
        return None

    async def delete(self, key: str, *, keep: str = "") -> None:
        if key == keep:
            return
        self._bytes.pop(key, None)
        self._written.pop(key, None)

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        for key in keys:
            await self.delete(key)
        return {}

    async def inventory(self, *, before: float, after: str = "") -> AsyncGenerator[Page, None]:
        for key, at in sorted(self._written.items()):
            if key > after:
                yield Page([Stored(key, at, size=len(self._bytes[key]))] if at < before else [], key)

    async def owner(self) -> str:
        return self._owner

    async def claim(self, name: str) -> str:
        self._owner = self._owner or name
        return self._owner

    async def probe(self) -> None:
        return

    async def free_space(self) -> int | None:
        return None

    async def close(self) -> None:
        return


def _stage_of(name: str) -> str:
    """The part that stays the same."""
    return name.partition(".")[0]
