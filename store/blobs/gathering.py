"""Gathering the parts of a multipart upload from what clients bring, in memory that all uploads of a process share.

Clients bring bytes at their own pace, S3 takes them by parts of at least 5 MiB. So a part is gathered in memory, and
memory is given out by an `Allowance`: who finds none waits, and with it its client, whose bytes stay in the network.
Nobody keeps it for long where others wait: what a slow client has brought so far goes to the bucket as an object of its
own, a crumb, from where it comes back, in a stream, when the part is complete.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from store.bucket import UNSIGNED, Piece, digest_of


class Readable(Protocol):
    """Where crumbs come back from (`store.bucket.Stream` is what it gives)."""

    async def read(self, size: int) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Crumb:
    """Bytes that lie in an object of their own, under the key `mark`."""

    mark: str
    size: int


Segment: TypeAlias = "Piece | Crumb"
Fetch: TypeAlias = Callable[[Crumb], AsyncIterator[bytes]]


class Allowance:
    """`limit` bytes that may be held by all together; given to those who wait in the order in which they came."""

    def __init__(self, limit: int, *, patience: float) -> None:
        """`patience`: seconds without anything being given back after which nobody waits any longer."""
        self.limit = limit
        self._patience = patience
        self._free = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._given_back = 0.0

    @property
    def free(self) -> int:
        return self._free

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def try_take(self, size: int) -> bool:
        """Take it if it is there and nobody waits for it."""
        if self._waiting or size > self._free:
            return False
        self._free -= size
        return True

    async def take(self, size: int) -> bool:
        """Take it as soon as it is there; False where it is more than there ever will be, or others keep theirs."""
        if self.try_take(size):
            return True
        if size > self.limit:
            return False
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        entry = size, ready
        self._waiting.append(entry)
        began = loop.time()
        try:
            while not ready.done():
                since = loop.time() - max(began, self._given_back)
                if since >= self._patience:
                    return False
                await asyncio.wait([ready], timeout=self._patience - since)
            return True
        except BaseException:
            if ready.done():
                self.give_back(size)
            raise
        finally:
            if not ready.done():
                self._waiting.remove(entry)
                self._hand_on()

    def give_back(self, size: int) -> None:
        if size:
            self._free += size
            self._given_back = asyncio.get_running_loop().time()
            self._hand_on()

    def _hand_on(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, ready = self._waiting.popleft()
            self._free -= size
            ready.set_result(None)


class Gathered:
    """The bytes of a part, or of what may become one, in order. Implements `store.bucket.Body`."""

    def __init__(self, fetch: Fetch, segments: list[Segment] | None = None) -> None:
        self._fetch = fetch
        self.segments = segments or []
        self._size = sum(map(size_of, self.segments))
        self._away = sum(crumb.size for crumb in self.crumbs)
        self.allowed = 0
        """Bytes of the allowance that are this part's."""
        self.began = 0.0
        """When it got them."""
        self.crumbled = False
        """Whether nobody gave it any: its bytes go to the bucket as they come."""

    @property
    def size(self) -> int:
        return self._size

    @property
    def held(self) -> list[Piece]:
        """What of it is in memory."""
        return [segment for segment in self.segments if not isinstance(segment, Crumb)]

    @property
    def held_size(self) -> int:
        return self._size - self._away

    @property
    def crumbs(self) -> tuple[Crumb, ...]:
        return tuple(segment for segment in self.segments if isinstance(segment, Crumb))

    def add(self, segment: Segment) -> None:
        self.segments.append(segment)
        self._size += size_of(segment)

    def join(self, other: "Gathered") -> None:
        """Take over what another one holds, behind one's own."""
        self.segments += other.segments
        self._size += other.size
        self._away += sum(crumb.size for crumb in other.crumbs)
        self.allowed += other.allowed
        other.allowed = 0

    def begin_with(self, segments: list[Segment], *, instead_of: tuple[Crumb, ...]) -> None:
        """Put `segments` in front, and take crumbs out that they hold already."""
        self.segments = [*segments, *(segment for segment in self.segments if segment not in instead_of)]
        self._size = sum(map(size_of, self.segments))
        self._away = sum(crumb.size for crumb in self.crumbs)

    def replace_held(self, crumb: Crumb) -> None:
        """What was in memory, behind everything else, lies in a crumb now."""
        self.segments = [*self.crumbs, crumb]
        self._away = self._size

    async def pieces(self) -> AsyncIterator[Piece]:
        for segment in tuple(self.segments):
            if isinstance(segment, Crumb):
                async for piece in self._fetch(segment):
                    yield piece
            else:
                yield segment

    async def digest(self) -> str:
        return UNSIGNED if self.crumbs else await digest_of(self.held)


def size_of(segment: Segment) -> int:
    return segment.size if isinstance(segment, Crumb) else len(segment)
