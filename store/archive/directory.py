"""An archive in a directory: names are paths below it."""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from base.threads import Threads
from store.archive import ArchiveUnusable
from store.blobs.driver import BytesMissing, NoRoom
from store.blobs.filesystem import FULL

P = ParamSpec("P")
T = TypeVar("T")

_PIECE = 1024 * 1024
_LISTED = 1000
_INCOMING = ".incoming"


class DirectoryArchive:
    """Implements `store.archive.Archive`. Nobody but its owner reads what it makes."""

    def __init__(self, root: Path, *, threads: int = 8) -> None:
        self._root = root
        self._threads = Threads(threads, "archive")

    @property
    def address(self) -> str:
        return str(self._root)

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        fresh = self._root / _INCOMING / secrets.token_hex(16)
        descriptor = await self._run(_create, self._root, fresh)
        try:
            try:
                async for piece in pieces:
                    await self._run(_write, descriptor, piece)
                await self._run(os.fsync, descriptor)
            finally:
                os.close(descriptor)
            await self._run(_move, fresh, self._root / name, self._root)
        except BaseException:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise

    async def read(self, name: str) -> AsyncIterator[bytes]:
        descriptor = await self._run(_open, self._root / name)
        try:
            while piece := await self._run(os.read, descriptor, _PIECE):
                yield piece
        finally:
            os.close(descriptor)

    async def list(self, prefix: str) -> AsyncIterator[list[tuple[str, int]]]:
        found = await self._run(lambda: list(_walk(self._root / prefix, prefix)))
        for start in range(0, len(found), _LISTED):
            yield found[start : start + _LISTED]

    async def delete(self, names: Sequence[str]) -> None:
        await self._run(_delete, self._root, names)

    async def tidy(self) -> None:
        await self._run(_empty, self._root / _INCOMING)

    async def close(self) -> None:
        await self._threads.close()

    async def _run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        try:
            return await self._threads.run(function, *arguments, **named)
        except OSError as error:
            if error.errno in FULL:
                raise NoRoom(f"the disk of `{self._root}` is full") from error
            raise ArchiveUnusable(f"`{error.filename or self._root}` cannot be used: {error.strerror}") from error


def _create(root: Path, path: Path) -> int:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _write(descriptor: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _move(fresh: Path, path: Path, root: Path) -> None:
    """Rename, and flush every directory that got a new entry."""
    made = []
    directory = path.parent
    while directory != root and not directory.exists():
        made.append(directory)
        directory = directory.parent
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh.rename(path)
    for changed in (path.parent, *(one.parent for one in made)):
        descriptor = os.open(changed, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise BytesMissing(str(path)) from None


def _walk(directory: Path, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(directory) as found:
            entries = sorted(found, key=lambda entry: f"{entry.name}/" if entry.is_dir() else entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir():
            if entry.name != _INCOMING:
                yield from _walk(directory / entry.name, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.stat().st_size


def _delete(root: Path, names: Sequence[str]) -> None:
    for name in names:
        path = root / name
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds something else
            while path.parent != root:
                path = path.parent
                path.rmdir()


def _empty(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(directory):
            os.unlink(entry.path)
