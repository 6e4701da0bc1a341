"""The rooms put together for tests: real SQLite, real files, and a clock that stands until it is moved."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from auth.directory import Directory
from auth.epoch import Epoch
from base.ids import new_uuid
from registry.facts import RegistryFacts
from registry.gc import Collector
from registry.names import RegistryId, RepositoryName, parse_name
from registry.policies import Policies
from registry.pull import Pull
from registry.push import Push
from registry.repositories import NewRepository, Repositories
from registry.rows import Repository
from registry.uploads import ClientGone, Uploads
from store.blobs.driver import BlobDriver
from store.blobs.filesystem import FilesystemBlobs
from store.database import Database
from store.migrate import migrate
from store.sqlite import SqliteDatabase

HOME = RegistryId("123456789012", "us-east-1")
WHO = "arn:aws:iam::123456789012:root"
GRACE = 1000.0
EXPIRY = 10_000.0
SETTLE = 60.0


_IN_MEMORY = Path("/dev/shm")


@contextmanager
def quick_directory() -> Iterator[Path]:
    """A directory in memory where there is one: there, a thousand flushes take no time."""
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as name:
        yield Path(name)


class Time:
    """A clock. Begins now, because files carry the real time; moves when told to."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class Bytes:
    """A request's body (`registry.uploads.Body`): `pieces`, of which the client announced `length`, then perhaps silence."""

    def __init__(self, *pieces: bytes, length: int | None = None, gone: bool = False) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self._gone = gone
        self.length = length

    async def read(self, size: int) -> list[bytes]:
        taken: list[bytes] = []
        while self._pieces and sum(map(len, taken)) < size:
            taken.append(self._pieces.pop(0))
        if self._gone and sum(map(len, taken)) < size:
            raise ClientGone("the client went away")
        return taken


def announced(data: bytes) -> Bytes:
    """A body with a Content-Length."""
    return Bytes(data, length=len(data))


@dataclass
class House:
    """One process of a registry."""

    clock: Time
    database: Database
    blobs: BlobDriver
    epoch: Epoch
    directory: Directory
    facts: RegistryFacts
    policies: Policies
    repositories: Repositories
    uploads: Uploads
    push: Push
    pull: Pull
    collector: Collector

    async def repository(self, name: str = "some/repository", registry: RegistryId = HOME) -> Repository:
        return await self.repositories.create(registry, parse_name(name), NewRepository())

    async def close(self) -> None:
        await self.blobs.close()
        await self.database.close()


async def open_house(
    directory: Path,
    clock: Time,
    *,
    blobs: BlobDriver | None = None,
    sparse: bool = False,
    reserve: int = 0,
    expiry: float = EXPIRY,
) -> House:
    """Opening the same directory twice is starting a second process."""
    directory.mkdir(parents=True, exist_ok=True)
    database = SqliteDatabase(directory / "longshore.db")
    await migrate(database, now=clock())
    if blobs is None:
        blobs = FilesystemBlobs(directory / "blobs", clock=clock, ids=new_uuid, threads=2)
    epoch = Epoch(database, clock)
    identities = Directory(database, epoch, managed={})
    facts = RegistryFacts(database, identities, epoch)
    return House(
        clock,
        database,
        blobs,
        epoch,
        identities,
        facts,
        Policies(database, epoch, facts),
        Repositories(database, epoch, clock=clock, create_on_push=False, home=HOME),
        Uploads(database, blobs, clock=clock, ids=new_uuid, reserve=reserve),
        Push(database, clock=clock, allow_sparse=sparse),
        Pull(database, blobs, clock=clock, grace=GRACE),
        Collector(database, blobs, clock=clock, grace=GRACE, upload_expiry=expiry, settle=SETTLE),
    )


async def read_key(blobs: BlobDriver, key: str) -> bytes:
    """All bytes of a key."""
    content = await blobs.open(key)
    try:
        return await content.read(0, content.size)
    finally:
        content.close()


async def read_blob(house: House, name: RepositoryName, digest: str, registry: RegistryId = HOME) -> bytes:
    """All bytes of a repository's blob."""
    return await read_key(house.blobs, (await house.pull.blob(registry, name, digest)).key)  # type: ignore[arg-type]


def patterned(size: int, seed: int = 0) -> bytes:
    """`size` bytes in which every position can be told from its neighbours, and every seed from another."""
    block = b"".join(((number * 2654435761 + seed * 97) & 0xFFFFFFFF).to_bytes(4, "big") for number in range(1024))
    return (block * (size // len(block) + 1))[:size]


def joined(parts: Sequence[bytes]) -> bytes:
    return b"".join(parts)
