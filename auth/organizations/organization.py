"""The organization itself and its root (CreateOrganization, DescribeOrganization, DeleteOrganization, ListRoots)."""

from typing import Any, Final

from auth.organizations.call import CONTROL, FULL_ACCESS, Call, Organizations, Result, arn_of, new_id, take_turn
from auth.organizations.errors import failure
from auth.rows import organizations as rows
from auth.rows.accounts import find_account
from auth.rows.organizations import Organization
from store.database import Unit

ALL: Final = "ALL"
INVITED: Final = "INVITED"


async def create_organization(organizations: Organizations, call: Call) -> Result:
    """With all features, service control policies are enabled from the start."""
    features, now = call.params.get("FeatureSet") or ALL, organizations.clock()
    made = Organization(new_id("o-", 10), call.account, new_id("r-", 4), features, features == ALL, now)

    def unit() -> Unit[None]:
        if not (yield from rows.insert_member(call.account, made.id, made.root_id, INVITED, now)):
            raise failure("AlreadyInOrganizationException")
        yield from rows.insert_organization(made)
        if made.controls:
            for target in (made.root_id, call.account):
                yield from rows.attach(made.id, target, FULL_ACCESS, now)

    await organizations.epoch.change(unit)
    return {"Organization": await _render(organizations, made)}


async def describe_organization(organizations: Organizations, call: Call, own: Organization) -> Result:  # noqa: ARG001 - handlers are called alike
    return {"Organization": await _render(organizations, own)}


async def delete_organization(organizations: Organizations, call: Call, own: Organization) -> Result:
    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        members = yield from rows.list_member_accounts(organization.id)
        if any(account != call.account for account, _ in members):
            raise failure("OrganizationNotEmptyException")
        yield from rows.delete_organization(organization.id)

    await organizations.epoch.change(unit)
    return {}


async def list_roots(organizations: Organizations, call: Call, own: Organization) -> Result:  # noqa: ARG001 - handlers are called alike
    return {"Roots": [render_root(own)]}


async def list_aws_service_access_for_organization(
    organizations: Organizations,  # noqa: ARG001 - handlers are called alike
    call: Call,  # noqa: ARG001
    own: Organization,  # noqa: ARG001
) -> Result:
    """No service of AWS is integrated with an organization of this server."""
    return {"EnabledServicePrincipals": []}


async def list_delegated_administrators(
    organizations: Organizations,  # noqa: ARG001 - handlers are called alike
    call: Call,  # noqa: ARG001
    own: Organization,  # noqa: ARG001
) -> Result:
    """There are none."""
    return {"DelegatedAdministrators": []}


def render_root(organization: Organization) -> dict[str, Any]:
    return {
        "Id": organization.root_id,
        "Arn": arn_of(organization, organization.root_id),
        "Name": "Root",
        "PolicyTypes": _enabled(shown=organization.controls),
    }


async def _render(organizations: Organizations, organization: Organization) -> dict[str, Any]:
    management = await find_account(organizations.database, organization.management)
    return {
        "Id": organization.id,
        "Arn": f"arn:aws:organizations::{organization.management}:organization/{organization.id}",
        "FeatureSet": organization.features,
        "MasterAccountArn": arn_of(organization, organization.management),
        "MasterAccountId": organization.management,
        "MasterAccountEmail": "" if management is None else management.email,
        "AvailablePolicyTypes": _enabled(shown=organization.features == ALL),
    }


def _enabled(*, shown: bool) -> list[dict[str, str]]:
    return [{"Type": CONTROL, "Status": "ENABLED"}] if shown else []
