"""What one replica did is so for all of them: tags, repositories and deletions at once, permissions within a second."""

import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.replicas.conftest import Fleet
from tests.wire.client import IMAGE, Client, basic, digest_of
from tests.wire.principals import allow, make_user, policy

NAME = "replicas/exact"
PROMISED = 1.0
SLACK = 1.0
"""Seconds, for a machine with too much to do."""


def test_a_tag_that_moved_has_moved_for_all(fleet: Fleet) -> None:
    path = f"/v2/{NAME}/manifests/moves"
    for number in range(30):
        digest = fleet[number].push_image(NAME, "moves", layers=[b"%d" % number])
        for client in fleet:
            assert client("HEAD", path).headers["Docker-Content-Digest"] == digest
        found = [server.client("ecr").batch_get_image(repositoryName=NAME, imageIds=[{"imageTag": "moves"}])
                 for server in fleet.servers] if number % 10 == 0 else []  # fmt: skip
        assert all(answer["images"][0]["imageId"]["imageDigest"] == digest for answer in found)


def test_what_was_deleted_is_gone_for_all(fleet: Fleet) -> None:
    for number in range(10):
        digest = fleet[number].push_image(NAME, f"gone-{number}", layers=[b"gone %d" % number])
        assert fleet[number + 1]("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202
        for client in fleet:
            assert client("GET", f"/v2/{NAME}/manifests/gone-{number}").said == (404, "MANIFEST_UNKNOWN")
            assert f"gone-{number}" not in client("GET", f"/v2/{NAME}/tags/list").json["tags"]


def test_a_blob_is_there_for_all_and_is_mounted_from_anywhere(fleet: Fleet) -> None:
    data = random.Random(9).randbytes(400_000)
    digest = fleet[0].push_blob("replicas/source", data)
    for number, client in enumerate(fleet):
        assert client("HEAD", f"/v2/replicas/source/blobs/{digest}").status == 200
        query = f"?mount={digest}&from=replicas/source"
        assert client("POST", f"/v2/replicas/target-{number}/blobs/uploads/{query}").status == 201
        assert fleet[number + 1]("GET", f"/v2/replicas/target-{number}/blobs/{digest}").body == data


def test_a_repository_that_was_deleted_and_made_again_is_empty_for_all(fleet: Fleet) -> None:
    name = "replicas/again"
    for number in range(5):
        fleet[number].push_image(name, "latest")
        one, other = (fleet.servers[(number + step) % 3].client("ecr") for step in (1, 2))
        one.delete_repository(repositoryName=name, force=True)
        for client in fleet:
            assert client("GET", f"/v2/{name}/tags/list").said == (404, "NAME_UNKNOWN")
        other.create_repository(repositoryName=name)
        for client in fleet:
            assert client("GET", f"/v2/{name}/tags/list").json["tags"] == []


def test_a_tag_that_may_not_move_goes_to_one_replicas_push(fleet: Fleet) -> None:
    name = "replicas/immutable"
    fleet.servers[0].client("ecr").create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    for number in range(8):
        contents = [client.image(name, annotations={"who": f"{number}/{who}"}) for who, client in enumerate(fleet)]
        found: dict[str, int] = {}

        def push(
            who: int, number: int = number, contents: list[bytes] = contents, found: dict[str, int] = found
        ) -> None:
            answer = fleet[who]("PUT", f"/v2/{name}/manifests/v{number}", contents[who], Content_Type=IMAGE)
            found[digest_of(contents[who])] = answer.status

        fleet.together(push)
        assert sorted(found.values()) == [201, 400, 400]
        held = {client("HEAD", f"/v2/{name}/manifests/v{number}").headers["Docker-Content-Digest"] for client in fleet}
        assert [found[digest] for digest in held] == [201]


def test_who_counts_up_by_turns_never_sees_an_old_tag(fleet: Fleet) -> None:
    """A tag as a register: each replica reads what the one before it wrote, in the order of the answers."""
    name = "replicas/register"
    contents = [fleet[0].image(name, annotations={"value": f"{value}"}) for value in range(60)]
    for value, content in enumerate(contents):
        fleet[value].push_manifest(name, content, "register")
        read = fleet[value + 1]("GET", f"/v2/{name}/manifests/register")
        assert read.json["annotations"]["value"] == f"{value}"


# Permissions


class Watch:
    """Clients of one user at every replica, and what they are told."""

    def __init__(self, fleet: Fleet, authorization: str) -> None:
        self._clients = [Client(server, authorization=authorization) for server in fleet.servers]

    def statuses(self) -> set[int]:
        return {client("GET", f"/v2/{NAME}/tags/list").status for client in self._clients}

    def sees(self, status: int, change: Callable[[], Any]) -> None:
        """Everywhere as long after the change as is promised, and from then on."""
        assert status not in self.statuses()
        change()
        done = time.monotonic()
        while self.statuses() != {status}:
            assert time.monotonic() - done < PROMISED + SLACK
        assert self.statuses() == {status}

    def close(self) -> None:
        for client in self._clients:
            client.close()


def test_a_change_of_permissions_counts_everywhere_within_a_second(fleet: Fleet) -> None:
    fleet[0].push_image(NAME, "watched")
    person = make_user(fleet.servers[0], "watched", allow("ecr:ListImages"))
    watch = Watch(fleet, basic(person.key_id, person.secret))
    iams = [server.client("iam") for server in fleet.servers]
    ecr = fleet.servers[1].client("ecr")
    inline = {"UserName": "watched", "PolicyName": "inline"}
    key = {"UserName": "watched", "AccessKeyId": person.key_id}
    closed = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": "closed", "Effect": "Deny", "Principal": "*", "Action": "ecr:ListImages"},
    ]})  # fmt: skip
    try:
        watch.sees(403, lambda: iams[1].delete_user_policy(**inline))
        watch.sees(200, lambda: iams[2].put_user_policy(**inline, PolicyDocument=policy(allow("ecr:ListImages"))))
        watch.sees(403, lambda: ecr.set_repository_policy(repositoryName=NAME, policyText=closed))
        watch.sees(200, lambda: ecr.delete_repository_policy(repositoryName=NAME))
        watch.sees(401, lambda: iams[2].update_access_key(**key, Status="Inactive"))
        watch.sees(200, lambda: iams[0].update_access_key(**key, Status="Active"))
        watch.sees(401, lambda: iams[1].delete_access_key(**key))
    finally:
        watch.close()


@pytest.mark.parametrize("first", range(3))
def test_who_changed_something_sees_it_at_once_where_it_was_changed(fleet: Fleet, first: int) -> None:
    server = fleet.servers[first]
    person = make_user(server, f"at-once-{first}", allow("ecr:ListImages"))
    fleet[0].push_image(NAME, "watched")
    with Client(server, authorization=basic(person.key_id, person.secret)) as client:
        assert client("GET", f"/v2/{NAME}/tags/list").status == 200
        server.client("iam").delete_user_policy(UserName=person.name, PolicyName="inline")
        assert client("GET", f"/v2/{NAME}/tags/list").status == 403
