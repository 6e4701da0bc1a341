"""`longshore account`, beside a running server."""

import configparser
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer
from tests.wire.organizations.conftest import Account, fresh_name

if TYPE_CHECKING:
    from types_boto3_sts import STSClient


def run(server: LiveServer, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "server", "account", *arguments, "--data", str(server.data)],
        cwd=server.directory,
        env=server.environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def lasts(holds: Callable[[], bool]) -> float:
    """Seconds from now until the last question began that was answered with yes; it has to end some time."""
    began = asked = last = time.monotonic()
    while holds():
        last = asked
        asked = time.monotonic()
        assert asked - began < 10
    return last - began


def signs(sts: "STSClient") -> bool:
    try:
        sts.get_caller_identity()
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidClientTokenId":
            raise
        return False
    return True


def test_a_new_accounts_root_key_signs_at_once_and_docker_may_use_it(server: LiveServer):
    name = fresh_name()
    made = run(server, "create", name, "--email", f"{name}@example.test")
    assert (made.returncode, made.stderr) == (0, "")
    profiles = configparser.RawConfigParser()
    profiles.read_string(made.stdout)
    assert profiles.sections() == [name]
    profile = profiles[name]
    key = {field: profile[field] for field in ("aws_access_key_id", "aws_secret_access_key")}
    assert server.client("sts", **key).get_caller_identity()["Arn"] == f"arn:aws:iam::{profile['aws_account_id']}:root"
    created = server.client("ecr", **key).create_repository(repositoryName="some/images")["repository"]
    assert created["registryId"] == profile["aws_account_id"]
    listed = run(server, "list").stdout.splitlines()
    assert f"{profile['aws_account_id']}  ACTIVE     {name}@example.test" in " ".join(listed)
    assert listed[0].split() == ["123456789012", "ACTIVE", "123456789012@longshore.invalid", "home"]
    assert profile["aws_secret_access_key"] not in "".join(listed)


def test_closing_and_opening_count_within_a_second(server: LiveServer, account: Account):
    sts = account.client("sts")
    assert signs(sts)
    assert server.longshore("account", "close", account.id).returncode == 0
    assert lasts(lambda: signs(sts)) < 1
    assert server.longshore("account", "reopen", account.id).returncode == 0
    assert lasts(lambda: not signs(sts)) < 1


def test_another_root_key_is_made_while_there_is_room(server: LiveServer, account: Account):
    made = server.longshore("account", "key", account.id)
    assert made.returncode == 0
    profiles = configparser.RawConfigParser()
    profiles.read_string(made.stdout)
    profile = profiles[account.id]
    key = {field: profile[field] for field in ("aws_access_key_id", "aws_secret_access_key")}
    assert signs(server.client("sts", **key))
    refused = server.longshore("account", "key", account.id)
    assert refused.returncode == 1
    assert "has 2 access keys" in refused.stderr
    account.client("iam").delete_access_key(AccessKeyId=profile["aws_access_key_id"])
    assert server.longshore("account", "key", account.id).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", ""], "1 to 50 characters"),
        (["create", "a", "--id", "123"], "12 digits"),
        (["create", "a", "--id", "123456789012"], "there is an account 123456789012 already"),
        (["create", "a", "--email", "nobody"], "is not an e-mail address"),
        (["create", "a", "--email", "123456789012@longshore.invalid"], "another account has the address"),
        (["close", "999999999999"], "there is no account 999999999999"),
        (["close", "123456789012"], "is the home account"),
        (["reopen", "123456789012"], "is active already"),
        (["key", "nonsense"], "12 digits"),
    ],
)
def test_what_cannot_be_is_one_line_that_says_why(server: LiveServer, arguments: list[str], words: str):
    done = server.longshore("account", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("longshore: ")
    assert words in line
