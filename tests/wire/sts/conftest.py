"""A server, its root's IAM, and clients of whatever credentials STS hands out."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer
from tests.wire.client import Client, basic

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

ACCOUNT = "123456789012"
VERSION = "2012-10-17"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("server"), settings={"storage.reserve": "0"}) as running:
        yield running


@pytest.fixture(scope="module")
def iam(server: LiveServer) -> "IAMClient":
    return server.client("iam")


@pytest.fixture
def name() -> str:
    """A name that nothing has."""
    return f"n-{uuid.uuid4().hex[:12]}"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": VERSION, "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal: Any, action: Any = "sts:AssumeRole", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, **more}


def credentials(issued: Any) -> dict[str, str]:
    """For a client, of STS's Credentials or IAM's AccessKey."""
    given = {"aws_access_key_id": issued["AccessKeyId"], "aws_secret_access_key": issued["SecretAccessKey"]}
    if "SessionToken" in issued:
        given["aws_session_token"] = issued["SessionToken"]
    return given


class House:
    """What the tests make in IAM."""

    def __init__(self, server: LiveServer, iam: "IAMClient") -> None:
        self.server, self.iam = server, iam

    def user(self, name: str, *statements: dict[str, Any], path: str = "/") -> dict[str, str]:
        """A new user with an inline policy; returns the credentials of its key."""
        self.iam.create_user(UserName=name, Path=path)
        if statements:
            self.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(*statements))
        return credentials(self.iam.create_access_key(UserName=name)["AccessKey"])

    def role(self, name: str, *trusts: dict[str, Any], grants: tuple[dict[str, Any], ...] = (), **more: Any) -> str:
        """A new role's ARN."""
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(*trusts), **more)
        if grants:
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*grants))
        return made["Role"]["Arn"]

    def client(self, service: str, given: dict[str, str], **options: Any) -> Any:
        return self.server.client(service, **given, **options)

    def docker(self, given: dict[str, str]) -> Client:
        """A client of /v2/ with the password that these credentials obtain."""
        token = self.client("ecr", given).get_authorization_token()["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(token).decode().partition(":")
        return Client(self.server, authorization=basic(user, password))


@pytest.fixture
def house(server: LiveServer, iam: "IAMClient") -> House:
    return House(server, iam)


def refusal(call: Callable[..., Any], **params: Any) -> tuple[int, str, str]:
    """(status, code, message) of the exception that the call has to raise."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"]["Message"],
    )
