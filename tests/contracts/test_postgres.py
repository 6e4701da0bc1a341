"""What PostgreSQL's driver promises beyond the common law: what happens when the server goes away, and when it crashes."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from store.database import Database, DatabaseUnavailable, Unit
from store.postgres import PostgresDatabase, translate
from tests import require
from tests.contracts.test_databases import PATIENCE, create, insert, names
from tests.postgres import PostgresServer, program, serving


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One that the test may stop and crash. It writes its log to the disk only when it is told to."""
    require.need("postgres", program("postgres"), "PostgreSQL")
    with serving("wal_writer_delay=10s", "restart_after_crash=off") as running:
        yield running


@pytest.fixture
async def database(server: PostgresServer) -> AsyncIterator[PostgresDatabase]:
    opened = PostgresDatabase(server.new_database(), timeout=5.0)
    await opened.write(create)
    yield opened
    await opened.close()


async def recovered(database: Database) -> list[str]:
    """The rows once the database answers again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await names(database)
        except DatabaseUnavailable:
            assert time.monotonic() < deadline


async def test_an_outage_is_an_error_for_as_long_as_it_lasts_and_nothing_has_to_be_restarted(
    server: PostgresServer, database: PostgresDatabase
):
    await database.write(lambda: insert("before"))
    server.stop()
    for call in (lambda: database.fetch("SELECT 1"), lambda: database.write(lambda: insert("during"))):
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await call()
    server.start()
    assert await recovered(database) == ["before"]
    await database.write(lambda: insert("after"))
    assert await names(database) == ["after", "before"]


async def test_sessions_that_are_ended_are_made_again(server: PostgresServer, database: PostgresDatabase):
    await database.write(lambda: insert("a"))
    await names(database)
    other = PostgresDatabase(database._url)
    await other.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )
    assert await recovered(database) == ["a"]
    for name in ("b", "c"):  # the writer's and the flusher's sessions are found broken, and made again
        try:
            await database.write(lambda name=name: insert(name))  # type: ignore[misc]
        except DatabaseUnavailable:
            continue
    await database.write(lambda: insert("d"))
    assert {"a", "d"} <= set(await names(database))
    await other.close()


async def test_what_was_acknowledged_as_durable_survives_a_crash_of_the_server(
    server: PostgresServer, database: PostgresDatabase
):
    acknowledged = []
    for number in range(5):
        await asyncio.gather(*(database.write(lambda n=f"{number}-{one}": insert(n)) for one in range(10)))  # type: ignore[misc]
        acknowledged += [f"{number}-{one}" for one in range(10)]
    crash(server)
    server.start()
    assert set(acknowledged) <= set(await recovered(database))


async def test_the_flush_is_what_makes_it_durable(
    server: PostgresServer, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
):
    """Without it the same crash takes the rows: so the test above can fail."""
    monkeypatch.setattr("store.postgres._FLUSH", "SELECT 1")
    hold_log_writer(server)
    await database.write(lambda: insert("lost"))
    assert await names(database) == ["lost"]
    crash(server)
    server.start()
    assert await recovered(database) == []


async def test_what_a_crash_took_before_its_flush_is_not_acknowledged_by_the_server_that_comes_back(
    server: PostgresServer, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
):
    """A flush that succeeds proves nothing of what was committed before the crash."""
    hold_log_writer(server)
    may_flush, flush = asyncio.Event(), database._flush_waiting

    async def flush_later() -> None:
        await may_flush.wait()
        await flush()

    monkeypatch.setattr(database, "_flush_waiting", flush_later)
    writing = asyncio.create_task(database.write(lambda: insert("lost")))
    while await names(database) != ["lost"]:
        assert not writing.done()
    crash(server)
    server.start()
    assert await recovered(database) == []
    may_flush.set()
    with pytest.raises(DatabaseUnavailable):
        await writing
    await database.write(lambda: insert("kept"))


def hold_log_writer(server: PostgresServer) -> None:
    """However long the test takes, the server does not flush by itself."""
    (writer,) = [pid for pid in children_of(server.pid) if b"walwriter" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(writer, signal.SIGSTOP)


def children_of(parent: int) -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _parent(int(entry)) == parent]


def crash(server: PostgresServer) -> None:
    """kill -9 of every process of the cluster: what it had not written to its files is gone."""
    postmaster = server.pid
    for pid in (postmaster, *children_of(postmaster)):
        os.kill(pid, signal.SIGKILL)
    server.crashed()


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


async def test_nobody_who_reads_waits_for_who_writes(database: PostgresDatabase):
    inside = asyncio.Event()

    def slow() -> Unit[None]:
        yield from insert("slow")
        inside.set()
        yield "SELECT pg_sleep(0.2)", ()

    writing = asyncio.ensure_future(database.write(slow))
    await inside.wait()
    assert await names(database) == []
    assert not writing.done()
    await writing
    assert await names(database) == ["slow"]


async def test_units_of_several_processes_run_one_after_the_other(database: PostgresDatabase):
    """Each reads, waits, and writes what it read and one more: in isolation no step is lost."""
    others = [PostgresDatabase(database._url) for _ in range(3)]
    await database.write(lambda: insert("a"))

    def step() -> Unit[None]:
        rows = yield "SELECT value FROM things WHERE name = 'a'", ()
        yield "SELECT pg_sleep(0.005)", ()
        yield "UPDATE things SET value = ? WHERE name = 'a'", (rows[0][0] + 1,)

    await asyncio.gather(*(other.write(step, durable=number % 2 == 0) for number in range(8) for other in others))
    assert await database.fetch("SELECT value FROM things") == [(24,)]
    for other in others:
        await other.close()


async def test_a_caller_that_is_cancelled_leaves_the_others_alone(database: PostgresDatabase):
    reading = asyncio.ensure_future(database.fetch("SELECT pg_sleep(5)"))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    writing = [asyncio.ensure_future(database.write(lambda n=str(n): insert(n))) for n in range(5)]  # type: ignore[misc]
    await asyncio.sleep(0)
    writing[2].cancel()
    await asyncio.gather(*writing[:2], *writing[3:])
    assert set(await names(database)) >= {"0", "1", "3", "4"}


def test_text_is_compared_by_its_bytes_and_places_are_numbered():
    assert translate("SELECT a FROM t WHERE b = ? AND c = ?") == "SELECT a FROM t WHERE b = $1 AND c = $2"
    assert (
        translate("CREATE TABLE t (a TEXT NOT NULL, TEXTS BIGINT)")
        == 'CREATE TABLE t (a TEXT COLLATE "C" NOT NULL, TEXTS BIGINT)'
    )


async def test_names_are_ordered_by_their_bytes(database: PostgresDatabase):
    for name in ("b", "B", "a-", "a", "a/b", "é"):
        await database.write(lambda name=name: insert(name))  # type: ignore[misc]
    assert await names(database) == sorted(("b", "B", "a-", "a", "a/b", "é"), key=str.encode)


async def test_a_server_that_is_not_there_is_unavailable():
    nowhere = PostgresDatabase("postgresql://nobody@127.0.0.1:1/nothing", timeout=2.0)
    with pytest.raises(DatabaseUnavailable):
        await nowhere.fetch("SELECT 1")
    with pytest.raises(DatabaseUnavailable):
        await nowhere.write(create)
    await nowhere.close()
