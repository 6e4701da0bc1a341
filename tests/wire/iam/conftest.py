"""A server, clients of its root user and of users made on the spot."""

import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import botocore.config
import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("server"), settings={"storage.reserve": "0"}) as running:
        yield running


@pytest.fixture(scope="module")
def iam(server: LiveServer) -> "IAMClient":
    return server.client("iam")


@pytest.fixture(scope="module")
def unchecked(server: LiveServer) -> "IAMClient":
    """A client that sends what the model forbids."""
    config = botocore.config.Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    return server.client("iam", config=config)


@pytest.fixture
def name() -> str:
    """A name that nothing has."""
    return f"n-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def user(iam: "IAMClient", name: str) -> str:
    """A new user's name."""
    iam.create_user(UserName=name)
    return name


@pytest.fixture
def acting(server: LiveServer, iam: "IAMClient") -> Callable[..., Any]:
    """A client of a user's new access key."""

    def client(user: str, service: str = "iam", **options: Any) -> Any:
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return server.client(
            service,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            **options,
        )

    return client


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, int, str]:
    """(code, status, message) of the exception that the call has to raise."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return (
        response["Error"]["Code"],
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Message"],
    )


def not_there(kind: str, name: str) -> tuple[str, int, str]:
    return "NoSuchEntity", 404, f"The {kind} with name {name} cannot be found."
