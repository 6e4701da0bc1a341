"""The law of `store.database`, over every database."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from store.database import Database, DatabaseFull, DatabaseUnavailable, Sealed, Unit
from store.leases import Lease, LeaseLost, drop_lease, take_lease
from store.migrate import migrate, migrations
from store.seals import LOOK_AGAIN, Heeding, Unwritable, Watch, break_seal, list_seals, put_seal
from store.sqlite import SqliteDatabase
from tests.contracts.places import Place, SqlitePlace

PATIENCE = 30.0


@pytest.fixture
async def database(place: Place[Any]) -> Database:
    """A database of every kind in turn."""
    opened: Database = place.open()
    await opened.write(create)
    return opened


@pytest.fixture
async def sqlite_place(directory: Path) -> AsyncIterator[SqlitePlace]:
    opened = SqlitePlace(directory)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite(sqlite_place: SqlitePlace) -> SqliteDatabase:
    opened = sqlite_place.open()
    await opened.write(create)
    return opened


def create() -> Unit[None]:
    yield "CREATE TABLE IF NOT EXISTS things (name TEXT NOT NULL PRIMARY KEY, value BIGINT)", ()


def insert(name: str, value: int = 0) -> Unit[None]:
    yield "INSERT INTO things (name, value) VALUES (?, ?)", (name, value)


def insert_and_fail(name: str) -> Unit[None]:
    yield from insert(name)
    raise LookupError(name)


def count_up(name: str) -> Unit[int]:
    """Reads, decides, writes: loses a step if anything comes in between."""
    rows = yield "SELECT value FROM things WHERE name = ?", (name,)
    value = rows[0][0] + 1
    yield "UPDATE things SET value = ? WHERE name = ?", (value, name)
    return int(value)


async def names(database: Database) -> list[str]:
    return [name for (name,) in await database.fetch("SELECT name FROM things ORDER BY name")]


class Flushes:
    """Counts flushes of descriptors, and lets them wait while `gate` is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.reached = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self._flush = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        self.count += 1
        self.reached.set()
        assert self.gate.wait(PATIENCE)
        self._flush(descriptor)


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> Flushes:
    return Flushes(monkeypatch)


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE)


# -- units


@pytest.mark.parametrize("durable", [True, False])
async def test_a_unit_is_sent_rows_and_gives_its_value(database: Database, durable: bool):
    await database.write(lambda: insert("a", 41), durable=durable)
    assert await database.write(lambda: count_up("a"), durable=durable) == 42
    assert await database.fetch("SELECT name, value FROM things") == [("a", 42)]
    assert await database.fetch_one("SELECT value FROM things WHERE name = ?", ("a",)) == (42,)
    assert await database.fetch_one("SELECT value FROM things WHERE name = ?", ("b",)) is None


@pytest.mark.parametrize("durable", [True, False])
async def test_nothing_of_a_unit_that_raises_happened(database: Database, durable: bool):
    with pytest.raises(LookupError, match="a"):
        await database.write(lambda: insert_and_fail("a"), durable=durable)
    assert await names(database) == []


@pytest.mark.parametrize("durable", [True, False])
async def test_a_unit_that_raises_takes_none_of_its_group_with_it(database: Database, place: Place[Any], durable: bool):
    units: list[Callable[[], Unit[None]]] = []
    for number in range(20):
        units.append(lambda number=number: insert(f"{number:02}"))  # type: ignore[misc]
        units.append(lambda number=number: insert_and_fail(f"x{number}"))  # type: ignore[misc]
        units.append(lambda: insert("00"))  # refused by the database itself
    found = await asyncio.gather(*(database.write(unit, durable=durable) for unit in units), return_exceptions=True)
    assert [type(one) for one in found[1::3]] == [LookupError] * 20
    assert all(isinstance(one, place.refused) for one in found[2::3])
    assert found[0::3] == [None] * 20
    assert await names(database) == [f"{number:02}" for number in range(20)]


async def test_units_of_one_process_run_in_the_order_they_were_given(database: Database):
    await database.write(lambda: insert("a"))
    for durable in (True, False):
        first = await database.fetch_one("SELECT value FROM things")
        assert first is not None
        found = await asyncio.gather(*(database.write(lambda: count_up("a"), durable=durable) for _ in range(150)))
        assert found == list(range(first[0] + 1, first[0] + 151))


async def test_a_unit_is_closed_however_it_ends(database: Database, place: Place[Any]):
    ended = []

    def unit(fails: bool) -> Unit[None]:
        try:
            yield "SELECT 1", ()
            yield ("SELECT 1", ()) if not fails else ("SELECT nothing FROM nowhere", ())
        finally:
            ended.append(fails)

    await database.write(lambda: unit(False))
    with pytest.raises(place.wrong):
        await database.write(lambda: unit(True))
    assert False in ended
    assert True in ended


async def test_a_statement_that_is_wrong_is_no_outage(database: Database, place: Place[Any]):
    for durable in (True, False):
        with pytest.raises(place.wrong, match="nowhere"):
            await database.write(lambda: iter_once("DELETE FROM nowhere"), durable=durable)
    with pytest.raises(place.wrong, match="nowhere"):
        await database.fetch("SELECT 1 FROM nowhere")


def iter_once(sql: str) -> Unit[None]:
    yield sql, ()


async def test_values_come_back_as_they_went_in(database: Database):
    def unit() -> Unit[None]:
        yield "CREATE TABLE kinds (a BIGINT, b DOUBLE PRECISION, c TEXT, d BYTEA)", ()
        for row in rows:
            yield "INSERT INTO kinds (a, b, c, d) VALUES (?, ?, ?, ?)", row

    rows = [
        (2**63 - 1, 1e15, "naïve \U0001f433 'quoted' \n", b"\x00\xff" * 1000),
        (-(2**63), 0.5, "", b""),
        (None,) * 4,
    ]
    await database.write(unit)
    assert await database.fetch("SELECT a, b, c, d FROM kinds ORDER BY a DESC NULLS LAST") == rows


# -- durability


async def test_a_durable_write_returns_after_its_flush(
    sqlite: SqliteDatabase, sqlite_place: SqlitePlace, flushes: Flushes
):
    other = sqlite_place.open()
    flushes.gate.clear()
    flushes.reached.clear()
    writing = asyncio.ensure_future(sqlite.write(lambda: insert("a")))
    await until(flushes.reached)
    assert await names(other) == ["a"]
    assert await names(sqlite) == ["a"]
    assert not writing.done()
    flushes.gate.set()
    await writing


async def test_no_lock_is_held_across_a_flush(sqlite: SqliteDatabase, sqlite_place: SqlitePlace, flushes: Flushes):
    other = sqlite_place.open()
    flushes.gate.clear()
    flushes.reached.clear()
    writing = asyncio.ensure_future(sqlite.write(lambda: insert("a")))
    await until(flushes.reached)
    await other.write(lambda: insert("b"), durable=False)
    await sqlite.write(lambda: insert("c"), durable=False)
    assert not writing.done()
    flushes.gate.set()
    await writing
    assert await names(other) == ["a", "b", "c"]


async def test_durable_writes_that_wait_together_share_a_flush(sqlite: SqliteDatabase, flushes: Flushes):
    before = flushes.count
    flushes.gate.clear()
    flushes.reached.clear()
    first = asyncio.ensure_future(sqlite.write(lambda: insert("first")))
    await until(flushes.reached)
    others = [
        asyncio.ensure_future(sqlite.write(lambda number=number: insert(str(number))))  # type: ignore[misc]
        for number in range(30)
    ]
    await asyncio.sleep(0)
    flushes.gate.set()
    await asyncio.gather(first, *others)
    assert flushes.count == before + 2


async def test_a_write_that_need_not_be_durable_waits_for_no_flush(sqlite: SqliteDatabase, flushes: Flushes):
    before = flushes.count
    await sqlite.write(lambda: insert("a"), durable=False)
    assert flushes.count == before


async def test_a_flush_that_fails_fails_the_write(sqlite: SqliteDatabase, monkeypatch: pytest.MonkeyPatch):
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(DatabaseUnavailable):
        await sqlite.write(lambda: insert("a"))
    monkeypatch.undo()
    await sqlite.write(lambda: insert("b"))


async def test_what_was_written_is_there_when_the_process_ends_at_any_moment(
    sqlite: SqliteDatabase, sqlite_place: SqlitePlace, directory: Path
):
    """What lies on the disk at that moment is all that another process has."""
    for number in range(5):
        await sqlite.write(lambda number=number: insert(str(number)), durable=number % 2 == 0)  # type: ignore[misc]
        copy = directory / f"copy-{number}"
        copy.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{sqlite_place.path}{suffix}", copy / f"{sqlite_place.path.name}{suffix}")
        found = SqliteDatabase(copy / sqlite_place.path.name)
        assert await names(found) == [str(one) for one in range(number + 1)]
        await found.close()


async def test_what_has_to_be_flushed_first_is_flushed_before_the_unit_runs_and_off_the_loop(
    database: Database,
):
    seen: list[str] = []

    def flush() -> None:
        assert threading.get_ident() != loop_thread
        seen.append("flush")

    def unit() -> Unit[None]:
        seen.append("unit")
        yield from insert("a")

    loop_thread = threading.get_ident()
    for durable in (True, False):
        seen.clear()
        await database.write(lambda: iter_once("DELETE FROM things"))
        await database.write(unit, durable=durable, first=flush)
        assert seen == ["flush", "unit"]


async def test_equal_flushes_of_waiting_units_run_once(sqlite: SqliteDatabase, flushes: Flushes):
    calls: list[str] = []

    def flush() -> None:
        calls.append("equal")

    flushes.gate.clear()
    flushes.reached.clear()
    first = asyncio.ensure_future(sqlite.write(lambda: insert("first")))
    await until(flushes.reached)
    others = [
        asyncio.ensure_future(sqlite.write(lambda number=number: insert(str(number)), first=flush))  # type: ignore[misc]
        for number in range(10)
    ]
    await asyncio.sleep(0)
    flushes.gate.set()
    await asyncio.gather(first, *others)
    assert calls == ["equal"]


async def test_a_unit_whose_flush_failed_does_not_run(database: Database):
    def broken() -> None:
        raise OSError(28, "No space left on device")

    found = await asyncio.gather(
        database.write(lambda: insert("a"), first=broken),
        database.write(lambda: insert("b"), first=broken),
        database.write(lambda: insert("c")),
        return_exceptions=True,
    )
    assert [type(one) for one in found] == [OSError, OSError, type(None)]
    assert await names(database) == ["c"]


# -- several processes


async def test_a_read_sees_every_commit_of_every_process(place: Place[Any]):
    processes = [place.open() for _ in range(3)]
    await processes[0].write(create)
    await processes[0].write(lambda: insert("a"))
    for number in range(60):
        value = await processes[number % 3].write(lambda: count_up("a"), durable=number % 2 == 0)
        for process in processes:
            assert await process.fetch_one("SELECT value FROM things") == (value,)


def test_processes_never_lose_each_others_steps(place: Place[Any]):
    """Each with a loop of its own, some durable and some not."""

    async def count(number: int) -> None:
        database = place.make()
        started.wait(PATIENCE)
        try:
            await asyncio.gather(
                *(database.write(lambda: count_up("a"), durable=step % 7 == number) for step in range(100))
            )
            for _ in range(50):
                await database.write(lambda: count_up("a"), durable=False)
        finally:
            await database.close()

    async def begin() -> None:
        database = place.make()
        await database.write(create)
        await database.write(lambda: insert("a"))
        await database.close()

    async def value() -> object:
        database = place.make()
        found = await database.fetch_one("SELECT value FROM things")
        await database.close()
        return found

    asyncio.run(begin())
    started = threading.Barrier(3)
    threads = [threading.Thread(target=lambda number=number: asyncio.run(count(number))) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert asyncio.run(value()) == (450,)


_OTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from store.migrate import migrate
from store.postgres import PostgresDatabase
from store.sqlite import SqliteDatabase
from tests.contracts.test_databases import count_up, create, iter_once

FIRST = "INSERT INTO things (name, value) VALUES ('a', 0) ON CONFLICT DO NOTHING"

async def main():
    database = SqliteDatabase(Path(sys.argv[1]))
    await migrate(database, now=0)
    await database.write(create)
    await database.write(lambda: iter_once(FIRST))
    await asyncio.gather(*(database.write(lambda: count_up("a"), durable=step % 3 == 0) for step in range(200)))
    await database.close()

asyncio.run(main())
"""


def test_real_processes_that_start_at_once_share_a_file(directory: Path):
    command = [sys.executable, "-W", "error", "-c", _OTHER_PROCESS, str(directory / "test.db")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, "")
    connection = sqlite3.connect(directory / "test.db")
    assert connection.execute("SELECT value FROM things").fetchall() == [(600,)]
    assert connection.execute("SELECT COUNT(*) FROM migrations").fetchone() == (len(migrations()),)
    connection.close()


async def test_nobody_who_reads_waits_for_who_writes(sqlite: SqliteDatabase, sqlite_place: SqlitePlace):
    other = sqlite_place.open()
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> Unit[None]:
        yield from insert("slow")
        inside.set()
        assert go_on.wait(PATIENCE)
        yield from insert("slower")

    writing = asyncio.ensure_future(sqlite.write(slow))
    await until(inside)
    assert await names(sqlite) == []
    assert await names(other) == []
    # who writes meanwhile waits, and the loop goes on
    waiting = [
        asyncio.ensure_future(one.write(lambda number=number: insert(f"{number}"), durable=number % 2 == 0))  # type: ignore[misc]
        for number, one in enumerate((sqlite, other, sqlite, other))
    ]
    await asyncio.sleep(0)
    assert await names(other) == []
    assert not any(one.done() for one in waiting)
    go_on.set()
    await asyncio.gather(writing, *waiting)
    assert await names(other) == ["0", "1", "2", "3", "slow", "slower"]


async def test_the_end_of_one_process_is_none_of_the_others_business(place: Place[Any]):
    one, other = place.open(), place.open()
    await one.write(create)
    await other.write(lambda: insert("a"))
    await one.close()
    await other.write(lambda: insert("b"))
    assert await names(other) == ["a", "b"]
    third = place.open()
    assert await names(third) == ["a", "b"]


# -- the end


async def test_closing_finishes_what_was_given_before(database: Database, place: Place[Any]):
    writing = [
        asyncio.ensure_future(database.write(lambda number=number: insert(f"{number:03}"), durable=number % 2 == 0))  # type: ignore[misc]
        for number in range(200)
    ]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writing)
    assert await names(place.open()) == [f"{number:03}" for number in range(200)]


async def test_a_closed_database_refuses_and_may_be_closed_again(database: Database):
    await database.close()
    await database.close()
    for durable in (True, False):
        with pytest.raises(DatabaseUnavailable):
            await database.write(lambda: insert("a"), durable=durable)
    with pytest.raises(DatabaseUnavailable):
        await database.fetch("SELECT 1")


async def test_a_caller_that_goes_away_leaves_the_others_alone(sqlite: SqliteDatabase, flushes: Flushes):
    flushes.gate.clear()
    flushes.reached.clear()
    first = asyncio.ensure_future(sqlite.write(lambda: insert("first")))
    await until(flushes.reached)
    gone = asyncio.ensure_future(sqlite.write(lambda: insert("gone")))
    failing = asyncio.ensure_future(sqlite.write(lambda: insert_and_fail("failing")))
    stays = asyncio.ensure_future(sqlite.write(lambda: insert("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    failing.cancel()
    await asyncio.sleep(0)
    flushes.gate.set()
    await asyncio.gather(first, stays)
    assert await names(sqlite) == ["first", "gone", "stays"]


async def test_closing_leaves_no_descriptor_open(directory: Path):
    async def round_() -> None:
        place = SqlitePlace(directory)
        database = place.open()
        await database.write(create)
        await database.fetch("SELECT 1")
        await place.close()

    await round_()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await round_()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_no_database_is_unavailable_and_leaves_nothing_open(directory: Path):
    (directory / "text.db").write_text("this is no database, and long enough to be read as one " * 100)
    (directory / "folder.db").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for name in ("text.db", "folder.db", "missing/test.db"):
        with pytest.raises(DatabaseUnavailable, match=name):
            SqliteDatabase(directory / name)
    assert len(os.listdir("/proc/self/fd")) == before


# -- room


async def test_a_full_database_says_so_and_nothing_of_the_unit_happened(sqlite: SqliteDatabase):
    def fill() -> Unit[None]:
        yield from insert("before")
        yield "CREATE TABLE large (content BYTEA)", ()
        yield "INSERT INTO large (content) VALUES (?)", (bytes(400_000),)

    def limit(pages: int) -> None:
        for connection in (sqlite._writer, sqlite._reader, sqlite._keeper):
            connection.execute(f"PRAGMA max_page_count={pages}").fetchall()

    await sqlite.write(lambda: insert("a"))
    limit(20)
    found = await asyncio.gather(
        sqlite.write(lambda: insert("b")), sqlite.write(fill), sqlite.write(lambda: insert("c")),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(one) for one in found] == [type(None), DatabaseFull, type(None)]
    with pytest.raises(DatabaseFull):
        await sqlite.write(fill, durable=False)
    assert await names(sqlite) == ["a", "b", "c"]
    await sqlite.write(lambda: iter_once("DELETE FROM things WHERE name = 'a'"))
    limit(100_000)
    await sqlite.write(fill)
    assert await names(sqlite) == ["b", "before", "c"]


async def test_the_log_begins_at_its_start_again(sqlite_place: SqlitePlace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("store.sqlite._CHECKPOINT_EVERY", 10)
    monkeypatch.setattr("store.sqlite._LOG_PAGES", 50)
    one, other = sqlite_place.open(), sqlite_place.open()
    await one.write(create)
    for number in range(600):
        process = (one, other)[number % 2]
        await process.write(lambda number=number: insert(f"{number:05}" * 50), durable=number % 5 == 0)  # type: ignore[misc]
    assert sqlite_place.path.with_name(sqlite_place.path.name + "-wal").stat().st_size < 1_500_000
    assert len(await names(other)) == 600


# -- leases


async def test_a_lease_is_one_holders_until_its_time_is_up(place: Place[Any]):
    one, other = place.open(), place.open()
    await migrate(one, now=0.0)

    async def take(database: Database, holder: str, now: float) -> bool:
        return await database.write(lambda: take_lease("loop", holder, now, seconds=30))

    assert await take(one, "a", 100.0)
    assert not await take(other, "b", 101.0)
    assert await take(one, "a", 120.0)
    assert not await take(other, "b", 150.0)
    assert await take(other, "b", 150.1)
    assert not await take(one, "a", 151.0)


async def test_a_lease_that_is_given_back_is_free_at_once(place: Place[Any]):
    database = place.open()
    await migrate(database, now=0.0)
    assert await database.write(lambda: take_lease("loop", "a", 1.0, seconds=30))
    await database.write(lambda: drop_lease("loop", "b"))
    assert not await database.write(lambda: take_lease("loop", "b", 2.0, seconds=30))
    await database.write(lambda: drop_lease("loop", "a"))
    assert await database.write(lambda: take_lease("loop", "b", 2.0, seconds=30))


class Holders:
    """Processes that compete for one lease, each over a database of its own; their clocks are told how much they are off."""

    def __init__(self, place: Place[Any]) -> None:
        self._place = place
        self.now = 1000.0

    def join(self, name: str, *, off: float = 0.0) -> Lease:
        return Lease(self._place.open(), "loop", name, clock=lambda: self.now + off, seconds=10)


@pytest.fixture
async def holders(place: Place[Any]) -> Holders:
    await migrate(place.open(), now=0.0)
    return Holders(place)


async def test_a_lease_that_is_kept_is_not_taken_over(holders: Holders):
    a, b = holders.join("a"), holders.join("b")
    assert await a.is_free()
    assert await a.take()
    for _ in range(20):
        holders.now += 4
        await a.keep()
        assert await a.is_free()
        assert not await b.is_free()
        assert not await b.take()


async def test_a_holder_that_fell_silent_is_followed_within_seconds(holders: Holders):
    a, b = holders.join("a"), holders.join("b")
    assert await a.take()
    holders.now += 10.5
    assert await b.is_free()
    assert await b.take()
    assert not await a.take()
    with pytest.raises(LeaseLost):
        await a.keep()


async def test_a_lease_is_renewed_when_a_third_of_its_time_is_over(holders: Holders):
    a, b = holders.join("a"), holders.join("b")
    assert await a.take()
    assert await b.take(seize=True)
    holders.now += 3
    await a.keep()
    holders.now += 1
    with pytest.raises(LeaseLost):
        await a.keep()


async def test_who_lost_a_lease_changes_nothing_any_more(holders: Holders, place: Place[Any]):
    """Whatever its clock says, and although it was not told."""
    a, b = holders.join("a"), holders.join("b")
    database = place.open()
    await database.write(create)
    assert await a.take()
    await database.write(a.guard(lambda: insert("first")))
    assert await b.take(seize=True)
    with pytest.raises(LeaseLost):
        await database.write(a.guard(lambda: insert("late")))
    await database.write(b.guard(lambda: insert("second")))
    assert await database.fetch("SELECT name FROM things ORDER BY name") == [("first",), ("second",)]


async def test_clocks_that_differ_cost_time_and_never_a_second_holder(holders: Holders, place: Place[Any]):
    """One that is ahead takes over early, one that is behind late; whoever was overtaken changes nothing."""
    behind, ahead = holders.join("behind", off=-6), holders.join("ahead", off=6)
    database = place.open()
    await database.write(create)
    assert await behind.take()
    assert await ahead.take(), "its clock says that the lease is over"
    with pytest.raises(LeaseLost):
        await database.write(behind.guard(lambda: insert("late")))
    holders.now += 10
    assert not await behind.take()
    holders.now += 13
    assert await behind.take()


async def test_a_lease_that_is_dropped_is_free_and_only_its_holder_drops_it(holders: Holders):
    a, b = holders.join("a"), holders.join("b")
    assert await a.take()
    await b.drop()
    assert not await b.is_free()
    await a.drop()
    assert await b.take()


# -- seals


@pytest.fixture
async def migrated(place: Place[Any]) -> Database:
    opened: Database = place.open()
    await migrate(opened, now=1.0)
    await opened.write(create)
    return opened


async def test_what_heeds_seals_is_not_written_while_there_is_one(migrated: Database, place: Place[Any]):
    other = Heeding(place.open())
    await other.write(lambda: insert("before"))
    await migrated.write(lambda: put_seal("test", "we are moving", 5.0))
    for _ in range(2):
        with pytest.raises(Sealed, match="we are moving"):
            await other.write(lambda: insert("meanwhile"), durable=False)
        with pytest.raises(Sealed, match="we are moving"):
            await migrated.write(lambda: insert("meanwhile"), heed=True)
    await migrated.write(lambda: insert("unheeding"))
    assert [(seal.name, seal.reason, seal.sealed_at) for seal in await list_seals(other)] == [
        ("test", "we are moving", 5.0)
    ]
    assert await migrated.write(lambda: break_seal("test"))
    assert not await migrated.write(lambda: break_seal("test"))
    await other.write(lambda: insert("after"))
    assert await names(migrated) == ["after", "before", "unheeding"]


async def test_a_seal_takes_nothing_with_it_that_does_not_heed_it(migrated: Database):
    await migrated.write(lambda: put_seal("test", "we are moving", 5.0))
    writes = [migrated.write(lambda number=number: insert(f"{number}"), heed=number % 2 == 0) for number in range(6)]  # type: ignore[misc]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Sealed, type(None)] * 3
    assert await names(migrated) == ["1", "3", "5"]


async def test_a_process_that_never_writes_reads_all_the_same(migrated: Database):
    await migrated.write(lambda: insert("there"))
    reading = Unwritable(migrated, "a standby")
    assert await names(reading) == ["there"]
    for heed in (False, True):
        with pytest.raises(Sealed, match="a standby"):
            await reading.write(lambda: insert("never"), heed=heed)
    assert await names(migrated) == ["there"]


async def test_a_view_of_the_seals_is_half_a_second_old_at_the_most(migrated: Database):
    now = [100.0]
    watch = Watch(migrated, lambda: now[0])
    await watch.admit()
    await migrated.write(lambda: put_seal("test", "we are moving", 5.0))
    now[0] += LOOK_AGAIN
    with pytest.raises(Sealed, match="we are moving"):
        await watch.admit()
    await migrated.write(lambda: break_seal("test"))
    now[0] += LOOK_AGAIN
    await watch.admit()
    with pytest.raises(Sealed, match="always"):
        await Watch(migrated, lambda: now[0], always="always").admit()


# -- snapshots


async def test_a_snapshot_stands_still_while_others_write(database: Database, place: Place[Any]):
    await database.write(lambda: insert("a", 1))
    await database.write(lambda: insert("b", 2))
    async with database.snapshot() as snapshot:
        await place.open().write(lambda: insert("c", 3))
        await database.write(lambda: count_up("a"))
        seen = [rows async for rows in snapshot.stream("SELECT name, value FROM things ORDER BY name", size=1)]
        await database.write(lambda: count_up("b"))
        again = [rows async for rows in snapshot.stream("SELECT name FROM things WHERE value > ?", (1,))]
    assert seen == [[("a", 1)], [("b", 2)]]
    assert again == [[("b",)]]
    assert await names(database) == ["a", "b", "c"]


async def test_a_snapshot_of_a_closed_database_is_unavailable(database: Database):
    await database.close()
    with pytest.raises(DatabaseUnavailable):
        async with database.snapshot():
            pass


async def test_nobody_who_writes_waits_for_a_snapshot_however_long_the_log_grows(
    sqlite: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("store.sqlite._LOG_PAGES", 1)
    monkeypatch.setattr("store.sqlite._CHECKPOINT_EVERY", 1)
    await sqlite.write(lambda: insert("first"))
    async with sqlite.snapshot() as snapshot:
        for number in range(20):
            async with asyncio.timeout(PATIENCE / 3):
                await sqlite.write(lambda number=number: insert(f"{number}"))  # type: ignore[misc]
        assert [rows async for rows in snapshot.stream("SELECT name FROM things")] == [[("first",)]]
