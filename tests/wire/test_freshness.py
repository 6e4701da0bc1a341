"""A change of a policy, key, user or role counts in every worker within a second, and in the one that made it at once."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import pytest

from tests.live import LiveServer
from tests.wire.client import Client, basic
from tests.wire.principals import Person, allow, arn, make_user, policy

NAME = "fresh/app"
PATH = f"/v2/{NAME}/manifests/t"
PROMISED = 1.0
SLACK = 1.0
"""Seconds that a machine with too much to do may take for the requests themselves."""
CONNECTIONS = 4
"""Which the parent hands out in turn: each of the two workers has two."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {"storage.reserve": "0", "registry.create_on_push": "true"}
    with LiveServer(tmp_path_factory.mktemp("server"), settings=settings, workers=2) as running:
        with Client(running) as root:
            root.push_image(NAME, "t")
        yield running


@pytest.fixture(scope="module")
def iam(server: LiveServer) -> Any:
    return server.client("iam")


@pytest.fixture(scope="module")
def ecr(server: LiveServer) -> Any:
    return server.client("ecr")


class Watch:
    """Several connections of one caller."""

    def __init__(self, server: LiveServer, authorization: str) -> None:
        self._stack = ExitStack()
        self._clients = [
            self._stack.enter_context(Client(server, authorization=authorization)) for _ in range(CONNECTIONS)
        ]

    def statuses(self) -> set[int]:
        return {client("GET", PATH).status for client in self._clients}

    def sees(self, status: int, change: Callable[[], Any]) -> None:
        """Every connection gets `status` as long after the change as is promised, and from then on."""
        before = self.statuses()
        assert status not in before
        change()
        done = time.monotonic()
        while (seen := self.statuses()) != {status}:
            assert seen <= before | {status}
            assert time.monotonic() - done < PROMISED + SLACK, seen
        assert self.statuses() == {status}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@pytest.fixture
def person(server: LiveServer, iam: Any, request: pytest.FixtureRequest) -> Person:
    """A user who may pull."""
    return make_user(server, request.node.name, allow("ecr:BatchGetImage"), iam=iam)


def watch(person: Person) -> Watch:
    return Watch(person.server, basic(person.key_id, person.secret))


def test_policies_of_users(person: Person, iam: Any) -> None:
    inline = {"UserName": person.name, "PolicyName": "inline"}
    with watch(person) as who:
        who.sees(403, lambda: iam.delete_user_policy(**inline))
        document = policy(allow("ecr:BatchGetImage"))
        who.sees(200, lambda: iam.put_user_policy(**inline, PolicyDocument=document))


def test_policies_of_groups(person: Person, iam: Any) -> None:
    group = f"group-of-{person.name}"
    iam.create_group(GroupName=group)
    denied = policy({**allow("ecr:*"), "Effect": "Deny"})
    iam.put_group_policy(GroupName=group, PolicyName="deny", PolicyDocument=denied)
    member = {"GroupName": group, "UserName": person.name}
    with watch(person) as who:
        who.sees(403, lambda: iam.add_user_to_group(**member))
        who.sees(200, lambda: iam.remove_user_from_group(**member))


def test_keys(person: Person, iam: Any) -> None:
    key = {"UserName": person.name, "AccessKeyId": person.key_id}
    with watch(person) as who:
        who.sees(401, lambda: iam.update_access_key(**key, Status="Inactive"))
        who.sees(200, lambda: iam.update_access_key(**key, Status="Active"))
        who.sees(401, lambda: iam.delete_access_key(**key))


def test_tokens_end_with_their_key(person: Person, iam: Any) -> None:
    document = policy(allow("ecr:GetAuthorizationToken", "ecr:BatchGetImage"))
    iam.put_user_policy(UserName=person.name, PolicyName="inline", PolicyDocument=document)
    (data,) = person.api().get_authorization_token()["authorizationData"]
    with Watch(person.server, f"Basic {data['authorizationToken']}") as who:
        who.sees(401, lambda: iam.delete_access_key(UserName=person.name, AccessKeyId=person.key_id))


def test_policies_of_the_repository(person: Person, ecr: Any) -> None:
    deny = {"Effect": "Deny", "Principal": {"AWS": person.arn}, "Action": "ecr:BatchGetImage"}
    with watch(person) as who:
        who.sees(403, lambda: ecr.set_repository_policy(repositoryName=NAME, policyText=policy(deny)))
        who.sees(200, lambda: ecr.delete_repository_policy(repositoryName=NAME))


def test_policies_of_the_registry(person: Person, ecr: Any) -> None:
    deny = {**allow("ecr:BatchGetImage", Principal={"AWS": person.arn}), "Effect": "Deny"}
    with watch(person) as who:
        who.sees(403, lambda: ecr.put_registry_policy(policyText=policy(deny)))
        who.sees(200, ecr.delete_registry_policy)


def test_tags_of_the_repository(person: Person, iam: Any, ecr: Any) -> None:
    only = allow("ecr:BatchGetImage", Condition={"StringEquals": {"aws:ResourceTag/stage": "open"}})
    iam.put_user_policy(UserName=person.name, PolicyName="inline", PolicyDocument=policy(only))
    tag = {"Key": "stage", "Value": "open"}
    ecr.tag_resource(resourceArn=arn(NAME), tags=[{**tag, "Value": "shut"}])
    with watch(person) as who:
        who.sees(200, lambda: ecr.tag_resource(resourceArn=arn(NAME), tags=[tag]))
        who.sees(403, lambda: ecr.untag_resource(resourceArn=arn(NAME), tagKeys=["stage"]))


def test_roles(person: Person, iam: Any) -> None:
    role = f"role-of-{person.name}"
    trust = {"Effect": "Allow", "Principal": {"AWS": person.arn}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    pull = {"RoleName": role, "PolicyName": "pull"}
    document = policy(allow("ecr:BatchGetImage", "ecr:GetAuthorizationToken"))
    iam.put_role_policy(**pull, PolicyDocument=document)
    given = person.api("sts").assume_role(RoleArn=made, RoleSessionName="ci")["Credentials"]
    session = person.server.client(
        "ecr",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    (data,) = session.get_authorization_token()["authorizationData"]
    with Watch(person.server, f"Basic {data['authorizationToken']}") as who:
        who.sees(403, lambda: iam.delete_role_policy(**pull))
        who.sees(200, lambda: iam.put_role_policy(**pull, PolicyDocument=document))
        who.sees(403, lambda: iam.delete_role_policy(**pull))
        who.sees(401, lambda: iam.delete_role(RoleName=role))
