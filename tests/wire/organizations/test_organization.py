import re
from collections.abc import Callable

from auth.organizations.errors import TEXTS
from auth.organizations.operations import OPERATIONS
from tests.wire.organizations.conftest import CONTROL, Account, Organization, refusal

NOT_IN_USE = ("AWSOrganizationsNotInUse", "Your account is not a member of an organization.")
DENIED = ("AccessDenied", "You don't have permissions to access this resource.")


def test_an_organization_begins_with_its_management_account_a_root_and_full_access(account: Account):
    made = account.organizations.create_organization()["Organization"]
    assert re.fullmatch(r"o-[a-z0-9]{10}", made["Id"])
    assert made == {
        "Id": made["Id"],
        "Arn": f"arn:aws:organizations::{account.id}:organization/{made['Id']}",
        "FeatureSet": "ALL",
        "MasterAccountArn": f"arn:aws:organizations::{account.id}:account/{made['Id']}/{account.id}",
        "MasterAccountId": account.id,
        "MasterAccountEmail": account.email,
        "AvailablePolicyTypes": [{"Type": CONTROL, "Status": "ENABLED"}],
    }
    assert account.organizations.describe_organization()["Organization"] == made
    (root,) = account.organizations.list_roots()["Roots"]
    assert re.fullmatch(r"r-[a-z0-9]{4}", root["Id"])
    assert root == {
        "Id": root["Id"],
        "Arn": f"arn:aws:organizations::{account.id}:root/{made['Id']}/{root['Id']}",
        "Name": "Root",
        "PolicyTypes": [{"Type": CONTROL, "Status": "ENABLED"}],
    }
    (member,) = account.organizations.list_accounts()["Accounts"]
    assert (member["Id"], member["JoinedMethod"]) == (account.id, "INVITED")
    organization = Organization(account, made["Id"], root["Id"])
    assert organization.attached(root["Id"]) == organization.attached(account.id) == ["FullAWSAccess"]


def test_an_account_is_in_one_organization(organization: Organization, account: Account):
    organization.join(account)
    expected = ("AlreadyInOrganization", "The AWS account is already a member of an organization.")
    assert refusal(organization.client.create_organization) == expected
    assert refusal(account.organizations.create_organization) == expected


def test_consolidated_billing_has_no_policies(account: Account):
    made = account.organizations.create_organization(FeatureSet="CONSOLIDATED_BILLING")["Organization"]
    assert (made["FeatureSet"], made["AvailablePolicyTypes"]) == ("CONSOLIDATED_BILLING", [])
    (root,) = account.organizations.list_roots()["Roots"]
    assert root["PolicyTypes"] == []
    code, _ = refusal(account.organizations.enable_policy_type, RootId=root["Id"], PolicyType=CONTROL)
    assert code == "PolicyTypeNotAvailableForOrganization"
    code, _ = refusal(account.organizations.create_policy, Type=CONTROL, Name="a", Description="", Content="{}")
    assert code == "PolicyTypeNotAvailableForOrganization"
    made = account.organizations.create_account(Email=f"x{account.email}", AccountName="a")["CreateAccountStatus"]
    assert refusal(account.organizations.close_account, AccountId=made["AccountId"]) == (
        "ConstraintViolation",
        "ORGANIZATION_NOT_IN_ALL_FEATURES_MODE",
    )


def test_an_organization_goes_when_only_its_management_account_is_left(organization: Organization):
    member = organization.account()
    organization.unit("a")
    assert refusal(organization.client.delete_organization)[0] == "OrganizationNotEmpty"
    organization.client.remove_account_from_organization(AccountId=member)
    organization.client.delete_organization()
    assert refusal(organization.client.describe_organization) == NOT_IN_USE
    assert organization.client.create_organization()["Organization"]["Id"] != organization.id


def test_outside_of_an_organization_only_what_leads_into_one_is_there(account: Account):
    client = account.organizations
    assert refusal(client.list_accounts) == NOT_IN_USE
    assert refusal(client.leave_organization) == NOT_IN_USE
    assert refusal(client.describe_account, AccountId=account.id) == NOT_IN_USE
    assert client.list_handshakes_for_account()["Handshakes"] == []
    assert refusal(client.list_handshakes_for_organization) == NOT_IN_USE


def test_members_know_their_organization_and_manage_nothing(
    organization: Organization, make_account: Callable[[], Account]
):
    member, other = make_account(), make_account()
    organization.join(member)
    organization.join(other)
    client = member.organizations
    assert client.describe_organization()["Organization"]["Id"] == organization.id
    for operation, params in {
        "list_accounts": {},
        "list_roots": {},
        "describe_account": {"AccountId": member.id},
        "create_account": {"Email": "a@example.test", "AccountName": "a"},
        "close_account": {"AccountId": other.id},
        "remove_account_from_organization": {"AccountId": other.id},
        "move_account": {
            "AccountId": member.id,
            "SourceParentId": organization.root,
            "DestinationParentId": organization.root,
        },
        "create_organizational_unit": {"ParentId": organization.root, "Name": "a"},
        "detach_policy": {"PolicyId": "p-FullAWSAccess", "TargetId": member.id},
        "disable_policy_type": {"RootId": organization.root, "PolicyType": CONTROL},
        "tag_resource": {"ResourceId": member.id, "Tags": [{"Key": "a", "Value": "b"}]},
        "delete_organization": {},
        "enable_all_features": {},
    }.items():
        assert refusal(getattr(client, operation), **params) == DENIED, operation


def test_what_integrates_with_services_of_aws_is_empty(organization: Organization):
    assert organization.client.list_aws_service_access_for_organization()["EnabledServicePrincipals"] == []
    assert organization.client.list_delegated_administrators()["DelegatedAdministrators"] == []


def test_values_that_the_model_forbids_are_refused_with_its_reasons(organization: Organization, unchecked: "object"):
    client = unchecked
    cases = [
        ("create_account", {"AccountName": "a"}, "INPUT_REQUIRED"),
        ("create_account", {"Email": "nobody", "AccountName": "a"}, "INVALID_PATTERN"),
        ("create_account", {"Email": "a@example.test", "AccountName": "a" * 51}, "MAX_LENGTH_EXCEEDED"),
        ("list_accounts", {"MaxResults": 21}, "MAX_VALUE_EXCEEDED"),
        ("list_accounts", {"MaxResults": 0}, "MIN_VALUE_EXCEEDED"),
        ("list_accounts", {"NextToken": "nonsense"}, "INVALID_NEXT_TOKEN"),
        ("list_policies", {"Filter": "SOME_POLICY"}, "INVALID_ENUM_POLICY_TYPE"),
        ("list_children", {"ParentId": organization.root, "ChildType": "PET"}, "INVALID_ENUM"),
        ("describe_policy", {"PolicyId": "nonsense"}, "INVALID_PATTERN"),
    ]
    for operation, params, reason in cases:
        assert refusal(getattr(client, operation), **params) == ("InvalidInput", reason), (operation, params)


def test_every_operation_that_is_served_knows_its_caller():
    """Nothing but these is there for accounts outside of an organization."""
    free = {row.name for row in OPERATIONS if row.handler.__name__ != "handle"}
    assert free == {
        "CreateOrganization", "AcceptHandshake", "DeclineHandshake", "CancelHandshake", "DescribeHandshake",
        "ListHandshakesForAccount",
    }  # fmt: skip
    assert TEXTS["AccessDeniedException"] == DENIED[1]
