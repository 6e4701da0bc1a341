"""Accounts of an organization (CreateAccount, DescribeCreateAccountStatus, ListCreateAccountStatus, ListAccounts,
ListAccountsForParent, DescribeAccount, MoveAccount, CloseAccount, RemoveAccountFromOrganization, LeaveOrganization)."""

import json
from collections.abc import Mapping
from typing import Any, Final

from auth.accounts import SUSPENDED, EmailTaken, add, is_email
from auth.directory import ACTIVE
from auth.identifiers import new_account_id, new_unique_id
from auth.organizations.call import (
    FULL_ACCESS,
    Call,
    Organizations,
    Result,
    arn_of,
    look,
    new_id,
    page_of,
    paged,
    path_of,
    take_turn,
)
from auth.organizations.errors import constraint, failure, invalid_input
from auth.organizations.organization import ALL
from auth.organizations.tags import put_tags, read_tags
from auth.organizations.units import is_parent
from auth.rows import organizations as rows
from auth.rows.accounts import StoredAccount, set_account_status
from auth.rows.attachments import insert_attachment
from auth.rows.organizations import AccountRequest, Member, Organization
from auth.rows.roles import Role, insert_role
from base.clock import moment
from store.database import Unit

CREATED: Final = "CREATED"
_ROLE_NAME: Final = "OrganizationAccountAccessRole"
_ADMINISTRATOR: Final = "arn:aws:iam::aws:policy/AdministratorAccess"
_STATES: Final = ("IN_PROGRESS", "SUCCEEDED", "FAILED")
_HOUR: Final = 3600


async def create_account(organizations: Organizations, call: Call, own: Organization) -> Result:
    """Done, or failed, when it is answered; the answer has AWS's asynchronous form all the same."""
    params = call.params
    role_name = params.get("RoleName") or _ROLE_NAME
    if role_name.startswith("AWSServiceRoleFor"):
        raise invalid_input("INVALID_ROLE_NAME")
    tags, now = read_tags(params.get("Tags", ())), organizations.clock()
    email, name = params["Email"], params["AccountName"]
    account = StoredAccount(new_account_id(), name, email, ACTIVE, "", now)
    request = AccountRequest(new_id("car-", 32), own.id, name, "SUCCEEDED", account.id, "", now)

    def unit() -> Unit[AccountRequest]:
        organization = yield from take_turn(own)
        yield from add(account)
        yield from join(organization, account.id, CREATED, now)
        yield from put_tags(organization.id, account.id, tags)
        role = _access_role(organization, account, role_name)
        yield from insert_role(role)
        yield from insert_attachment(role.id, _ADMINISTRATOR, account.id, now)
        yield from rows.insert_request(request)
        return request

    if not is_email(email):
        return await _fail(organizations, request, "INVALID_EMAIL")
    try:
        return {"CreateAccountStatus": _render_request(await organizations.epoch.change(unit))}
    except EmailTaken:
        return await _fail(organizations, request, "EMAIL_ALREADY_EXISTS")


async def _fail(organizations: Organizations, request: AccountRequest, reason: str) -> Result:
    failed = AccountRequest(request.id, request.organization, request.name, "FAILED", "", reason, request.requested_at)
    await organizations.database.write(lambda: rows.insert_request(failed))
    return {"CreateAccountStatus": _render_request(failed)}


def join(organization: Organization, account: str, method: str, now: float) -> Unit[bool]:
    """Part of a unit: the account becomes a member, in the root. False where it is in an organization already."""
    if not (yield from rows.insert_member(account, organization.id, organization.root_id, method, now)):
        return False
    if organization.controls:
        yield from rows.attach(organization.id, account, FULL_ACCESS, now)
    return True


def _access_role(organization: Organization, account: StoredAccount, name: str) -> Role:
    """By which the management account's administrators administrate the new account."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{organization.management}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    text = json.dumps(trust, separators=(",", ":"))
    return Role(new_unique_id("AROA"), account.id, name, "/", text, "", _HOUR, "", account.created_at)


async def describe_create_account_status(organizations: Organizations, call: Call, own: Organization) -> Result:
    request = await rows.find_request(organizations.database, own.id, call.params["CreateAccountRequestId"])
    if request is None:
        raise failure("CreateAccountStatusNotFoundException")
    return {"CreateAccountStatus": _render_request(request)}


async def list_create_account_status(organizations: Organizations, call: Call, own: Organization) -> Result:
    limit, after = page_of(call)
    states = call.params.get("States") or _STATES
    found = await rows.list_requests(organizations.database, own.id, states, after=after, limit=limit + 1)
    return paged(call, "CreateAccountStatuses", found, limit, key=lambda one: one.id, render=_render_request)


async def list_accounts(organizations: Organizations, call: Call, own: Organization) -> Result:
    return await _list(organizations, call, own, None)


async def list_accounts_for_parent(organizations: Organizations, call: Call, own: Organization) -> Result:
    parent = call.params["ParentId"]
    if not await look(organizations, is_parent(own, parent)):
        raise failure("ParentNotFoundException")
    return await _list(organizations, call, own, parent)


async def _list(organizations: Organizations, call: Call, own: Organization, parent: str | None) -> Result:
    limit, after = page_of(call)
    found = await rows.list_members(organizations.database, own.id, parent_id=parent, after=after, limit=limit + 1)
    parents = await rows.list_parents(organizations.database, own.id)
    return paged(
        call, "Accounts", found, limit, key=lambda one: one.account, render=lambda one: _render(own, parents, one)
    )


async def describe_account(organizations: Organizations, call: Call, own: Organization) -> Result:
    member = await look(organizations, read_member(own, call.params["AccountId"]))
    return {"Account": _render(own, await rows.list_parents(organizations.database, own.id), member)}


async def move_account(organizations: Organizations, call: Call, own: Organization) -> Result:
    account, source = call.params["AccountId"], call.params["SourceParentId"]
    destination = call.params["DestinationParentId"]

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        member = yield from read_member(organization, account)
        if not (yield from is_parent(organization, source)):
            raise failure("SourceParentNotFoundException")
        if not (yield from is_parent(organization, destination)):
            raise failure("DestinationParentNotFoundException")
        if member.parent_id != source:
            raise failure("AccountNotFoundException")
        if source == destination:
            raise failure("DuplicateAccountException")
        yield from rows.move_member(account, destination)

    await organizations.epoch.change(unit)
    return {}


async def close_account(organizations: Organizations, call: Call, own: Organization) -> Result:
    """From then on none of its keys and tokens counts. It stays a member."""
    account = call.params["AccountId"]

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        if account == organization.management:
            raise constraint("CANNOT_CLOSE_MANAGEMENT_ACCOUNT")
        yield from read_member(organization, account)
        if organization.features != ALL:
            raise constraint("ORGANIZATION_NOT_IN_ALL_FEATURES_MODE")
        if not (yield from set_account_status(account, SUSPENDED, was=ACTIVE)):
            raise failure("AccountAlreadyClosedException")

    await organizations.epoch.change(unit)
    return {}


async def remove_account_from_organization(organizations: Organizations, call: Call, own: Organization) -> Result:
    await _part(organizations, own, call.params["AccountId"])
    return {}


async def leave_organization(organizations: Organizations, call: Call, own: Organization) -> Result:
    await _part(organizations, own, call.account)
    return {}


async def _part(organizations: Organizations, own: Organization, account: str) -> None:
    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        if account == organization.management:
            raise failure("MasterCannotLeaveOrganizationException")
        yield from read_member(organization, account)
        yield from rows.delete_member(organization.id, account)

    await organizations.epoch.change(unit)


def read_member(organization: Organization, account: str) -> Unit[Member]:
    """Part of a unit. Raises AwsError where it is not one."""
    member = yield from rows.read_member(organization.id, account)
    if member is None:
        raise failure("AccountNotFoundException")
    return member


def _render(organization: Organization, parents: Mapping[str, str], member: Member) -> dict[str, Any]:
    return {
        "Id": member.account,
        "Arn": arn_of(organization, member.account),
        "Email": member.email,
        "Name": member.name,
        "Status": member.status,
        "State": "CLOSED" if member.status == SUSPENDED else member.status,
        "Paths": [path_of(organization, parents, member.parent_id, member.account)],
        "JoinedMethod": member.joined_method,
        "JoinedTimestamp": moment(member.joined_at),
    }


def _render_request(request: AccountRequest) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Id": request.id,
        "AccountName": request.name,
        "State": request.state,
        "RequestedTimestamp": moment(request.requested_at),
        "CompletedTimestamp": moment(request.requested_at),
    }
    if request.account:
        shown["AccountId"] = request.account
    if request.failure:
        shown["FailureReason"] = request.failure
    return shown
