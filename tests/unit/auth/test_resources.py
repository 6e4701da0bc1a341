"""What the gate knows of users, roles and what else IAM has."""

import json

import pytest

from auth.access import Access
from auth.authorize import Facts
from auth.directory import Directory
from auth.resources import IamResources, find_role
from store.sqlite import SqliteDatabase
from tests.unit.auth.conftest import ACCOUNT

TRUST = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}
)
ARN = f"arn:aws:iam::{ACCOUNT}:"
PROVIDER = f"{ARN}oidc-provider/issuer.example.test:8443/realm"
OWNERS = {
    f"{ARN}user/team/Alice": "AIDA1", f"{ARN}role/ci/Pull": "AROA1", f"{ARN}group/Admins": "AGPA1",
    f"{ARN}instance-profile/x/Node": "AIPA1", f"{ARN}policy/ci/Read": "ANPA1", PROVIDER: PROVIDER,
}  # fmt: skip


@pytest.fixture
async def resources(database: SqliteDatabase, directory: Directory) -> IamResources:
    def unit():
        yield "INSERT INTO users VALUES ('AIDA1', ?, 'Alice', 'alice', '/team/', '', 0)", (ACCOUNT,)
        yield (
            "INSERT INTO roles VALUES ('AROA1', ?, 'Pull', 'pull', '/ci/', ?, '', 3600, '', 0, NULL, '')",
            (ACCOUNT, TRUST),
        )
        yield "INSERT INTO user_groups VALUES ('AGPA1', ?, 'Admins', 'admins', '/', 0)", (ACCOUNT,)
        yield "INSERT INTO instance_profiles VALUES ('AIPA1', ?, 'Node', 'node', '/x/', 'AROA1', 0)", (ACCOUNT,)
        yield (
            "INSERT INTO managed_policies VALUES (?, 'ANPA1', ?, 'Read', 'read', '/ci/', '', 1, 1, 0, 0)",
            (f"{ARN}policy/ci/Read", ACCOUNT),
        )
        for owner in OWNERS.values():
            yield "INSERT INTO identity_tags VALUES (?, 'of', 'Of', ?)", (owner, owner)

    await database.write(unit)
    return IamResources(database, directory)


async def facts(resources: IamResources, arn: str, action: str = "iam:GetSomething") -> Facts:
    return await resources.facts(Access(action, arn), account="210987654321", region="us-east-1")


@pytest.mark.parametrize(("arn", "owner"), OWNERS.items())
async def test_everything_has_its_own_tags_and_its_accounts_number(resources: IamResources, arn: str, owner: str):
    assert await facts(resources, arn) == Facts(owner=ACCOUNT, tags=(("Of", owner),))


@pytest.mark.parametrize("rest", [
    "user/Alice", "user/team/alice", "user/team/Alice/", "user/other/Alice", "user/missing", "role/Pull", "role/ci/pull",
    "policy/Read", "group/x/Admins", "root", "mfa/x", "user/", "user", "*", "user/*", "oidc-provider/elsewhere",
])  # fmt: skip
async def test_what_is_not_there_or_is_no_name_has_no_tags(resources: IamResources, rest: str):
    assert await facts(resources, ARN + rest) == Facts(owner=ACCOUNT)


async def test_everything_at_once_is_the_callers_own(resources: IamResources):
    assert await facts(resources, "*") == Facts(owner="210987654321")


@pytest.mark.parametrize(
    "action", ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]
)
async def test_a_roles_trust_is_asked_where_it_is_assumed_and_nowhere_else(resources: IamResources, action: str):
    arn = f"{ARN}role/ci/Pull"
    found = await facts(resources, arn, action)
    assert found.trust is not None
    assert [one.text for one in found.trust.policies] == [TRUST]
    assert found.tags == (("Of", "AROA1"),)
    assert (await facts(resources, arn, "iam:PassRole")).trust is None


@pytest.mark.parametrize("rest", ["role/Pull", "role/ci/pull", "role/missing", "role/ci/", "user/team/Alice", "role/*"])
async def test_a_role_that_is_not_there_trusts_nobody(resources: IamResources, directory: Directory, rest: str):
    found = await facts(resources, ARN + rest, "sts:AssumeRole")
    assert found.trust is not None
    assert found.trust.policies == ()
    assert found.owner == ACCOUNT
    assert await find_role(directory, ARN + rest) is None


@pytest.mark.parametrize(
    "text", ["", "x", "role/ci/Pull", "arn:aws:iam", f"arn:aws:sts::{ACCOUNT}:assumed-role/Pull/x"]
)
async def test_what_is_no_arn_of_a_role_finds_none(directory: Directory, text: str):
    assert await find_role(directory, text) is None
