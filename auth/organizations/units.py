"""The tree (CreateOrganizationalUnit, DescribeOrganizationalUnit, UpdateOrganizationalUnit, DeleteOrganizationalUnit,
ListOrganizationalUnitsForParent, ListParents, ListChildren)."""

from collections.abc import Mapping
from typing import Any, Final

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
from auth.organizations.errors import constraint, failure
from auth.organizations.tags import put_tags, read_tags
from auth.rows import organizations as rows
from auth.rows.organizations import Organization, OrganizationalUnit
from store.database import Unit

DEPTH: Final = 5
"""Units below each other under a root (Organizations, "Quotas")."""
UNITS_AT_MOST: Final = 2000


async def create_organizational_unit(organizations: Organizations, call: Call, own: Organization) -> Result:
    parent, name = call.params["ParentId"], call.params["Name"]
    tags, now = read_tags(call.params.get("Tags", ())), organizations.clock()
    identifier = new_id(f"ou-{own.root_id.removeprefix('r-')}-", 8)
    made = OrganizationalUnit(identifier, own.id, parent, name, now)

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        if (yield from _depth(organization, parent)) >= DEPTH:
            raise constraint("OU_DEPTH_LIMIT_EXCEEDED")
        if not (yield from rows.insert_unit(made)):
            raise failure("DuplicateOrganizationalUnitException")
        if len((yield from rows.list_unit_ids(organization.id))) > UNITS_AT_MOST:
            raise constraint("OU_NUMBER_LIMIT_EXCEEDED")
        yield from put_tags(organization.id, identifier, tags)
        if organization.controls:
            yield from rows.attach(organization.id, identifier, FULL_ACCESS, now)

    await organizations.database.write(unit)
    return {"OrganizationalUnit": await _render_whole(organizations, own, made)}


def _depth(organization: Organization, parent: str) -> Unit[int]:
    """Units on the way from the root to `parent`, itself included. Raises AwsError where it is not there."""
    depth = 0
    while parent != organization.root_id:
        unit = yield from rows.read_unit(organization.id, parent)
        if unit is None:
            raise failure("ParentNotFoundException")
        parent = unit.parent_id
        depth += 1
    return depth


async def describe_organizational_unit(organizations: Organizations, call: Call, own: Organization) -> Result:
    found = await look(organizations, _read(own, call.params["OrganizationalUnitId"]))
    return {"OrganizationalUnit": await _render_whole(organizations, own, found)}


async def update_organizational_unit(organizations: Organizations, call: Call, own: Organization) -> Result:
    identifier, name = call.params["OrganizationalUnitId"], call.params.get("Name")

    def unit() -> Unit[OrganizationalUnit]:
        organization = yield from take_turn(own)
        old = yield from _read(organization, identifier)
        if name is None or name == old.name:
            return old
        if (yield from rows.has_unit_named(organization.id, old.parent_id, name)):
            raise failure("DuplicateOrganizationalUnitException")
        yield from rows.rename_unit(identifier, name)
        return OrganizationalUnit(old.id, old.organization, old.parent_id, name, old.created_at)

    return {"OrganizationalUnit": await _render_whole(organizations, own, await organizations.database.write(unit))}


async def delete_organizational_unit(organizations: Organizations, call: Call, own: Organization) -> Result:
    identifier = call.params["OrganizationalUnitId"]

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        yield from _read(organization, identifier)
        if (yield from rows.has_children(organization.id, identifier)):
            raise failure("OrganizationalUnitNotEmptyException")
        yield from rows.delete_unit(organization.id, identifier)

    await organizations.database.write(unit)
    return {}


def _read(organization: Organization, identifier: str) -> Unit[OrganizationalUnit]:
    found = yield from rows.read_unit(organization.id, identifier)
    if found is None:
        raise failure("OrganizationalUnitNotFoundException")
    return found


def is_parent(organization: Organization, identifier: str) -> Unit[bool]:
    """Whether it is the root or a unit of the organization."""
    if identifier == organization.root_id:
        return True
    return (yield from rows.read_unit(organization.id, identifier)) is not None


async def list_organizational_units_for_parent(organizations: Organizations, call: Call, own: Organization) -> Result:
    parent = call.params["ParentId"]
    limit, after = page_of(call)
    if not await look(organizations, is_parent(own, parent)):
        raise failure("ParentNotFoundException")
    found = await rows.list_units(organizations.database, own.id, parent, after=after, limit=limit + 1)
    parents = await rows.list_parents(organizations.database, own.id)
    return paged(
        call,
        "OrganizationalUnits",
        found,
        limit,
        key=lambda one: one.id,
        render=lambda one: _render(own, parents, one),
    )


async def list_parents(organizations: Organizations, call: Call, own: Organization) -> Result:
    child = call.params["ChildId"]
    found = await look(
        organizations, rows.read_unit(own.id, child) if child.startswith("ou-") else rows.read_member(own.id, child)
    )
    if found is None:
        raise failure("ChildNotFoundException")
    kind = "ROOT" if found.parent_id == own.root_id else "ORGANIZATIONAL_UNIT"
    return {"Parents": [{"Id": found.parent_id, "Type": kind}]}


async def list_children(organizations: Organizations, call: Call, own: Organization) -> Result:
    parent, kind = call.params["ParentId"], call.params["ChildType"]
    limit, after = page_of(call)
    if not await look(organizations, is_parent(own, parent)):
        raise failure("ParentNotFoundException")
    database = organizations.database
    if kind == "ACCOUNT":
        members = await rows.list_members(database, own.id, parent_id=parent, after=after, limit=limit + 1)
        found = [member.account for member in members]
    else:
        found = [unit.id for unit in await rows.list_units(database, own.id, parent, after=after, limit=limit + 1)]
    return paged(call, "Children", found, limit, key=str, render=lambda one: {"Id": one, "Type": kind})


async def _render_whole(organizations: Organizations, own: Organization, unit: OrganizationalUnit) -> dict[str, Any]:
    return _render(own, await rows.list_parents(organizations.database, own.id), unit)


def _render(organization: Organization, parents: Mapping[str, str], unit: OrganizationalUnit) -> dict[str, Any]:
    return {
        "Id": unit.id,
        "Arn": arn_of(organization, unit.id),
        "Name": unit.name,
        "Path": path_of(organization, parents, unit.parent_id, unit.id),
    }
