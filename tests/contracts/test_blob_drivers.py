"""The law of `store.blobs.driver`, over every driver."""

import asyncio
import hashlib
import os
import resource
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.ids import new_uuid
from store.blobs.driver import BlobDriver, BytesMissing, Fenced, NoRoom
from store.blobs.filesystem import SMALL, FilesystemBlobs
from store.blobs.memory import MemoryBlobs
from store.blobs.s3 import S3Blobs
from store.bucket import S3Settings
from tests.rooms import Time, patterned, quick_directory, read_key

BLOCK = 4096
HEADER = 32
LARGE = SMALL + 1
SIZES = (1, BLOCK - HEADER, BLOCK - HEADER + 1, 128 * 1024, SMALL, LARGE, 3 * SMALL + 7)
HOUR = 3600.0


class Store:
    """A place that drivers are opened on; each is another process's."""

    def __init__(self, kind: str, root: Path, bucket: S3Settings | None = None) -> None:
        self.kind = kind
        self.root = root / "blobs"
        self._bucket = bucket
        self.clock = Time()
        self._opened: list[BlobDriver] = []
        self._memory = MemoryBlobs(clock=self.clock, ids=new_uuid)

    def open(self) -> BlobDriver:
        if self.kind == "memory":
            return self._memory
        if self._bucket is not None:
            distant = S3Blobs(self._bucket, ids=new_uuid)
            self._opened.append(distant)
            return distant
        driver = FilesystemBlobs(self.root, clock=self.clock, ids=new_uuid, threads=2)
        driver.packs = self.kind == "packs"
        self._opened.append(driver)
        return driver

    async def close(self) -> None:
        for driver in self._opened:
            await driver.close()
        self._opened.clear()

    def packs(self) -> list[Path]:
        return sorted((self.root / "packs").iterdir())


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Store]:
    with quick_directory() as directory:
        store = Store(kind, directory)
        yield store
        await store.close()


@asynccontextmanager
async def chosen(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    bucket = request.getfixturevalue(request.param).new_bucket() if request.param in {"s3", "moto"} else None
    with quick_directory() as directory:
        store = Store(request.param, directory, bucket)
        yield store
        await store.close()


@pytest.fixture(params=["memory", "packs", "files", "s3", "moto"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with chosen(request) as store:
        yield store


@pytest.fixture(params=["memory", "packs", "files"])
async def fencing(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Drivers that tell writers of lower turns so."""
    async with chosen(request) as store:
        assert store.open().fences
        yield store


@pytest.fixture(params=["packs", "files"])
async def disk(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with opened(request.param) as store:
        yield store


@pytest.fixture
async def packed() -> AsyncIterator[Store]:
    async with opened("packs") as store:
        yield store


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Store]:
    """On the file system of temporary files, whatever it is."""
    store = Store("packs", tmp_path)
    yield store
    await store.close()


async def append(
    driver: BlobDriver, staged: str, data: bytes, *, turn: int = 1, offset: int = 0, piece: int = 100_000
) -> str:
    writer = await driver.writer(staged, turn=turn, offset=offset)
    try:
        for start in range(0, len(data), piece):
            await writer.write([data[start : start + piece]], [])
        return await writer.close()
    finally:
        writer.discard()


async def put(driver: BlobDriver, data: bytes) -> str:
    staged = await append(driver, driver.stage(), data)
    return await driver.commit(staged, turn=1, size=len(data))


async def listed(driver: BlobDriver, *, before: float) -> set[str]:
    return {stored.key async for batch in driver.inventory(before=before) for stored in batch}


async def everything(driver: BlobDriver) -> set[str]:
    return await listed(driver, before=time.time() + HOUR)


# -- bytes


@pytest.mark.parametrize("size", SIZES)
async def test_committed_bytes_are_read_as_they_were_written(store: Store, size: int):
    data = patterned(size)
    driver = store.open()
    key = await put(driver, data)
    content = await driver.open(key)
    assert content.size == size
    content.close()
    assert await read_key(driver, key) == data
    assert await read_key(store.open(), key) == data


@pytest.mark.parametrize("size", [BLOCK, LARGE])
async def test_a_range_is_exactly_the_bytes_that_lie_there(store: Store, size: int):
    data = patterned(size)
    driver = store.open()
    content = await driver.open(await put(driver, data))
    for offset, count in [(0, 0), (0, 1), (1, 17), (size - 1, 1), (size - 1, 50), (size, 1), (size - 9, 4), (0, size)]:
        expected = data[offset : offset + count]
        assert await content.read(offset, count) == expected
        assert content.read_now(offset, count) in (None, expected)
        if content.span is not None:
            assert os.pread(content.span.descriptor, len(expected), content.span.offset + offset) == expected
    content.close()


@pytest.mark.parametrize("size", [0, 3, SMALL, LARGE])
async def test_hashes_are_fed_what_is_written_in_order(store: Store, size: int):
    data = patterned(size)
    driver = store.open()
    one, other = hashlib.sha256(), hashlib.sha512()
    writer = await driver.writer(driver.stage(), turn=1, offset=0)
    for start in range(0, size, 70_000):
        await writer.write([data[start : start + 30_000], data[start + 30_000 : start + 70_000]], [one, other])
    await writer.close()
    assert one.hexdigest() == hashlib.sha256(data).hexdigest()
    assert other.hexdigest() == hashlib.sha512(data).hexdigest()


async def test_a_write_of_a_thousand_pieces_keeps_them_all(store: Store):
    pieces = [bytes([number % 251]) * 7 for number in range(1500)]
    driver = store.open()
    for before in (b"", patterned(LARGE)):
        writer = await driver.writer(driver.stage(), turn=1, offset=0)
        await writer.write([before], [])
        await writer.write(pieces, [])
        key = await driver.commit(await writer.close(), turn=1, size=len(before) + 7 * 1500)
        assert await read_key(driver, key) == before + b"".join(pieces)


async def test_a_blob_may_have_no_bytes(store: Store):
    driver = store.open()
    key = await driver.commit(await append(driver, driver.stage(), b""), turn=1, size=0)
    assert await read_key(driver, key) == b""
    content = await driver.open(key)
    assert (content.size, content.read_now(0, 5)) == (0, b"")
    content.close()
    await driver.delete(key)


@pytest.mark.parametrize("first", [5, SMALL, LARGE])
@pytest.mark.parametrize("second", [0, 5, LARGE])
async def test_an_upload_grows_by_turns(store: Store, first: int, second: int):
    one, two, three = patterned(first), patterned(second, 1), patterned(11, 2)
    driver = store.open()
    staged = await append(driver, driver.stage(), one)
    staged = await append(store.open(), staged, two, turn=2, offset=first)
    staged = await append(driver, staged, three, turn=5, offset=first + second)
    key = await driver.commit(staged, turn=5, size=first + second + 11)
    assert await read_key(store.open(), key) == one + two + three


async def test_keys_are_never_handed_out_twice(store: Store):
    driver, other = store.open(), store.open()
    keys = []
    for number in range(20):
        key = await put((driver, other)[number % 2], patterned(10))
        keys.append(key)
        await driver.delete(key)
    assert len(set(keys)) == 20
    assert len({driver.stage() for _ in range(100)} | {other.stage() for _ in range(100)}) == 200


@pytest.mark.parametrize("size", [5, LARGE])
async def test_staged_bytes_can_be_read_for_hashing_anew(store: Store, size: int):
    driver = store.open()
    staged = await append(driver, driver.stage(), patterned(size))
    assert await read_key(store.open(), staged) == patterned(size)


# -- turns


async def test_a_higher_turn_ends_the_writes_of_a_lower_one_in_any_process(fencing: Store):
    base, late, winner = patterned(LARGE), patterned(5000, 1), patterned(6000, 2)
    driver, other = fencing.open(), fencing.open()
    staged = await append(driver, driver.stage(), base)
    slow = await driver.writer(staged, turn=2, offset=LARGE)
    await slow.write([late], [])
    staged_by_other = await append(other, staged, winner, turn=3, offset=LARGE)
    with pytest.raises(Fenced):
        await slow.write([late], [])
    slow.discard()
    key = await other.commit(staged_by_other, turn=3, size=LARGE + 6000)
    assert await read_key(driver, key) == base + winner


async def test_a_lower_turn_is_refused(fencing: Store):
    driver, other = fencing.open(), fencing.open()
    staged = await append(driver, driver.stage(), patterned(LARGE), turn=4)
    with pytest.raises(Fenced):
        await other.writer(staged, turn=3, offset=LARGE)
    with pytest.raises(Fenced):
        await other.commit(staged, turn=3, size=LARGE)


async def test_a_commit_ends_the_writers_of_lower_turns(fencing: Store):
    data = patterned(LARGE)
    driver, other = fencing.open(), fencing.open()
    staged = await append(driver, driver.stage(), data)
    slow = await driver.writer(staged, turn=2, offset=LARGE)
    key = await other.commit(staged, turn=3, size=LARGE)
    with pytest.raises(Fenced):
        await slow.write([b"late"], [])
    slow.discard()
    assert await read_key(driver, key) == data


@pytest.mark.parametrize("size", [100, LARGE])
async def test_two_first_writers_never_mix(store: Store, size: int):
    driver, other = store.open(), store.open()
    staged = driver.stage()
    slow = await driver.writer(staged, turn=1, offset=0)
    quick = await other.writer(staged, turn=2, offset=0)
    ended: dict[str, str | None] = {}
    for name, writer, data in (("quick", quick, patterned(size, 2)), ("slow", slow, patterned(size, 1))):
        try:
            await writer.write([data], [])
            ended[name] = await writer.close()
        except Fenced:
            ended[name] = None
        writer.discard()
    assert ended["quick"] is not None
    assert ended["slow"] != ended["quick"]
    key = await other.commit(ended["quick"], turn=2, size=size)
    assert await read_key(driver, key) == patterned(size, 2)


@pytest.mark.parametrize("before", [0, 100, LARGE])
@pytest.mark.parametrize("size", [100, LARGE, 12 << 20])
async def test_a_writer_that_is_given_up_leaves_no_bytes_but_those_before_it(store: Store, before: int, size: int):
    driver, other = store.open(), store.open()
    base = patterned(before)
    staged = await append(driver, driver.stage(), base) if before else driver.stage()
    known = await everything(driver)
    writer = await driver.writer(staged, turn=2, offset=before)
    await writer.write([patterned(size, 1)], [])
    writer.discard()
    await driver.close()
    assert await everything(other) == known
    key = await other.commit(await append(other, staged, b"rest", turn=3, offset=before), turn=3, size=before + 4)
    assert await read_key(other, key) == base + b"rest"


async def test_bytes_beyond_the_offset_are_cut_off_when_a_turn_begins(store: Store):
    base = patterned(LARGE)
    driver, other = store.open(), store.open()
    staged = await append(driver, driver.stage(), base)
    failed = await driver.writer(staged, turn=2, offset=LARGE)
    await failed.write([patterned(9000, 1)], [])
    failed.discard()
    staged = await append(other, staged, b"short", turn=3, offset=LARGE)
    key = await other.commit(staged, turn=3, size=LARGE + 5)
    assert await read_key(driver, key) == base + b"short"


async def test_bytes_beyond_the_size_are_cut_off_by_a_commit(store: Store):
    base = patterned(LARGE)
    driver, other = store.open(), store.open()
    staged = await append(driver, driver.stage(), base)
    failed = await driver.writer(staged, turn=2, offset=LARGE)
    await failed.write([patterned(9000, 1)], [])
    failed.discard()
    key = await other.commit(staged, turn=2, size=LARGE)
    assert await read_key(driver, key) == base


async def test_a_failed_turn_may_be_repeated_from_an_earlier_offset(store: Store):
    base = patterned(LARGE)
    driver = store.open()
    staged = await append(driver, driver.stage(), base)
    staged = await append(driver, staged, b"rest", turn=2, offset=SMALL)
    key = await driver.commit(staged, turn=2, size=SMALL + 4)
    assert await read_key(driver, key) == base[:SMALL] + b"rest"


@pytest.mark.parametrize("size", [0, 5, LARGE])
async def test_a_turn_does_not_begin_beyond_what_is_staged(store: Store, size: int):
    driver = store.open()
    staged = await append(driver, driver.stage(), patterned(size))
    with pytest.raises(BytesMissing):
        await driver.writer(staged, turn=2, offset=size + 1)


async def test_two_who_begin_a_blob_in_the_same_turn_never_touch_each_others_bytes(store: Store):
    """Small blobs are begun before anybody is given the turn."""
    driver, other = store.open(), store.open()
    stage = driver.stage()
    mine, theirs = patterned(SMALL, 1), patterned(SMALL, 2)
    first, second = [await one.writer(stage, turn=1, offset=0) for one in (driver, other)]
    await first.write([mine], [])
    await second.write([theirs], [])
    staged = await first.close()
    late = await second.close()
    assert staged != late
    key = await driver.commit(staged, turn=1, size=SMALL)
    await other.delete(late, keep=stage)
    assert await read_key(driver, key) == mine


async def test_what_a_turn_wrote_goes_and_what_it_found_stays(store: Store):
    driver, other = store.open(), store.open()
    for base in (b"", patterned(5), patterned(LARGE)):
        stage = driver.stage()
        staged = await append(driver, stage, base) if base else stage
        grown = await append(other, staged, patterned(LARGE, 1), turn=2, offset=len(base))
        await other.delete(grown, keep=staged)
        staged = await append(driver, staged, patterned(7, 2), turn=3, offset=len(base))
        key = await other.commit(staged, turn=3, size=len(base) + 7)
        assert await read_key(driver, key) == base + patterned(7, 2)


class Interposed:
    """Runs `act` once, right after the system opened the file that `wanted` names: between two steps of a driver."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wanted: Callable[[str], bool], act: Callable[[], None]) -> None:
        self._open = os.open
        self._wanted = wanted
        self._act: Callable[[], None] | None = act
        monkeypatch.setattr(os, "open", self)

    def __call__(self, path, *arguments, **named) -> int:
        descriptor = self._open(path, *arguments, **named)
        act = self._act
        if act is not None and self._wanted(str(path)):
            self._act = None
            act()
        return descriptor

    @property
    def acted(self) -> bool:
        return self._act is None


async def test_a_turn_that_is_overtaken_while_it_begins_cuts_nothing_off(disk: Store, monkeypatch: pytest.MonkeyPatch):
    base, winner = patterned(LARGE), patterned(50_000, 2)
    driver, other = disk.open(), disk.open()
    staged = await append(driver, driver.stage(), base)

    def overtake() -> None:
        asyncio.run(append(other, staged, winner, turn=3, offset=LARGE))

    interposed = Interposed(monkeypatch, lambda path: path.endswith(f"{staged[2:]}/2"), overtake)
    with pytest.raises(Fenced):
        await driver.writer(staged, turn=2, offset=LARGE)
    assert interposed.acted
    key = await driver.commit(staged, turn=3, size=LARGE + len(winner))
    assert await read_key(driver, key) == base + winner


async def test_a_commit_that_is_overtaken_cuts_nothing_off(disk: Store, monkeypatch: pytest.MonkeyPatch):
    base, winner = patterned(LARGE), patterned(50_000, 2)
    driver, other = disk.open(), disk.open()
    staged = await append(driver, driver.stage(), base)

    def overtake() -> None:
        asyncio.run(append(other, staged, winner, turn=3, offset=LARGE))

    interposed = Interposed(monkeypatch, lambda path: path.endswith(f"{staged[2:]}/2"), overtake)
    with pytest.raises(Fenced):
        await driver.commit(staged, turn=2, size=LARGE)
    assert interposed.acted
    key = await driver.commit(staged, turn=3, size=LARGE + len(winner))
    assert await read_key(driver, key) == base + winner


async def test_a_turn_whose_file_is_renamed_before_it_is_opened_is_fenced(disk: Store, monkeypatch: pytest.MonkeyPatch):
    driver, other = disk.open(), disk.open()
    staged = await append(driver, driver.stage(), patterned(LARGE))

    def overtake() -> None:
        (disk.root / "staging" / staged[2:] / "2").rename(disk.root / "staging" / staged[2:] / "3")

    rename = Path.rename

    def renamed(path: Path, target: Path) -> Path:
        made = rename(path, target)
        if target.name == "2":
            monkeypatch.undo()
            overtake()
        return made

    monkeypatch.setattr(Path, "rename", renamed)
    with pytest.raises(Fenced):
        await driver.writer(staged, turn=2, offset=LARGE)
    assert await read_key(other, staged) == patterned(LARGE)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["begin", "write", "close"]), st.integers(0, 2), st.integers(1, 4)), max_size=20
    )
)
def test_whatever_writers_do_the_bytes_are_those_of_turns_that_ended_well(steps: list[tuple[str, int, int]]):
    """Three writers on two processes; a model counts a turn's bytes when it ends well and nobody began after it."""

    base = patterned(LARGE)

    async def run() -> None:
        async with opened("packs") as store:
            await act_out([store.open(), store.open()])

    async def act_out(drivers: list[BlobDriver]) -> None:
        staged = await append(drivers[0], drivers[0].stage(), base)
        counted, turn = base, 1
        writers: dict[int, tuple[object, int, bytes]] = {}
        for act, who, amount in steps:
            if act == "begin":
                turn += 1
                if who in writers:
                    writers.pop(who)[0].discard()  # type: ignore[attr-defined]
                writers[who] = (await drivers[who % 2].writer(staged, turn=turn, offset=len(counted)), turn, b"")
            elif who in writers:
                writer, its, written = writers[who]
                data = patterned(amount * 1000, who + its)
                if act == "write":
                    if its < turn:
                        with pytest.raises(Fenced):
                            await writer.write([data], [])  # type: ignore[attr-defined]
                    else:
                        await writer.write([data], [])  # type: ignore[attr-defined]
                        writers[who] = (writer, its, written + data)
                else:
                    writers.pop(who)
                    writer.discard()  # type: ignore[attr-defined]
                    if its == turn:
                        counted += written
                        turn += 1  # whoever advanced the row ended this turn
        for writer, _, _ in writers.values():
            writer.discard()  # type: ignore[attr-defined]
        key = await drivers[1].commit(staged, turn=turn + 1, size=len(counted))
        assert await read_key(drivers[0], key) == counted

    asyncio.run(run())


# -- whose it is


async def test_a_store_belongs_to_who_claimed_it_first(store: Store):
    driver, other = store.open(), store.open()
    assert await driver.owner() == ""
    assert await asyncio.gather(driver.claim("one"), driver.claim("one")) == ["one", "one"]
    assert await other.claim("two") == "one"
    assert await other.owner() == "one"
    assert await everything(driver) == set(), "it is no blob"


# -- committing


@pytest.mark.parametrize("size", [0, 5, LARGE])
async def test_a_commit_may_be_repeated(store: Store, size: int):
    driver = store.open()
    staged = await append(driver, driver.stage(), patterned(size))
    key = await driver.commit(staged, turn=1, size=size)
    assert await driver.commit(staged, turn=1, size=size) == key
    assert await store.open().commit(staged, turn=1, size=size) == key
    assert await read_key(driver, key) == patterned(size)


@pytest.mark.parametrize("size", [0, 5, LARGE])
async def test_more_than_is_staged_is_not_committed(store: Store, size: int):
    driver = store.open()
    staged = await append(driver, driver.stage(), patterned(size))
    with pytest.raises(BytesMissing):
        await driver.commit(staged, turn=1, size=size + 1)


@pytest.mark.parametrize("size", [5, LARGE])
async def test_sealed_bytes_are_durable_once_the_flush_has_run(store: Store, size: int):
    driver = store.open()
    staged = await append(driver, driver.stage(), patterned(size))
    key, flush = await driver.seal(staged, turn=1, size=size)
    if flush is not None:
        await asyncio.to_thread(flush)
    assert await read_key(store.open(), key) == patterned(size)


async def test_blobs_of_one_pack_share_a_flush(packed: Store):
    driver = packed.open()
    flushes = {
        (await driver.seal(await append(driver, driver.stage(), patterned(9, number)), turn=1, size=9))[1]
        for number in range(5)
    }
    assert len(flushes) == 1


# -- deleting


@pytest.mark.parametrize("size", [0, 5, LARGE])
async def test_a_delete_may_be_repeated_in_any_process(store: Store, size: int):
    driver = store.open()
    key = await put(driver, patterned(size))
    await driver.delete(key)
    await driver.delete(key)
    await store.open().delete(key)


@pytest.mark.parametrize("size", [5, LARGE])
async def test_what_was_deleted_is_missing(store: Store, size: int):
    driver, other = store.open(), store.open()
    key, kept = await put(driver, patterned(size)), await put(driver, patterned(size, 1))
    assert await read_key(other, key) == patterned(size)
    await driver.delete(key)
    for process in (driver, other, store.open()):
        with pytest.raises(BytesMissing):
            await process.open(key)
        assert await read_key(process, kept) == patterned(size, 1)


async def test_staged_bytes_can_be_deleted(store: Store):
    driver = store.open()
    for size in (5, LARGE):
        staged = await append(driver, driver.stage(), patterned(size))
        await driver.delete(staged)
        with pytest.raises(BytesMissing):
            await driver.open(staged)
        with pytest.raises(BytesMissing):
            await driver.writer(staged, turn=2, offset=size)
    assert await everything(driver) == set()


async def test_a_name_that_was_never_written_to_can_be_deleted(store: Store):
    driver = store.open()
    await driver.delete(driver.stage())


async def test_many_can_be_deleted_at_once(store: Store):
    driver = store.open()
    doomed = [await put(driver, patterned(size)) for size in (0, 5, 9, SMALL, LARGE)]
    doomed += [await append(driver, driver.stage(), patterned(size)) for size in (5, LARGE)]
    kept = await put(driver, patterned(7, 1))
    assert await driver.delete_many([*doomed, driver.stage()]) == {}
    assert await everything(driver) == {kept}
    assert await driver.delete_many(doomed) == {}
    assert await driver.delete_many([]) == {}
    assert await read_key(driver, kept) == patterned(7, 1)


async def test_what_cannot_be_deleted_does_not_keep_the_others(disk: Store, monkeypatch: pytest.MonkeyPatch):
    driver = disk.open()
    keys = [await put(driver, patterned(LARGE, number)) for number in range(3)]
    path = next((disk.root / "files").rglob(keys[1][2:]))
    path.unlink()
    path.mkdir()
    failures = await driver.delete_many(keys)
    assert list(failures) == [keys[1]]
    assert isinstance(failures[keys[1]], OSError)
    path.rmdir()
    assert await everything(driver) == set()


async def test_deleting_gives_the_disk_its_blocks_back(disk: Store):
    driver = disk.open()

    def blocks() -> int:
        places = (disk.root / "packs", disk.root / "files", disk.root / "staging")
        return sum(path.stat().st_blocks for place in places for path in place.rglob("*") if path.is_file())

    keys = [await put(driver, patterned(size)) for size in (100, 100_000, SMALL, LARGE) for _ in range(3)]
    full = blocks()
    for number, key in enumerate(keys, start=1):
        await driver.delete(key)
        if number == 6:
            assert blocks() < full
    assert blocks() == 0


async def test_a_pack_that_is_all_holes_is_removed_once_nobody_appends_to_it(packed: Store):
    driver = packed.open()
    keys = [await put(driver, patterned(10, number)) for number in range(3)]
    await driver.delete(keys[0])
    await driver.delete(keys[1])
    await driver.delete(keys[2])
    assert len(packed.packs()) == 1, "its process may append"
    fourth = await put(driver, patterned(10, 4))
    assert await read_key(driver, fourth) == patterned(10, 4)
    await driver.close()
    other = packed.open()
    await other.delete(fourth)
    assert packed.packs() == []


async def test_a_hollow_pack_is_removed_by_taking_stock(packed: Store):
    driver = packed.open()
    key = await put(driver, patterned(10))
    await driver.delete(key)
    await driver.close()
    assert len(packed.packs()) == 1
    assert await everything(packed.open()) == set()
    assert packed.packs() == []


# -- taking stock


async def test_stock_has_everything_old_and_nothing_young(store: Store):
    driver = store.open()
    committed = [await put(driver, patterned(size)) for size in (5, SMALL, LARGE)]
    staged = [await append(driver, driver.stage(), patterned(size)) for size in (7, LARGE)]
    assert await listed(driver, before=time.time() - HOUR) == set()
    names = {name.partition(" ")[0] for name in (*committed, *staged)}
    for process in (driver, store.open()):
        found = [stored async for batch in process.inventory(before=time.time() + HOUR) for stored in batch]
        # what is part of a staged blob says whose
        assert {stored.key if stored.key in committed else stored.stage or stored.key for stored in found} == names


async def test_taking_stock_goes_on_behind_a_place_in_any_process(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("store.blobs.filesystem._LOOKED_AT", 2)
    monkeypatch.setattr("store.bucket.LISTED", 2)
    driver = store.open()
    for number in range(5):
        await put(driver, patterned(5, number))
        await put(driver, patterned(LARGE, number))
        await append(driver, driver.stage(), patterned(LARGE, number))
    far = time.time() + HOUR
    pages = [page async for page in driver.inventory(before=far)]
    whole = {stored.key for page in pages for stored in page}
    assert whole == await everything(driver)
    seen: set[str] = set()
    for page in pages[:-1]:
        seen |= {stored.key for stored in page}
        rest = {stored.key async for later in store.open().inventory(before=far, after=page.place) for stored in later}
        assert seen | rest == whole
    assert not {stored.key async for page in driver.inventory(before=far, after=pages[-1].place) for stored in page}
    assert len(rest) < len(whole)


async def test_an_upload_is_as_old_as_its_last_write(fencing: Store):
    driver = fencing.open()
    staged = await append(driver, driver.stage(), patterned(LARGE))
    if fencing.kind != "memory":
        old = time.time() - 10 * HOUR
        for path in (fencing.root / "staging").rglob("*"):
            os.utime(path, (old, old))
        assert await listed(driver, before=time.time() - HOUR) == {staged}
    await append(driver, staged, b"more", turn=2, offset=LARGE)
    assert await listed(driver, before=time.time() - HOUR) == set()


async def test_what_is_deleted_is_no_longer_in_stock(store: Store):
    driver = store.open()
    keys = [await put(driver, patterned(size, number)) for number, size in enumerate((5, 6, LARGE))]
    await driver.delete(keys[0])
    await driver.delete(keys[2])
    assert await everything(driver) == {keys[1]}


async def test_an_overtaken_first_piece_is_found_by_taking_stock(fencing: Store):
    """A small first piece moves to a file when more comes; where it lay before is nobody's any more."""
    driver = fencing.open()
    first = await append(driver, driver.stage(), patterned(5))
    second = await append(driver, first, patterned(LARGE), turn=2, offset=5)
    assert await everything(driver) == {first, second}


async def test_bytes_that_look_like_headers_are_not_taken_for_them(packed: Store):
    driver = packed.open()
    mark = os.urandom(16)
    looks = struct.pack("<16sQd", mark, 100, 0.0).ljust(BLOCK, b"\0")
    nothing = struct.pack("<16sQd", bytes(16), 0, 0.0).ljust(BLOCK, b"\0")
    data = b"x" * (BLOCK - HEADER) + looks + nothing + looks
    keys = {await put(driver, data), await put(driver, looks), await put(driver, patterned(9))}
    await driver.delete(await put(driver, data))
    keys.add(await put(driver, data))
    assert await everything(packed.open()) == keys


async def test_torn_bytes_in_a_pack_are_passed_over(packed: Store):
    driver = packed.open()
    key = await put(driver, patterned(9))
    torn = await put(driver, patterned(3 * BLOCK))
    last = await put(driver, patterned(9, 1))
    pack = packed.packs()[0]
    with pack.open("r+b") as file:  # a power cut took the header, and left the bytes
        file.seek(int(torn.split("/")[2]))
        file.write(bytes(HEADER))
        file.seek(0, os.SEEK_END)
        end = -(-file.tell() // BLOCK) * BLOCK
        file.seek(end)
        file.write(struct.pack("<16sQd", os.urandom(16), 5, 0.0) + b"hello".ljust(BLOCK))
        file.write(bytes.fromhex(pack.name)[:10])  # a header that was cut in the middle
    other = packed.open()
    assert await everything(other) == {key, last}
    with pytest.raises(BytesMissing):
        await other.open(torn)


async def test_a_header_with_an_impossible_size_is_passed_over(packed: Store):
    driver = packed.open()
    key = await put(driver, patterned(9))
    pack = packed.packs()[0]
    with pack.open("r+b") as file:
        file.seek(BLOCK)
        file.write(struct.pack("<16sQd", bytes.fromhex(pack.name), 2**60, 0.0))
        file.seek(2 * BLOCK)
        file.write(b"\1" * 100)
    assert await everything(packed.open()) == {key}


async def test_a_pack_that_was_cut_short_has_no_bytes_to_give(packed: Store):
    driver = packed.open()
    key = await put(driver, patterned(3 * BLOCK))
    os.truncate(packed.packs()[0], BLOCK)
    content = await driver.open(key)
    with pytest.raises(BytesMissing):
        await content.read(0, content.size)
    content.close()


async def test_files_that_are_no_packs_are_left_alone(packed: Store):
    driver = packed.open()
    key = await put(driver, patterned(9))
    for name in (".probe-0f1e", "README", "zz" * 16):
        (packed.root / "packs" / name).write_bytes(b"foreign" * 1000)
    (packed.root / "packs" / "directory").mkdir()
    assert await everything(driver) == {key}


# -- limits


async def fill(driver: BlobDriver, size: int) -> None:
    """Five times `size` bytes, in one blob."""
    writer = await driver.writer(driver.stage(), turn=1, offset=0)
    try:
        for _ in range(5):
            await writer.write([patterned(size)], [])
    finally:
        writer.discard()


async def put_many(driver: BlobDriver, size: int) -> None:
    for _ in range(20):
        await put(driver, patterned(size))


async def test_a_full_store_keeps_what_it_has(disk: Store):
    driver = disk.open()
    kept = await put(driver, patterned(LARGE))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * SMALL, hard))
    try:
        with pytest.raises(NoRoom):
            await fill(driver, LARGE)
        if disk.kind == "packs":
            with pytest.raises(NoRoom):
                await put_many(driver, SMALL - HEADER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await read_key(driver, kept) == patterned(LARGE)
    after = await put(driver, patterned(50))
    assert await read_key(driver, after) == patterned(50)


async def test_free_space_is_bytes_or_unknown(store: Store):
    free = await store.open().free_space()
    assert free is None if store.kind in {"memory", "s3", "moto"} else (free or 0) > 0


async def test_no_descriptor_is_left_open(disk: Store):
    driver = disk.open()
    other = disk.open()
    await put(driver, patterned(10))
    await put(other, patterned(10))

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def round_() -> None:
        for size in (5, SMALL, LARGE):
            key = await put(driver, patterned(size))
            await read_key(other, key)
            await other.delete(key)
            with pytest.raises(BytesMissing):
                await driver.open(key)
            staged = await append(driver, driver.stage(), patterned(size))
            with pytest.raises(BytesMissing):
                await other.writer(staged, turn=2, offset=size + 1)
            writer = await driver.writer(staged, turn=3, offset=size)
            await writer.write([b"abc"], [])
            writer.discard()
            writer.discard()
            if size == LARGE:
                with pytest.raises(Fenced):
                    await other.writer(staged, turn=1, offset=0)
                with pytest.raises(Fenced):
                    await other.commit(staged, turn=1, size=1)
        await everything(driver)

    await round_()
    before = descriptors()
    for _ in range(5):
        await round_()
    assert descriptors() == before


async def test_packs_begin_anew_when_they_are_full_and_keep_what_is_being_written(
    packed: Store, monkeypatch: pytest.MonkeyPatch
):
    """Threads append to a pack while others begin the next one."""
    monkeypatch.setattr("store.blobs.filesystem._PACK_LIMIT", SMALL + BLOCK)
    driver = packed.open()
    pieces = [patterned(size, number) for number, size in enumerate([100, SMALL - HEADER, 5000, 140_000] * 20)]

    async def put_one(data: bytes) -> tuple[str, bytes]:
        return await put(driver, data), data

    found = await asyncio.gather(*map(put_one, pieces))
    for key, data in found:
        assert await read_key(driver, key) == data
    await driver.close()
    other = packed.open()
    assert await everything(other) == {key for key, _ in found}
    for key, data in found:
        assert await read_key(other, key) == data


async def test_more_packs_than_are_kept_open_can_be_read_at_once(packed: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("store.blobs.filesystem._OPEN_PACKS", 3)
    monkeypatch.setattr("store.blobs.filesystem._PACK_LIMIT", 2 * BLOCK)
    driver = packed.open()
    stored = [(await put(driver, patterned(5000, number)), patterned(5000, number)) for number in range(20)]
    reader = packed.open()

    async def check(key: str, data: bytes) -> None:
        assert await read_key(reader, key) == data

    for _ in range(5):
        await asyncio.gather(*(check(key, data) for key, data in stored))


async def test_a_file_system_of_any_kind_will_do(real: Store):
    driver, other = real.open(), real.open()
    driver.packs = FilesystemBlobs(real.root, clock=real.clock, ids=new_uuid, threads=1).packs
    data = [patterned(size, number) for number, size in enumerate(SIZES)]
    keys = [await put(driver, content) for content in data]
    assert [await read_key(other, key) for key in keys] == data
    assert await everything(other) == set(keys)
    for key in keys:
        await other.delete(key)
    assert await everything(driver) == set()
    assert (await driver.free_space() or 0) > 0


async def test_a_closed_driver_refuses(disk: Store):
    driver = disk.open()
    key = await put(driver, patterned(LARGE))
    await driver.close()
    with pytest.raises(RuntimeError):
        await driver.open(key)
