"""The law of migrations, over every database."""

import asyncio
import itertools
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from store.database import Database, DatabaseUnavailable, Sealed, Unit
from store.migrate import (
    MigrationMalformed,
    MigrationMissing,
    Schema,
    migrate,
    migrations,
    oldest_after,
    parse_migration,
    read_schema,
    require_known,
    require_migrated,
    snapshot_schema,
    would_stop,
)
from store.postgres import PostgresDatabase
from store.seals import Unwritable
from tests.contracts.places import Place
from tests.contracts.test_databases import PATIENCE
from tests.postgres import PostgresServer

Release = Callable[..., None]
"""Makes this process one of a release with other migrations: `release({"0001_words.sql": text})`."""

NEWEST = max(migrations())
EXPAND = "-- expand: it only adds\n"
THINGS = f"{EXPAND}CREATE TABLE things (name TEXT NOT NULL PRIMARY KEY, value BIGINT);"


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Release:
    def make(*texts: str, without: int = 0) -> None:
        """That of this release, without the last ones, and further ones of these texts."""
        known = dict(itertools.islice(real.items(), len(real) - without))
        for number, text in enumerate(texts, max(known) + 1):
            known[number] = parse_migration(f"{number:04}_test.sql", text)
        monkeypatch.setattr("store.migrate.migrations", lambda: known)

    real = migrations()
    return make


def names_of(applied: dict[int, Any]) -> list[str]:
    return [migration.name for migration in applied.values()]


# Applying


async def test_migrations_are_applied_once_in_order_and_named(place: Place[Any]):
    database = place.open()
    told: list[str] = []
    assert await migrate(database, now=5.0, tell=told.append) == names_of(migrations())
    assert told == [f"applying {name}" for name in names_of(migrations())]
    assert await migrate(database, now=6.0) == []
    assert await migrate(place.open(), now=7.0) == []
    applied = await database.fetch("SELECT number, applied_at FROM migrations ORDER BY number")
    assert applied == [(number, 5.0) for number in migrations()]


def test_those_that_migrate_at_once_do_each_once(place: Place[Any]):
    results: list[list[str]] = []
    barrier = threading.Barrier(4)

    async def run() -> None:
        barrier.wait(PATIENCE)
        database = place.make()
        try:
            results.append(await migrate(database, now=1.0))
        finally:
            await database.close()

    threads = [threading.Thread(target=lambda: asyncio.run(run())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(results) == 4
    assert sorted(itertools.chain(*results)) == names_of(migrations())


async def test_a_migration_that_fails_leaves_nothing_of_itself(place: Place[Any], release: Release):
    database = place.open()
    release(THINGS, f"{EXPAND}CREATE TABLE good (a BIGINT);\nCREATE TABLE bad ((;")
    with pytest.raises(Exception, match=r"syntax error"):
        await migrate(database, now=1.0)
    assert (await read_schema(database)).number == NEWEST + 1
    assert await columns(database, "things") == {"name", "value"}
    assert await columns(database, "good") == set()
    release(THINGS, f"{EXPAND}CREATE TABLE good (a BIGINT);")
    assert await migrate(database, now=2.0) == [f"{NEWEST + 2:04}_test.sql"]


async def test_reading_what_a_database_is_at_changes_nothing(place: Place[Any]):
    database = place.open()
    assert await read_schema(database) == await read_schema(Unwritable(database, "a standby"))
    assert (await read_schema(database)).applied == ()
    assert await columns(database, "migrations") == set()
    await migrate(database, now=1.0, upto=NEWEST - 2)
    assert (await read_schema(database)).number == NEWEST - 2


async def test_a_process_that_never_writes_does_not_migrate_either(place: Place[Any]):
    database = place.open()
    with pytest.raises(Sealed, match="a standby"):
        await migrate(Unwritable(database, "a standby"), now=1.0)


async def columns(database: Database, table: str) -> set[str]:
    return {name for (name,) in await database.fetch(database.vocabulary["columns"], (table,))}


# Beside other releases


async def test_an_older_release_works_beside_what_expands_and_not_beside_what_takes_away_more_than_it_bears(
    place: Place[Any], release: Release
):
    database = place.open()
    await migrate(database, now=1.0)
    release(THINGS, EXPAND + "ALTER TABLE things ADD COLUMN other TEXT;")
    await migrate(database, now=2.0)
    release()
    assert (await require_migrated(database)).number == NEWEST + 2
    assert await migrate(database, now=3.0) == []
    release(THINGS, EXPAND + "ALTER TABLE things ADD COLUMN other TEXT;", contract(NEWEST + 1))
    await migrate(database, now=4.0)
    release(THINGS)
    await require_migrated(database)
    release()
    said = (
        f"the database is at schema {NEWEST + 3}, beside which servers work that know {NEWEST + 1} or later; "
        f"this release knows up to {NEWEST}: install the newer release"
    )
    for refused in (require_migrated(database), migrate(database, now=5.0)):
        with pytest.raises(MigrationMissing) as error:
            await refused
        assert str(error.value) == said


def contract(needs: int) -> str:
    return f"-- contract {needs:04}: what nobody uses any more\nDROP TABLE things;"


async def test_what_servers_of_the_present_schema_do_not_bear_is_not_done_gently(place: Place[Any], release: Release):
    database = place.open()
    await migrate(database, now=1.0)
    release(THINGS, contract(NEWEST + 1))
    with pytest.raises(MigrationMissing, match=r"would not bear .* run `longshore migrate --offline`"):
        await migrate(database, now=2.0, gently=True)
    assert (await read_schema(database)).number == NEWEST
    release(THINGS)
    await migrate(database, now=2.0, gently=True)
    release(THINGS, contract(NEWEST + 1))
    await migrate(database, now=3.0, gently=True)


async def test_an_empty_database_is_made_gently_whatever_was_taken_away(place: Place[Any], release: Release):
    release(THINGS, contract(NEWEST + 1))
    await migrate(place.open(), now=1.0, gently=True)


async def test_a_database_from_before_it_kept_who_may_work_on_it_is_brought_to_keep_it(
    place: Place[Any], release: Release
):
    """The release before goes on beside it: what it asks of the table of migrations, and what it puts there, is as it was."""
    database = place.open()
    release(without=NEWEST - 9)
    await migrate(database, now=1.0)
    assert await columns(database, "migrations") == {"number", "applied_at"}
    assert (await read_schema(database)).oldest == 9
    release()
    assert (await migrate(database, now=2.0))[0] == "0010_compatibility.sql"
    schema = await read_schema(database)
    assert (schema.applied, schema.oldest) == (tuple(migrations()), oldest_after(migrations(), NEWEST))
    await database.write(lambda: statement("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY)"))
    assert len(await database.fetch("SELECT number FROM migrations")) == NEWEST
    await database.write(lambda: statement("INSERT INTO migrations (number, applied_at) VALUES (9999, 2)"))
    assert (await read_schema(database)).oldest == 9999


def statement(sql: str) -> Unit[None]:
    yield sql, ()


async def test_what_lacks_a_migration_is_refused_unless_it_is_not_older_than_what_will_do(place: Place[Any]):
    database = place.open()
    with pytest.raises(MigrationMissing, match="holds no registry yet"):
        await require_migrated(database, since=7)
    await migrate(database, now=1.0, upto=8)
    with pytest.raises(
        MigrationMissing, match=r"lacks the migration 0009_collection\.sql: run `longshore migrate` first"
    ):
        await require_migrated(database)
    assert (await require_migrated(database, since=7)).number == 8
    with pytest.raises(MigrationMissing, match="lacks the migration"):
        await require_migrated(database, since=9)


async def test_what_is_copied_as_a_whole_is_of_a_schema_that_is_known(place: Place[Any], release: Release):
    database = place.open()
    release(THINGS)
    await migrate(database, now=1.0)
    async with database.snapshot() as snapshot:
        assert await snapshot_schema(snapshot) == NEWEST + 1
    release()
    async with database.snapshot() as snapshot:
        with pytest.raises(MigrationMissing, match=f"at schema {NEWEST + 1}, of which this release knows {NEWEST}"):
            await snapshot_schema(snapshot)
    assert require_known(NEWEST) == NEWEST


def test_the_oldest_schema_that_works_is_the_latest_that_any_migration_needs():
    known = {
        number: parse_migration(f"{number:04}_test.sql", text)
        for number, text in ((10, THINGS), (11, contract(10)), (12, THINGS))
    }
    assert [oldest_after(known, number) for number in (9, 10, 11, 12)] == [0, 0, 10, 10]


# Files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CREATE TABLE a (b TEXT);", "first line"),
        ("-- expand:\nCREATE TABLE a (b TEXT);", "first line"),
        ("-- contract: all\nDROP TABLE a;", "first line"),
        ("-- contract 0012: all\nDROP TABLE a;", "later migration 0012"),
        (f"{EXPAND}CREATE INDEX {{concurrently}} a ON b (c);\nCREATE TABLE d (e TEXT);", "of its own"),
        (f"{EXPAND}CREATE INDEX a ON b (c); -- {{concurrently}}", "of its own"),
    ],
)
def test_a_migration_that_does_not_say_what_it_means_is_refused(text: str, said: str):
    with pytest.raises(MigrationMalformed, match=f"^0011_test.sql: .*{said}"):
        parse_migration("0011_test.sql", text)


def test_what_a_migration_says_is_understood():
    made = parse_migration(
        "0011_a.sql", "-- contract 0010: all of it\n-- a; remark;\nDROP TABLE a;\nDROP TABLE\n  b;\n"
    )
    assert (made.number, made.needs, made.statements, made.indices) == (11, 10, ("DROP TABLE a", "DROP TABLE\n  b"), ())
    made = parse_migration("0011_a.sql", f"{EXPAND}CREATE UNIQUE INDEX {{concurrently}} a ON b (c);")
    assert (made.needs, made.indices) == (0, ("a",))
    assert would_stop(Schema(tuple(range(1, 11)), 9), [made]) is None


# PostgreSQL: others wait for nothing


@pytest.fixture
async def shared(postgres: PostgresServer) -> AsyncIterator[Callable[..., PostgresDatabase]]:
    """Opens the same database again, as another process would."""
    url = postgres.new_database()
    opened: list[PostgresDatabase] = []

    def another(**options: float) -> PostgresDatabase:
        opened.append(PostgresDatabase(url, **options))
        return opened[-1]

    yield another
    for database in opened:
        await database.close()


async def with_things(database: PostgresDatabase, release: Release) -> None:
    release(THINGS)
    await migrate(database, now=1.0)
    await database.write(lambda: statement("INSERT INTO things (name, value) VALUES ('a', 1)"))


@asynccontextmanager
async def holding(database: PostgresDatabase, sql: str) -> AsyncIterator[None]:
    """A transaction of somebody else's that has run a statement, and has not ended."""
    connection = await asyncpg.connect(database._url, server_settings={"application_name": "somebody"})
    try:
        await connection.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ; {sql}")
        yield
    finally:
        connection.terminate()


async def waiting(database: PostgresDatabase, what: str) -> None:
    """Until a session waits for a lock while it runs what begins like that."""
    async with asyncio.timeout(PATIENCE):
        while not await database.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE ? AND wait_event_type = 'Lock'", (f"{what}%",)
        ):
            await asyncio.sleep(0.01)


async def test_a_migration_may_take_longer_than_other_statements(
    shared: Callable[..., PostgresDatabase], release: Release
):
    database = shared(timeout=1.5)
    await migrate(database, now=1.0)
    release(f"{EXPAND}SELECT pg_sleep(2);")
    migrated, read = await asyncio.gather(
        migrate(database, now=1.0), database.fetch("SELECT pg_sleep(2)"), return_exceptions=True
    )
    assert isinstance(read, DatabaseUnavailable)
    assert migrated == [f"{NEWEST + 1:04}_test.sql"]


async def test_nobody_who_writes_waits_for_a_migration_that_takes_long(
    shared: Callable[..., PostgresDatabase], release: Release
):
    database = shared()
    await with_things(database, release)
    release(THINGS, f"{EXPAND}ALTER TABLE tags ADD COLUMN other TEXT;\nSELECT pg_sleep(1);")
    migrating = asyncio.create_task(migrate(shared(), now=2.0))
    async with asyncio.timeout(PATIENCE):
        while not await database.fetch("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(1)%'"):
            await asyncio.sleep(0.01)
    await database.write(lambda: statement("UPDATE things SET value = 2"))
    assert not migrating.done()
    await migrating


async def test_nobody_waits_behind_a_migration_that_waits_for_a_lock(
    shared: Callable[..., PostgresDatabase], release: Release
):
    """Somebody reads for long; what the migration has to lock others read and write all the same, then it is its turn."""
    database = shared(timeout=5.0)
    await with_things(database, release)
    release(THINGS, f"{EXPAND}ALTER TABLE things ADD COLUMN other TEXT;")
    told: list[str] = []
    async with holding(database, "SELECT * FROM things"):
        migrating = asyncio.create_task(migrate(shared(), now=2.0, tell=told.append))
        for value in range(2, 5):
            await waiting(database, "ALTER TABLE things")
            await database.write(lambda value=value: statement(f"UPDATE things SET value = {value}"))  # type: ignore[misc]
            assert await database.fetch("SELECT value FROM things") == [(value,)]
        assert not migrating.done()
    assert await migrating == [f"{NEWEST + 2:04}_test.sql"]
    assert await columns(database, "things") == {"name", "value", "other"}
    assert re.fullmatch(
        r"waiting for what others have locked \(open transactions: process \d+ `somebody`, \d+ s.*\)", told[1]
    )


async def test_a_migration_that_never_gets_its_lock_gives_up_and_says_why(
    shared: Callable[..., PostgresDatabase], release: Release
):
    database = shared(patience=0.1)
    await with_things(database, release)
    release(THINGS, f"{EXPAND}ALTER TABLE tags ADD COLUMN other TEXT;\nALTER TABLE things ADD COLUMN other TEXT;")
    async with holding(database, "SELECT * FROM things"):
        with pytest.raises(DatabaseUnavailable, match=r"others have held what a migration has to lock .* `somebody`"):
            await migrate(database, now=2.0)
    assert "other" not in await columns(database, "tags")
    assert await migrate(database, now=2.0) == [f"{NEWEST + 2:04}_test.sql"]


async def test_who_finds_another_migrating_waits_for_it(shared: Callable[..., PostgresDatabase], release: Release):
    database = shared()
    await with_things(database, release)
    async with database.altering() as alteration:
        await alteration.run(lambda: statement("SELECT 1"))
        with pytest.raises(DatabaseUnavailable, match="another process has been changing the schema"):
            async with shared(patience=0.1).altering():
                raise AssertionError
        release(THINGS, f"{EXPAND}ALTER TABLE things ADD COLUMN other TEXT;")
        told: list[str] = []
        other = asyncio.create_task(migrate(shared(), now=2.0, tell=told.append))
        async with asyncio.timeout(PATIENCE):
            while not told:
                await asyncio.sleep(0.01)
        assert not other.done()
        assert told == ["waiting for another process, which is changing the schema"]
    assert await other == [f"{NEWEST + 2:04}_test.sql"]


INDEX = f"{EXPAND}CREATE INDEX {{concurrently}} things_by_value ON things (value);"


async def test_an_index_is_built_beside_writers(shared: Callable[..., PostgresDatabase], release: Release):
    database = shared()
    await with_things(database, release)
    release(THINGS, INDEX)
    async with holding(database, "SELECT * FROM things"):
        migrating = [asyncio.create_task(migrate(shared(), now=2.0)) for _ in range(2)]
        await waiting(database, "CREATE INDEX CONCURRENTLY")
        await database.write(lambda: statement("UPDATE things SET value = 2"))
        assert await database.fetch("SELECT value FROM things") == [(2,)]
        assert not any(task.done() for task in migrating)
    assert sorted(await asyncio.gather(*migrating)) == [[], [f"{NEWEST + 2:04}_test.sql"]]
    assert await validity(database) == [(True,)]


async def test_an_index_whose_building_was_interrupted_is_built_anew(
    shared: Callable[..., PostgresDatabase], release: Release
):
    database = shared()
    await with_things(database, release)
    release(THINGS, INDEX)
    async with holding(database, "SELECT * FROM things"):
        migrating = asyncio.create_task(migrate(shared(), now=2.0))
        await waiting(database, "CREATE INDEX CONCURRENTLY")
        await database.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%'"
        )
        with pytest.raises(DatabaseUnavailable):
            await migrating
    assert await validity(database) == [(False,)]
    assert await migrate(database, now=3.0) == [f"{NEWEST + 2:04}_test.sql"]
    assert await validity(database) == [(True,)]


async def validity(database: PostgresDatabase) -> list[tuple[bool]]:
    return await database.fetch(  # type: ignore[return-value]
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('things_by_value')"
    )


async def test_an_index_is_built_on_every_database(place: Place[Any], release: Release):
    database = place.open()
    release(THINGS, INDEX)
    assert len(await migrate(database, now=1.0)) == NEWEST + 2
    assert await migrate(database, now=1.0) == []
