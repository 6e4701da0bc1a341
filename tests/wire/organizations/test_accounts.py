from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import LiveServer
from tests.wire.client import Client
from tests.wire.organizations.conftest import Account, Organization, fresh_name, refusal

if TYPE_CHECKING:
    from types_boto3_sts import STSClient


def administrator(organization: Organization) -> dict[str, str]:
    """A key of a new user of the management account who may do everything."""
    iam = organization.management.client("iam")
    name = fresh_name()
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def assumed(sts: "STSClient", arn: str) -> dict[str, str]:
    """Credentials of a session of a role."""
    found = sts.assume_role(RoleArn=arn, RoleSessionName="tests")["Credentials"]
    return {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }


def test_a_created_account_is_a_member_at_once_and_its_request_says_so(organization: Organization):
    email = f"{fresh_name()}@example.test"
    status = organization.client.create_account(Email=email, AccountName="Team B")["CreateAccountStatus"]
    assert (status["State"], status["AccountName"]) == ("SUCCEEDED", "Team B")
    assert "FailureReason" not in status
    found = organization.client.describe_create_account_status(CreateAccountRequestId=status["Id"])
    assert found["CreateAccountStatus"] == status
    assert organization.client.list_create_account_status()["CreateAccountStatuses"] == [status]
    assert organization.client.list_create_account_status(States=["FAILED"])["CreateAccountStatuses"] == []
    account = status["AccountId"]
    shown = organization.client.describe_account(AccountId=account)["Account"]
    assert shown.pop("JoinedTimestamp") == status["CompletedTimestamp"]
    assert shown == {
        "Id": account,
        "Arn": f"arn:aws:organizations::{organization.management.id}:account/{organization.id}/{account}",
        "Email": email,
        "Name": "Team B",
        "Status": "ACTIVE",
        "State": "ACTIVE",
        "Paths": [f"{organization.id}/{organization.root}/{account}/"],
        "JoinedMethod": "CREATED",
    }
    assert organization.attached(account) == ["FullAWSAccess"]


@pytest.mark.parametrize("role", [None, "Admins"])
def test_administrators_of_the_management_account_administrate_a_created_account(
    organization: Organization, server: LiveServer, role: str | None
):
    named: dict[str, Any] = {} if role is None else {"RoleName": role}
    status = organization.client.create_account(Email=f"{fresh_name()}@example.test", AccountName="a", **named)
    account = status["CreateAccountStatus"]["AccountId"]
    name = role or "OrganizationAccountAccessRole"
    sts = organization.management.client("sts", **administrator(organization))
    session = assumed(sts, f"arn:aws:iam::{account}:role/{name}")
    server.client("ecr", **session).create_repository(repositoryName="some/images")
    iam = server.client("iam", **session)
    found = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    assert found == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{organization.management.id}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    (attached,) = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert attached["PolicyName"] == "AdministratorAccess"


def test_a_request_that_fails_says_why_and_leaves_nothing(organization: Organization, account: Account):
    for email, reason in ((account.email.upper(), "EMAIL_ALREADY_EXISTS"), ("a(b@example.test", "INVALID_EMAIL")):
        status = organization.client.create_account(Email=email, AccountName="a")["CreateAccountStatus"]
        assert (status["State"], status["FailureReason"]) == ("FAILED", reason)
        assert "AccountId" not in status
    assert len(organization.client.list_accounts()["Accounts"]) == 1
    code, _ = refusal(organization.client.describe_create_account_status, CreateAccountRequestId="car-" + "0" * 32)
    assert code == "CreateAccountStatusNotFound"
    assert refusal(
        organization.client.create_account,
        Email=f"{fresh_name()}@example.test",
        AccountName="a",
        RoleName="AWSServiceRoleForOrganizations",
    ) == ("InvalidInput", "INVALID_ROLE_NAME")


def test_listings_come_in_pages(organization: Organization):
    made = sorted([organization.management.id, *(organization.account() for _ in range(4))])
    pages = organization.client.get_paginator("list_accounts").paginate(PaginationConfig={"PageSize": 2})
    sizes = [[one["Id"] for one in page["Accounts"]] for page in pages]
    assert sizes == [made[:2], made[2:4], made[4:]]
    token = organization.client.list_accounts(MaxResults=2)["NextToken"]
    assert refusal(organization.client.list_create_account_status, NextToken=token) == (
        "InvalidInput",
        "INVALID_NEXT_TOKEN",
    )


def test_an_account_moves_from_where_it_is_to_where_it_is_not(organization: Organization):
    client, root = organization.client, organization.root
    account, unit = organization.account(), organization.unit("a")
    client.move_account(AccountId=account, SourceParentId=root, DestinationParentId=unit)
    assert client.list_parents(ChildId=account)["Parents"] == [{"Id": unit, "Type": "ORGANIZATIONAL_UNIT"}]
    assert [one["Id"] for one in client.list_accounts_for_parent(ParentId=unit)["Accounts"]] == [account]
    assert client.list_children(ParentId=unit, ChildType="ACCOUNT")["Children"] == [{"Id": account, "Type": "ACCOUNT"}]
    nowhere = f"{unit[:-8]}00000000"
    for source, destination, account_id, code in [
        (root, unit, account, "AccountNotFound"),
        (unit, unit, account, "DuplicateAccount"),
        (nowhere, root, account, "SourceParentNotFound"),
        (unit, nowhere, account, "DestinationParentNotFound"),
        (unit, root, "999999999999", "AccountNotFound"),
    ]:
        found, _ = refusal(
            client.move_account, AccountId=account_id, SourceParentId=source, DestinationParentId=destination
        )
        assert found == code, (source, destination)


def test_a_closed_account_signs_no_more_and_stays_a_member(organization: Organization, account: Account):
    organization.join(account)
    ecr = account.client("ecr")
    ecr.describe_repositories()
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    with Client(organization.management.server, authorization=f"Basic {token}") as docker:
        assert docker("GET", "/v2/").status == 200
        organization.client.close_account(AccountId=account.id)
        assert docker("GET", "/v2/").status == 401
    code, _ = refusal(ecr.describe_repositories)
    assert code == "UnrecognizedClient"
    shown = organization.client.describe_account(AccountId=account.id)["Account"]
    assert (shown["Status"], shown["State"]) == ("SUSPENDED", "CLOSED")
    assert refusal(organization.client.close_account, AccountId=account.id)[0] == "AccountAlreadyClosed"
    assert refusal(organization.client.close_account, AccountId=organization.management.id) == (
        "ConstraintViolation",
        "CANNOT_CLOSE_MANAGEMENT_ACCOUNT",
    )
    assert refusal(organization.client.close_account, AccountId="999999999999")[0] == "AccountNotFound"


def test_sessions_in_a_closed_account_end(organization: Organization, server: LiveServer):
    account = organization.account()
    role = f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
    sts = organization.management.client("sts", **administrator(organization))
    ecr = server.client("ecr", **assumed(sts, role))
    ecr.describe_repositories()
    organization.client.close_account(AccountId=account)
    assert refusal(ecr.describe_repositories)[0] == "UnrecognizedClient"


def test_accounts_leave_and_are_removed_and_the_management_account_neither(
    organization: Organization, make_account: Callable[[], Account]
):
    one, other = make_account(), make_account()
    organization.join(one)
    organization.join(other)
    one.organizations.leave_organization()
    organization.client.remove_account_from_organization(AccountId=other.id)
    for account in (one, other):
        assert refusal(account.organizations.describe_organization)[0] == "AWSOrganizationsNotInUse"
        assert refusal(organization.client.describe_account, AccountId=account.id)[0] == "AccountNotFound"
        account.client("ecr").describe_repositories()
    assert refusal(organization.client.leave_organization)[0] == "MasterCannotLeaveOrganization"
    management = organization.management.id
    code, _ = refusal(organization.client.remove_account_from_organization, AccountId=management)
    assert code == "MasterCannotLeaveOrganization"
    assert refusal(organization.client.remove_account_from_organization, AccountId=one.id)[0] == "AccountNotFound"


def test_an_organization_knows_its_own_accounts_only(organization: Organization, make_account: Callable[[], Account]):
    stranger = make_account()
    stranger.organizations.create_organization()
    for operation in ("describe_account", "close_account", "remove_account_from_organization"):
        code, _ = refusal(getattr(organization.client, operation), AccountId=stranger.id)
        assert code == "AccountNotFound"
    assert refusal(organization.client.list_parents, ChildId=stranger.id)[0] == "ChildNotFound"
    code, _ = refusal(organization.client.attach_policy, PolicyId="p-FullAWSAccess", TargetId=stranger.id)
    assert code == "TargetNotFound"
