"""Service control policies (CreatePolicy, UpdatePolicy, DescribePolicy, ListPolicies, DeletePolicy, AttachPolicy,
DetachPolicy, ListPoliciesForTarget, ListTargetsForPolicy, EnablePolicyType, DisablePolicyType,
DescribeEffectivePolicy). Other policy types of the API there are none."""

from dataclasses import replace
from typing import Any, Final

from auth.organizations.call import (
    CONTROL,
    FULL_ACCESS,
    Call,
    Organizations,
    Result,
    arn_of,
    look,
    new_id,
    page_of,
    paged,
    take_turn,
)
from auth.organizations.errors import TEXTS, constraint, failure, invalid_input
from auth.organizations.guardrails import FULL_ACCESS_CONTENT, FULL_ACCESS_DESCRIPTION, FULL_ACCESS_NAME
from auth.organizations.organization import ALL, render_root
from auth.organizations.tags import is_target, put_tags, read_tags
from auth.policy.document import Kind, PolicyMalformed, parse_policy
from auth.rows import organizations as rows
from auth.rows.organizations import ControlPolicy, Organization
from aws.errors import AwsError
from store.database import Unit

POLICIES_AT_MOST: Final = 10_000
ATTACHED_AT_MOST: Final = 10
"""Policies of one root, unit or account (Organizations, "Quotas")."""
CONTENT_AT_MOST: Final = 10_240
"""Characters of a policy, white space included (Organizations, "Quotas")."""
_FIRST: Final = "p-"
"""The place of AWS's own policy in a listing: before all others."""


async def create_policy(organizations: Organizations, call: Call, own: Organization) -> Result:
    params = call.params
    if params["Type"] != CONTROL or own.features != ALL:
        raise _unavailable(params["Type"])
    tags, now = read_tags(params.get("Tags", ())), organizations.clock()
    check_content(params["Content"])
    made = ControlPolicy(new_id("p-", 8), own.id, params["Name"], params["Description"], params["Content"], now)

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        yield from _refuse_name(organization, made)
        if (yield from rows.count_policies(organization.id)) >= POLICIES_AT_MOST:
            raise constraint("POLICY_NUMBER_LIMIT_EXCEEDED")
        yield from rows.insert_policy(made)
        yield from put_tags(organization.id, made.id, tags)

    await organizations.database.write(unit)
    return {"Policy": _render_whole(own, made)}


async def update_policy(organizations: Organizations, call: Call, own: Organization) -> Result:
    params = call.params
    _refuse_immutable(params["PolicyId"])
    if "Content" in params:
        check_content(params["Content"])

    def unit() -> Unit[ControlPolicy]:
        organization = yield from take_turn(own)
        old = yield from _read(organization, params["PolicyId"])
        new = replace(
            old,
            name=params.get("Name", old.name),
            description=params.get("Description", old.description),
            content=params.get("Content", old.content),
        )
        yield from _refuse_name(organization, new)
        yield from rows.update_policy(new)
        return new

    return {"Policy": _render_whole(own, await organizations.epoch.change(unit))}


async def describe_policy(organizations: Organizations, call: Call, own: Organization) -> Result:
    identifier = call.params["PolicyId"]
    policy = None if identifier == FULL_ACCESS else await look(organizations, _read(own, identifier))
    return {"Policy": _render_whole(own, policy)}


async def delete_policy(organizations: Organizations, call: Call, own: Organization) -> Result:
    identifier = call.params["PolicyId"]
    _refuse_immutable(identifier)

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        yield from _read(organization, identifier)
        if (yield from rows.is_attached(organization.id, identifier)):
            raise failure("PolicyInUseException")
        yield from rows.delete_policy(organization.id, identifier)

    await organizations.database.write(unit)
    return {}


async def list_policies(organizations: Organizations, call: Call, own: Organization) -> Result:
    """AWS's own first."""
    limit, after = page_of(call)
    if call.params["Filter"] != CONTROL:
        return {"Policies": []}
    found: list[ControlPolicy | None] = [] if after else [None]
    found += await rows.list_policies(organizations.database, own.id, after=after, limit=limit + 1 - len(found))
    return paged(
        call,
        "Policies",
        found,
        limit,
        key=lambda one: _FIRST if one is None else one.id,
        render=lambda one: _render(own, one),
    )


async def attach_policy(organizations: Organizations, call: Call, own: Organization) -> Result:
    identifier, target = call.params["PolicyId"], call.params["TargetId"]
    now = organizations.clock()

    def unit() -> Unit[None]:
        organization = yield from _ready(own, identifier, target)
        if not (yield from rows.attach(organization.id, target, identifier, now)):
            raise failure("DuplicatePolicyAttachmentException")
        if (yield from rows.count_attached(organization.id, target)) > ATTACHED_AT_MOST:
            raise constraint("MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED")

    await organizations.epoch.change(unit)
    return {}


async def detach_policy(organizations: Organizations, call: Call, own: Organization) -> Result:
    identifier, target = call.params["PolicyId"], call.params["TargetId"]

    def unit() -> Unit[None]:
        organization = yield from _ready(own, identifier, target)
        if not (yield from rows.detach(organization.id, target, identifier)):
            raise failure("PolicyNotAttachedException")
        if not (yield from rows.count_attached(organization.id, target)):
            raise constraint("MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED")

    await organizations.epoch.change(unit)
    return {}


def _ready(own: Organization, identifier: str, target: str) -> Unit[Organization]:
    """The first part of attaching and detaching. Raises AwsError."""
    organization = yield from take_turn(own)
    if identifier != FULL_ACCESS:
        yield from _read(organization, identifier)
    if not (yield from is_target(organization, target)):
        raise failure("TargetNotFoundException")
    if not organization.controls:
        raise failure("PolicyTypeNotEnabledException")
    return organization


async def list_policies_for_target(organizations: Organizations, call: Call, own: Organization) -> Result:
    """Those attached to the target itself."""
    limit, after = page_of(call)
    target = call.params["TargetId"]
    if not await look(organizations, is_target(own, target)):
        raise failure("TargetNotFoundException")
    if call.params["Filter"] != CONTROL:
        return {"Policies": []}
    found = await rows.list_attached(organizations.database, own.id, target, after=after, limit=limit + 1)
    return paged(call, "Policies", found, limit, key=lambda one: one[0], render=lambda one: _render(own, one[1]))


async def list_targets_for_policy(organizations: Organizations, call: Call, own: Organization) -> Result:
    limit, after = page_of(call)
    identifier = call.params["PolicyId"]
    if identifier != FULL_ACCESS:
        await look(organizations, _read(own, identifier))
    found = await rows.list_targets(organizations.database, own.id, identifier, after=after, limit=limit + 1)

    def render(target: tuple[str, str | None]) -> dict[str, Any]:
        named, name = target
        kind = {"r": "ROOT", "o": "ORGANIZATIONAL_UNIT"}.get(named[0], "ACCOUNT")
        return {"TargetId": named, "Arn": arn_of(own, named), "Name": name or "Root", "Type": kind}

    return paged(call, "Targets", found, limit, key=lambda one: one[0], render=render)


async def enable_policy_type(organizations: Organizations, call: Call, own: Organization) -> Result:
    """FullAWSAccess is attached to everything that there is."""
    _refuse_root(own, call)
    if call.params["PolicyType"] != CONTROL:
        raise _unavailable(call.params["PolicyType"])
    now = organizations.clock()

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        if organization.features != ALL:
            raise failure("PolicyTypeNotAvailableForOrganizationException")
        if organization.controls:
            raise failure("PolicyTypeAlreadyEnabledException")
        yield from rows.set_controls(organization.id, enabled=True)
        accounts = [account for account, _ in (yield from rows.list_member_accounts(organization.id))]
        units = yield from rows.list_unit_ids(organization.id)
        for target in (organization.root_id, *units, *accounts):
            yield from rows.attach(organization.id, target, FULL_ACCESS, now)

    await organizations.epoch.change(unit)
    return {"Root": render_root(replace(own, controls=True))}


async def disable_policy_type(organizations: Organizations, call: Call, own: Organization) -> Result:
    """Every policy is detached from everything."""
    _refuse_root(own, call)
    if call.params["PolicyType"] != CONTROL:
        raise failure("PolicyTypeNotEnabledException")

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        if not organization.controls:
            raise failure("PolicyTypeNotEnabledException")
        yield from rows.set_controls(organization.id, enabled=False)
        yield from rows.detach_all(organization.id)

    await organizations.epoch.change(unit)
    return {"Root": render_root(replace(own, controls=False))}


async def describe_effective_policy(
    organizations: Organizations,  # noqa: ARG001 - handlers are called alike
    call: Call,  # noqa: ARG001
    own: Organization,  # noqa: ARG001
) -> Result:
    """Of the types that have effective policies there is none."""
    raise failure("EffectivePolicyNotFoundException")


def check_content(text: str) -> None:
    """Raises AwsError."""
    if len(text) > CONTENT_AT_MOST:
        raise constraint("POLICY_CONTENT_LIMIT_EXCEEDED")
    try:
        parse_policy(text, Kind.CONTROL)
    except PolicyMalformed as error:
        usual = TEXTS["MalformedPolicyDocumentException"]
        place = f" (line {error.line}, column {error.column})" if error.line else ""
        raise failure("MalformedPolicyDocumentException", f"{usual} {error.message}{place}") from error


def _refuse_immutable(identifier: str) -> None:
    if identifier == FULL_ACCESS:
        raise invalid_input("IMMUTABLE_POLICY")


def _refuse_root(own: Organization, call: Call) -> None:
    if call.params["RootId"] != own.root_id:
        raise failure("RootNotFoundException")


def _refuse_name(organization: Organization, policy: ControlPolicy) -> Unit[None]:
    """Part of a unit. Raises AwsError where another policy has the name."""
    other = yield from rows.find_policy_named(organization.id, policy.name)
    if other not in {None, policy.id} or policy.name == FULL_ACCESS_NAME:
        raise failure("DuplicatePolicyException")


def _unavailable(kind: str) -> AwsError:
    if kind == CONTROL:
        return failure("PolicyTypeNotAvailableForOrganizationException")
    return failure(
        "PolicyTypeNotAvailableForOrganizationException",
        f"The policy type {kind} is not available: organizations of this server have {CONTROL} only.",
    )


def _read(organization: Organization, identifier: str) -> Unit[ControlPolicy]:
    policy = yield from rows.read_policy(organization.id, identifier)
    if policy is None:
        raise failure("PolicyNotFoundException")
    return policy


def _render_whole(organization: Organization, policy: ControlPolicy | None) -> dict[str, Any]:
    return {
        "PolicySummary": _render(organization, policy),
        "Content": FULL_ACCESS_CONTENT if policy is None else policy.content,
    }


def _render(organization: Organization, policy: ControlPolicy | None) -> dict[str, Any]:
    """None is AWS's own."""
    identifier = FULL_ACCESS if policy is None else policy.id
    return {
        "Id": identifier,
        "Arn": arn_of(organization, identifier),
        "Name": FULL_ACCESS_NAME if policy is None else policy.name,
        "Description": FULL_ACCESS_DESCRIPTION if policy is None else policy.description,
        "Type": CONTROL,
        "AwsManaged": policy is None,
    }
