"""What a disk holds after a power cut: everything that was synced, and of the rest whatever chance left.

`read` makes a `Disk` of the journal that the layer wrote: every file with the writes it has seen, every directory with the
names it has held, and when each was synced. `Disk.after` gives a tree as a cut at some position of the journal may leave
it. A position is a number of bytes of the journal, so that a client can note where it stands (`position`).

The rules are those that file systems promise and no more. A sync of a file makes durable its bytes and length as they
were when it began, a sync of a directory the names in it; neither makes durable the name of the thing itself. Of the
writes to a file since its last sync any set may have reached the disk, each wholly or some of its blocks; of what became
of a name since its directory was synced any step may be the last that did. A length may have grown before the bytes came:
then they are zeros. Where SQLite syncs a directory that does not count: a SQLite may be built without that.
"""

import os
import random
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

PAGE = 4096
SECTOR = 512
HEADER = struct.Struct("<IBBHHHIQqqQ")


class Kind(IntEnum):
    """As in layer.c."""

    CREATE = 1
    MKDIR = 2
    LINK = 3
    UNLINK = 4
    RMDIR = 5
    RENAME = 6
    WRITE = 7
    TRUNCATE = 8
    PUNCH = 9
    SYNC = 10
    FAILED = 11
    FOREIGN = 12


@dataclass(frozen=True, slots=True)
class Site:
    """Who asked for a sync of what: `by` is a line of our own source or `sqlite`, `of` a path whose ids are left out."""

    by: str
    of: str

    def __str__(self) -> str:
        return f"{self.by} of {self.of}"


@dataclass(frozen=True, slots=True)
class Record:
    at: int
    kind: Kind
    path: str
    other: str
    site: Site
    process: int
    inode: int
    offset: int
    length: int
    data: bytes


@dataclass(slots=True)
class Change:
    """Of a file's content: bytes at an offset, a length (data None), or a hole."""

    at: int
    offset: int
    data: bytes | None
    hole: int = 0
    lost: bool = False
    """A sync that should have made it durable failed: no later one does."""


@dataclass(slots=True)
class Synced:
    at: int
    site: Site


@dataclass(eq=False, slots=True)
class File:
    mode: int
    changes: list[Change] = field(default_factory=list)
    syncs: list[Synced] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Directory:
    mode: int
    names: dict[str, list[tuple[int, "File | Directory | None"]]] = field(default_factory=dict)
    syncs: list[Synced] = field(default_factory=list)


Ignored = Callable[[Site], bool]
"""Which syncs are taken out of the journal."""


def nothing(_: Site) -> bool:
    return False


def position(journal: Path) -> int:
    """Where the journal stands now."""
    with journal.open("rb") as file:
        return int.from_bytes(file.read(8), "little")


def refuse(journal: Path, error: int) -> None:
    """From now on whatever would change anything fails with this errno; 0: no more."""
    descriptor = os.open(journal, os.O_WRONLY)
    try:
        os.pwrite(descriptor, error.to_bytes(8, "little"), 16)
    finally:
        os.close(descriptor)


def make(journal: Path) -> None:
    """An empty journal, for the layer to begin."""
    journal.write_bytes(bytes(PAGE))


def records(journal: Path) -> Iterator[Record]:
    data = memoryview(journal.read_bytes())
    at, end = PAGE, int.from_bytes(data[:8], "little")
    while at < end:
        size, kind, sqlite, path, other, site, process, inode, offset, length, count = HEADER.unpack_from(data, at)
        start = at + HEADER.size
        texts = []
        for part in (path, other, site):
            texts.append(str(data[start : start + part], "utf-8"))
            start += part
        by = "sqlite" if sqlite else texts[2]
        yield Record(
            at, Kind(kind), texts[0], texts[1], Site(by, _class_of(texts[0])), process, inode, offset, length,
            bytes(data[start : start + count]),
        )  # fmt: skip
        at += size


def _class_of(path: str) -> str:
    """The path, with ids as `*`: numbers, and two hexadecimal digits or eight and more."""
    return _ID.sub("*", path)


_ID = re.compile(r"(?<![^/])(?:\d+|[0-9a-f]{2})(?![^/])|(?<![^/.])[0-9a-f]{8,}(?![^/.])")


class Foreign(Exception):
    """Something changed files in a way that the journal cannot tell: it proves nothing."""


class Disk:
    """Everything that a journal tells of the files below its root."""

    def __init__(self) -> None:
        self.root = Directory(0o755)
        self.syncs: list[Synced] = []
        self.end = 0
        self._by_inode: dict[int, File | Directory] = {}

    # -- reading

    def take(self, record: Record) -> None:
        at, inode = record.at, record.inode
        match record.kind:
            case Kind.CREATE | Kind.MKDIR:
                made = (File if record.kind is Kind.CREATE else Directory)(record.offset & 0o7777)
                self._by_inode[inode] = made
                self._name(at, record.path, made)
            case Kind.LINK:
                self._name(at, record.path, self._by_inode[inode])
            case Kind.UNLINK | Kind.RMDIR:
                self._name(at, record.path, None)
            case Kind.RENAME:
                self._name(at, record.path, None)
                self._name(at, record.other, self._by_inode[inode])
            case Kind.WRITE:
                self._file(inode).changes.append(Change(at, record.offset, record.data))
            case Kind.TRUNCATE:
                self._file(inode).changes.append(Change(at, record.offset, None))
            case Kind.PUNCH:
                self._file(inode).changes.append(Change(at, record.offset, None, hole=record.length))
            case Kind.SYNC:
                target = self.root if not record.path else self._by_inode[inode]
                if isinstance(target, Directory) and record.site.by == "sqlite":
                    return
                target.syncs.append(Synced(at, record.site))
                self.syncs.append(target.syncs[-1])
            case Kind.FAILED:
                file = self._file(inode)
                durable = max((sync.at for sync in file.syncs), default=-1)
                for change in file.changes:
                    change.lost = change.lost or change.at > durable
            case Kind.FOREIGN:
                raise Foreign(record.path)

    def _file(self, inode: int) -> File:
        found = self._by_inode[inode]
        assert isinstance(found, File)
        return found

    def _name(self, at: int, path: str, target: "File | Directory | None") -> None:
        *above, name = path.split("/")
        directory = self.root
        for part in above:
            found = directory.names[part][-1][1]
            assert isinstance(found, Directory)
            directory = found
        directory.names.setdefault(name, []).append((at, target))

    # -- cutting

    def after(self, cut: int, *, ignored: Ignored = nothing, chance: "Chance") -> "Tree":
        """The tree that a cut at a position may leave, without the syncs that are `ignored`."""
        return self._tree(self.root, cut, ignored, chance)

    def whole(self) -> "Tree":
        """The tree that an orderly end leaves."""
        return self._tree(self.root, self.end, nothing, Chance(random.Random(0), keeps=1.0))

    def _tree(self, directory: Directory, cut: int, ignored: Ignored, chance: "Chance") -> "Tree":
        durable = _durable(directory.syncs, cut, ignored)
        tree = Tree(directory.mode)
        for name, steps in directory.names.items():
            held = [target for at, target in steps if at < durable]
            possible = held[-1:] or [None]
            possible += [target for at, target in steps if durable <= at < cut]
            found = chance.last(possible)
            if isinstance(found, Directory):
                tree.names[name] = self._tree(found, cut, ignored, chance)
            elif found is not None:
                tree.names[name] = _content(found, cut, ignored, chance)
        return tree


def read(journal: Path) -> Disk:
    """Raises Foreign."""
    disk = Disk()
    for record in records(journal):
        disk.take(record)
    disk.end = position(journal)
    return disk


def _durable(syncs: list[Synced], cut: int, ignored: Ignored) -> int:
    return max((sync.at for sync in syncs if sync.at < cut and not ignored(sync.site)), default=-1)


def _content(file: File, cut: int, ignored: Ignored, chance: "Chance") -> "Content":
    durable = _durable(file.syncs, cut, ignored)
    data = bytearray()
    young = [change for change in file.changes if durable <= change.at < cut or (change.lost and change.at < cut)]
    kept = set(map(id, chance.some(young)))
    last = young[-1] if young else None
    for change in file.changes:
        if change.at >= cut:
            break
        if (change.lost or change.at >= durable) and id(change) not in kept:
            if change.data is not None and chance.grows():
                _grow(data, change.offset + len(change.data))
            continue
        whole = not (change.lost or change.at >= durable)
        _apply(data, change, whole=whole, torn=change is last, chance=chance)
    return Content(file.mode, data)


def _apply(data: bytearray, change: Change, *, whole: bool, torn: bool, chance: "Chance") -> None:
    if change.hole:
        end = min(change.offset + change.hole, len(data))
        if end > change.offset:
            data[change.offset : end] = bytes(end - change.offset)
        return
    if change.data is None:
        del data[change.offset :]
        _grow(data, change.offset)
        return
    _grow(data, change.offset)
    pieces = [(change.offset, change.data)] if whole else chance.blocks(change.offset, change.data, torn=torn)
    for offset, piece in pieces:
        _grow(data, offset)
        data[offset : offset + len(piece)] = piece


def _grow(data: bytearray, size: int) -> None:
    if len(data) < size:
        data.extend(bytes(size - len(data)))


class Chance:
    """Decides what became of that which was not synced. `keeps`: how likely each thing has reached the disk (0: nothing has)."""

    def __init__(self, source: random.Random, *, keeps: float) -> None:
        self._random = source
        self._keeps = keeps

    def last(self, possible: list["File | Directory | None"]) -> "File | Directory | None":
        """Which step of a name was the last to be kept; the first one is durable."""
        if len(possible) == 1 or self._keeps == 0.0:
            return possible[0]
        if self._keeps == 1.0 or self._random.random() < self._keeps:
            return possible[-1]
        return self._random.choice(possible)

    def some(self, changes: list[Change]) -> list[Change]:
        if self._keeps in {0.0, 1.0} or not changes:
            return changes if self._keeps else []
        if self._random.random() < 0.5:  # in order, up to some point
            return changes[: self._random.randrange(len(changes) + 1)]
        return [change for change in changes if self._random.random() < self._keeps]

    def grows(self) -> bool:
        """Whether a file is as long as a write that was lost would have made it."""
        return 0.0 < self._keeps < 1.0 and self._random.random() < 0.3

    def blocks(self, offset: int, data: bytes, *, torn: bool) -> list[tuple[int, bytes]]:
        """The parts of a write that were kept."""
        if self._keeps == 1.0 or (not torn and self._random.random() < 0.7):
            return [(offset, data)]
        size = SECTOR if torn else PAGE
        found = []
        at = 0
        while at < len(data):
            end = min(len(data), (offset + at) // size * size + size - offset)
            if self._random.random() < 0.5:
                found.append((offset + at, data[at:end]))
            at = end
        return found


# -- trees


@dataclass(slots=True)
class Content:
    mode: int
    data: bytearray


@dataclass(slots=True)
class Tree:
    mode: int
    names: dict[str, "Tree | Content"] = field(default_factory=dict)

    def write(self, place: Path) -> None:
        """Into a directory that is not there yet; zeros become holes."""
        place.mkdir(mode=self.mode)
        for name, found in self.names.items():
            if isinstance(found, Tree):
                found.write(place / name)
            else:
                _write(place / name, found)

    def files(self, before: str = "") -> Iterator[tuple[str, Content]]:
        for name, found in self.names.items():
            if isinstance(found, Tree):
                yield from found.files(f"{before}{name}/")
            else:
                yield f"{before}{name}", found


def _write(path: Path, content: Content) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, content.mode)
    try:
        view = memoryview(content.data)
        zeros = bytes(PAGE)
        start = None
        for at in range(0, len(view), PAGE):
            empty = view[at : at + PAGE] == zeros[: len(view) - at]
            if empty and start is not None:
                os.pwrite(descriptor, view[start:at], start)
                start = None
            elif not empty and start is None:
                start = at
        if start is not None:
            os.pwrite(descriptor, view[start:], start)
        os.ftruncate(descriptor, len(view))
    finally:
        os.close(descriptor)
