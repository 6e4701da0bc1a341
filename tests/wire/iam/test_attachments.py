"""Policies attached to users, groups and roles, and policies embedded in them, over the wire."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.iam.conftest import ACCOUNT, not_there, refusal
from tests.wire.iam.documents import allow, of_size

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

TRUST = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}'
READ = allow("ecr:BatchGetImage")
AWS_READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


@dataclass
class Entity:
    """Something that has policies, and the calls on it."""

    iam: Any
    kind: str
    name: str

    def __call__(self, verb: str, noun: str = "policy", **params: Any) -> Any:
        return getattr(self.iam, f"{verb}_{self.kind}_{noun}")(**{f"{self.kind.title()}Name": self.name}, **params)

    def refusal(self, verb: str, noun: str = "policy", **params: Any) -> tuple[str, int, str]:
        return refusal(lambda **given: self(verb, noun, **given), **params)

    def attached(self, **params: Any) -> list[str]:
        calls = f"list_attached_{self.kind}_policies"
        pages = self.iam.get_paginator(calls).paginate(
            **{f"{self.kind.title()}Name": self.name}, PaginationConfig={"PageSize": 2}, **params
        )
        return [one["PolicyName"] for page in pages for one in page["AttachedPolicies"]]

    def inline(self) -> list[str]:
        pages = self.iam.get_paginator(f"list_{self.kind}_policies").paginate(
            **{f"{self.kind.title()}Name": self.name}, PaginationConfig={"PageSize": 2}
        )
        return [one for page in pages for one in page["PolicyNames"]]


@pytest.fixture(params=["user", "group", "role"])
def entity(request: pytest.FixtureRequest, iam: "IAMClient", name: str) -> Entity:
    more = {"AssumeRolePolicyDocument": TRUST} if request.param == "role" else {}
    getattr(iam, f"create_{request.param}")(**{f"{request.param.title()}Name": name}, **more)
    return Entity(iam, request.param, name)


@pytest.fixture
def arns(iam: "IAMClient", name: str) -> Iterator[str]:
    """The ARNs of new policies, one after another."""

    def make() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield iam.create_policy(PolicyName=f"{name}-{number:02}", Path="/x/", PolicyDocument=READ)["Policy"]["Arn"]

    return make()


def test_policies_are_attached_listed_by_name_and_detached(entity: Entity, name: str, arns: Iterator[str]):
    first, second = next(arns), next(arns)
    for arn in (second, AWS_READ_ONLY, first, first):
        entity("attach", PolicyArn=arn)
    aws_name = AWS_READ_ONLY.rpartition("/")[2]
    assert entity.attached() == [aws_name, f"{name}-01", f"{name}-02"]
    assert entity.attached(PathPrefix="/x/") == [f"{name}-01", f"{name}-02"]
    entity("detach", PolicyArn=first)
    assert entity.attached() == [aws_name, f"{name}-02"]
    assert entity.refusal("detach", PolicyArn=first) == ("NoSuchEntity", 404, f"Policy {first} was not found.")


def test_a_policy_that_is_not_there_cannot_be_attached(entity: Entity, name: str):
    for arn in (f"arn:aws:iam::{ACCOUNT}:policy/{name}-no", "arn:aws:iam::aws:policy/Nothing"):
        assert entity.refusal("attach", PolicyArn=arn) == (
            "NoSuchEntity",
            404,
            f"Policy {arn} does not exist or is not attachable.",
        )
    foreign = "arn:aws:iam::210987654321:policy/theirs"
    assert entity.refusal("attach", PolicyArn=foreign)[0] == "NoSuchEntity"
    assert entity.refusal("attach", PolicyArn="rubbish, but long enough")[0] == "InvalidInput"


def test_a_policy_for_service_linked_roles_cannot_be_attached(entity: Entity):
    assert entity.refusal(
        "attach", PolicyArn="arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy"
    ) == (
        "PolicyNotAttachable",
        400,
        "Cannot attach a Service Role Policy to a Customer Role.",
    )


def test_attachments_have_a_quota(entity: Entity, arns: Iterator[str]):
    most = 20 if entity.kind == "role" else 10
    attached = [next(arns) for _ in range(most)]
    for arn in attached:
        entity("attach", PolicyArn=arn)
    assert entity.refusal("attach", PolicyArn=next(arns)) == (
        "LimitExceeded",
        409,
        f"Cannot exceed quota for PoliciesPer{entity.kind.title()}: {most}",
    )
    entity("attach", PolicyArn=attached[0])
    assert len(entity.attached()) == most


def test_inline_policies_are_put_replaced_shown_listed_and_deleted(entity: Entity):
    for policy in ("b", "a", "c"):
        entity("put", PolicyName=policy, PolicyDocument=READ)
    entity("put", PolicyName="b", PolicyDocument=allow("ecr:PutImage"))
    assert entity.inline() == ["a", "b", "c"]
    shown = entity("get", PolicyName="b")
    assert shown["PolicyName"] == "b"
    assert shown[f"{entity.kind.title()}Name"] == entity.name
    assert shown["PolicyDocument"]["Statement"][0]["Action"] == ["ecr:PutImage"]
    entity("delete", PolicyName="b")
    gone = ("NoSuchEntity", 404, f"The {entity.kind} policy with name b cannot be found.")
    assert entity.refusal("get", PolicyName="b") == gone
    assert entity.refusal("delete", PolicyName="b") == gone
    assert entity.inline() == ["a", "c"]


def test_inline_policies_have_a_quota_together(entity: Entity):
    most = {"user": 2048, "group": 5120, "role": 10240}[entity.kind]
    entity("put", PolicyName="a", PolicyDocument=of_size(most - 1000).replace("{", "{   \n"))
    assert entity.refusal("put", PolicyName="b", PolicyDocument=of_size(1001)) == (
        "LimitExceeded",
        409,
        f"Maximum policy size of {most} bytes exceeded for {entity.kind} {entity.name}",
    )
    entity("put", PolicyName="b", PolicyDocument=of_size(1000))
    entity("put", PolicyName="a", PolicyDocument=of_size(most - 1000))


def test_a_malformed_inline_policy_is_refused(entity: Entity):
    code, status, message = entity.refusal("put", PolicyName="a", PolicyDocument="{}")
    assert (code, status, message) == ("MalformedPolicyDocument", 400, "Syntax errors in policy.")
    assert entity.inline() == []


@pytest.mark.parametrize("kind", ["user", "group", "role"])
def test_nothing_is_attached_to_what_is_not_there(iam: "IAMClient", name: str, kind: str):
    nobody = Entity(iam, kind, name)
    for verb, noun, more in (
        ("attach", "policy", {"PolicyArn": AWS_READ_ONLY}),
        ("detach", "policy", {"PolicyArn": AWS_READ_ONLY}),
        ("list_attached", "policies", {}),
        ("put", "policy", {"PolicyName": "a", "PolicyDocument": READ}),
        ("get", "policy", {"PolicyName": "a"}),
        ("list", "policies", {}),
        ("delete", "policy", {"PolicyName": "a"}),
    ):
        assert nobody.refusal(verb, noun, **more) == not_there(kind, name)


def test_attaching_may_be_limited_to_a_policy_and_to_who_has_a_boundary(
    iam: "IAMClient", user: str, name: str, arns: Iterator[str], acting: Callable[..., Any]
):
    boundary, wanted = next(arns), next(arns)
    condition = {"ArnEquals": {"iam:PolicyARN": wanted}, "StringEquals": {"iam:PermissionsBoundary": boundary}}
    iam.put_user_policy(
        UserName=user, PolicyName="p", PolicyDocument=allow("iam:AttachUserPolicy", Condition=condition)
    )
    client = acting(user)
    free, limited = f"{name}-free", f"{name}-limited"
    iam.create_user(UserName=free)
    iam.create_user(UserName=limited, PermissionsBoundary=boundary)
    client.attach_user_policy(UserName=limited, PolicyArn=wanted)
    assert refusal(client.attach_user_policy, UserName=limited, PolicyArn=AWS_READ_ONLY)[0] == "AccessDenied"
    assert refusal(client.attach_user_policy, UserName=free, PolicyArn=wanted)[0] == "AccessDenied"


def test_a_policy_counts_from_the_next_request(
    iam: "IAMClient", user: str, arns: Iterator[str], acting: Callable[..., Any]
):
    client = acting(user)
    arn = iam.create_policy(PolicyName=f"{user}-list", PolicyDocument=allow("iam:ListUsers"))["Policy"]["Arn"]

    def may() -> bool:
        try:
            client.list_users()
        except client.exceptions.ClientError:
            return False
        return True

    assert not may()
    iam.attach_user_policy(UserName=user, PolicyArn=arn)
    assert may()
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ, SetAsDefault=True)
    assert not may()
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    assert may()
    iam.detach_user_policy(UserName=user, PolicyArn=arn)
    assert not may()
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=allow("iam:*"))
    assert may()
    iam.delete_user_policy(UserName=user, PolicyName="p")
    assert not may()
