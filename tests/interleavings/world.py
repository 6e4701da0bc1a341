"""A registry in small: two repositories, what is asked of them by several processes, and what has to hold at every moment."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from base.digest import Digest, digest_of
from base.pace import Pace
from registry import rows
from registry.errors import BlobUnknown, RegistryError
from registry.gc import Collected, Collector, Held
from registry.mutability import TagPolicy
from registry.names import Tag, parse_name
from registry.pull import Pull
from registry.push import Push
from registry.rows import Repository, Upload
from registry.uploads import Uploads
from store.blobs.driver import BlobDriver, BytesMissing, Writer
from store.blobs.memory import MemoryBlobs
from store.database import Database, Row, Unit
from store.migrate import migrate
from store.sqlite import SqliteDatabase
from tests.interleavings.scheduler import Actor, Scene, SteppedBlobs, SteppedDatabase, Turns, acting
from tests.rooms import GRACE, HOME, SETTLE, WHO, Time, announced, read_key
from tests.unit.registry.test_push_and_pull import image

EXPIRY = 10 * GRACE
TABLES = (
    "repositories", "blobs", "repository_blobs", "condemned", "manifests", "manifest_references", "tags", "uploads",
    "deleted_repositories", "deleted_subjects", "reclaimed", "collections", "leases",
)  # fmt: skip
BEGAN = 1_000_000.0
LAYER, CONFIG = b"a layer", b"{}"


@dataclass
class Process:
    """The use-cases, as one process has them."""

    uploads: Uploads
    push: Push
    pull: Pull
    collector: Collector


class PackedMemory(MemoryBlobs):
    """Like the disk's driver: what comes in one piece has a key of its own as soon as it is there, and no turn; where
    more comes, it is copied."""

    def stage(self) -> str:
        return f"e/{self._ids()}"

    async def writer(self, staged: str, *, turn: int, offset: int) -> Writer:
        if offset == 0:
            staged = f"p/{self._ids()}"
        elif staged.startswith("p/"):
            first = self.bytes_of(staged)[:offset]
            if len(first) < offset:
                raise BytesMissing(staged)
            staged = f"f/{self._ids()}"
            self.keep(staged, first)
        return await super().writer(staged, turn=turn, offset=offset)

    async def commit(self, staged: str, *, turn: int, size: int) -> str:
        return await super().commit(staged, turn=self._turns.get(staged.partition(".")[0], turn), size=size)


@dataclass
class World:
    """`under`: the real database, and the driver, that the stepped ones stand around."""

    turns: Turns
    clock: Time
    under: Database
    database: SteppedDatabase
    memory: MemoryBlobs
    blobs: SteppedBlobs
    one: Repository
    two: Repository
    referrers_after: float = 0.0
    settle: float = SETTLE
    upload_: Upload | None = None
    """One that stands since the beginning."""
    image: str = ""
    """The digest of an image that is there from the beginning."""
    collector: type[Collector] = Collector
    rows: dict[str, list[Row]] = field(default_factory=dict)
    store: tuple[dict[str, bytes], dict[str, float], dict[str, int]] = field(default_factory=lambda: ({}, {}, {}))
    made: dict[str, int] = field(default_factory=dict)

    def ids(self) -> str:
        """Of the actor's own, so that they are the same whoever comes first."""
        number = self.made[acting()] = self.made.get(acting(), 0) + 1
        return f"{acting() or 'scene'}-{number}"

    def now(self) -> float:
        """What an actor sees on the clock is part of what it goes on with."""
        now = self.clock()
        if acting():
            self.turns.seen[acting()].append(f"it is {now}")
        return now

    async def peek(self, sql: str, *parameters: object) -> list[Row]:
        """What the rows are right after an actor's last step."""
        found = await self.under.fetch(sql, parameters)
        self.turns.seen[acting()].append(f"peeked {found}")
        return found

    def process(self, *, ahead: float = 0.0) -> Process:
        """A new one, that remembers nothing, and whose clock is so many seconds ahead of others'."""

        def clock() -> float:
            return self.now() + ahead

        database: Database = self.database
        blobs: BlobDriver = self.blobs
        return Process(
            Uploads(database, blobs, clock=clock, ids=self.ids, reserve=0),
            Push(database, clock=clock, allow_sparse=False),
            Pull(database, blobs, clock=clock, grace=GRACE),
            self.collector(
                database,
                blobs,
                clock=clock,
                grace=GRACE,
                upload_expiry=EXPIRY,
                settle=self.settle,
                referrers_after=self.referrers_after,
                pace=Pace(timer=lambda: 0.0),
            ),
        )

    # -- what actors do

    async def upload(self, repository: Repository, data: bytes, process: Process | None = None) -> Digest:
        """As docker does it: a session, the bytes, the digest."""
        process = process or self.process()
        upload = await process.uploads.begin(repository.id, WHO)
        upload = await process.uploads.receive(upload, announced(data))
        return await process.uploads.finish(upload, digest_of(data))

    async def upload_in_pieces(self, repository: Repository, data: bytes) -> Digest:
        """Two pieces, and nothing with the digest."""
        process = self.process()
        upload = await process.uploads.begin(repository.id, WHO)
        for piece in (data[:3], data[3:]):
            upload = await process.uploads.receive(upload, announced(piece))
        return await process.uploads.finish(upload, digest_of(data))

    async def upload_at_once(self, repository: Repository, data: bytes) -> Digest:
        """The bytes with the closing request."""
        process = self.process()
        upload = await process.uploads.begin(repository.id, WHO)
        return await process.uploads.finish(upload, digest_of(data), announced(data))

    async def put(self, repository: Repository, *digests: Digest, process: Process | None = None, **more: Any) -> str:
        """An image of those blobs."""
        put = await (process or self.process()).push.put(repository, image(*digests, **more), None)
        return put.digest

    async def push(self, repository: Repository, *datas: bytes, tag: str = "", **more: Any) -> str:
        """As docker does it: what the registry says that it has is left out."""
        process = self.process()
        digests = []
        for data in datas:
            digest = digest_of(data)
            try:
                await process.pull.confirm_blob(HOME, repository.name, digest)
            except BlobUnknown:
                await self.upload(repository, data, process)
            digests.append(digest)
        tags = [Tag(tag)] if tag else []
        put = await process.push.put(repository, image(*digests, **more), None, tags=tags)
        return put.digest

    async def mount(self, source: Repository, target: Repository, digest: Digest) -> bool:
        now = self.now()
        return await self.database.write(lambda: rows.link_blob(source.id, target.id, digest, now))

    async def read(self, repository: Repository, digest: Digest) -> bytes | None:
        """What a pull gets: the bytes, or None where the blob is not there."""
        process = self.process()
        try:
            blob = await process.pull.blob(HOME, repository.name, digest)
        except RegistryError:
            return None
        return await read_key(self.blobs, blob.key)

    async def delete_blob(self, repository: Repository, digest: Digest) -> bool:
        now = self.now()
        return await self.database.write(lambda: rows.unlink_blob(repository.id, digest, now))

    async def delete_image(self, repository: Repository, digest: str) -> None:
        now = self.now()
        unit = rows.delete_manifest
        await self.database.write(lambda: unit(repository.id, digest, now, keep_referenced=False))

    async def delete_repository(self, repository: Repository) -> None:
        now = self.now()
        await self.database.write(lambda: rows.delete_repository(repository.id, now, force=True))

    async def collect(self, lease: Held | None = None, *, ahead: float = 0.0) -> Collected:
        done = Collected()
        async for _ in self.process(ahead=ahead).collector.round(done, lease):
            pass
        return done

    async def search(self) -> Collected:
        return await self.process().collector.collect_orphans()

    async def wait(self, *seconds: float) -> None:
        """Time that goes by, as an actor."""
        for some in seconds:
            await self.turns.step(f"wait {some:g}", lambda some=some: self._pass(some))  # type: ignore[misc]

    async def _pass(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    # -- the scene

    async def remember(self) -> None:
        """How it is now is how every order begins."""
        for table in TABLES:
            self.rows[table] = await self.under.fetch(f"SELECT * FROM {table}")
        memory = self.memory
        self.store = (dict(memory._bytes), dict(memory._written), dict(memory._turns))
        self._began = self.clock()
        self._made = dict(self.made)

    async def reset(self) -> None:
        def unit() -> Unit[None]:
            for table, found in self.rows.items():
                yield f"DELETE FROM {table}", ()
                for row in found:
                    yield f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row

        await self.under.write(unit, durable=False)
        memory = self.memory
        memory._bytes, memory._written, memory._turns = (dict(part) for part in self.store)  # type: ignore[assignment]
        self.clock.now = self._began
        self.made = dict(self._made)

    async def state(self) -> object:
        found = [tuple(sorted(map(repr, await self.under.fetch(f"SELECT * FROM {table}")))) for table in TABLES]
        memory = self.memory
        kept = (memory._bytes, memory._written, memory._turns)
        return tuple(found), self.clock(), tuple(tuple(sorted(part.items())) for part in kept)

    async def check(self) -> None:
        """What has to hold whatever anybody is doing."""
        fetch = self.under.fetch
        for repository, digest, content in await fetch(
            "SELECT m.repository_id, m.digest, m.content FROM manifests m JOIN repositories p ON p.id = m.repository_id"
        ):
            document = json.loads(content)
            for named in [*document["layers"], document["config"]]:
                there = await fetch(
                    "SELECT b.key FROM repository_blobs r JOIN blobs b ON b.digest = r.digest "
                    "WHERE r.repository_id = ? AND r.digest = ?",
                    (repository, named["digest"]),
                )
                assert there, f"the image {digest} lacks its blob {named['digest']}"
        for digest, key in await fetch("SELECT digest, key FROM blobs"):
            assert key in self.memory._bytes, f"the bytes of {digest} are gone, and its row is there"
            assert digest_of(self.memory._bytes[key]) == digest, f"{digest} has other bytes"
        for wrong, text in (
            ("SELECT b.key FROM blobs b JOIN condemned c ON c.key = b.key", "a blob's key has a tombstone"),
            (
                "SELECT digest FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM repository_blobs r WHERE r.digest = b.digest)",
                "a blob has a row that no repository links",
            ),
            (
                "SELECT digest FROM repository_blobs r WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest = r.digest)",
                "a repository links a blob that has no row",
            ),
            ("SELECT u.staged FROM uploads u JOIN blobs b ON b.key = u.staged", "a blob is still an upload"),
        ):
            assert await fetch(wrong) == [], text

    async def all_is_known(self) -> None:
        """Nothing lies in the store that no row knows."""
        known = await self.under.fetch(
            "SELECT key FROM blobs UNION SELECT key FROM condemned UNION SELECT staged FROM uploads"
        )
        assert self.memory._bytes.keys() <= {key for (key,) in known}, "only a search would find what lies in the store"

    async def nothing_is_left(self) -> None:
        """Once everything is deleted and its time has come, rows and store are empty."""
        for (repository_id,) in await self.under.fetch("SELECT id FROM repositories"):
            now = self.clock()
            await self.under.write(lambda it=repository_id, now=now: rows.delete_repository(it, now, force=True))  # type: ignore[misc]
        for seconds in (2 * EXPIRY, SETTLE + 1, 2 * EXPIRY):
            self.clock.pass_(seconds)
            await self.collect()
            await self.search()
        await self.collect()
        assert self.memory._bytes == {}, "bytes are left that nobody knows"
        for table in TABLES:
            if table not in {"reclaimed", "collections", "leases"}:
                assert await self.under.fetch(f"SELECT * FROM {table}") == [], f"{table} is not empty"

    def scene(
        self,
        actors: Mapping[str, Actor],
        may_fail: Mapping[str, tuple[type[Exception], ...]],
        verdict: "Callable[[World, Mapping[str, object]], Awaitable[None]]",
    ) -> Scene:
        """`may_fail`: as what an actor may end, beside well; the others end well. `verdict`: what else has to hold then."""

        async def check_end(outcomes: Mapping[str, object]) -> None:
            for name, outcome in outcomes.items():
                if isinstance(outcome, Exception):
                    assert isinstance(outcome, may_fail.get(name, ())), f"{name} ended with {outcome!r}"
            await verdict(self, outcomes)
            await self.nothing_is_left()

        return Scene(self.turns, actors, self.reset, self.state, self.check, check_end)


@asynccontextmanager
async def open_world(under: Database, **how: Any) -> AsyncIterator[World]:
    """Over a database that is empty."""
    clock = Time(BEGAN)
    turns = Turns()
    await migrate(under, now=clock())
    world: World
    memory = PackedMemory(clock=clock, ids=lambda: world.ids())  # noqa: PLW0108 - it is not there yet
    two = [_repository(number, name) for number, name in ((1, "one"), (2, "two"))]
    for repository in two:
        await under.write(lambda repository=repository: rows.insert_repository(repository, ()))  # type: ignore[misc]
    world = World(turns, clock, under, SteppedDatabase(under, turns), memory, SteppedBlobs(memory, turns), *two, **how)
    yield world


def _repository(number: int, name: str) -> Repository:
    return Repository(number, HOME, parse_name(name), BEGAN, TagPolicy(), scan_on_push=False, encryption={})


@asynccontextmanager
async def open_small_world(place: Path, **how: Any) -> AsyncIterator[World]:
    """Over SQLite."""
    database = SqliteDatabase(place / "world.db")
    try:
        async with open_world(database, **how) as world:
            yield world
    finally:
        await database.close()
