"""A server, and accounts and organizations made on the spot, each test its own."""

import configparser
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import botocore.config
import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer

CONTROL = "SERVICE_CONTROL_POLICY"
FULL = "p-FullAWSAccess"


@dataclass(frozen=True)
class Account:
    """An account with its root key."""

    server: LiveServer
    id: str
    email: str
    key: Mapping[str, str]

    def client(self, service: str, **options: Any) -> Any:
        return self.server.client(service, **{**self.key, **options})

    @cached_property
    def organizations(self) -> Any:
        return self.client("organizations")


@dataclass(frozen=True)
class Organization:
    """An organization with its management account and root."""

    management: Account
    id: str
    root: str

    @property
    def client(self) -> Any:
        return self.management.organizations

    def unit(self, name: str, parent: str | None = None) -> str:
        made = self.client.create_organizational_unit(ParentId=parent or self.root, Name=name)
        return made["OrganizationalUnit"]["Id"]

    def policy(self, document: Mapping[str, Any], name: str | None = None) -> str:
        """A new service control policy's id."""
        made = self.client.create_policy(
            Type=CONTROL, Name=name or fresh_name(), Description="", Content=json.dumps(document)
        )
        return made["Policy"]["PolicySummary"]["Id"]

    def join(self, account: Account) -> None:
        """By invitation."""
        sent = self.client.invite_account_to_organization(Target={"Id": account.id, "Type": "ACCOUNT"})
        account.organizations.accept_handshake(HandshakeId=sent["Handshake"]["Id"])

    def account(self) -> str:
        """A new member's id."""
        made = self.client.create_account(Email=f"{fresh_name()}@example.test", AccountName="member")
        return made["CreateAccountStatus"]["AccountId"]

    def attached(self, target: str) -> list[str]:
        found = self.client.list_policies_for_target(TargetId=target, Filter=CONTROL)["Policies"]
        return sorted(policy["Name"] for policy in found)


def fresh_name() -> str:
    return f"n-{uuid.uuid4().hex[:12]}"


def statement(effect: str, *actions: str, **more: Any) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": effect, "Action": list(actions), "Resource": "*", **more}],
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("server"), settings={"storage.reserve": "0"}) as running:
        yield running


@pytest.fixture
def make_account(server: LiveServer) -> Callable[[], Account]:
    """Accounts outside of organizations, as the command makes them."""

    def make() -> Account:
        name = fresh_name()
        email = f"{name}@example.test"
        done = server.longshore("account", "create", name, "--email", email)
        assert done.returncode == 0, done.stderr
        profiles = configparser.RawConfigParser()
        profiles.read_string(done.stdout)
        profile = profiles[name]
        key = {name: profile[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
        return Account(server, profile["aws_account_id"], email, key)

    return make


@pytest.fixture
def account(make_account: Callable[[], Account]) -> Account:
    return make_account()


@pytest.fixture
def organization(make_account: Callable[[], Account]) -> Organization:
    """A new organization, with all features."""
    management = make_account()
    made = management.organizations.create_organization()["Organization"]
    root = management.organizations.list_roots()["Roots"][0]["Id"]
    return Organization(management, made["Id"], root)


@pytest.fixture
def unchecked(organization: Organization) -> Any:
    """The management account's, sending what the model forbids."""
    config = botocore.config.Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    return organization.management.client("organizations", config=config)


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    """(code, reason or message where there is none) of the exception that the call has to raise, with status 400."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    code = response["Error"]["Code"].removesuffix("Exception")
    return code, response.get("Reason") or response["Error"]["Message"]
