import time
from dataclasses import replace

import pytest

from auth.access import ALLOWED, ANONYMOUS, Access, Circumstances, Principal, PrincipalKind
from auth.authorize import Facts, Gate, Judgement
from auth.credentials import root_of
from auth.directory import Directory
from auth.epoch import Epoch
from auth.errors import AccessDenied
from auth.policy.document import Kind, parse_policy
from auth.policy.evaluate import PolicySet
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


class Known:
    """The resources of a service, of which the same is known of each."""

    def __init__(self, facts: Facts) -> None:
        self.known = facts

    async def facts(self, access: Access, *, account: str, region: str) -> Facts:
        return self.known


def resource_policy(effect: str) -> PolicySet:
    text = f'{{"Statement": {{"Effect": "{effect}", "Principal": "*", "Action": "ecr:*"}}}}'
    return PolicySet([parse_policy(text, Kind.REPOSITORY)])


async def test_a_rehearsal_answers_as_if_and_nobody_records_it(database: SqliteDatabase):
    recorded: list[Judgement] = []
    directory = Directory(database, Epoch(database, time.monotonic), managed={})
    gate = Gate(directory, {"ecr": Known(Facts(owner="123456789012"))}, record=recorded.append)
    access = Access("ecr:SetRepositoryPolicy", of("123456789012"))
    denied = await gate.rehearse(ROOT, access, NOW, lambda facts: replace(facts, repository=resource_policy("Deny")))
    assert (denied.allowed, denied.kind) == (False, Kind.REPOSITORY)
    assert (await gate.rehearse(ROOT, access, NOW, lambda facts: facts)).allowed
    assert recorded == []
    assert (await gate.judge(ROOT, access, NOW)).verdict.allowed
    assert len(recorded) == 1


@pytest.mark.parametrize(("spares", "owner", "allowed"), [
    (False, "123456789012", False), (True, "123456789012", True), (True, "210987654321", False),
])  # fmt: skip
async def test_policies_that_spare_the_root_user_spare_the_owners(
    database: SqliteDatabase, spares: bool, owner: str, allowed: bool
):
    facts = Facts(owner=owner, repository=resource_policy("Deny"), registry=resource_policy("Deny"), spares_root=spares)
    directory = Directory(database, Epoch(database, time.monotonic), managed={})
    gate = Gate(directory, {"ecr": Known(facts)})
    decision = await gate.decide(ROOT, [Access("ecr:DeleteRepositoryPolicy", of(owner))], NOW)
    assert decision.allowed is allowed
