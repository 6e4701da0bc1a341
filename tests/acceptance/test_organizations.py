"""An organization, by the AWS CLI."""

import configparser
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from server.cli import main
from tests.acceptance.conftest import AWS_CLIS, aws_cli
from tests.acceptance.programs import Program
from tests.live import LiveServer


def account_of(server: LiveServer, name: str) -> dict[str, str]:
    """The environment that makes a new account's root user of the AWS CLI."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["account", "create", name, "--data", str(server.data)]) == 0
    profiles = configparser.RawConfigParser()
    profiles.read_string(printed.getvalue())
    profile = profiles[name]
    return {
        "AWS_ACCESS_KEY_ID": profile["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": profile["aws_secret_access_key"],
    }


def answer(program: Program, *arguments: str) -> Any:
    printed = program(*arguments, "--output", "json")
    return json.loads(printed) if printed.strip() else None


@pytest.mark.parametrize("version", AWS_CLIS)
def test_a_policy_of_the_organization_limits_a_members_root_user(
    version: str, server: LiveServer, scratch: Path, tmp_path: Path
) -> None:
    aws = aws_cli(version, server, scratch)
    management = aws.using(**account_of(server, f"management-{version}"))
    member = aws.using(**account_of(server, f"member-{version}"))
    organization = answer(management, "organizations", "create-organization")["Organization"]
    assert organization["FeatureSet"] == "ALL"
    number = answer(member, "sts", "get-caller-identity")["Account"]
    invited = answer(
        management, "organizations", "invite-account-to-organization", "--target", f"Id={number},Type=ACCOUNT"
    )
    answer(member, "organizations", "accept-handshake", "--handshake-id", invited["Handshake"]["Id"])
    content = tmp_path / "policy.json"
    content.write_text(
        '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "ecr:DeleteRepository", "Resource": "*"}}'
    )
    policy = answer(
        management, "organizations", "create-policy", "--type", "SERVICE_CONTROL_POLICY", "--name", "keep",
        "--description", "", "--content", f"file://{content}",
    )["Policy"]["PolicySummary"]["Id"]  # fmt: skip
    root = answer(management, "organizations", "list-roots")["Roots"][0]["Id"]
    answer(management, "organizations", "attach-policy", "--policy-id", policy, "--target-id", root)
    answer(member, "ecr", "create-repository", "--repository-name", "some/images")
    refused = member.fails("ecr", "delete-repository", "--repository-name", "some/images")
    assert (
        f"User: arn:aws:iam::{number}:root is not authorized to perform: ecr:DeleteRepository on resource: "
        f"arn:aws:ecr:{server.region}:{number}:repository/some/images with an explicit deny in a service control policy"
    ) in refused
