import time

import pytest

from auth.access import ALLOWED, ANONYMOUS, Access, Circumstances, Principal, PrincipalKind
from auth.authorize import Gate
from auth.credentials import root_of
from auth.directory import Directory
from auth.epoch import Epoch
from auth.errors import AccessDenied
from store.sqlite import SqliteDatabase

ROOT = root_of("123456789012")
USER = Principal(PrincipalKind.USER, "123456789012", "arn:aws:iam::123456789012:user/alice", "AIDAEXAMPLE")
NOW = Circumstances()


@pytest.fixture
def gate(database: SqliteDatabase) -> Gate:
    return Gate(Directory(database, Epoch(database, time.monotonic), managed={}), {})


def of(account: str, name: str = "a") -> str:
    return f"arn:aws:ecr:us-east-1:{account}:repository/{name}"


async def test_root_may_everything_in_its_own_account(gate: Gate):
    for resource in ("*", of("123456789012"), of("123456789012", "a:b/c")):
        assert (await gate.decide(ROOT, [Access("ecr:PutImage", resource)], NOW)) == ALLOWED


async def test_root_may_nothing_in_another_account(gate: Gate):
    with pytest.raises(AccessDenied) as refused:
        await gate.authorize(ROOT, [Access("ecr:PutImage", of("210987654321"))], NOW)
    assert str(refused.value) == (
        "User: arn:aws:iam::123456789012:root is not authorized to perform: ecr:PutImage on resource: "
        "arn:aws:ecr:us-east-1:210987654321:repository/a because no resource-based policy allows the ecr:PutImage action"
    )


@pytest.mark.parametrize("principal", [USER, ANONYMOUS])
async def test_everyone_else_is_refused_by_default(gate: Gate, principal: Principal):
    for resource in ("*", of("123456789012")):
        with pytest.raises(AccessDenied, match="is not authorized to perform: ecr:ListImages"):
            await gate.authorize(principal, [Access("ecr:ListImages", resource)], NOW)


async def test_a_set_is_allowed_if_all_of_it_is_and_the_first_refusal_is_named(gate: Gate):
    accesses = [
        Access("ecr:InitiateLayerUpload", of("123456789012")),
        Access("ecr:GetDownloadUrlForLayer", of("210987654321")),
        Access("ecr:PutImage", of("210987654321")),
    ]
    decision = await gate.decide(ROOT, accesses, NOW)
    assert (decision.allowed, decision.refused) == (False, accesses[1])
    assert "ecr:GetDownloadUrlForLayer" in decision.sentence
    assert (await gate.decide(ROOT, accesses[:1], NOW)).allowed
    assert (await gate.decide(ROOT, [], NOW)).allowed
