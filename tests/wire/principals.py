"""IAM users with what they may, made over the API of a running server."""

import configparser
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.live import LiveServer
from tests.wire.client import Client, basic

ACCOUNT = "123456789012"
REGION = "us-east-1"


def arn(name: str, account: str = ACCOUNT, region: str = REGION) -> str:
    """Of a repository, or a pattern of repositories."""
    return f"arn:aws:ecr:{region}:{account}:repository/{name}"


def allow(*actions: str, on: str | Sequence[str] = "*", **elements: Any) -> dict[str, Any]:
    """A statement. `elements` are further ones: Principal, Condition."""
    resource = on if isinstance(on, str) else list(on)
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **elements}


def deny(*actions: str, on: str | Sequence[str] = "*", **elements: Any) -> dict[str, Any]:
    return {**allow(*actions, on=on, **elements), "Effect": "Deny"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass(frozen=True)
class Person:
    """A user and an access key of theirs."""

    server: LiveServer
    name: str
    arn: str
    key_id: str
    secret: str

    def docker(self, *, host: str | None = None) -> Client:
        """A client of /v2/."""
        return Client(self.server, authorization=basic(self.key_id, self.secret), host=host)

    def api(self, service: str = "ecr", **options: Any) -> Any:
        return self.server.client(service, aws_access_key_id=self.key_id, aws_secret_access_key=self.secret, **options)


def make_user(server: LiveServer, name: str, *statements: dict[str, Any], iam: Any = None) -> Person:
    """`iam` is a client of who makes the user (default: the root user of the home account)."""
    iam = iam or server.client("iam")
    made = iam.create_user(UserName=name)["User"]
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Person(server, name, made["Arn"], key["AccessKeyId"], key["SecretAccessKey"])


def refused(who: str, action: str, resource: str, why: str = "") -> str:
    """AWS's sentence; `why` ends it, if not for want of an identity-based policy."""
    why = why or f"because no identity-based policy allows the {action} action"
    return f"User: {who} is not authorized to perform: {action} on resource: {resource} {why}"


@dataclass(frozen=True)
class Owner(Person):
    """The root user of another account."""

    account: str


def make_account(server: LiveServer, name: str) -> Owner:
    """As an operator does it, beside the running server."""
    command = [sys.executable, "-m", "server", "account", "create", name, "--data", str(server.data)]
    done = subprocess.run(command, env=server.environment(), cwd=server.directory, capture_output=True, check=True)
    profiles = configparser.RawConfigParser()
    profiles.read_string(done.stdout.decode())
    (profile,) = (profiles[section] for section in profiles.sections())
    key_id = profile["aws_access_key_id"]
    secret = profile["aws_secret_access_key"]
    identity = server.client("sts", aws_access_key_id=key_id, aws_secret_access_key=secret).get_caller_identity()
    return Owner(server, name, identity["Arn"], key_id, secret, identity["Account"])
