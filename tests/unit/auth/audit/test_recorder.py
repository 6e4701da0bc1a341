"""Recording, reading and forgetting, in a real database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from auth.access import ANONYMOUS
from auth.audit.accessed import RESOLUTION
from auth.audit.record import Record
from auth.audit.recorder import POLICY_RESOLUTION, Recorder
from auth.audit.trail import Query, Trail
from auth.policy.evaluate import InForce
from base.ids import new_uuid
from store.database import Database, DatabaseUnavailable
from store.migrate import migrate
from store.postgres import PostgresDatabase
from store.sqlite import SqliteDatabase
from tests.rooms import Time
from tests.unit.auth.audit.decisions import NOON, REPOSITORY, SESSION, decision, policy, sets

DAY = 86400.0


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, place: Path) -> AsyncIterator[Database]:
    """Of every kind in turn."""
    opened: Database
    if request.param == "sqlite":
        opened = SqliteDatabase(place / "audit.db")
    else:
        opened = PostgresDatabase(request.getfixturevalue("postgres").new_database())
    await migrate(opened, now=0.0)
    yield opened
    await opened.close()


class Moody:
    """A database that can be away."""

    def __init__(self, database: Database) -> None:
        self.vocabulary = database.vocabulary
        self.fetch, self.fetch_one, self.close = database.fetch, database.fetch_one, database.close
        self.snapshot, self.altering = database.snapshot, database.altering
        self.away = False
        self._write = database.write

    async def write(self, *arguments: Any, **named: Any) -> Any:
        if self.away:
            raise DatabaseUnavailable("away")
        return await self._write(*arguments, **named)


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


@pytest.fixture
async def recorder(database: Database, clock: Time, counts: Counter[str]) -> AsyncIterator[Recorder]:
    made = make(database, clock, counts)
    yield made
    await made.close()


def make(database: Database, clock: Time, counts: Counter[str], **more: Any) -> Recorder:
    def count(name: str, amount: float) -> None:
        counts[name] += int(amount)

    return Recorder(database, clock=clock, ids=new_uuid, count=count, **more)


async def read(database: Database, query: Query | None = None) -> list[Record]:
    return [record async for record in Trail(database).read(query or Query())]


def ids(records: Sequence[Record]) -> list[str]:
    return [record.request_id for record in records]


async def rows(database: Database, table: str) -> int:
    row = await database.fetch_one(f"SELECT COUNT(*) FROM {table}")
    assert row is not None
    return int(row[0])


async def test_every_decision_is_read_once_the_latest_first(database: Database, recorder: Recorder):
    for number in range(3):
        recorder.record(decision(NOON + number, request_id=str(number)))
        await recorder.flush()
    assert ids(await read(database)) == ["2", "1", "0"]
    assert await rows(database, "audit_segments") == 1


async def test_many_decisions_fold_between_requests(database: Database, recorder: Recorder, counts: Counter[str]):
    for number in range(25_000):
        recorder.record(decision(NOON + number / 1e4, request_id=str(number), allowed=number % 10 > 0))
        if number % 200 == 0:
            await asyncio.sleep(0)
    await recorder.flush()
    assert ids(await read(database)) == [str(number) for number in reversed(range(25_000))]
    assert counts == {"decisions_allowed": 22_500, "decisions_denied": 2_500, "audit_records_written": 25_000}


async def test_a_full_segment_asks_for_an_early_flush(recorder: Recorder):
    asked = []
    recorder.when_full(lambda: asked.append(1))
    for number in range(10_000):
        recorder.record(decision(NOON + number / 1e4, request_id=str(number)))
    await asyncio.sleep(0)
    await recorder.flush()
    assert asked == [1]


async def test_a_segment_ends_after_a_minute(database: Database, recorder: Recorder, clock: Time):
    for number in range(4):
        recorder.record(decision(clock(), request_id=str(number)))
        await recorder.flush()
        clock.now += 31.0
    assert await rows(database, "audit_segments") == 2
    assert ids(await read(database)) == ["3", "2", "1", "0"]


async def test_closing_loses_nothing(database: Database, clock: Time, counts: Counter[str]):
    recorder = make(database, clock, counts)
    for number in range(300):
        recorder.record(decision(NOON + number, request_id=str(number)))
    await recorder.close()
    assert len(await read(database)) == 300


async def test_while_the_database_is_away_decisions_wait_and_beyond_a_bound_they_are_counted(
    database: Database, clock: Time, counts: Counter[str]
):
    moody = Moody(database)
    recorder = make(moody, clock, counts, largest=10, waiting=3)
    moody.away = True
    for number in range(50):
        recorder.record(decision(NOON + number, request_id=str(number)))
    with pytest.raises(DatabaseUnavailable):
        await recorder.flush()
    assert counts["audit_records_dropped"] == 20
    moody.away = False
    await recorder.flush()
    assert ids(await read(database)) == [str(number) for number in reversed(range(30))]
    recorder.record(decision(NOON + 60, request_id="again"))
    await recorder.close()
    assert (await read(database))[0].request_id == "again"
    assert counts["audit_records_written"] == 31


async def test_decisions_of_several_processes_are_read_in_one_order(
    database: Database, clock: Time, counts: Counter[str]
):
    recorders = [make(database, clock, counts) for _ in range(3)]
    for number in range(300):
        recorders[number % 3].record(decision(NOON + number, request_id=str(number)))
        if number % 50 == 0:
            clock.now += 61.0
            await recorders[number % 3].flush()
    for recorder in recorders:
        await recorder.close()
    assert await rows(database, "audit_segments") > 5
    assert ids(await read(database)) == [str(number) for number in reversed(range(300))]


async def test_a_query_picks_by_everything_that_it_names(database: Database, recorder: Recorder):
    recorder.record(decision(NOON, request_id="a"))
    recorder.record(decision(NOON + 1, request_id="b", principal=SESSION, action="ecr:BatchGetImage"))
    recorder.record(decision(NOON + 2, request_id="c", allowed=False, resource=f"{REPOSITORY}-2"))
    recorder.record(decision(NOON + 3, request_id="d", action="sts:AssumeRole", resource="*"))
    await recorder.flush()
    for query, expected in (
        (Query(), "dcba"),
        (Query(since=NOON + 1), "dcb"),
        (Query(until=NOON + 1), "a"),
        (Query(since=NOON + 1, until=NOON + 2), "b"),
        (Query(principal="alice"), "dca"),
        (Query(principal="*:assumed-role/puller/*"), "b"),
        (Query(principal="arn:aws:iam::123456789012:role/puller"), "b"),
        (Query(action="ECR:putimage"), "ca"),
        (Query(action="ecr:*"), "cba"),
        (Query(action="sts:AssumeRol?"), "d"),
        (Query(resource="team-a/app"), "ba"),
        (Query(resource="team-a/*"), "cba"),
        (Query(resource=REPOSITORY), "ba"),
        (Query(allowed=False), "c"),
        (Query(allowed=True), "dba"),
        (Query(request_id="b"), "b"),
        (Query(principal="al[i]ce"), ""),
        (Query(action="ecr:PutImage", allowed=False, principal="alice"), "c"),
    ):
        assert "".join(ids(await read(database, query))) == expected, query


async def test_reading_opens_no_more_than_it_needs(database: Database, recorder: Recorder, clock: Time):
    for number in range(5):
        recorder.record(decision(clock(), request_id=str(number)))
        await recorder.flush()
        clock.now += 61.0
        await recorder.flush()
    await database.write(
        lambda: iter_one("UPDATE audit_segments SET cases = ?, records = ? WHERE started_at = ?", (b"", b"", NOON))
    )
    async with aclosing(Trail(database).read(Query())) as found:
        assert [(await anext(found)).request_id for _ in range(3)] == ["4", "3", "2"]


def iter_one(sql: str, parameters: Sequence[Any]) -> Any:
    yield sql, parameters


async def test_the_texts_of_policies_are_kept_once(database: Database, recorder: Recorder, clock: Time):
    one, two = policy("one", '{"Id": "1"}'), policy("two", '{"Id": "2"}')
    for _ in range(3):
        recorder.record(decision(clock(), force=InForce(identity=sets(one, two), boundary=sets(one))))
        recorder.record(decision(clock(), force=InForce(identity=sets(two))))
        await recorder.flush()
        clock.now += 61.0
    assert await rows(database, "audit_policies") == 2
    digests = (await read(database))[-1].case.policies.digests
    assert sorted((await Trail(database).documents(digests)).values()) == ['{"Id": "1"}', '{"Id": "2"}']


async def test_what_is_too_old_is_forgotten_with_the_policies_that_only_it_named(
    database: Database, recorder: Recorder, clock: Time
):
    for number in range(50):
        force = InForce(identity=sets(policy("changing", f'{{"Id": "{number}"}}'), policy("steady", "{}")))
        recorder.record(decision(clock(), request_id=str(number), force=force))
        await recorder.flush()
        clock.now += DAY
        await recorder.flush()
    trail = Trail(database)
    assert await trail.trim(clock(), keep=10.5 * DAY, largest=10**9) == 40
    assert ids(await read(database)) == [str(number) for number in reversed(range(40, 50))]
    kept = set().union(*(record.case.policies.digests for record in await read(database)))
    assert set(await trail.documents(kept)) == kept
    assert await rows(database, "audit_policies") == 11
    assert await trail.trim(clock(), keep=10.5 * DAY, largest=10**9) == 0


async def test_beyond_its_size_the_oldest_go(database: Database, recorder: Recorder, clock: Time):
    for number in range(45):
        force = InForce(identity=sets(policy("changing", f'{{"Id": "{number}"}}' + " " * 1000)))
        recorder.record(decision(clock(), request_id=str(number), force=force))
        await recorder.flush()
        clock.now += 2 * POLICY_RESOLUTION
        await recorder.flush()
    trail = Trail(database)
    gone = await trail.trim(clock(), keep=DAY * 1000, largest=20_000)
    assert 20 <= gone < 45
    assert ids(await read(database)) == [str(number) for number in reversed(range(gone, 45))]
    row = await database.fetch_one(
        "SELECT (SELECT SUM(size) FROM audit_segments) + (SELECT SUM(size) FROM audit_policies)"
    )
    assert row is not None
    assert row[0] <= 20_000


async def test_everything_may_be_forgotten(database: Database, recorder: Recorder, clock: Time):
    recorder.record(decision(clock(), force=InForce(identity=sets(policy("one")))))
    await recorder.flush()
    clock.now += DAY
    assert await Trail(database).trim(clock(), keep=60.0, largest=10**9) == 1
    assert await rows(database, "audit_segments") == await rows(database, "audit_policies") == 0


async def uses(database: Database) -> list[tuple[Any, ...]]:
    return await database.fetch("SELECT identity_id, action, region, used_at FROM last_accessed ORDER BY 1, 2")


@pytest.mark.parametrize("keep", [True, False])
async def test_the_last_use_of_an_action_is_on_record_coarsely(
    database: Database, clock: Time, counts: Counter[str], keep: bool
):
    recorder = make(database, clock, counts, keep=keep)
    recorder.record(decision(clock()))
    recorder.record(decision(clock() + 1, principal=SESSION, allowed=False))  # an attempt counts
    recorder.record(decision(clock() + 2, principal=ANONYMOUS))
    await recorder.flush()
    first = [
        ("AIDAALICE", "ecr:PutImage", "us-east-1", NOON),
        ("AROAPULLER", "ecr:PutImage", "us-east-1", NOON + 1),
    ]
    assert await uses(database) == first
    clock.now += RESOLUTION / 2
    recorder.record(decision(clock()))
    await recorder.flush()
    assert await uses(database) == first
    clock.now += RESOLUTION
    recorder.record(decision(clock()))
    await recorder.flush()
    assert (await uses(database))[0] == ("AIDAALICE", "ecr:PutImage", "us-east-1", clock())
    await recorder.close()
    assert (await read(database) != []) is keep
