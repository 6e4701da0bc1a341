"""When keys and roles were last used, over a real database."""

from pathlib import Path

import pytest

from auth.access import ANONYMOUS, Principal, PrincipalKind, Session, SessionKind
from auth.epoch import Epoch
from auth.rows.access_keys import AccessKey, find_access_key, insert_access_key
from auth.rows.roles import Role, find_roles, insert_role
from auth.usage import Usage
from store.database import DatabaseUnavailable
from store.sqlite import SqliteDatabase
from tests.rooms import Time

ACCOUNT = "123456789012"
KEY = "AKIAIOSFODNN7EXAMPLE"
USER = Principal(PrincipalKind.USER, ACCOUNT, "arn:aws:iam::123456789012:user/ci", "AIDA1", key_id=KEY)
SESSION = Principal(
    PrincipalKind.ROLE_SESSION,
    ACCOUNT,
    "arn:aws:sts::123456789012:assumed-role/r/s",
    "AROA1:s",
    identity_id="AROA1",
    key_id="ASIAIOSFODNN7EXAMPLE",
    session=Session(SessionKind.ROLE, "s", 0.0, 1.0),
)


@pytest.fixture
async def usage(database: SqliteDatabase, clock: Time) -> Usage:
    key = AccessKey(KEY, ACCOUNT, "AIDA1", "Active", 0.0, None, "", "")
    role = Role("AROA1", ACCOUNT, "r", "/", "{}", "", 3600, "", 0.0)
    await database.write(lambda: insert_access_key(key, b""))
    await database.write(lambda: insert_role(role))
    return Usage(database, clock)


async def used(database: SqliteDatabase) -> tuple[float | None, str, str]:
    key = await find_access_key(database, KEY)
    assert key is not None
    return key.used_at, key.used_service, key.used_region


async def test_the_latest_use_is_written(usage: Usage, database: SqliteDatabase, clock: Time):
    usage.note(USER, "ecr", "eu-west-1")
    clock.now += 5
    usage.note(USER, "sts", "us-east-1")
    usage.note(SESSION, "ecr", "eu-west-1")
    usage.note(ANONYMOUS, "ecr", "eu-west-1")
    assert await used(database) == (None, "", "")
    assert await usage.record() > 0
    assert await used(database) == (clock.now, "sts", "us-east-1")
    role = (await find_roles(database, ["AROA1"]))["AROA1"]
    assert (role.used_at, role.used_region) == (clock.now, "eu-west-1")


async def test_an_older_use_of_another_process_does_not_win(usage: Usage, database: SqliteDatabase, clock: Time):
    other = Usage(database, clock)
    other.note(USER, "ecr", "eu-west-1")
    clock.now += 5
    usage.note(USER, "sts", "us-east-1")
    await usage.record()
    await other.record()
    assert await used(database) == (clock.now, "sts", "us-east-1")


async def test_a_use_that_could_not_be_written_is_kept(
    usage: Usage, database: SqliteDatabase, clock: Time, place: Path
):
    closed = SqliteDatabase(place / "test.db")
    await closed.close()
    usage._database = closed
    usage.note(USER, "ecr", "eu-west-1")
    with pytest.raises(DatabaseUnavailable):
        await usage.record()
    usage._database = database
    await usage.record()
    assert await used(database) == (clock.now, "ecr", "eu-west-1")


async def test_a_note_changes_nothing_that_is_remembered(usage: Usage, epoch: Epoch):
    before = await epoch.confirm()
    usage.note(USER, "ecr", "eu-west-1")
    await usage.record()
    epoch._looked_at = float("-inf")
    assert await epoch.confirm() == before
