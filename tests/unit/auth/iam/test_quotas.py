"""How much there may be of each, and what several requests at once do to it, over a real database."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from auth.authorize import Gate
from auth.credentials import root_of
from auth.directory import Directory
from auth.epoch import Epoch
from auth.iam import access_keys, groups, profiles, roles, users
from auth.iam.call import Call, Handler, Iam
from auth.secrets import Vault
from aws.errors import AwsError
from store.database import Unit
from store.sqlite import SqliteDatabase
from tests.rooms import Time

ACCOUNT = "123456789012"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    }
)
Ask = Callable[..., Any]


@pytest.fixture
def iam(database: SqliteDatabase, directory: Directory, epoch: Epoch, vault: Vault, clock: Time) -> Iam:
    return Iam(database, directory, epoch, Gate(directory, {}, clock=clock), vault, clock)


@pytest.fixture
def ask(iam: Iam) -> Ask:
    """Calls a handler as the root user."""

    async def call(handler: Handler, **params: Any) -> Any:
        return await handler(
            iam,
            Call(
                service="iam",
                operation="",
                params=params,
                principal=root_of(ACCOUNT),
                account=ACCOUNT,
                region="us-east-1",
                request_id="",
                source_ip="",
                secure=False,
                user_agent="",
                referer="",
                host="",
                url="",
            ),
        )

    return call


def fill(table: str, columns: str, values: str, count: int) -> Unit[None]:
    for number in range(count):
        yield (
            f"INSERT INTO {table} (id, account, name, folded, path, created_at, {columns}) "
            f"VALUES (?, ?, ?, ?, '/', 0, {values})",
            (f"ID{number}", ACCOUNT, f"n{number}", f"n{number}"),
        )


@pytest.mark.parametrize(
    ("handler", "params", "filling", "quota"),
    [
        (users.create_user, {"UserName": "x"}, ("users", "boundary", "''"), "UsersPerAccount: 5000"),
        (groups.create_group, {"GroupName": "x"}, None, "GroupsPerAccount: 300"),
        (
            roles.create_role,
            {"RoleName": "x", "AssumeRolePolicyDocument": TRUST},
            ("roles", "trust, description, max_session, boundary, used_region", "'{}', '', 3600, '', ''"),
            "RolesPerAccount: 1000",
        ),
        (
            profiles.create_instance_profile,
            {"InstanceProfileName": "x"},
            ("instance_profiles", "role_id", "''"),
            "InstanceProfilesPerAccount: 1000",
        ),
    ],
)
async def test_an_account_has_so_many_and_no_more(
    ask: Ask, database: SqliteDatabase, handler: Handler, params: Any, filling: Any, quota: str
):
    limit = int(quota.rpartition(" ")[2])
    if filling is None:
        for number in range(limit - 1):
            await ask(handler, GroupName=f"n{number}")
    else:
        await database.write(lambda: fill(*filling, limit - 1))
    await ask(handler, **params)
    with pytest.raises(AwsError) as refused:
        await ask(handler, **{name: f"{text}2" if text == "x" else text for name, text in params.items()})
    assert refused.value.code == "LimitExceededException"
    assert refused.value.message == f"Cannot exceed quota for {quota}"
    table = filling[0] if filling else "user_groups"
    assert await database.fetch_one(f"SELECT COUNT(*) FROM {table}") == (limit,)


async def test_of_many_who_take_a_name_at_once_one_has_it(ask: Ask):
    outcomes = await asyncio.gather(
        *(ask(users.create_user, UserName=name) for name in ("ann", "Ann", "ANN", "aNN")), return_exceptions=True
    )
    refused = [one for one in outcomes if isinstance(one, AwsError)]
    assert [error.code for error in refused] == ["EntityAlreadyExistsException"] * 3


async def test_of_many_keys_made_at_once_there_are_two(ask: Ask, database: SqliteDatabase):
    await ask(users.create_user, UserName="ann")
    outcomes = await asyncio.gather(
        *(ask(access_keys.create_access_key, UserName="ann") for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(one, AwsError) for one in outcomes) == 3
    assert await database.fetch_one("SELECT COUNT(*) FROM access_keys") == (2,)


async def test_what_belongs_to_a_user_goes_with_it_or_keeps_it(ask: Ask, database: SqliteDatabase):
    for number in range(20):
        name = f"ann{number}"
        await ask(users.create_user, UserName=name)
        await asyncio.gather(
            ask(users.delete_user, UserName=name),
            ask(access_keys.create_access_key, UserName=name),
            ask(users.tag_user, UserName=name, Tags=[{"Key": "a", "Value": ""}]),
            return_exceptions=True,
        )
    orphans = "SELECT COUNT(*) FROM {} WHERE owner_id NOT IN (SELECT id FROM users)"
    assert await database.fetch_one(orphans.format("access_keys")) == (0,)
    assert await database.fetch_one(orphans.format("identity_tags")) == (0,)


async def test_a_refused_change_changes_nothing(ask: Ask, database: SqliteDatabase):
    tags = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    with pytest.raises(AwsError):
        await ask(users.create_user, UserName="ann", Tags=tags)
    assert await database.fetch_one("SELECT COUNT(*) FROM users") == (0,)
    assert await database.fetch_one("SELECT COUNT(*) FROM identity_tags") == (0,)
