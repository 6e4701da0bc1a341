"""A power cut at any moment: what was acknowledged is there, and no byte is wrong.

A layer below the process journals what it does to its files (`power/layer.c`); from the journal come the disks that a cut
would have left, at any moment, with whatever was not synced lost, torn or out of order (`power/journal.py`). Syncs are
recorded, so each can be taken out afterwards: without any one of them something acknowledged is lost.
"""

import asyncio
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from base.ids import new_uuid
from config.settings import SettingsInvalid
from server.first import prepare
from store.blobs.driver import BytesMissing
from store.blobs.filesystem import FilesystemBlobs
from store.database import DatabaseUnavailable
from store.migrate import migrate
from store.sqlite import SqliteDatabase
from tests import require
from tests.faults import stock
from tests.faults.load import Pusher
from tests.faults.power import journal, sites
from tests.faults.power.ground import Ground, JournaledServer, LaterServer, build
from tests.faults.power.history import History, Session, faults, held_in
from tests.faults.power.journal import Chance, Disk, Ignored, Site
from tests.faults.power.steps import data_of, settings_below
from tests.live import LiveServer
from tests.rooms import quick_directory
from tests.wire.client import Client, digest_of, with_query

SEED = int(os.environ.get("LONGSHORE_SEED", "20260304"))
LONG = require.long_form()
CUTS = 3000 if LONG else 60
"""Disks that are looked at without a server."""
STARTS = 300 if LONG else 12
"""Disks that a server starts on."""
CHANGES = 4000 if LONG else 500
"""Acknowledged changes of the load."""
PUSHERS = 4
KEEPS = (0.0, 0.2, 0.5, 0.8, 1.0)
"""How much of what was not synced has reached the disk."""
pytestmark = pytest.mark.usefixtures("rows_on_disk", "blobs_on_disk")
SETTINGS = {
    "registry.create_on_push": "true", "storage.reserve": "0", "server.access_log": "false",
    "gc.interval": "0.2", "gc.settle": "0",
}  # fmt: skip
ELSEWHERE = {"store/archive/directory.py": "backups, which are complete once their end is written"}
"""Files that sync what no push depends on, and what that is."""


class Story(Protocol):
    """What some processes did, and what a disk has to hold of it."""

    disk: Disk

    @property
    def moments(self) -> list[int]:
        """Positions after which something more is acknowledged."""
        ...

    def faults(self, image: Path, cut: int) -> Iterator[str]: ...


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    print(f"seed {SEED}; again with LONGSHORE_SEED={SEED}")
    with quick_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def layer(place: Path) -> Path:
    return build(place)


class Images:
    """A place where disks are laid out, one at a time."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._made = 0

    def lay(self, disk: Disk, cut: int, chance: Chance, *, ignored: Ignored = journal.nothing) -> Path:
        self._made += 1
        image = self._place / f"image-{self._made}"
        disk.after(cut, ignored=ignored, chance=chance).write(image)
        return image

    def faults(self, story: Story, cut: int, chance: Chance, ignored: Ignored = journal.nothing) -> list[str]:
        image = self.lay(story.disk, cut, chance, ignored=ignored)
        try:
            return list(story.faults(image, cut))
        finally:
            shutil.rmtree(image)


@pytest.fixture(scope="module")
def images(place: Path) -> Images:
    (place / "images").mkdir()
    return Images(place / "images")


# A server under load


@dataclass
class Load:
    """Pushers at a server, from its first start to its end."""

    ground: Ground
    histories: list[History]
    credentials: bytes
    disk: Disk = field(init=False)

    def __post_init__(self) -> None:
        self.disk = journal.read(self.ground.journal)

    @property
    def moments(self) -> list[int]:
        return sorted(change.ended for history in self.histories for change in history.changes)

    def faults(self, image: Path, cut: int) -> Iterator[str]:
        data = image / "made" / "data"
        try:
            asyncio.run(_open(data))
            if (data / "credentials").read_bytes() != self.credentials:
                yield "the root key is another one"
            held = held_in(data / "longshore.db")
            yield from broken(data / "longshore.db")
            yield from stock.check(LaterServer(image, image, self.ground.layer)).faults
        except (OSError, DatabaseUnavailable, sqlite3.Error) as error:
            yield f"nothing can be read any more: {error}"
            return
        for history in self.histories:
            yield from faults(history, cut, held.get(history.name, {}))


def broken(database: Path) -> Iterator[str]:
    rows = sqlite3.connect(database)
    try:
        yield from (found for (found,) in rows.execute("PRAGMA integrity_check") if found != "ok")
    finally:
        rows.close()


async def _open(data: Path) -> None:
    if not (data / "longshore.db").exists():
        raise FileNotFoundError("there is no database")
    database = SqliteDatabase(data / "longshore.db")
    try:
        await migrate(database, now=time.time())
    finally:
        await database.close()


@pytest.fixture(scope="module")
def load(place: Path, layer: Path) -> Load:
    ground = Ground(place / "load", layer)
    server = JournaledServer(ground, settings=SETTINGS, workers=2, checkpoint=30, slow=1500)
    histories = [History(f"power/pusher-{number}", position=ground.position) for number in range(PUSHERS)]
    with server:
        names = [history.name for history in histories]
        pushers = [Pusher(server, history, names, f"{SEED}/{history.name}") for history in histories]
        for pusher in pushers:
            pusher.start()
        deadline = time.monotonic() + (600 if LONG else 40)
        while sum(len(history.changes) for history in histories) < CHANGES and time.monotonic() < deadline:
            pushers[0].join(0.1)
        for pusher in pushers:
            pusher.stopping.set()
        for pusher in pushers:
            pusher.join(60)
            assert not pusher.is_alive()
            if pusher.failure is not None:
                raise pusher.failure
    return Load(ground, histories, (server.data / "credentials").read_bytes())


def cuts_of(story: Story, source: random.Random, count: int) -> list[int]:
    """Moments of every kind: any; just after something was acknowledged; just before and after a sync."""
    syncs = [sync.at for sync in story.disk.syncs]
    first, end = story.moments[0], story.disk.end
    kinds: list[Callable[[], int]] = [
        lambda: source.randrange(first, end + 1),
        lambda: source.choice(story.moments),
        lambda: max(first, source.choice(syncs) + source.choice((0, 1))),
    ]
    return [source.choice(kinds)() for _ in range(count)]


def test_the_journal_tells_everything(load: Load):
    """What it leads to is what is there: nothing went past the layer."""
    told = {name: bytes(found.data) for name, found in load.disk.whole().files()}
    there = {
        str(path.relative_to(load.ground.root)): path.read_bytes()
        for path in load.ground.root.rglob("*")
        if path.is_file()
    }
    assert told.keys() == there.keys()
    assert [name for name in told if told[name] != there[name]] == []
    assert len(load.disk.syncs) > 100
    assert {sync.site.of for sync in load.disk.syncs if sync.site.by == "sqlite"} >= {
        "made/data/longshore.db", "made/data/longshore.db-wal",
    }  # fmt: skip


def test_what_was_acknowledged_survives_a_cut_at_any_moment(load: Load, images: Images):
    source = random.Random(SEED)
    for cut in cuts_of(load, source, CUTS):
        seed, keeps = source.getrandbits(64), source.choice(KEEPS)
        found = images.faults(load, cut, Chance(random.Random(seed), keeps=keeps))
        assert found == [], f"a cut at {cut} that keeps {keeps} (chance {seed})"


# A server that starts on what a cut left


def test_a_server_serves_what_was_acknowledged_after_a_cut(load: Load, images: Images, place: Path):
    source = random.Random(SEED + 1)
    continued = 0
    for number, cut in enumerate(cuts_of(load, source, STARTS)):
        seed, keeps = source.getrandbits(64), source.choice(KEEPS)
        image = images.lay(load.disk, cut, Chance(random.Random(seed), keeps=keeps))
        try:
            with LaterServer(place / f"later-{number}", image, load.ground.layer, settings=SETTINGS) as server:
                for history in load.histories:
                    continued += look_again(server, history, cut, source)
        except AssertionError as error:
            raise AssertionError(f"a cut at {cut} that keeps {keeps} (chance {seed}): {error}") from error
        finally:
            shutil.rmtree(image)
    assert continued or STARTS < 100, "no upload ever went on"


def look_again(server: LiveServer, history: History, cut: int, source: random.Random) -> int:
    """Read what has to be there, finish what may go on; returns how many uploads went on."""
    must, may = history.at(cut)
    keys = [key for key in sorted(must) if key not in may]
    continued = 0
    with Client(server) as client:
        for kind, name in source.sample(keys, min(20, len(keys))):
            answer = client("GET", f"/v2/{history.name}/{'blobs' if kind == 'blob' else 'manifests'}/{name}")
            expected = must[kind, name]
            assert answer.status == (404 if expected is None else 200), (kind, name, answer)
            if expected is not None:
                digest = expected if kind == "tag" else name
                assert digest_of(answer.body) == digest == answer.headers["Docker-Content-Digest"]
        for session in history.open_at(cut):
            continued += finish(client, history.name, session)
    return continued


def finish(client: Client, name: str, session: Session) -> bool:
    """Close an upload at what the server says it has: the answer may be a refusal, not a blob of other bytes."""
    state = client("GET", session.location)
    assert state.status in {204, 404}, state
    if state.status == 404:
        return False
    data = session.data[: int(state.headers["Range"].partition("-")[2]) + 1]
    closed = client("PUT", with_query(session.location, f"digest={digest_of(data)}"))
    assert closed.status in {201, 400, 404, 416}, closed
    if closed.status == 201:
        assert client("GET", f"/v2/{name}/blobs/{digest_of(data)}").body == data, "an upload went on with other bytes"
    return closed.status == 201


class NamesBeforeBytes(Chance):
    """A file system that had written names and lengths, and of the bytes only what was synced."""

    def __init__(self) -> None:
        super().__init__(random.Random(0), keeps=1.0)

    def some(self, changes: list[journal.Change]) -> list[journal.Change]:
        return []

    def grows(self) -> bool:
        return True


@pytest.mark.parametrize("size", [100_000, 900_000], ids=["in a pack", "in a file"])
def test_an_upload_that_a_cut_took_bytes_of_does_not_become_a_blob_of_others(
    size: int, place: Path, layer: Path, images: Images
):
    """Its row came through, because another push had the log flushed, and says what digest the bytes had."""
    ground = Ground(place / f"upload-{size}", layer)
    name, data = "power/upload", data_of(1, size)
    with JournaledServer(ground, settings=SETTINGS) as server, Client(server) as client:
        location = client.begin(name)
        assert client("PATCH", location, data).status == 202
        client.push_blob(name, data_of(2, 300_000))
        cut = ground.position()
    image = images.lay(journal.read(ground.journal), cut, NamesBeforeBytes())
    with LaterServer(place / f"upload-later-{size}", image, layer, settings=SETTINGS) as later, Client(later) as client:
        assert client("GET", location).headers["Range"] == f"0-{size - 1}", "the row came through"
        closed = client("PUT", with_query(location, f"digest={digest_of(data)}"))
        assert closed.status in {400, 404, 416}
        assert client("GET", f"/v2/{name}/blobs/{digest_of(data)}").status == 404
        # whoever pushes again succeeds
        assert client.push_blob(name, data) == digest_of(data)
        assert client("GET", f"/v2/{name}/blobs/{digest_of(data)}").body == data


# A disk that fails to write, once: the kernel says so, forgets it, and has dropped the bytes


@pytest.mark.parametrize("number", range(8, 60) if LONG else [20])
@pytest.mark.parametrize("what", ["longshore.db-wal", "blobs/packs/*", "blobs/staging/*"], ids=["log", "pack", "file"])
def test_a_flush_that_failed_is_never_trusted_again(what: str, number: int, place: Path, layer: Path, images: Images):
    """The request that met it is refused; those after it, repeated ones too, are acknowledged only if they are durable."""
    ground = Ground(place / f"fail-{what.replace('/', '-')}-{number}", layer)
    name, taken, refused = "power/failing", list[tuple[int, str]](), 0
    rule = f"fail sync made/data/{what} {number}"
    with JournaledServer(ground, settings=SETTINGS, rule=rule) as server, Client(server) as client:
        for one in range(45 if not LONG else 90):
            data = data_of(one, 300_000 if what.startswith("blobs/staging") else 3000)
            location = client.begin(name)
            assert client("PATCH", location, data).status == 202
            for _ in range(2):
                closed = client("PUT", with_query(location, f"digest={digest_of(data)}"))
                if closed.status == 201:
                    taken.append((ground.position(), digest_of(data)))
                    break
                assert closed.status in {503, 416, 404}, closed
                refused += closed.status == 503
        assert client.push_blob(name, b"at last") == digest_of(b"at last"), "nothing has to be restarted"
        end = ground.position()
        server.kill()
    assert refused == 1, "the flush failed"
    assert len(taken) >= number, "and others went on"
    disk = journal.read(ground.journal)
    source = random.Random(SEED)
    for cut in [end, *(source.choice(taken)[0] for _ in range(6))]:
        image = images.lay(disk, cut, Chance(source, keeps=source.choice((0.0, 0.5))))
        later = LaterServer(image, image, layer)
        held = held_in(later.data / "longshore.db").get(name, {})
        assert [digest for at, digest in taken if at <= cut and ("blob", digest) not in held] == []
        assert stock.check(later).faults == []
        shutil.rmtree(image)


# Parts of the commit path, each alone: at the start of a server several of them sync the same directory


@dataclass
class Part:
    """A process, or several one after the other, of `power/steps.py`."""

    ground: Ground
    look: Callable[[Path, dict[str, object]], str]
    """(the root of a disk, something acknowledged) -> what is wrong with it, or nothing."""
    disk: Disk = field(init=False)

    def __post_init__(self) -> None:
        self.disk = journal.read(self.ground.journal)

    @property
    def moments(self) -> list[int]:
        return [one.at for one in self.ground.acknowledged]

    def faults(self, image: Path, cut: int) -> Iterator[str]:
        for one in self.ground.acknowledged:
            if one.at <= cut and (fault := self.look(image, one.what)):
                yield fault


def look_at_secrets(root: Path, what: dict[str, object]) -> str:
    try:
        first = prepare(settings_below(root))
    except SettingsInvalid as error:
        return str(error)
    found = {"root": first.root.id, "secret": first.root.secret, "keys": first.server_keys}
    return "" if found == what else "the root key or the server key is another one"


def look_at_rows(root: Path, what: dict[str, object]) -> str:
    path = root / "made" / "rows" / "longshore.db"
    try:
        if not path.exists():
            return "there is no database"
        rows = sqlite3.connect(path)
        try:
            found = rows.execute("SELECT 1 FROM things WHERE name = ?", (what["row"],)).fetchall()
        finally:
            rows.close()
        for fault in broken(path):
            return fault
    except sqlite3.Error as error:
        return str(error)
    return "" if found else f"the row {what['row']} is gone"


def look_at_bytes(root: Path, what: dict[str, object]) -> str:
    async def read() -> bytes:
        driver = FilesystemBlobs(root / "made" / "data" / "blobs", ids=new_uuid)
        try:
            content = await driver.open(str(what["key"]))
            try:
                return await content.read(0, content.size)
            finally:
                content.close()
        finally:
            await driver.close()

    (root / "made" / "data").mkdir(parents=True, exist_ok=True)
    try:
        found = asyncio.run(read())
    except BytesMissing:
        return f"{what['key']} is gone"
    return "" if found == data_of(what["seed"], what["size"]) else f"{what['key']} has other bytes"  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def parts(place: Path, layer: Path) -> list[Part]:
    names = ("secrets", "rows", "folded", "blobs", "again")
    secrets, rows, folded, blobs, again = (Ground(place / name, layer) for name in names)
    secrets.run("secrets")
    rows.run("rows")
    folded.run("folded", checkpoint=1)
    blobs.run("bytes_")
    # one ends between the rename and what makes it durable; another one, asked again, has to make up for it
    again.run("staged", rule="kill rename made/data/blobs/files/* 1", status=-9)
    again.run("committed_again")
    return [
        Part(secrets, look_at_secrets), Part(rows, look_at_rows), Part(folded, look_at_rows),
        Part(blobs, look_at_bytes), Part(again, look_at_bytes),
    ]  # fmt: skip


def test_no_part_of_the_commit_path_loses_what_it_acknowledged(parts: list[Part], images: Images):
    source = random.Random(SEED)
    for part in parts:
        assert part.moments
        for cut in cuts_of(part, source, 100 if LONG else 15):
            seed, keeps = source.getrandbits(64), source.choice(KEEPS)
            assert images.faults(part, cut, Chance(random.Random(seed), keeps=keeps)) == [], (cut, keeps, seed)


# Taking syncs out

SITES = [site for site in sites.sites() if site[0].partition(":")[0] not in ELSEWHERE]


def is_noticed(story: Story, images: Images, ignored: Ignored, cuts: list[int]) -> bool:
    """Whether one of the cuts, or of others, loses something without the syncs that are ignored."""
    source = random.Random(SEED)
    tried = [(cut, keeps) for cut in cuts for keeps in (0.0, 0.5)]
    tried += [(cut, source.choice(KEEPS)) for cut in cuts_of(story, source, 60)]
    return any(images.faults(story, cut, Chance(source, keeps=keeps), ignored) for cut, keeps in tried)


@pytest.mark.parametrize(("line", "function"), SITES, ids=[f"{line}-{function}" for line, function in SITES])
def test_without_any_one_sync_something_is_lost(
    line: str, function: str, load: Load, parts: list[Part], images: Images
):
    """One line may sync several things: in some story each of those that it syncs there is missed."""

    def misses(story: Story) -> bool:
        found = {sync.site for sync in story.disk.syncs if sync.site.by == line}
        return bool(found) and all(
            is_noticed(story, images, lambda one, site=site: one == site, story.moments[-1:]) for site in found
        )

    assert any(misses(story) for story in (*parts, load)), f"nobody misses the sync of {function} at {line}"


@pytest.mark.parametrize(
    "of",
    ["longshore.db-wal", "longshore.db"],
    ids=["the log, before it is copied", "the database, before the log begins anew"],
)
def test_without_what_sqlite_syncs_at_a_checkpoint_something_is_lost(of: str, parts: list[Part], images: Images):
    story = next(part for part in parts if part.ground.place.name == "folded")
    ends = [sync.at for sync in story.disk.syncs if sync.site == Site("sqlite", "made/rows/longshore.db")]
    ends = [end for end in ends if end > story.moments[0]]
    assert is_noticed(story, images, lambda site: site == Site("sqlite", f"made/rows/{of}"), ends)
