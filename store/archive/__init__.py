"""The law of archives: where backups lie, as named things that are written once, whole or not at all.

Names are paths with slashes, made by this program alone. An archive is written by one process at a time.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class ArchiveUnusable(Exception):
    """The place cannot be used for what was asked; the message says why and what to do."""


class Archive(Protocol):
    """Named bytes. Every method may raise StoreUnavailable and ArchiveUnusable."""

    @property
    def address(self) -> str:
        """What people call the place."""
        ...

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """Keep those bytes under the name, durably and atomically; what the name had before is replaced.

        Raises NoRoom, and whatever `pieces` raises: then the name is as it was.
        """
        ...

    def read(self, name: str) -> AsyncIterator[bytes]:
        """The bytes in pieces. Raises BytesMissing."""
        ...

    def list(self, prefix: str) -> AsyncIterator[list[tuple[str, int]]]:
        """(name, size) of everything whose name begins with `prefix`, which ends with a slash or is empty, by name."""
        ...

    async def delete(self, names: Sequence[str]) -> None:
        """Missing ones are no error."""
        ...

    async def tidy(self) -> None:
        """Free what writers that ended in the middle of `put` left behind: they are known to be gone."""
        ...

    async def close(self) -> None: ...


async def read_whole(archive: Archive, name: str) -> bytes:
    """All bytes of something small. Raises BytesMissing."""
    return b"".join([piece async for piece in archive.read(name)])


async def put_whole(archive: Archive, name: str, content: bytes) -> None:
    """Like `put`. Raises NoRoom."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    await archive.put(name, pieces())
