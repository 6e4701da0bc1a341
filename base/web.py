"""What every dialect answers with, whatever serves it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Headers: TypeAlias = Sequence[tuple[str, str]]


class Source(Protocol):
    """Bytes that a reply sends a part of (`store.blobs.driver.Content` is one)."""

    @property
    def size(self) -> int: ...

    def read_now(self, offset: int, size: int) -> bytes | None: ...

    async def read(self, offset: int, size: int) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Part:
    """`length` bytes of `source` from `start`; whoever sends it closes the source."""

    source: Source
    start: int
    length: int


@dataclass(slots=True)
class Reply:
    """An HTTP answer. Content-Length, Date and Connection are the server's, but for a HEAD's `length`."""

    status: int
    headers: Headers = ()
    body: bytes | Part = b""
    length: int | None = None
    """Content-Length where there is no body to count: the answer to HEAD."""
    close: bool = False
    """End the connection after it."""
    refused: str = ""
    """Why these credentials are no good, for the log."""
    reason: str = ""
    """The reason phrase of the status line, for people, where the usual one would say less; what a line cannot hold is
    left out."""


Continue: TypeAlias = Callable[[], Awaitable[None]]
"""Tells a client that waits for it (Expect: 100-continue) to send its body."""
