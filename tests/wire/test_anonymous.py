"""Callers without credentials, where the settings know them and where they do not."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live import LiveServer
from tests.wire.client import Client
from tests.wire.principals import ACCOUNT, allow, arn, deny, policy

OPEN, SHUT, NOWHERE = "anonymous/open", "anonymous/shut", "anonymous/nowhere"
PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:ListImages")
EVERYTHING = "ecr:*"


def settings(**given: str) -> dict[str, str]:
    return {"storage.reserve": "0", "registry.create_on_push": "true"} | {
        f"auth.{key}": value for key, value in given.items()
    }


def to_everyone(*actions: str, **elements: Any) -> dict[str, Any]:
    statement = allow(*actions, Principal="*", **elements)
    del statement["Resource"]
    return statement


def stock(server: LiveServer, *statements: dict[str, Any]) -> str:
    """Two repositories with an image each, of which one has that policy; returns the digest of its layer."""
    with Client(server) as root:
        for name in (OPEN, SHUT):
            root.push_image(name, "t", layers=[name.encode()])
        (layer,) = root("GET", f"/v2/{OPEN}/manifests/t").json["layers"]
    server.client("ecr").set_repository_policy(repositoryName=OPEN, policyText=policy(*statements), force=True)
    return str(layer["digest"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    given = settings(challenge="bearer", anonymous_pull="true")
    with LiveServer(tmp_path_factory.mktemp("server"), settings=given) as running:
        yield running


@pytest.fixture(scope="module")
def layer(server: LiveServer) -> str:
    return stock(server, to_everyone(EVERYTHING))


def token(server: LiveServer, *scopes: str) -> str:
    """What /token gives to who has no credentials."""
    query = "&".join(f"scope={scope}" for scope in scopes)
    with Client(server, authorization="") as client:
        answer = client("GET", f"/token?{query}")
    assert answer.status == 200
    return f"Bearer {answer.json['token']}"


def bearer(server: LiveServer, *names: str, actions: str = "pull,push,delete,*") -> Client:
    scopes = [*(f"repository:{name}:{actions}" for name in names), "registry:catalog:*"]
    return Client(server, authorization=token(server, *scopes))


def test_everyone_pulls_what_everyone_may(server: LiveServer, layer: str) -> None:
    with bearer(server, OPEN) as nobody:
        assert nobody("GET", "/v2/").status == 200
        assert nobody("HEAD", f"/v2/{OPEN}/manifests/t").status == 200
        assert nobody("GET", f"/v2/{OPEN}/manifests/t").status == 200
        assert nobody("GET", f"/v2/{OPEN}/blobs/{layer}").body == OPEN.encode()
        assert nobody("GET", f"/v2/{OPEN}/tags/list").json["tags"] == ["t"]


def test_what_nothing_opens_is_shut_whether_or_not_it_is_there(server: LiveServer, layer: str) -> None:
    with bearer(server, SHUT, NOWHERE) as nobody:
        for name in (SHUT, NOWHERE):
            answer = nobody("GET", f"/v2/{name}/manifests/t")
            assert answer.said == (403, "DENIED")
            assert answer.message == (
                f"User: anonymous is not authorized to perform: ecr:BatchGetImage on resource: {arn(name)} "
                "because no resource-based policy allows the ecr:BatchGetImage action"
            )


def test_nobody_does_more_than_pull_whatever_a_policy_says(server: LiveServer, layer: str) -> None:
    refused = []
    with bearer(server, OPEN, SHUT) as nobody:
        for method, path in (
            ("POST", "blobs/uploads/"),
            ("POST", f"blobs/uploads/?mount={layer}&from={OPEN}"),
            ("POST", f"blobs/uploads/?mount={layer}"),
            ("PUT", "manifests/t"),
            ("DELETE", "manifests/t"),
            ("DELETE", f"blobs/{layer}"),
            ("PATCH", "blobs/uploads/x"),
            ("PUT", f"blobs/uploads/x?digest={layer}"),
            ("GET", "blobs/uploads/x"),
        ):
            refused.append(nobody(method, f"/v2/{OPEN}/{path}", b"{}" if method == "PUT" else b""))
        refused.append(nobody("GET", "/v2/_catalog"))
    assert {answer.said for answer in refused} == {(401, "DENIED")}
    assert all('error="insufficient_scope"' in answer.headers["WWW-Authenticate"] for answer in refused)


def test_a_token_says_what_is_granted(server: LiveServer) -> None:
    with Client(server, authorization="") as client:
        answer = client("GET", f"/token?scope=repository:{OPEN}:pull,push&scope=registry:catalog:*&offline_token=true")
    assert answer.json["scope"] == f"repository:{OPEN}:pull"
    assert "refresh_token" not in answer.json


def test_conditions_and_denials_hold_for_everyone(server: LiveServer, layer: str) -> None:
    ecr = server.client("ecr")
    opened = to_everyone(*PULL)
    try:
        with bearer(server, OPEN) as nobody:
            shut = deny("ecr:BatchGetImage", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
            del shut["Resource"]
            for statements, status in (
                ([opened], 200),
                ([opened, shut], 403),
                ([to_everyone(*PULL, Condition={"StringEquals": {"aws:PrincipalType": "Anonymous"}})], 200),
                ([to_everyone(*PULL, Condition={"StringEquals": {"aws:PrincipalAccount": ACCOUNT}})], 403),
                ([{**opened, "Principal": {"AWS": "*"}}], 200),
                ([{**opened, "Principal": {"AWS": ACCOUNT}}], 403),
            ):
                ecr.set_repository_policy(repositoryName=OPEN, policyText=policy(*statements), force=True)
                assert nobody("GET", f"/v2/{OPEN}/manifests/t").status == status, statements
    finally:
        ecr.set_repository_policy(repositoryName=OPEN, policyText=policy(to_everyone(EVERYTHING)), force=True)


def test_without_a_token_one_is_asked_for(server: LiveServer, layer: str) -> None:
    with Client(server, authorization="") as nobody:
        answer = nobody("GET", f"/v2/{OPEN}/manifests/t")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith(f'Bearer realm="{server.url}/token"')


def test_on_the_api_nobody_is_known(server: LiveServer, layer: str) -> None:
    with Client(server, authorization="") as nobody:
        target = {"X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.ListImages"}
        answer = nobody("POST", "/", b'{"repositoryName":"anonymous/open"}', headers=target)
    assert (answer.status, answer.json["__type"]) == (400, "MissingAuthenticationTokenException")


@pytest.mark.parametrize("challenge", ["basic", "bearer"])
def test_by_default_everyone_is_everyone_with_credentials(
    challenge: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with LiveServer(tmp_path_factory.mktemp("server"), settings=settings(challenge=challenge)) as running:
        stock(running, to_everyone(*PULL))
        iam = running.client("iam")
        iam.create_user(UserName="someone")
        key = iam.create_access_key(UserName="someone")["AccessKey"]
        pair = f"{key['AccessKeyId']}:{key['SecretAccessKey']}".encode()
        with Client(running, authorization="Basic " + base64.b64encode(pair).decode()) as someone:
            assert someone("GET", f"/v2/{OPEN}/manifests/t").status == 200
            assert someone("GET", f"/v2/{SHUT}/manifests/t").status == 403
        with Client(running, authorization="") as nobody:
            assert nobody("GET", f"/v2/{OPEN}/manifests/t").status == 401
            if challenge == "basic":
                assert nobody("GET", "/token").status == 401
        if challenge == "bearer":
            with bearer(running, OPEN, actions="pull") as nobody:
                assert nobody("GET", f"/v2/{OPEN}/manifests/t").said == (403, "DENIED")
