"""Groups (CreateGroup, GetGroup, ListGroups, UpdateGroup, DeleteGroup, AddUserToGroup, RemoveUserFromGroup,
ListGroupsForUser)."""

from typing import Any, Final

from auth.iam.call import Call, Iam, Result, Row, exists, limit_exceeded, page_of, paged
from auth.iam.identities import (
    GROUP,
    USER,
    arn_of,
    found,
    on_all,
    on_group,
    on_new,
    on_renamed,
    on_user,
    read_group,
    read_user,
    refuse_while,
    shown_time,
)
from auth.iam.users import render_user
from auth.identifiers import new_unique_id
from auth.rows import groups as rows
from auth.rows.groups import Group
from auth.rows.holdings import has_attached_policies, has_inline_policies, has_members
from auth.rows.users import find_user_named
from store.database import Unit

GROUPS_AT_MOST: Final = 300
GROUPS_OF_A_USER: Final = 10


async def create_group(iam: Iam, call: Call) -> Result:
    params = call.params
    group = Group(new_unique_id("AGPA"), call.account, params["GroupName"], params.get("Path", "/"), iam.clock())

    def unit() -> Unit[None]:
        if not (yield from rows.insert_group(group)):
            raise exists("Group", group.name)
        if (yield from rows.count_groups(group.account)) > GROUPS_AT_MOST:
            raise limit_exceeded(f"Cannot exceed quota for GroupsPerAccount: {GROUPS_AT_MOST}")

    await iam.epoch.change(unit)
    return {"Group": render_group(group)}


async def get_group(iam: Iam, call: Call) -> Result:
    """With a page of its users."""
    name = call.params["GroupName"]
    limit, after = page_of(call.params)
    group = await found(GROUP, name, rows.find_group_named(iam.database, call.account, name))
    members = await rows.list_members(iam.database, group.id, after=after, limit=limit + 1)
    page = paged("Users", members, limit, key=lambda user: user.name.lower(), render=render_user)
    return {"Group": render_group(group), **page}


async def list_groups(iam: Iam, call: Call) -> Result:
    limit, after = page_of(call.params)
    prefix = call.params.get("PathPrefix", "/")
    groups = await rows.list_groups(iam.database, call.account, prefix=prefix, after=after, limit=limit + 1)
    return _page(groups, limit)


async def update_group(iam: Iam, call: Call) -> Result:
    params = call.params

    def unit() -> Unit[None]:
        group = yield from read_group(call)
        name = params.get("NewGroupName", group.name)
        if not (yield from rows.rename_group(group, name=name, path=params.get("NewPath", group.path))):
            raise exists("Group", name)

    await iam.epoch.change(unit)
    return {}


async def delete_group(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        group = yield from read_group(call)
        yield from refuse_while(
            (
                (has_members(group.id), "remove users from group"),
                (has_inline_policies(group.id), "delete policies"),
                (has_attached_policies(group.id), "detach all policies"),
            )
        )
        yield from rows.delete_group(group.id)

    await iam.epoch.change(unit)
    return {}


async def add_user_to_group(iam: Iam, call: Call) -> Result:
    """A member stays one."""
    now = iam.clock()

    def unit() -> Unit[None]:
        group = yield from read_group(call)
        user = yield from read_user(call)
        yield from rows.put_member(group.id, user.id, now)
        if (yield from rows.count_groups_of(user.id)) > GROUPS_OF_A_USER:
            raise limit_exceeded(f"Cannot exceed quota for GroupsPerUser: {GROUPS_OF_A_USER}")

    await iam.epoch.change(unit)
    return {}


async def remove_user_from_group(iam: Iam, call: Call) -> Result:
    """Who is no member stays none."""

    def unit() -> Unit[None]:
        group = yield from read_group(call)
        user = yield from read_user(call)
        yield from rows.delete_member(group.id, user.id)

    await iam.epoch.change(unit)
    return {}


async def list_groups_for_user(iam: Iam, call: Call) -> Result:
    name = call.params["UserName"]
    limit, after = page_of(call.params)
    user = await found(USER, name, find_user_named(iam.database, call.account, name))
    return _page(await rows.list_groups_of(iam.database, user.id, after=after, limit=limit + 1), limit)


def render_group(group: Group) -> dict[str, Any]:
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.id,
        "Arn": arn_of(GROUP, group),
        "CreateDate": shown_time(group.created_at),
    }


def _page(groups: list[Group], limit: int) -> Result:
    return paged("Groups", groups, limit, key=lambda group: group.name.lower(), render=render_group)


ROWS: Final = (
    Row("CreateGroup", create_group, on_new("CreateGroup", "", GROUP, "GroupName")),
    Row("GetGroup", get_group, on_group("GetGroup")),
    Row("ListGroups", list_groups, on_all("ListGroups", GROUP)),
    Row("UpdateGroup", update_group, on_renamed("UpdateGroup", GROUP, "GroupName", "NewGroupName")),
    Row("DeleteGroup", delete_group, on_group("DeleteGroup")),
    Row("AddUserToGroup", add_user_to_group, on_group("AddUserToGroup")),
    Row("RemoveUserFromGroup", remove_user_from_group, on_group("RemoveUserFromGroup")),
    Row("ListGroupsForUser", list_groups_for_user, on_user("ListGroupsForUser")),
)
