"""GetAuthorizationToken and GetCallerIdentity by boto3, and what the password opens on /v2/."""

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer
from tests.wire.client import Client, basic
from tests.wire.ecr.conftest import ACCOUNT, STRANGER

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient


def password_of(token: str) -> str:
    user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
    assert user == "AWS"
    return password


def test_the_password_opens_v2_for_twelve_hours(ecr: "ECRClient", server: LiveServer, name: str) -> None:
    (data,) = ecr.get_authorization_token()["authorizationData"]
    assert data["proxyEndpoint"] == server.url
    left = data["expiresAt"] - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)
    with Client(server, authorization=basic("AWS", password_of(data["authorizationToken"]))) as docker:
        assert docker("GET", "/v2/").status == 200
        docker.push_image(name, "t")
        assert docker("GET", f"/v2/{name}/manifests/t").status == 200


def test_there_is_an_element_for_each_registry_named(ecr: "ECRClient", server: LiveServer) -> None:
    found = ecr.get_authorization_token(registryIds=[STRANGER, ACCOUNT])["authorizationData"]
    assert [one["proxyEndpoint"] for one in found] == [
        f"http://{STRANGER}.dkr.ecr.us-east-1.{server.address}",
        server.url,
    ]


def test_a_password_is_for_its_region(server: LiveServer) -> None:
    elsewhere = server.client("ecr", region="eu-west-1")
    (data,) = elsewhere.get_authorization_token()["authorizationData"]
    host = f"{ACCOUNT}.dkr.ecr.eu-west-1.{server.address}"
    assert data["proxyEndpoint"] == f"http://{host}"
    authorization = basic("AWS", password_of(data["authorizationToken"]))
    with Client(server, authorization=authorization, host=host) as docker:
        assert docker("GET", "/v2/").status == 200
    with Client(server, authorization=authorization) as docker:
        assert docker("GET", "/v2/").status == 401


def test_a_signer_may_know_who_they_are(server: LiveServer) -> None:
    for region in ("us-east-1", "ap-southeast-2"):
        identity = server.client("sts", region=region).get_caller_identity()
        assert (identity["UserId"], identity["Account"]) == (ACCOUNT, ACCOUNT)
        assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAWRONGWRONGWRONG1"}, "UnrecognizedClientException"),
        ({"aws_session_token": "of no session"}, "UnrecognizedClientException"),
    ],
)
def test_who_cannot_sign_is_refused(server: LiveServer, changes: dict[str, str], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        server.client("ecr", **changes).describe_repositories()
    assert caught.value.response["Error"]["Code"] == code
