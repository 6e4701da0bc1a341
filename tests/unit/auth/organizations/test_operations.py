"""The table and its errors, beside the model."""

import gzip
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.session import Session

from auth.access import Principal
from auth.accounts import Accounts
from auth.credentials import root_of
from auth.epoch import Epoch
from auth.organizations import errors, handshakes
from auth.organizations.call import Organizations
from auth.organizations.operations import OPERATIONS, make_service
from auth.rows.organizations import find_organization_of
from auth.secrets import Vault
from aws.dispatch import Call
from aws.errors import AwsError
from store.database import Database
from tests.rooms import Time

MODEL = Session().get_service_model("organizations")
ONE, OTHER = "111111111111", "222222222222"
DAY = 86_400.0


def enum(name: str) -> list[str]:
    found = Path(botocore.__file__).parent / "data/organizations/2016-11-28/service-2.json.gz"
    with gzip.open(found) as file:
        values: list[str] = json.load(file)["shapes"][name]["enum"]
    return values


def test_every_exception_and_reason_is_of_the_model():
    assert set(errors.TEXTS) <= {shape.name for shape in MODEL.error_shapes}
    known = set(enum("ConstraintViolationExceptionReason")) | set(enum("HandshakeConstraintViolationExceptionReason"))
    assert set(errors.CONSTRAINTS) <= known
    assert set(errors.INVALID) <= set(enum("InvalidInputExceptionReason"))


def test_the_operations_are_of_the_model_and_each_asks_for_its_own_action(organizations: Organizations):
    service = make_service(organizations)
    assert {row.name for row in service.operations} <= set(MODEL.operation_names)
    assert len({row.name for row in OPERATIONS}) == len(OPERATIONS)


def test_the_document_has_every_operation_of_the_model_and_says_which_are_served():
    text = (Path(__file__).parents[4] / "docs/compatibility.md").read_text()
    table, others, *_ = text.partition("Of Organizations:\n\n")[2].split("\n\n")
    served = [name for line in table.splitlines()[2:] for name in line.split("|")[2].strip().split(", ")]
    assert sorted(served) == sorted(row.name for row in OPERATIONS)
    missing = others.removeprefix("Not served: ").rstrip(".").replace("\n", " ").split(", ")
    assert sorted(served + missing) == sorted(MODEL.operation_names)


# -- time


@pytest.fixture
async def organizations(database: Database, epoch: Epoch, vault: Vault, clock: Time) -> Organizations:
    for account in (ONE, OTHER):
        await Accounts(database, epoch, vault, clock).create("a", identifier=account, email=f"{account}@example.test")
    return Organizations(database, epoch, clock)


def call(account: str, operation: str, **params: Any) -> Call[Principal]:
    whatever: dict[str, Any] = dict.fromkeys((field.name for field in fields(Call)), "")
    principal = root_of(account, "AKIAEXAMPLE")
    return Call(**{**whatever, "operation": operation, "params": params, "principal": principal, "account": account})


async def serve(organizations: Organizations, account: str, operation: str, **params: Any) -> Any:
    (row,) = (row for row in OPERATIONS if row.name == operation)
    return await row.handler(organizations, call(account, operation, **params))


async def invited(organizations: Organizations) -> str:
    await serve(organizations, ONE, "CreateOrganization")
    target = {"Id": OTHER, "Type": "ACCOUNT"}
    sent = await serve(organizations, ONE, "InviteAccountToOrganization", Target=target)
    identifier: str = sent["Handshake"]["Id"]
    return identifier


async def test_an_invitation_ends_after_fifteen_days(organizations: Organizations, clock: Time):
    sent = await invited(organizations)
    clock.pass_(15 * DAY)
    with pytest.raises(AwsError, match="InvalidHandshakeTransitionException"):
        await serve(organizations, OTHER, "AcceptHandshake", HandshakeId=sent)
    found = await serve(organizations, OTHER, "DescribeHandshake", HandshakeId=sent)
    assert found["Handshake"]["State"] == "EXPIRED"
    assert await find_organization_of(organizations.database, OTHER) is None
    target = {"Id": OTHER, "Type": "ACCOUNT"}
    again = await serve(organizations, ONE, "InviteAccountToOrganization", Target=target)
    await serve(organizations, OTHER, "AcceptHandshake", HandshakeId=again["Handshake"]["Id"])


async def test_what_has_ended_is_shown_for_thirty_days(organizations: Organizations, clock: Time):
    sent = await invited(organizations)
    await serve(organizations, OTHER, "DeclineHandshake", HandshakeId=sent)
    clock.pass_(30 * DAY - 1)
    for account, listing in ((ONE, "ListHandshakesForOrganization"), (OTHER, "ListHandshakesForAccount")):
        assert [one["Id"] for one in (await serve(organizations, account, listing))["Handshakes"]] == [sent]
    clock.pass_(2)
    for account, listing in ((ONE, "ListHandshakesForOrganization"), (OTHER, "ListHandshakesForAccount")):
        assert (await serve(organizations, account, listing))["Handshakes"] == []


async def test_what_goes_with_an_organization_leaves_no_row(organizations: Organizations):
    await invited(organizations)
    await serve(organizations, ONE, "DeleteOrganization")
    for table in (
        "organizations", "organization_members", "control_attachments", "handshakes", "account_requests",
        "organizational_units", "control_policies", "organization_tags",
    ):  # fmt: skip
        assert await organizations.database.fetch(f"SELECT * FROM {table}") == [], table


async def test_the_database_of_an_organization_that_is_gone_is_not_written_to(organizations: Organizations):
    """Between reading whose organization it is and writing, another request may have deleted it."""
    await invited(organizations)
    own = await find_organization_of(organizations.database, ONE)
    assert own is not None
    await serve(organizations, ONE, "DeleteOrganization")
    with pytest.raises(AwsError, match="AWSOrganizationsNotInUseException"):
        await handshakes.enable_all_features(organizations, call(ONE, "EnableAllFeatures"), own)
    assert await organizations.database.fetch("SELECT * FROM handshakes") == []


async def test_each_operation_does_its_work_in_each_database(organizations: Organizations):
    """One life of an organization; what the answers say in full, the tests over the network look at."""
    done = set()

    async def act(operation: str, account: str = ONE, **params: Any) -> Any:
        done.add(operation)
        return await serve(organizations, account, operation, **params)

    tags = [{"Key": "a", "Value": "b"}]
    await act("CreateOrganization", FeatureSet="CONSOLIDATED_BILLING")
    target = {"Id": f"{OTHER}@EXAMPLE.test", "Type": "EMAIL"}
    sent = (await act("InviteAccountToOrganization", Target=target, Tags=tags))["Handshake"]["Id"]
    await act("DeclineHandshake", OTHER, HandshakeId=sent)
    sent = (await act("InviteAccountToOrganization", Target=target))["Handshake"]["Id"]
    await act("CancelHandshake", HandshakeId=sent)
    sent = (await act("InviteAccountToOrganization", Target=target, Tags=tags))["Handshake"]["Id"]
    await act("AcceptHandshake", OTHER, HandshakeId=sent)
    asked = (await act("EnableAllFeatures"))["Handshake"]["Id"]
    for account in (OTHER, ONE):
        wanted = {"ParentHandshakeId": asked}
        (mine,) = (await act("ListHandshakesForAccount", account, Filter=wanted))["Handshakes"]
        await act("AcceptHandshake", account, HandshakeId=mine["Id"])
    assert (await act("DescribeHandshake", HandshakeId=asked))["Handshake"]["State"] == "ACCEPTED"
    assert len((await act("ListHandshakesForOrganization"))["Handshakes"]) == 6
    assert (await act("DescribeOrganization", OTHER))["Organization"]["FeatureSet"] == "ALL"

    root = (await act("ListRoots"))["Roots"][0]["Id"]
    unit = (await act("CreateOrganizationalUnit", ParentId=root, Name="a", Tags=tags))["OrganizationalUnit"]["Id"]
    await act("UpdateOrganizationalUnit", OrganizationalUnitId=unit, Name="b")
    assert (await act("DescribeOrganizationalUnit", OrganizationalUnitId=unit))["OrganizationalUnit"]["Name"] == "b"
    status = (await act("CreateAccount", Email="c@example.test", AccountName="c", Tags=tags))["CreateAccountStatus"]
    await act("DescribeCreateAccountStatus", CreateAccountRequestId=status["Id"])
    assert len((await act("ListCreateAccountStatus"))["CreateAccountStatuses"]) == 1
    created = status["AccountId"]
    await act("MoveAccount", AccountId=created, SourceParentId=root, DestinationParentId=unit)
    assert (await act("ListParents", ChildId=created))["Parents"] == [{"Id": unit, "Type": "ORGANIZATIONAL_UNIT"}]
    assert len((await act("ListChildren", ParentId=unit, ChildType="ACCOUNT"))["Children"]) == 1
    assert len((await act("ListChildren", ParentId=root, ChildType="ORGANIZATIONAL_UNIT"))["Children"]) == 1
    assert len((await act("ListOrganizationalUnitsForParent", ParentId=root))["OrganizationalUnits"]) == 1
    assert len((await act("ListAccountsForParent", ParentId=root))["Accounts"]) == 2
    assert len((await act("ListAccounts"))["Accounts"]) == 3

    kind = "SERVICE_CONTROL_POLICY"
    await act("EnablePolicyType", RootId=root, PolicyType=kind)
    content = '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}'
    made = await act("CreatePolicy", Type=kind, Name="a", Description="", Content=content, Tags=tags)
    policy = made["Policy"]["PolicySummary"]["Id"]
    await act("AttachPolicy", PolicyId=policy, TargetId=unit)
    await act("UpdatePolicy", PolicyId=policy, Name="b")
    assert (await act("DescribePolicy", PolicyId=policy))["Policy"]["PolicySummary"]["Name"] == "b"
    assert len((await act("ListPolicies", Filter=kind))["Policies"]) == 2
    assert len((await act("ListPoliciesForTarget", TargetId=unit, Filter=kind))["Policies"]) == 2
    assert len((await act("ListTargetsForPolicy", PolicyId="p-FullAWSAccess"))["Targets"]) == 5
    await act("DetachPolicy", PolicyId=policy, TargetId=unit)
    await act("DeletePolicy", PolicyId=policy)
    await act("DisablePolicyType", RootId=root, PolicyType=kind)
    await act("TagResource", ResourceId=unit, Tags=[{"Key": "c", "Value": "d"}])
    await act("UntagResource", ResourceId=unit, TagKeys=["a"])
    assert (await act("ListTagsForResource", ResourceId=unit))["Tags"] == [{"Key": "c", "Value": "d"}]
    for nothing in ("ListAWSServiceAccessForOrganization", "ListDelegatedAdministrators"):
        await act(nothing)
    with pytest.raises(AwsError):
        await act("DescribeEffectivePolicy", PolicyType="TAG_POLICY")

    await act("CloseAccount", AccountId=created)
    assert (await act("DescribeAccount", AccountId=created))["Account"]["State"] == "CLOSED"
    await act("RemoveAccountFromOrganization", AccountId=created)
    await act("DeleteOrganizationalUnit", OrganizationalUnitId=unit)
    await act("LeaveOrganization", OTHER)
    await act("DeleteOrganization")
    assert done == {row.name for row in OPERATIONS}
