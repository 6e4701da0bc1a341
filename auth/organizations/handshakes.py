"""Agreements between an organization and accounts (InviteAccountToOrganization, EnableAllFeatures, AcceptHandshake,
DeclineHandshake, CancelHandshake, DescribeHandshake, ListHandshakesForAccount, ListHandshakesForOrganization).

An invitation is for an account, by its number or its address; whether there is one, the inviting organization does not
learn. All features are enabled when every invited member has agreed and the management account then says so.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

from auth.access import Access
from auth.accounts import is_email
from auth.organizations.accounts import join
from auth.organizations.call import Call, Organizations, Result, look, new_id, on, page_of, paged, take_turn
from auth.organizations.errors import failure, handshake_constraint, invalid_input
from auth.organizations.organization import ALL, INVITED
from auth.organizations.tags import put_tags, read_tags
from auth.rows import handshakes as rows
from auth.rows import organizations as organizations_rows
from auth.rows.accounts import StoredAccount, find_account
from auth.rows.handshakes import StoredHandshake
from auth.rows.organizations import Organization
from base.clock import moment
from store.database import Unit

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_DAY: Final = 86_400.0
_INVITATION: Final = 15 * _DAY
_MIGRATION: Final = 90 * _DAY
_REMEMBERED: Final = 30 * _DAY
"""How long a handshake that has ended is shown."""


class Action(StrEnum):
    INVITE = "INVITE"
    ENABLE = "ENABLE_ALL_FEATURES"
    APPROVE = "APPROVE_ALL_FEATURES"


class State(StrEnum):
    """REQUESTED and OPEN wait for an answer."""

    REQUESTED = "REQUESTED"
    OPEN = "OPEN"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


_WAITING: Final = frozenset({State.REQUESTED, State.OPEN})


async def invite_account_to_organization(organizations: Organizations, call: Call, own: Organization) -> Result:
    target, now = call.params["Target"], organizations.clock()
    account, email = _target(target)
    tags = json.dumps(dict(read_tags(call.params.get("Tags", ()))))
    notes = call.params.get("Notes", "")
    made = StoredHandshake(
        new_id("h-", 32), own.id, Action.INVITE, "", account, email, notes, tags, State.OPEN, now, now + _INVITATION
    )

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        yield from rows.forget_handshakes(organization.id, before=now - _REMEMBERED)
        if account and (yield from organizations_rows.read_member(organization.id, account)) is not None:
            raise handshake_constraint("ALREADY_IN_AN_ORGANIZATION")
        if (yield from _pending_migration(organization, now)) is not None:
            raise handshake_constraint("INVITE_DISABLED_DURING_ENABLE_ALL_FEATURES")
        for sent in (yield from rows.list_handshakes(organization.id, Action.INVITE)):
            if (sent.account, sent.email) == (account, email) and _state(sent, now) in _WAITING:
                raise failure("DuplicateHandshakeException")
        yield from rows.insert_handshake(made)

    await organizations.database.write(unit)
    return {"Handshake": await _render(organizations, made)}


def _target(party: Mapping[str, str]) -> tuple[str, str]:
    """(account, address in lower case), one of them empty. Raises AwsError."""
    match party["Type"]:
        case "ACCOUNT" if _ACCOUNT.fullmatch(party["Id"]):
            return party["Id"], ""
        case "ACCOUNT":
            raise invalid_input("INVALID_PATTERN")
        case "EMAIL" if is_email(party["Id"]):
            return "", party["Id"].lower()
        case "EMAIL":
            raise invalid_input("INVALID_EMAIL_ADDRESS_TARGET")
        case _:
            raise invalid_input("INVALID_PARTY_TYPE_TARGET")


async def enable_all_features(organizations: Organizations, call: Call, own: Organization) -> Result:  # noqa: ARG001 - handlers are called alike
    now = organizations.clock()
    made = _migration(own, Action.ENABLE, State.REQUESTED, now)

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        yield from rows.forget_handshakes(organization.id, before=now - _REMEMBERED)
        if organization.features == ALL:
            raise handshake_constraint("ORGANIZATION_ALREADY_HAS_ALL_FEATURES")
        if (yield from _pending_migration(organization, now)) is not None:
            raise handshake_constraint("ORGANIZATION_IS_ALREADY_PENDING_ALL_FEATURES_MIGRATION")
        yield from rows.insert_handshake(made)
        for account in (yield from _invited(organization)):
            asked = _migration(organization, Action.ENABLE, State.OPEN, now)
            yield from rows.insert_handshake(replace(asked, parent=made.id, account=account))
        yield from _ask_for_approval(organization, made, now)

    await organizations.database.write(unit)
    return {"Handshake": await _render(organizations, made)}


def _migration(organization: Organization, action: Action, state: State, now: float) -> StoredHandshake:
    return StoredHandshake(
        new_id("h-", 32), organization.id, action, "", "", "", "", "{}", state, now, now + _MIGRATION
    )


def _pending_migration(organization: Organization, now: float) -> Unit[StoredHandshake | None]:
    """The organization's own handshake of a migration that is under way."""
    sent = yield from rows.list_handshakes(organization.id, Action.ENABLE)
    return next((one for one in sent if not one.parent and _state(one, now) in _WAITING), None)


def _invited(organization: Organization) -> Unit[list[str]]:
    """The accounts that have to agree to all features."""
    members = yield from organizations_rows.list_member_accounts(organization.id)
    return [account for account, method in members if method == INVITED and account != organization.management]


def _ask_for_approval(organization: Organization, migration: StoredHandshake, now: float) -> Unit[None]:
    """Ask the management account for the last word, once every invited member has agreed."""
    sent = yield from rows.list_handshakes(organization.id, Action.ENABLE)
    agreed = {one.account for one in sent if one.parent == migration.id and one.state == State.ACCEPTED}
    if agreed.issuperset((yield from _invited(organization))):
        asked = _migration(organization, Action.APPROVE, State.OPEN, now)
        yield from rows.insert_handshake(replace(asked, parent=migration.id, account=organization.management))


# -- answers


async def accept_handshake(organizations: Organizations, call: Call) -> Result:
    now = organizations.clock()
    caller = await _caller(organizations, call)

    def unit() -> Unit[StoredHandshake]:
        organization, handshake = yield from _answerable(call, caller, State.ACCEPTED, now)
        yield from rows.end_handshake(handshake.id, State.ACCEPTED, now)
        if handshake.action == Action.INVITE:
            if not (yield from join(organization, caller.id, INVITED, now)):
                raise handshake_constraint("ALREADY_IN_AN_ORGANIZATION")
            yield from put_tags(organization.id, caller.id, list(json.loads(handshake.tags).items()))
        elif handshake.action == Action.APPROVE:
            yield from organizations_rows.set_features(organization.id, ALL)
            yield from rows.end_handshake(handshake.parent, State.ACCEPTED, now)
        else:
            migration = yield from _pending_migration(organization, now)
            if migration is not None and migration.id == handshake.parent:
                yield from _ask_for_approval(organization, migration, now)
        return replace(handshake, state=State.ACCEPTED)

    return {"Handshake": await _render(organizations, await organizations.epoch.change(unit))}


async def decline_handshake(organizations: Organizations, call: Call) -> Result:
    now = organizations.clock()
    caller = await _caller(organizations, call)

    def unit() -> Unit[StoredHandshake]:
        _, handshake = yield from _answerable(call, caller, State.DECLINED, now)
        if handshake.action == Action.APPROVE:
            raise failure("InvalidHandshakeTransitionException")
        yield from rows.end_handshake(handshake.id, State.DECLINED, now)
        return replace(handshake, state=State.DECLINED)

    return {"Handshake": await _render(organizations, await organizations.database.write(unit))}


async def cancel_handshake(organizations: Organizations, call: Call) -> Result:
    """With the handshakes that came of it."""
    now = organizations.clock()

    def unit() -> Unit[StoredHandshake]:
        handshake = yield from rows.read_handshake(call.params["HandshakeId"])
        if handshake is None:
            raise failure("HandshakeNotFoundException")
        organization = yield from organizations_rows.take_turn(handshake.organization)
        if organization is None or organization.management != call.account:
            raise failure("HandshakeNotFoundException")
        if handshake.parent:
            raise failure("InvalidHandshakeTransitionException")
        _refuse_transition(handshake, State.CANCELED, now)
        yield from rows.end_handshake(handshake.id, State.CANCELED, now)
        for action in (Action.ENABLE, Action.APPROVE):
            for one in (yield from rows.list_handshakes(organization.id, action)):
                if one.parent == handshake.id and _state(one, now) in _WAITING:
                    yield from rows.end_handshake(one.id, State.CANCELED, now)
        return replace(handshake, state=State.CANCELED)

    return {"Handshake": await _render(organizations, await organizations.database.write(unit))}


async def _caller(organizations: Organizations, call: Call) -> StoredAccount:
    account = await find_account(organizations.database, call.account)
    if account is None:
        raise failure("AccessDeniedException")
    return account


def _answerable(
    call: Call, caller: StoredAccount, state: State, now: float
) -> Unit[tuple[Organization, StoredHandshake]]:
    """The first part of accepting and declining. Raises AwsError."""
    handshake = yield from rows.read_handshake(call.params["HandshakeId"])
    if handshake is None or not _is_for(handshake, caller):
        raise failure("HandshakeNotFoundException")
    organization = yield from organizations_rows.take_turn(handshake.organization)
    if organization is None:
        raise failure("HandshakeNotFoundException")
    _refuse_transition(handshake, state, now)
    return organization, handshake


def _refuse_transition(handshake: StoredHandshake, state: State, now: float) -> None:
    """Raises AwsError unless the handshake waits for an answer."""
    current = _state(handshake, now)
    if current == state:
        raise failure("HandshakeAlreadyInStateException")
    if current not in _WAITING:
        raise failure("InvalidHandshakeTransitionException")


def _is_for(handshake: StoredHandshake, account: StoredAccount) -> bool:
    return handshake.account == account.id or (handshake.email != "" and handshake.email == account.email.lower())


def _state(handshake: StoredHandshake, now: float) -> State:
    state = State(handshake.state)
    return State.EXPIRED if state in _WAITING and handshake.expires_at <= now else state


# -- looking


async def describe_handshake(organizations: Organizations, call: Call) -> Result:
    found = await _find(organizations, call)
    if found is None:
        raise failure("HandshakeNotFoundException")
    return {"Handshake": await _render(organizations, found)}


async def _find(organizations: Organizations, call: Call) -> StoredHandshake | None:
    """The handshake that is asked about, where the caller's account is a party to it."""
    handshake = await look(organizations, rows.read_handshake(call.params["HandshakeId"]))
    if handshake is None:
        return None
    if _is_for(handshake, await _caller(organizations, call)):
        return handshake
    organization = await organizations_rows.find_organization(organizations.database, handshake.organization)
    return handshake if organization is not None and organization.management == call.account else None


async def list_handshakes_for_account(organizations: Organizations, call: Call) -> Result:
    caller = await _caller(organizations, call)
    wanted = _wanted(organizations, call)
    found = await rows.list_received(organizations.database, caller.id, caller.email.lower(), wanted)
    return await _page(organizations, call, found)


async def list_handshakes_for_organization(organizations: Organizations, call: Call, own: Organization) -> Result:
    found = await rows.list_sent(organizations.database, own.id, _wanted(organizations, call))
    return await _page(organizations, call, found)


def _wanted(organizations: Organizations, call: Call) -> rows.Wanted:
    limit, after = page_of(call)
    narrower = call.params.get("Filter", {})
    action, parent = narrower.get("ActionType", ""), narrower.get("ParentHandshakeId", "")
    if action and parent:
        raise invalid_input("MAX_LIMIT_EXCEEDED_FILTER")
    return rows.Wanted(organizations.clock() - _REMEMBERED, action, parent, after, limit + 1)


async def _page(organizations: Organizations, call: Call, found: list[StoredHandshake]) -> Result:
    limit, _ = page_of(call)
    shown = {one.id: await _render(organizations, one) for one in found[:limit]}
    return paged(call, "Handshakes", found, limit, key=lambda one: one.id, render=lambda one: shown[one.id])


async def on_handshake(organizations: Organizations, call: Call) -> list[Access]:
    """On the handshake's ARN for its parties; for others there is none."""
    handshake = await _find(organizations, call)
    organization = None
    if handshake is not None:
        organization = await organizations_rows.find_organization(organizations.database, handshake.organization)
    resource = "*" if handshake is None or organization is None else _arn(organization, handshake)
    return [Access(f"organizations:{call.operation}", resource)]


async def on_invited(organizations: Organizations, call: Call) -> list[Access]:
    """On the account where it is named by its number."""
    target = call.params["Target"]
    named = {"AccountId": target["Id"]} if target["Type"] == "ACCOUNT" else {}
    return await on("AccountId")(organizations, replace(call, params={**call.params, **named}))


def _arn(organization: Organization, handshake: StoredHandshake) -> str:
    path = f"{organization.id}/{handshake.action.lower()}/{handshake.id}"
    return f"arn:aws:organizations::{organization.management}:handshake/{path}"


async def _render(organizations: Organizations, handshake: StoredHandshake) -> dict[str, Any]:
    organization = await organizations_rows.find_organization(organizations.database, handshake.organization)
    if organization is None:
        raise failure("HandshakeNotFoundException")
    management = await find_account(organizations.database, organization.management)
    parties = [{"Id": organization.id, "Type": "ORGANIZATION"}]
    about: dict[str, Any] = {"Type": "ORGANIZATION", "Value": organization.id}
    if management is not None:
        about["Resources"] = [
            {"Type": "MASTER_EMAIL", "Value": management.email},
            {"Type": "MASTER_NAME", "Value": management.name},
            {"Type": "ORGANIZATION_FEATURE_SET", "Value": organization.features},
        ]
    resources = [about]
    for kind, value in (("ACCOUNT", handshake.account), ("EMAIL", handshake.email)):
        if value:
            parties.append({"Id": value, "Type": kind})
            resources.append({"Type": kind, "Value": value})
    for kind, value in (("NOTES", handshake.notes), ("PARENT_HANDSHAKE", handshake.parent)):
        if value:
            resources.append({"Type": kind, "Value": value})
    return {
        "Id": handshake.id,
        "Arn": _arn(organization, handshake),
        "Parties": parties,
        "State": _state(handshake, organizations.clock()),
        "RequestedTimestamp": moment(handshake.requested_at),
        "ExpirationTimestamp": moment(handshake.expires_at),
        "Action": handshake.action,
        "Resources": resources,
    }
