"""Blobs on a local disk.

    DIR/staging/<id>/<turn>     bytes of an upload under way; the file's name is the turn that may write to it
    DIR/files/<xx>/<id>         committed bytes, one file each; <xx> are the first two characters of <id>
    DIR/packs/<id>              many small blobs, appended one after another, each behind a block-aligned header

A large upload streams into its staging file; commit syncs the file, renames it and syncs the directory. An upload that
came in one piece of at most SMALL bytes is appended to the pack of this process instead: its bytes are written once, in
their final place, and one sync serves every commit that waits. Deleting from a pack punches a hole, which gives the
blocks back; a pack that is all holes is removed. On file systems without holes every blob is a file of its own.

Keys: `f/<id>` a file, `p/<pack>/<offset>/<size>` a packed blob, `e/<id>` no bytes at all.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from base.clock import Clock
from base.digest import Digest
from base.disk import Doubtful, is_doubtful, make_directories, sync_directory, sync_file
from base.ids import Ids
from base.threads import Threads
from store.blobs.driver import (
    BytesMissing,
    Content,
    Fenced,
    Hash,
    NoRoom,
    Page,
    Span,
    Stored,
    StoreUnavailable,
    Writer,
)

if TYPE_CHECKING:
    import asyncio

P = ParamSpec("P")
T = TypeVar("T")

SMALL = 256 * 1024
"""A one-piece upload up to this many bytes is packed."""
AT_ONCE = 128 * 1024
"""A packed upload up to this many bytes is hashed and handed to the page cache (some 100 microseconds) where it is: passing
it to another thread and back takes longer, and under load a quarter more processor time for a whole push."""
_OWNER = "owner"
"""The file that says whose the store is."""
_BLOCK = 4096
_PACK_LIMIT = 256 * 1024 * 1024
_HEADER = struct.Struct("<16sQd")
"""The pack's own unguessable name (so that no uploaded bytes can pass for a header), size of the bytes, time of writing."""
_PACK_NAME = re.compile(r"[0-9a-f]{32}\Z", re.ASCII)
_OPEN_PACKS = 64
_LOOKED_AT = 500
"""Things that taking stock looks at in one call of a thread."""
_DELETED = 50
"""Things that are deleted in one."""
_LIBC = ctypes.CDLL(None, use_errno=True)
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
_SYNC_FILE_RANGE_WRITE = 2
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class _Pack:
    """A pack that this process appends to: closed when it is full and nobody is writing to it any more."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.end = 0
        self.writing = 0
        self.full = False


@dataclass(frozen=True, slots=True)
class _PackFlush:
    """Flushes a pack, whichever process appends to it. Equal for all blobs of the pack: one flush serves them."""

    directory: Path
    name: str

    def __call__(self) -> None:
        descriptor = _open_existing(self.directory / self.name)
        try:
            _translated(sync_file, descriptor)
        finally:
            os.close(descriptor)


class _FileContent:
    __slots__ = ("_close", "_run", "_size", "_span")

    def __init__(
        self, span: Span, size: int, run: "Callable[..., asyncio.Future[bytes]]", close: Callable[[], None] | None
    ) -> None:
        self._span = span
        self._size = size
        self._run = run
        self._close = close

    @property
    def size(self) -> int:
        return self._size

    @property
    def span(self) -> Span | None:
        return self._span

    def read_now(self, offset: int, size: int) -> bytes | None:
        size = max(0, min(size, self._size - offset))
        if size == 0:
            return b""
        buffer = bytearray(size)
        try:
            got = os.preadv(self._span.descriptor, [buffer], self._span.offset + offset, os.RWF_NOWAIT)
        except OSError:  # not in memory, or a kernel that cannot say
            return None
        return bytes(buffer) if got == size else None

    async def read(self, offset: int, size: int) -> bytes:
        size = max(0, min(size, self._size - offset))
        data = await self._run(_read_exactly, self._span.descriptor, self._span.offset + offset, size)
        if len(data) < size:
            raise BytesMissing("the file is shorter than its row says")
        return data

    def close(self) -> None:
        if self._close is not None:
            close, self._close = self._close, None
            close()


def _read_exactly(descriptor: int, offset: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.pread(descriptor, size, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _FileWriter:
    """Holds the first SMALL bytes back; past them it writes to a staging file."""

    def __init__(
        self, driver: "FilesystemBlobs", named: str, staged: str, *, turn: int, offset: int, descriptor: int | None
    ) -> None:
        """`named`: how the caller knows the blob; `staged`: under which name it is written, the same or a new one."""
        self._driver = driver
        self._named = named
        self._staged = staged
        self._turn = turn
        self._start = self._offset = offset
        self._descriptor = descriptor
        self._held: list[bytes] = []
        self._held_size = 0
        self._hashes: Sequence[Hash] = ()

    async def write(self, pieces: Sequence[bytes], hashes: Sequence[Hash]) -> None:
        if self._descriptor is None:
            size = sum(map(len, pieces))
            if self._held_size + size <= SMALL and self._driver.packs:
                self._held.extend(pieces)
                self._held_size += size
                self._hashes = hashes
                return
            self._staged, self._descriptor = await self._driver.run(self._driver.begin_file, self._turn)
            pieces = [*self._held, *pieces]
            self._held = []
        assert self._descriptor is not None
        self._offset += await self._driver.run(
            self._driver.append, self._staged, self._turn, self._descriptor, self._offset, pieces, hashes
        )

    async def close(self) -> str:
        if self._descriptor is None:
            if self._held_size == 0:
                return self._staged
            held, self._held = self._held, []
            if self._held_size <= AT_ONCE:
                return _translated(self._driver.pack, held, self._hashes)
            return await self._driver.run(self._driver.pack, held, self._hashes)
        os.close(self._end())
        return self._staged

    def discard(self) -> None:
        if self._descriptor is None:
            return
        # bytes that count for nothing give their room back now, not when their upload expires
        if self._staged == self._named:
            self._driver.run(self._driver.give_back, self._staged, self._turn, self._end(), self._start)
        else:  # nobody else knows the name of this file
            self._driver.run(self._driver.take_away, self._staged, self._end())

    def _end(self) -> int:
        assert self._descriptor is not None
        descriptor, self._descriptor = self._descriptor, None
        self._held_size = SMALL + 1  # a closed writer never packs
        return descriptor


class FilesystemBlobs:
    """Implements `store.blobs.driver.BlobDriver` below one directory of one file system."""

    fences = True

    def __init__(self, root: Path, *, clock: Clock = time.time, ids: Ids, threads: int = 8) -> None:
        self._staging = root / "staging"
        self._files = root / "files"
        self._packs = root / "packs"
        self._clock = clock
        self._ids = ids
        self.era = _boot() or ids()
        self._threads = Threads(threads, "disk")
        self._lock_pack = threading.Lock()
        self._lock_readers = threading.Lock()
        self._pack: _Pack | None = None
        self._readers: OrderedDict[str, int] = OrderedDict()
        make_directories(root, mode=0o700)
        for directory in (self._staging, self._files, self._packs):
            directory.mkdir(exist_ok=True, mode=0o700)
        for number in range(256):
            (self._files / f"{number:02x}").mkdir(exist_ok=True, mode=0o700)
        for directory in (self._files, root):
            sync_directory(directory)
        self.packs = _can_punch(self._packs / f".probe-{ids()}")

    def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> "asyncio.Future[T]":
        """Run blocking work on the disk threads; errors of the disk come back as the law's."""
        return self._threads.run(lambda: _translated(function, *arguments, **named))

    # -- staging

    def stage(self) -> str:
        return f"e/{self._new_id()}"

    async def writer(self, staged: str, *, turn: int, offset: int) -> Writer:
        descriptor, named = None, staged
        if offset or staged.startswith("f/"):
            staged, descriptor = await self.run(self._resume, staged, turn, offset)
        return _FileWriter(self, named, staged, turn=turn, offset=offset, descriptor=descriptor)

    def begin_file(self, turn: int) -> tuple[str, int]:
        """(name, descriptor) of a new staging file. Runs on a disk thread."""
        identifier = self._new_id()
        directory = self._staging / identifier
        directory.mkdir(mode=0o700)
        descriptor = os.open(directory / str(turn), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return f"f/{identifier}", descriptor

    def _resume(self, staged: str, turn: int, offset: int) -> tuple[str, int]:
        if not staged.startswith("f/"):  # a packed first piece that turned out not to be all: it moves to a file, once
            span, size, close = self._locate(staged)
            try:
                first = _read_exactly(span.descriptor, span.offset, size)
            finally:
                close()
            if len(first) < offset:
                raise BytesMissing(staged)
            staged, descriptor = self.begin_file(turn)
            try:
                _write_all(descriptor, [first[:offset]], 0)
            except BaseException:
                os.close(descriptor)
                raise
            return staged, descriptor
        directory = self._staging / staged[2:]
        try:
            path = self._take_turn(directory, turn)
        except BytesMissing:
            path = self._take_back(directory, turn)
        return staged, _open_turn(path, offset)

    def _take_back(self, directory: Path, turn: int) -> Path:
        """Stage again what was committed, but whose committer ended before any row named it.

        Nobody reads it: by the law, who opens a writer has taken the turn, and who has lost it writes no row.
        """
        directory.mkdir(exist_ok=True, mode=0o700)
        path = directory / str(turn)
        try:
            self._file_path(directory.name).rename(path)
        except FileNotFoundError:
            with contextlib.suppress(OSError):
                directory.rmdir()
            return self._take_turn(directory, turn)  # another was quicker, or nothing is there
        return path

    def _take_turn(self, directory: Path, turn: int) -> Path:
        """Rename the staging file to `turn`, under its lock, so that a write under way ends before and none begins after."""
        while True:
            try:
                present = max(int(name) for name in os.listdir(directory))
            except (FileNotFoundError, ValueError):
                raise BytesMissing(directory.name) from None
            if present > turn:
                raise Fenced(directory.name)
            path = directory / str(turn)
            if present == turn:
                return path
            try:
                descriptor = os.open(directory / str(present), os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:  # another process took it in between
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                (directory / str(present)).rename(path)
            except FileNotFoundError:
                continue
            finally:
                os.close(descriptor)
            return path

    def append(
        self, staged: str, turn: int, descriptor: int, offset: int, pieces: Sequence[bytes], hashes: Sequence[Hash]
    ) -> int:
        """Write at `offset` if the turn still holds, feed the hashes, return the bytes written."""
        with _holding(descriptor, self._staging / staged[2:] / str(turn)):
            written = _write_all(descriptor, pieces, offset)
        _begin_writeback(descriptor, offset, written)
        for running in hashes:
            for piece in pieces:
                running.update(piece)
        return written

    def give_back(self, staged: str, turn: int, descriptor: int, size: int) -> None:
        """Cut the file back to `size` bytes if the turn still holds, and close it. Runs on a disk thread."""
        try:
            with contextlib.suppress(Fenced, OSError), _holding(descriptor, self._staging / staged[2:] / str(turn)):
                os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)

    def take_away(self, staged: str, descriptor: int) -> None:
        """Delete a staging file whose name nobody was told, and close it. Runs on a disk thread."""
        os.close(descriptor)
        with contextlib.suppress(OSError):
            self._remove_staging(staged[2:])

    def pack(self, pieces: Sequence[bytes], hashes: Sequence[Hash]) -> str:
        """Append to this process's pack and return the key. Runs on a disk thread; not yet durable."""
        size = sum(map(len, pieces))
        room = -(-(_HEADER.size + size) // _BLOCK) * _BLOCK
        with self._lock_pack:
            pack = self._pack
            if pack is None or pack.end + room > _PACK_LIMIT or is_doubtful(pack.descriptor):
                pack = self._pack = self._begin_pack(pack)
            offset = pack.end
            pack.end += room
            pack.writing += 1
        try:
            _write_all(pack.descriptor, [_HEADER.pack(bytes.fromhex(pack.name), size, self._clock()), *pieces], offset)
        finally:
            with self._lock_pack:
                pack.writing -= 1
                if pack.full and not pack.writing:
                    os.close(pack.descriptor)
        for running in hashes:
            for piece in pieces:
                running.update(piece)
        return f"p/{pack.name}/{offset}/{size}"

    def _begin_pack(self, former: _Pack | None) -> _Pack:
        name = self._new_id()
        descriptor = os.open(self._packs / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # the shared lock says that a process may still append: the collector leaves the file itself alone
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            sync_directory(self._packs)
        except BaseException:
            os.close(descriptor)
            raise
        if former is not None:
            former.full = True
            if not former.writing:
                os.close(former.descriptor)
        return _Pack(name, descriptor)

    # -- committing

    async def commit(self, staged: str, *, turn: int, size: int) -> str:
        key, flush = await self.seal(staged, turn=turn, size=size)
        if flush is not None:
            await self.run(flush)
        return key

    async def seal(
        self,
        staged: str,
        *,
        turn: int,
        size: int,
        digest: Digest | None = None,  # noqa: ARG002 - turns fence
    ) -> tuple[str, Callable[[], None] | None]:
        kind, _, rest = staged.partition("/")
        if kind != "f" and size > (int(rest.rpartition("/")[2]) if kind == "p" else 0):
            raise BytesMissing(f"fewer than {size} bytes are staged")
        if kind == "p":
            return staged, _PackFlush(self._packs, rest.partition("/")[0])
        if kind == "f":
            await self.run(self._commit_file, rest, turn, size)
        return staged, None

    def _commit_file(self, identifier: str, turn: int, size: int) -> None:
        final = self._file_path(identifier)
        directory = self._staging / identifier
        # sync file, check size (the caller has checked the digest), rename, sync directory; the row comes after
        try:
            path = self._take_turn(directory, turn)
        except BytesMissing:
            if final.exists():
                sync_directory(final.parent)
                return
            raise
        descriptor = _open_turn(path, size)
        try:
            sync_file(descriptor)
        finally:
            os.close(descriptor)
        try:
            path.rename(final)
        except FileNotFoundError:
            raise Fenced(identifier) from None
        sync_directory(final.parent)
        with contextlib.suppress(OSError):
            directory.rmdir()

    # -- reading

    async def open(self, key: str) -> Content:
        kind = key[:2]
        if kind == "p/":
            name, offset, size = key[2:].split("/")
            reader = self._reader(name)
            if reader is not None:
                if _is_there(reader, name, int(offset), int(size), os.RWF_NOWAIT):
                    span = Span(reader, int(offset) + _HEADER.size)
                    return _FileContent(span, int(size), self.run, lambda: os.close(reader))
                os.close(reader)  # gone, or not in memory: the thread will see
        if kind == "e/":
            return _Nothing()
        span, length, close = await self.run(self._locate, key)
        return _FileContent(span, length, self.run, close)

    def _locate(self, key: str) -> tuple[Span, int, Callable[[], None]]:
        kind, _, rest = key.partition("/")
        if kind == "p":
            name, offset, size = rest.split("/")
            descriptor = _open_existing(self._packs / name)
            if not _is_there(descriptor, name, int(offset), int(size)):
                os.close(descriptor)
                raise BytesMissing(key)
            self._remember(name, descriptor)
            return Span(descriptor, int(offset) + _HEADER.size), int(size), lambda: os.close(descriptor)
        path, name = self._file_path(rest), f"{rest[:2]}/{rest}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            directory = self._staging / rest
            try:
                turn = max(os.listdir(directory), key=int)
            except (FileNotFoundError, ValueError):
                raise BytesMissing(key) from None
            descriptor, name = _open_existing(directory / turn), ""
        return Span(descriptor, 0, name), os.fstat(descriptor).st_size, lambda: os.close(descriptor)

    def _reader(self, name: str) -> int | None:
        """A descriptor of a pack that is kept open, for the caller to close."""
        with self._lock_readers:
            descriptor = self._readers.get(name)
            if descriptor is None:
                return None
            self._readers.move_to_end(name)
            return os.dup(descriptor)

    def _remember(self, name: str, descriptor: int) -> None:
        with self._lock_readers:
            if name in self._readers:
                return
            self._readers[name] = os.dup(descriptor)
            while len(self._readers) > _OPEN_PACKS:
                _, oldest = self._readers.popitem(last=False)
                os.close(oldest)

    async def url(self, key: str, *, seconds: int) -> str | None:  # noqa: ARG002 - files have no address of their own
        return None

    # -- deleting

    async def delete(self, key: str, *, keep: str = "") -> None:
        if key != keep:
            await self.run(self._delete, key)

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        failures: dict[str, Exception] = {}
        for start in range(0, len(keys), _DELETED):
            failures.update(await self.run(self._delete_some, keys[start : start + _DELETED]))
        return failures

    def _delete_some(self, keys: Sequence[str]) -> dict[str, Exception]:
        failures: dict[str, Exception] = {}
        for key in keys:
            try:
                self._delete(key)
            except OSError as error:
                failures[key] = error
        return failures

    def _delete(self, key: str) -> None:
        kind, _, rest = key.partition("/")
        if kind == "p":
            name, offset, size = rest.split("/")
            try:
                descriptor = os.open(self._packs / name, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            try:
                room = -(-(_HEADER.size + int(size)) // _BLOCK) * _BLOCK
                _punch(descriptor, int(offset), room)
                self._remove_if_hollow(name, descriptor)
            finally:
                os.close(descriptor)
        elif kind == "f":
            self._file_path(rest).unlink(missing_ok=True)
            self._remove_staging(rest)

    def _remove_if_hollow(self, name: str, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its process may append
        except BlockingIOError:
            return
        if os.fstat(descriptor).st_blocks:
            return
        (self._packs / name).unlink(missing_ok=True)
        with self._lock_readers:
            reader = self._readers.pop(name, None)
            if reader is not None:
                os.close(reader)

    def _remove_staging(self, identifier: str) -> None:
        directory = self._staging / identifier
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(directory):
                (directory / name).unlink(missing_ok=True)
            directory.rmdir()

    # -- taking stock

    async def inventory(self, *, before: float, after: str = "") -> AsyncGenerator[Page, None]:
        packs = await self.run(lambda: sorted(filter(_PACK_NAME.match, os.listdir(self._packs))))
        parts = [
            *((f"files/{number:02x}", self._list_files) for number in range(256)),
            *((f"packs/{name}", self._list_pack) for name in packs),
            ("staging", self._list_files),
        ]  # in the order of their names
        passed = after
        for place, listing in parts:
            if place <= after:
                continue
            entries = listing(self._files.parent / place, before)
            while len(some := await self.run(list, islice(entries, _LOOKED_AT))) == _LOOKED_AT:
                yield Page([one for one in some if one is not None], passed)
            passed = place
            yield Page([one for one in some if one is not None], passed)

    def _list_files(self, directory: Path, before: float) -> Generator[Stored | None, None, None]:
        """What is old enough; None for what is not."""
        with os.scandir(directory) as entries:
            for entry in entries:
                yield self._look_at(entry, before)

    def _look_at(self, entry: "os.DirEntry[str]", before: float) -> Stored | None:
        try:
            found = entry.stat()
            written, size = found.st_mtime, found.st_size
            if entry.is_dir():
                with os.scandir(entry.path) as turns:
                    files = [turn.stat() for turn in turns]
                if not files and written < before:
                    with contextlib.suppress(OSError):  # a crash left it, between a rename and its own end
                        os.rmdir(entry.path)
                    return None
                written = max([written, *(file.st_mtime for file in files)])
                size = sum(file.st_size for file in files)
        except FileNotFoundError:
            return None
        return Stored(f"f/{entry.name}", written, size=size) if written < before else None

    def _list_pack(self, path: Path, before: float) -> Generator[Stored | None, None, None]:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, IsADirectoryError):
            return
        try:
            if os.fstat(descriptor).st_mtime < before:
                self._remove_if_hollow(path.name, descriptor)
            for offset, size, written in _entries(descriptor, bytes.fromhex(path.name)):
                key = f"p/{path.name}/{offset}/{size}"
                yield Stored(key, written, size=size) if written < before else None
        finally:
            os.close(descriptor)

    async def owner(self) -> str:
        return await self.run(self._owner)

    async def claim(self, name: str) -> str:
        return await self.run(self._claim, name)

    def _owner(self) -> str:
        try:
            return (self._files.parent / _OWNER).read_text().strip()
        except FileNotFoundError:
            return ""

    def _claim(self, name: str) -> str:
        if not self._owner():  # or a power cut has left an empty file
            (self._files.parent / _OWNER).write_text(f"{name}\n")
        return self._owner()

    async def probe(self) -> None:
        await self.run(os.stat, self._files)

    async def free_space(self) -> int | None:
        space = os.statvfs(self._files)
        return space.f_bavail * space.f_frsize

    async def close(self) -> None:
        await self._threads.close()
        for descriptor in self._readers.values():
            os.close(descriptor)
        self._readers.clear()
        if self._pack is not None:
            os.close(self._pack.descriptor)
            self._pack = None

    def _new_id(self) -> str:
        return self._ids().replace("-", "")

    def _file_path(self, identifier: str) -> Path:
        return self._files / identifier[:2] / identifier


class _Nothing:
    """The content of a blob without bytes."""

    size = 0
    span: Span | None = None

    def read_now(self, offset: int, size: int) -> bytes | None:  # noqa: ARG002 - there is nothing to read
        return b""

    async def read(self, offset: int, size: int) -> bytes:  # noqa: ARG002 - there is nothing to read
        return b""

    def close(self) -> None:
        return


def _boot() -> str:
    """What the kernel calls the time since this machine was started; empty where it does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _is_there(descriptor: int, name: str, offset: int, size: int, flags: int = 0) -> bool:
    """Whether a pack has a blob of `size` bytes at `offset`: a hole, or what a power cut left, has no header."""
    header = bytearray(_HEADER.size)
    try:
        if os.preadv(descriptor, [header], offset, flags) < _HEADER.size:
            return False
    except BlockingIOError:
        return False
    except OSError:
        if flags:  # a kernel that cannot say
            return False
        raise
    mark, length, _ = _HEADER.unpack(header)
    return bool(mark == bytes.fromhex(name) and length == size)


def _entries(descriptor: int, mark: bytes) -> Iterator[tuple[int, int, float]]:
    """(offset, size, time of writing) of each blob in a pack; holes and torn headers are passed over."""
    end = os.fstat(descriptor).st_size
    offset = 0
    while offset < end:
        try:
            offset = os.lseek(descriptor, offset, os.SEEK_DATA) // _BLOCK * _BLOCK
        except OSError:  # nothing but a hole up to the end
            return
        header = os.pread(descriptor, _HEADER.size, offset)
        if len(header) < _HEADER.size:
            return
        found, size, written = _HEADER.unpack(header)
        if found != mark or size > _PACK_LIMIT:
            offset += _BLOCK
            continue
        yield offset, size, written
        offset += -(-(_HEADER.size + size) // _BLOCK) * _BLOCK


def _translated(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    try:
        return function(*arguments, **named)
    except Doubtful as error:
        raise BytesMissing(str(error)) from error
    except OSError as error:
        if error.errno in FULL:
            raise NoRoom("the disk is full") from error
        raise StoreUnavailable(f"the disk fails: {error.strerror}") from error


def _write_all(descriptor: int, pieces: Sequence[bytes], offset: int) -> int:
    total = sum(map(len, pieces))
    written = os.pwritev(descriptor, pieces[:1024], offset)
    if written == total:
        return total
    rest = memoryview(b"".join(pieces))[written:]
    while rest:
        count = os.pwrite(descriptor, rest, offset + total - len(rest))
        rest = rest[count:]
    return total


def _begin_writeback(descriptor: int, offset: int, size: int) -> None:
    """Have the kernel begin to write that part to the disk, so that the flush at the end finds little left to do.

    A hint: whether it is taken does not matter.
    """
    with contextlib.suppress(AttributeError):
        _LIBC.sync_file_range(
            descriptor, ctypes.c_int64(offset), ctypes.c_int64(size), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)
        )


def _fit(descriptor: int, size: int) -> None:
    """Cut off what a turn that did not count left behind."""
    present = os.fstat(descriptor).st_size
    if present < size:
        raise BytesMissing(f"{present} bytes are staged, not {size}")
    if present > size:
        os.ftruncate(descriptor, size)


@contextlib.contextmanager
def _holding(descriptor: int, path: Path) -> Iterator[None]:
    """Hold the lock of a staging file while its name is still the turn's. Raises Fenced where another has renamed it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        try:
            if not os.path.samestat(os.stat(path), os.fstat(descriptor)):
                raise Fenced(path.parent.name)
        except FileNotFoundError:
            raise Fenced(path.parent.name) from None
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _open_turn(path: Path, size: int) -> int:
    """Open a turn's staging file, cut to `size` bytes. Raises Fenced where another has taken over meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Fenced(path.parent.name) from None
    try:
        with _holding(descriptor, path):
            _fit(descriptor, size)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open_existing(path: Path) -> int:
    """For reading and flushing, which a disk allows that takes no changes."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BytesMissing(path.name) from None


def _punch(descriptor: int, offset: int, size: int) -> None:
    if _LIBC.fallocate64(descriptor, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_int64(offset), ctypes.c_int64(size)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _can_punch(probe: Path) -> bool:
    descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, b"x" * (2 * _BLOCK), 0)
        _punch(descriptor, 0, _BLOCK)
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except (OSError, AttributeError):
        return False
    else:
        return os.pread(descriptor, 1, 0) == b"\0"
    finally:
        os.close(descriptor)
        probe.unlink()
