"""Principals of resource-based policies: stored as whom they mean, shown as what they are called."""

import json
from typing import Any

import pytest

from auth.principals import PrincipalInvalid, bind_principals, show_principals
from auth.rows.accounts import StoredAccount, insert_account
from auth.rows.roles import Role, delete_role, insert_role
from auth.rows.users import User, delete_user, insert_user, rename_user
from store.sqlite import SqliteDatabase

ACCOUNT, OTHER = "123456789012", "210987654321"
USER = User("AIDA" + "U" * 17, ACCOUNT, "Ann", "/team/", "", 0.0)
ROLE = Role("AROA" + "R" * 17, OTHER, "ci", "/", "{}", "", 3600, "", 0.0)
ANN = f"arn:aws:iam::{ACCOUNT}:user/team/Ann"
CI = f"arn:aws:iam::{OTHER}:role/ci"


@pytest.fixture(autouse=True)
async def there(database: SqliteDatabase) -> None:
    for account in (ACCOUNT, OTHER):
        await database.write(lambda: insert_account(StoredAccount(account, "a", account, "ACTIVE", "", 0.0)))  # noqa: B023
    await database.write(lambda: insert_user(USER))
    await database.write(lambda: insert_role(ROLE))


def policy(principal: Any, element: str = "Principal") -> str:
    statement = {"Effect": "Allow", element: principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def principal_of(text: str, element: str = "Principal") -> Any:
    return json.loads(text)["Statement"][0][element]


async def bind(database: SqliteDatabase, principal: Any) -> Any:
    return principal_of(await database.write(lambda: bind_principals(policy(principal))))


async def test_users_and_roles_are_stored_by_their_ids(database: SqliteDatabase):
    assert await bind(database, {"AWS": ANN}) == {"AWS": USER.id}
    assert await bind(database, {"AWS": [CI, "*", ANN]}) == {"AWS": [ROLE.id, "*", USER.id]}


async def test_an_accounts_number_is_its_root(database: SqliteDatabase):
    root = f"arn:aws:iam::{OTHER}:root"
    assert await bind(database, {"AWS": [OTHER, root]}) == {"AWS": [root, root]}


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"Service": "ecs-tasks.amazonaws.com"},
        {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/issuer.example.test"},
        {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/build-7"},
        {"AWS": f"arn:aws:sts::{ACCOUNT}:federated-user/ann"},
        {"AWS": USER.id},
    ],
)
async def test_all_others_stand_as_they_were_given(database: SqliteDatabase, principal: Any):
    assert await bind(database, principal) == principal


@pytest.mark.parametrize(
    "named",
    [
        "999999999999",
        "arn:aws:iam::999999999999:root",
        f"arn:aws:iam::{ACCOUNT}:user/Ann",
        f"arn:aws:iam::{ACCOUNT}:user/team/ann",
        f"arn:aws:iam::{OTHER}:user/team/Ann",
        f"arn:aws:iam::{ACCOUNT}:role/team/Ann",
        f"arn:aws:iam::{ACCOUNT}:user/*",
        f"arn:aws:iam::{ACCOUNT}:group/g",
        "arn:aws:sts::999999999999:assumed-role/ci/build-7",
        "AIDA" + "X" * 17,
        "ann",
        "",
    ],
)
async def test_who_is_not_there_is_refused_by_name(database: SqliteDatabase, named: str):
    with pytest.raises(PrincipalInvalid) as refused:
        await bind(database, {"AWS": [ANN, named]})
    assert str(refused.value) == f'Invalid principal in policy: "AWS":"{named}"'


async def test_a_policy_is_shown_with_the_names_of_now(database: SqliteDatabase):
    stored = await database.write(lambda: bind_principals(policy({"AWS": [ANN, CI]})))
    await database.write(lambda: rename_user(USER, name="Anna", path="/"))
    (shown,) = await show_principals(database, [stored])
    assert principal_of(shown) == {"AWS": [f"arn:aws:iam::{ACCOUNT}:user/Anna", CI]}


async def test_who_is_gone_is_shown_as_an_id_and_a_namesake_is_another(database: SqliteDatabase):
    stored = await database.write(lambda: bind_principals(policy({"AWS": [ANN, CI]})))
    await database.write(lambda: delete_user(USER.id))
    await database.write(lambda: delete_role(ROLE.id))
    again = User("AIDA" + "V" * 17, ACCOUNT, "Ann", "/team/", "", 0.0)
    await database.write(lambda: insert_user(again))
    (shown,) = await show_principals(database, [stored])
    assert principal_of(shown) == {"AWS": [USER.id, ROLE.id]}
    assert await bind(database, {"AWS": ANN}) == {"AWS": again.id}


async def test_ids_elsewhere_in_a_policy_stay_ids(database: SqliteDatabase):
    document = {
        "Version": "2012-10-17",
        "Statement": {
            "Sid": USER.id,
            "Effect": "Deny",
            "NotPrincipal": {"AWS": ANN},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:userid": USER.id, "aws:PrincipalArn": ANN}},
        },
    }
    text = json.dumps(document)
    stored = json.loads(await database.write(lambda: bind_principals(text)))
    assert stored["Statement"]["NotPrincipal"] == {"AWS": USER.id}
    (shown,) = await show_principals(database, [json.dumps(stored)])
    assert json.loads(shown) == document
