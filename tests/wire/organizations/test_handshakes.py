import re
from collections.abc import Callable

from tests.wire.organizations.conftest import CONTROL, Account, Organization, refusal


def invite(organization: Organization, account: Account, kind: str = "ACCOUNT") -> str:
    target = {"Id": account.id if kind == "ACCOUNT" else account.email, "Type": kind}
    return organization.client.invite_account_to_organization(Target=target)["Handshake"]["Id"]


def test_an_invitation_is_seen_from_both_ends_and_accepted(organization: Organization, account: Account):
    sent = organization.client.invite_account_to_organization(
        Target={"Id": account.id, "Type": "ACCOUNT"}, Notes="Come.", Tags=[{"Key": "team", "Value": "a"}]
    )["Handshake"]
    requested, expires = sent.pop("RequestedTimestamp"), sent.pop("ExpirationTimestamp")
    assert (expires - requested).days == 15
    assert re.fullmatch(r"h-[0-9a-z]{32}", sent["Id"])
    management = organization.management
    assert sent == {
        "Id": sent["Id"],
        "Arn": f"arn:aws:organizations::{management.id}:handshake/{organization.id}/invite/{sent['Id']}",
        "Parties": [{"Id": organization.id, "Type": "ORGANIZATION"}, {"Id": account.id, "Type": "ACCOUNT"}],
        "State": "OPEN",
        "Action": "INVITE",
        "Resources": [
            {
                "Type": "ORGANIZATION",
                "Value": organization.id,
                "Resources": [
                    {"Type": "MASTER_EMAIL", "Value": management.email},
                    {"Type": "MASTER_NAME", "Value": management.email.partition("@")[0]},
                    {"Type": "ORGANIZATION_FEATURE_SET", "Value": "ALL"},
                ],
            },
            {"Type": "ACCOUNT", "Value": account.id},
            {"Type": "NOTES", "Value": "Come."},
        ],
    }
    for client in (organization.client, account.organizations):
        assert client.describe_handshake(HandshakeId=sent["Id"])["Handshake"]["Arn"] == sent["Arn"]
    assert [one["Id"] for one in organization.client.list_handshakes_for_organization()["Handshakes"]] == [sent["Id"]]
    assert [one["Id"] for one in account.organizations.list_handshakes_for_account()["Handshakes"]] == [sent["Id"]]
    accepted = account.organizations.accept_handshake(HandshakeId=sent["Id"])["Handshake"]
    assert (accepted["Id"], accepted["State"]) == (sent["Id"], "ACCEPTED")
    member = organization.client.describe_account(AccountId=account.id)["Account"]
    assert (member["JoinedMethod"], member["Email"]) == ("INVITED", account.email)
    assert organization.client.list_parents(ChildId=account.id)["Parents"][0]["Id"] == organization.root
    assert organization.attached(account.id) == ["FullAWSAccess"]
    tags = organization.client.list_tags_for_resource(ResourceId=account.id)["Tags"]
    assert tags == [{"Key": "team", "Value": "a"}]


def test_an_address_invites_whoever_has_it(organization: Organization, account: Account):
    sent = organization.client.invite_account_to_organization(Target={"Id": account.email.upper(), "Type": "EMAIL"})[
        "Handshake"
    ]
    assert sent["Parties"][1] == {"Id": account.email, "Type": "EMAIL"}
    account.organizations.accept_handshake(HandshakeId=sent["Id"])
    assert account.organizations.describe_organization()["Organization"]["Id"] == organization.id


def test_the_inviting_side_does_not_learn_who_is_there(organization: Organization, account: Account):
    for there, nobody in ((account.id, "999999999999"), (account.email, "nobody@example.test")):
        kind = "EMAIL" if "@" in nobody else "ACCOUNT"
        answers = [
            organization.client.invite_account_to_organization(Target={"Id": one, "Type": kind})["Handshake"]
            for one in (there, nobody)
        ]
        assert {answer["State"] for answer in answers} == {"OPEN"}


def test_an_invitation_is_declined_by_the_one_side_and_canceled_by_the_other(
    organization: Organization, account: Account
):
    declined = invite(organization, account)
    assert (
        refusal(organization.client.invite_account_to_organization, Target={"Id": account.id, "Type": "ACCOUNT"})[0]
        == "DuplicateHandshake"
    )
    assert refusal(organization.client.decline_handshake, HandshakeId=declined)[0] == "HandshakeNotFound"
    assert refusal(account.organizations.cancel_handshake, HandshakeId=declined)[0] == "HandshakeNotFound"
    assert account.organizations.decline_handshake(HandshakeId=declined)["Handshake"]["State"] == "DECLINED"
    assert refusal(account.organizations.decline_handshake, HandshakeId=declined)[0] == "HandshakeAlreadyInState"
    code, _ = refusal(account.organizations.accept_handshake, HandshakeId=declined)
    assert code == "InvalidHandshakeTransition"
    canceled = invite(organization, account)
    assert organization.client.cancel_handshake(HandshakeId=canceled)["Handshake"]["State"] == "CANCELED"
    code, _ = refusal(account.organizations.accept_handshake, HandshakeId=canceled)
    assert code == "InvalidHandshakeTransition"
    states = {one["State"] for one in account.organizations.list_handshakes_for_account()["Handshakes"]}
    assert states == {"DECLINED", "CANCELED"}


def test_strangers_see_no_handshake(organization: Organization, account: Account, make_account: Callable[[], Account]):
    sent, stranger = invite(organization, account), make_account()
    for operation in ("describe_handshake", "accept_handshake", "decline_handshake", "cancel_handshake"):
        known = refusal(getattr(stranger.organizations, operation), HandshakeId=sent)
        unknown = refusal(getattr(stranger.organizations, operation), HandshakeId="h-" + "0" * 32)
        assert known == unknown
        assert known[0] == "HandshakeNotFound"


def test_an_account_joins_one_organization(organization: Organization, make_account: Callable[[], Account]):
    account, other = make_account(), make_account()
    other.organizations.create_organization()
    root = other.organizations.list_roots()["Roots"][0]["Id"]
    rival = Organization(other, "", root)
    first, second = invite(organization, account), invite(rival, account)
    account.organizations.accept_handshake(HandshakeId=first)
    assert refusal(account.organizations.accept_handshake, HandshakeId=second) == (
        "HandshakeConstraintViolation",
        "ALREADY_IN_AN_ORGANIZATION",
    )
    target = {"Id": account.id, "Type": "ACCOUNT"}
    assert refusal(organization.client.invite_account_to_organization, Target=target) == (
        "HandshakeConstraintViolation",
        "ALREADY_IN_AN_ORGANIZATION",
    )
    account.organizations.leave_organization()
    account.organizations.accept_handshake(HandshakeId=second)


def test_targets_have_the_form_of_their_type(organization: Organization):
    call = organization.client.invite_account_to_organization
    for target, reason in [
        ({"Id": "123", "Type": "ACCOUNT"}, "INVALID_PATTERN"),
        ({"Id": "nobody", "Type": "EMAIL"}, "INVALID_EMAIL_ADDRESS_TARGET"),
        ({"Id": organization.id, "Type": "ORGANIZATION"}, "INVALID_PARTY_TYPE_TARGET"),
    ]:
        assert refusal(call, Target=target) == ("InvalidInput", reason)


def test_all_features_need_every_invited_member_and_then_the_management_account(
    make_account: Callable[[], Account],
):
    management, one, other = make_account(), make_account(), make_account()
    client = management.organizations
    client.create_organization(FeatureSet="CONSOLIDATED_BILLING")
    root = client.list_roots()["Roots"][0]["Id"]
    organization = Organization(management, client.describe_organization()["Organization"]["Id"], root)
    organization.account()
    for account in (one, other):
        organization.join(account)
    asked = client.enable_all_features()["Handshake"]
    assert (asked["Action"], asked["State"]) == ("ENABLE_ALL_FEATURES", "REQUESTED")
    assert refusal(client.enable_all_features) == (
        "HandshakeConstraintViolation",
        "ORGANIZATION_IS_ALREADY_PENDING_ALL_FEATURES_MIGRATION",
    )
    assert refusal(client.invite_account_to_organization, Target={"Id": "999999999999", "Type": "ACCOUNT"}) == (
        "HandshakeConstraintViolation",
        "INVITE_DISABLED_DURING_ENABLE_ALL_FEATURES",
    )
    assert client.list_handshakes_for_account()["Handshakes"] == []
    for account in (one, other):
        assert client.describe_organization()["Organization"]["FeatureSet"] == "CONSOLIDATED_BILLING"
        (mine,) = account.organizations.list_handshakes_for_account(Filter={"ActionType": "ENABLE_ALL_FEATURES"})[
            "Handshakes"
        ]
        assert {"Type": "PARENT_HANDSHAKE", "Value": asked["Id"]} in mine["Resources"]
        account.organizations.accept_handshake(HandshakeId=mine["Id"])
    (last,) = client.list_handshakes_for_account()["Handshakes"]
    assert last["Action"] == "APPROVE_ALL_FEATURES"
    client.accept_handshake(HandshakeId=last["Id"])
    described = client.describe_organization()["Organization"]
    assert (described["FeatureSet"], described["AvailablePolicyTypes"][0]["Type"]) == ("ALL", CONTROL)
    parent = client.list_handshakes_for_organization(Filter={"ParentHandshakeId": asked["Id"]})["Handshakes"]
    assert {handshake["State"] for handshake in parent} == {"ACCEPTED"}
    assert len(parent) == 3
    assert refusal(client.enable_all_features) == (
        "HandshakeConstraintViolation",
        "ORGANIZATION_ALREADY_HAS_ALL_FEATURES",
    )
    client.enable_policy_type(RootId=root, PolicyType=CONTROL)
    assert organization.attached(one.id) == ["FullAWSAccess"]


def test_a_migration_is_canceled_with_all_that_it_asked_for(account: Account, make_account: Callable[[], Account]):
    client = account.organizations
    client.create_organization(FeatureSet="CONSOLIDATED_BILLING")
    asked = client.enable_all_features()["Handshake"]["Id"]
    (last,) = client.list_handshakes_for_account()["Handshakes"]
    assert refusal(client.cancel_handshake, HandshakeId=last["Id"])[0] == "InvalidHandshakeTransition"
    assert refusal(client.decline_handshake, HandshakeId=last["Id"])[0] == "InvalidHandshakeTransition"
    client.cancel_handshake(HandshakeId=asked)
    assert refusal(client.accept_handshake, HandshakeId=last["Id"])[0] == "InvalidHandshakeTransition"
    client.enable_all_features()
