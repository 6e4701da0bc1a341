"""Accounts, and what tests make in them."""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from botocore.exceptions import ClientError

from pytest_longshore.documents import Document, managed_arn, read_document, tag_list
from pytest_longshore.errors import LongshoreError
from pytest_longshore.principals import Principal
from pytest_longshore.server import Key, Server

_INLINE = "inline"


@dataclass(frozen=True)
class Repository:
    """A repository that is there. `uri` is its name for docker."""

    account: "Account"
    name: str
    arn: str
    uri: str

    def __str__(self) -> str:
        return self.name

    def set_policy(self, policy: Document) -> None:
        """Its repository policy."""
        self.account.client("ecr").set_repository_policy(repositoryName=self.name, policyText=read_document(policy))


@dataclass(frozen=True)
class Role:
    """A role, and its sessions."""

    account: "Account"
    name: str
    arn: str

    def __str__(self) -> str:
        return self.arn

    def assumed_by(
        self,
        principal: Principal | None = None,
        *,
        session_name: str = "test",
        policy: Document | None = None,
        tags: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Principal:
        """A session, assumed by `principal`, who has to be allowed to; by a user of the role's account who may assume
        any role, where none is given.

        `policy` is a session policy, `more` are further parameters of AssumeRole, such as ExternalId.
        """
        given: dict[str, Any] = {"RoleArn": self.arn, "RoleSessionName": session_name, **more}
        text = "" if policy is None else read_document(policy)
        if text:
            given["Policy"] = text
        if tags:
            given["Tags"] = tag_list(tags)
        made = (principal or self.account.assumer).client("sts").assume_role(**given)
        found = made["Credentials"]
        key = Key(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        limited = text or json.dumps(given.get("PolicyArns", "")).strip('"')
        return Principal(self.account, made["AssumedRoleUser"]["Arn"], key, self.arn, session_policy=limited)


Trusted: TypeAlias = "Principal | Account | Role | Document"


class Account:
    """An account of the server, with its root user. Everything is made by the root user."""

    def __init__(self, server: Server, identifier: str, key: Key, accounts: "dict[str, Account]") -> None:
        """`accounts` are all that tests know, by id; this one is added."""
        self.server = server
        self.id = identifier
        arn = f"arn:aws:iam::{identifier}:root"
        self.root = Principal(self, arn, key, arn)
        self._accounts = accounts
        self._accounts[identifier] = self
        self._numbers = itertools.count(1)
        self._assumer: Principal | None = None

    def __repr__(self) -> str:
        return f"<Account {self.id}>"

    def client(self, service: str, region: str = "") -> Any:
        """A boto3 client of the root user."""
        return self.root.client(service, region)

    def find(self, identifier: str) -> "Account":
        """Another account. Raises LongshoreError for one that no test has made."""
        __tracebackhide__ = True
        if identifier not in self._accounts:
            raise LongshoreError(f"there is no account {identifier} here: the fixture makes accounts by account()")
        return self._accounts[identifier]

    def repository_arn(self, name: str, region: str = "") -> str:
        return f"arn:aws:ecr:{region or self.server.region}:{self.id}:repository/{name}"

    # -- what tests make

    def user(
        self,
        name: str = "",
        *,
        policy: Document | None = None,
        managed: str | Iterable[str] = (),
        boundary: str = "",
        groups: str | Iterable[str] = (),
        tags: Mapping[str, str] | None = None,
    ) -> Principal:
        """A new user with an access key. `policy` is inline; `managed` are ARNs, or names of AWS's own; `boundary` is a
        managed policy's ARN or name; `groups` exist already."""
        iam, name = self.client("iam"), name or f"user-{next(self._numbers)}"
        limits = {"PermissionsBoundary": managed_arn(boundary)} if boundary else {}
        made = iam.create_user(UserName=name, Tags=tag_list(tags or {}), **limits)["User"]
        if policy is not None:
            iam.put_user_policy(UserName=name, PolicyName=_INLINE, PolicyDocument=read_document(policy))
        for arn in _each(managed):
            iam.attach_user_policy(UserName=name, PolicyArn=managed_arn(arn))
        for group in _each(groups):
            iam.add_user_to_group(GroupName=group, UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Principal(self, made["Arn"], Key(key["AccessKeyId"], key["SecretAccessKey"]), made["Arn"])

    def group(self, name: str = "", *, policy: Document | None = None, managed: str | Iterable[str] = ()) -> str:
        """A new group's name."""
        iam, name = self.client("iam"), name or f"group-{next(self._numbers)}"
        iam.create_group(GroupName=name)
        if policy is not None:
            iam.put_group_policy(GroupName=name, PolicyName=_INLINE, PolicyDocument=read_document(policy))
        for arn in _each(managed):
            iam.attach_group_policy(GroupName=name, PolicyArn=managed_arn(arn))
        return name

    def role(
        self,
        name: str = "",
        *,
        trust: "Trusted | None" = None,
        policy: Document | None = None,
        managed: str | Iterable[str] = (),
        boundary: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Role:
        """A new role. `trust` is whom it trusts, or a whole trust policy; its own account, where it is not given."""
        iam, name = self.client("iam"), name or f"role-{next(self._numbers)}"
        limits = {"PermissionsBoundary": managed_arn(boundary)} if boundary else {}
        made = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=_trust_policy(trust or self),
            Tags=tag_list(tags or {}),
            **limits,
        )["Role"]
        if policy is not None:
            iam.put_role_policy(RoleName=name, PolicyName=_INLINE, PolicyDocument=read_document(policy))
        for arn in _each(managed):
            iam.attach_role_policy(RoleName=name, PolicyArn=managed_arn(arn))
        return Role(self, name, made["Arn"])

    def policy(self, document: Document, name: str = "") -> str:
        """A new managed policy's ARN."""
        name = name or f"policy-{next(self._numbers)}"
        made = self.client("iam").create_policy(PolicyName=name, PolicyDocument=read_document(document))
        return str(made["Policy"]["Arn"])

    def repository(
        self, name: str, *, policy: Document | None = None, tags: Mapping[str, str] | None = None, **more: Any
    ) -> Repository:
        """A new repository. `more` are further parameters of CreateRepository."""
        made = self.client("ecr").create_repository(repositoryName=name, tags=tag_list(tags or {}), **more)
        found = made["repository"]
        repository = Repository(self, name, found["repositoryArn"], found["repositoryUri"])
        if policy is not None:
            repository.set_policy(policy)
        return repository

    def account(self, name: str = "partner") -> "Account":
        """Another account of the same server, with nothing in it."""
        identifier, key = self.server.create_account(name)
        return Account(self.server, identifier, key, self._accounts)

    @property
    def assumer(self) -> Principal:
        """A user who may assume any role that trusts the account."""
        if self._assumer is None:
            statement = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "*"}
            self._assumer = self.user("assumer", policy={"Version": "2012-10-17", "Statement": [statement]})
        return self._assumer

    # -- the end of a test

    def clear(self) -> None:
        """Delete all that there is in the account, whoever made it."""
        self._assumer = None
        _clear_organization(self.client("organizations"), self.id)
        _clear_registry(self.client("ecr"))
        _clear_identities(self.client("iam"))


def _each(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _trust_policy(trust: Trusted) -> str:
    if isinstance(trust, Principal):
        principal = trust.identity_arn
    elif isinstance(trust, Role):
        principal = trust.arn
    elif isinstance(trust, Account):
        principal = f"arn:aws:iam::{trust.id}:root"
    else:
        return read_document(trust)
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _pages(client: Any, operation: str, key: str, **params: Any) -> list[Any]:
    return [one for page in client.get_paginator(operation).paginate(**params) for one in page[key]]


def _clear_registry(ecr: Any) -> None:
    for repository in _pages(ecr, "describe_repositories", "repositories"):
        ecr.delete_repository(repositoryName=repository["repositoryName"], force=True)
    for template in _pages(ecr, "describe_repository_creation_templates", "repositoryCreationTemplates"):
        ecr.delete_repository_creation_template(prefix=template["prefix"])
    try:
        ecr.delete_registry_policy()
    except ClientError as error:
        if error.response["Error"]["Code"] != "RegistryPolicyNotFoundException":
            raise


def _clear_identities(iam: Any) -> None:
    for user in _pages(iam, "list_users", "Users"):
        name = user["UserName"]
        for key in _pages(iam, "list_access_keys", "AccessKeyMetadata", UserName=name):
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for group in _pages(iam, "list_groups_for_user", "Groups", UserName=name):
            iam.remove_user_from_group(UserName=name, GroupName=group["GroupName"])
        _clear_policies(iam, "user", name)
        iam.delete_user(UserName=name)
    for group in _pages(iam, "list_groups", "Groups"):
        _clear_policies(iam, "group", group["GroupName"])
        iam.delete_group(GroupName=group["GroupName"])
    for profile in _pages(iam, "list_instance_profiles", "InstanceProfiles"):
        name = profile["InstanceProfileName"]
        for role in profile["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
        iam.delete_instance_profile(InstanceProfileName=name)
    for role in _pages(iam, "list_roles", "Roles"):
        if role["Path"].startswith("/aws-service-role/"):
            iam.delete_service_linked_role(RoleName=role["RoleName"])
            continue
        _clear_policies(iam, "role", role["RoleName"])
        iam.delete_role(RoleName=role["RoleName"])
    for policy in _pages(iam, "list_policies", "Policies", Scope="Local"):
        for version in _pages(iam, "list_policy_versions", "Versions", PolicyArn=policy["Arn"]):
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=policy["Arn"], VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=policy["Arn"])
    for provider in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])


def _clear_policies(iam: Any, kind: str, name: str) -> None:
    """Of a user, group or role."""
    whose = {f"{kind.capitalize()}Name": name}
    for policy in _pages(iam, f"list_attached_{kind}_policies", "AttachedPolicies", **whose):
        getattr(iam, f"detach_{kind}_policy")(PolicyArn=policy["PolicyArn"], **whose)
    for policy in _pages(iam, f"list_{kind}_policies", "PolicyNames", **whose):
        getattr(iam, f"delete_{kind}_policy")(PolicyName=policy, **whose)


def _clear_organization(organizations: Any, account: str) -> None:
    """The account's own organization; it leaves another's."""
    try:
        organization = organizations.describe_organization()["Organization"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "AWSOrganizationsNotInUseException":
            raise
        return
    if organization["MasterAccountId"] != account:
        organizations.leave_organization()
        return
    for member in _pages(organizations, "list_accounts", "Accounts"):
        if member["Id"] != account:
            organizations.remove_account_from_organization(AccountId=member["Id"])
    organizations.delete_organization()
