"""The law of blob drivers.

A driver keeps sequences of bytes under keys that it hands out itself, never twice. What a key stands for never changes:
it is staged, then committed, then perhaps deleted. Nothing of a driver's layout crosses this interface.

The life of a blob:

    staged = driver.stage()                              a name, nothing written yet
    writer = await driver.writer(staged, turn=1, offset=0)
    await writer.write([b"..."], hashes)                 appended and hashed, not yet durable
    staged = await writer.close()                        the name may have changed: keep the new one
    key = await driver.commit(staged, turn=1, size=3)            durable from here on
    content = await driver.open(key)
    await driver.delete(key)

Turns fence writers: once a writer with a higher turn was opened on the same staged blob, whatever one of a lower turn
still writes raises Fenced, in any process, or goes where no name of the higher turn looks for it (a driver says which by
`fences`), so bytes of two writers never mix. Writers of the same turn that begin a blob, too, close with names of their
own, if they wrote no more than may be held back. Turn numbers come from the caller's database. The name of a staged blob
up to its first space stays the same.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from base.digest import Digest


class Fenced(Exception):
    """Another writer has taken over this staged blob."""


class NoRoom(Exception):
    """The store is full; what was staged stays staged, nothing is half-visible."""


class BytesMissing(Exception):
    """The store does not hold what the key stands for."""


class StoreUnavailable(Exception):
    """The store cannot be reached, or did not answer in time; the same call may work later."""


class Hash(Protocol):
    """What a writer feeds: `hashlib` objects are of this form."""

    def update(self, data: bytes, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Span:
    """Committed bytes as a region of an open local file, for sending without copying. The descriptor is the driver's.

    `file`: the name, below where the driver keeps such files, of a file that has these bytes and no others; empty where
    there is none.
    """

    descriptor: int
    offset: int
    file: str = ""


class Content(Protocol):
    """Committed bytes, open for reading until `close`."""

    @property
    def size(self) -> int: ...

    @property
    def span(self) -> Span | None:
        """Where the bytes lie in a local file, or None: then use `read`."""
        ...

    def read_now(self, offset: int, size: int) -> bytes | None:
        """The bytes if they can be had without waiting for a disk or a network, else None."""
        ...

    async def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end. Raises BytesMissing."""
        ...

    def close(self) -> None: ...


class Writer(Protocol):
    """Appends to one staged blob, for one turn."""

    async def write(self, pieces: Sequence[bytes], hashes: Sequence[Hash]) -> None:
        """Append `pieces` and feed them to each of `hashes`, off the event loop.

        Pieces may be held back until `close` (at most 256 KiB), hashing with them. Raises Fenced, NoRoom.
        """
        ...

    async def close(self) -> str:
        """End the turn well and return the staged blob's name from now on. Raises Fenced, NoRoom."""
        ...

    def discard(self) -> None:
        """End the turn badly: what it wrote is not counted, and gives its room back. Idempotent, also after `close`."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """One thing found in the store: its key or staged name, and when it was last written (seconds since the epoch).

    `stage`, if the thing is part of a staged blob whose name changes: the part of that name before its first space.
    `size` is its bytes, 0 where the store does not say.
    """

    key: str
    written_at: float
    stage: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the store: what was found there, perhaps nothing, and the place to go on `after`."""

    found: Sequence[Stored]
    place: str

    def __iter__(self) -> Iterator[Stored]:
        return iter(self.found)


class BlobDriver(Protocol):
    """Bytes. Methods are safe to call from many tasks and processes at once, and may raise StoreUnavailable."""

    era: str
    """What staged bytes live through whole: where it is another than it was, some may have been lost. Empty: no end is known."""

    fences: bool
    """Whether writers of lower turns are told so (Fenced), or write where nobody looks."""

    def stage(self) -> str:
        """A name for a new staged blob. Writes nothing; a name that is never written to needs no `delete`."""
        ...

    async def writer(self, staged: str, *, turn: int, offset: int) -> Writer:
        """A writer that appends at `offset`, for `turn` >= 1; also to what was committed before a crash, if no row names it.

        Raises Fenced if a higher turn has begun, BytesMissing if fewer than `offset` bytes are staged.
        """
        ...

    async def commit(self, staged: str, *, turn: int, size: int) -> str:
        """Make the first `size` staged bytes durable and return their key. Ends every writer of a lower turn.

        Idempotent and atomic: after a crash the bytes are staged or committed. Raises Fenced, BytesMissing, NoRoom.
        """
        ...

    async def seal(
        self, staged: str, *, turn: int, size: int, digest: Digest | None = None
    ) -> tuple[str, Callable[[], None] | None]:
        """The first half of `commit`: the key, and a blocking function after which the bytes are durable.

        `digest` is what the caller knows of the bytes. A driver that cannot tell whether they were committed before by a
        writer of a lower turn, with bytes of its own, compares, and raises Fenced if so.

        None instead of a function where they are already. Whoever is about to write the row runs it just before, so
        that one flush can serve many. It raises NoRoom, BytesMissing, StoreUnavailable.
        """
        ...

    async def open(self, key: str) -> Content:
        """Open committed (or, for hashing anew, staged) bytes. Raises BytesMissing."""
        ...

    async def url(self, key: str, *, seconds: int) -> str | None:
        """A short-lived address from which a client may read the bytes itself, or None: stream them."""
        ...

    async def delete(self, key: str, *, keep: str = "") -> None:
        """Free what a key or staged name stands for, but for what `keep`, an earlier name of the same staged blob, needs.

        Idempotent; missing bytes are no error.
        """
        ...

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        """`delete` of each, in as few steps as the store can; returns why some could not be."""
        ...

    def inventory(self, *, before: float, after: str = "") -> AsyncGenerator[Page, None]:
        """Everything last written before that time, staged or committed, page by page.

        `after` is the place of a page of an earlier call, perhaps of another process: what it and those before it had is
        passed over, or found again.
        """
        ...

    async def owner(self) -> str:
        """Whose the store is; empty while nobody has claimed it."""
        ...

    async def claim(self, name: str) -> str:
        """Whose the store is from now on: `name`'s, where it was nobody's."""
        ...

    async def probe(self) -> None:
        """Returns where the store is there and answers. Raises StoreUnavailable."""
        ...

    async def free_space(self) -> int | None:
        """Bytes that can still be written, or None where the store cannot know."""
        ...

    async def close(self) -> None: ...
