"""Temporary credentials over the wire, with boto3."""

import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LiveServer(tmp_path_factory.mktemp("server"), settings={"storage.reserve": "0"}) as running:
        yield running


def keys(credentials) -> dict[str, str]:
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def refusal(call, **params) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]
    )  # fmt: skip


def test_a_session_of_root_is_root_and_obtains_no_further_session(server: LiveServer):
    issued = server.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    sts = server.client("sts", **keys(issued))
    who = sts.get_caller_identity()
    assert (who["Arn"], who["UserId"]) == ("arn:aws:iam::123456789012:root", "123456789012")
    for call, params in ((sts.get_session_token, {}), (sts.get_federation_token, {"Name": "bob"})):
        status, code, message = refusal(call, **params)
        assert (status, code) == (403, "AccessDenied")
        assert message.endswith("with session credentials")
    assert server.client("ecr", **keys(issued)).describe_repositories()["repositories"] == []
