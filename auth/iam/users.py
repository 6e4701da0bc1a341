"""Users (CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser, TagUser, UntagUser, ListUserTags)."""

from typing import Any, Final

from auth.access import PrincipalKind
from auth.iam.boundaries import refuse_boundary
from auth.iam.call import Call, Iam, Result, Row, exists, limit_exceeded, page_of, paged
from auth.iam.identities import (
    USER,
    arn_of,
    asked_keys,
    asked_tags,
    caller_or_named,
    found,
    on_all,
    on_new,
    on_renamed,
    on_user,
    on_user_or_caller,
    read_user,
    refuse_while,
    shown_boundary,
    shown_time,
)
from auth.iam.tags import list_page, put_tags, read_tags, render_tags
from auth.identifiers import new_unique_id
from auth.rows import users as rows
from auth.rows.accounts import find_account
from auth.rows.directory import list_identity_tags
from auth.rows.holdings import has_access_keys, has_attached_policies, has_groups, has_inline_policies
from auth.rows.tags import delete_tags
from auth.rows.users import User, find_user_named
from store.database import Unit

USERS_AT_MOST: Final = 5000


async def create_user(iam: Iam, call: Call) -> Result:
    params = call.params
    tags = read_tags(params.get("Tags", ()))
    user = User(
        new_unique_id("AIDA"),
        call.account,
        params["UserName"],
        params.get("Path", "/"),
        params.get("PermissionsBoundary", ""),
        iam.clock(),
    )

    def unit() -> Unit[None]:
        yield from refuse_boundary(call)
        if not (yield from rows.insert_user(user)):
            raise exists("User", user.name)
        if (yield from rows.count_users(user.account)) > USERS_AT_MOST:
            raise limit_exceeded(f"Cannot exceed quota for UsersPerAccount: {USERS_AT_MOST}")
        yield from put_tags(user.id, tags)

    await iam.epoch.change(unit)
    return {"User": _render_whole(user, tags)}


async def get_user(iam: Iam, call: Call) -> Result:
    """Without UserName the caller, the account's root user too."""
    user = await caller_or_named(iam, call)
    if user is None:
        return {"User": await _render_root(iam, call)}
    return {"User": _render_whole(user, await list_identity_tags(iam.database, user.id))}


async def list_users(iam: Iam, call: Call) -> Result:
    limit, after = page_of(call.params)
    prefix = call.params.get("PathPrefix", "/")
    users = await rows.list_users(iam.database, call.account, prefix=prefix, after=after, limit=limit + 1)
    return paged("Users", users, limit, key=lambda user: user.name.lower(), render=render_user)


async def update_user(iam: Iam, call: Call) -> Result:
    params = call.params

    def unit() -> Unit[None]:
        user = yield from read_user(call)
        name = params.get("NewUserName", user.name)
        if not (yield from rows.rename_user(user, name=name, path=params.get("NewPath", user.path))):
            raise exists("User", name)

    await iam.epoch.change(unit)
    return {}


async def delete_user(iam: Iam, call: Call) -> Result:
    """Its keys and whatever was obtained with them end with it."""

    def unit() -> Unit[None]:
        user = yield from read_user(call)
        yield from refuse_while(
            (
                (has_access_keys(user.id), "delete access keys"),
                (has_inline_policies(user.id), "delete policies"),
                (has_attached_policies(user.id), "detach all policies"),
                (has_groups(user.id), "remove users from group"),
            )
        )
        yield from rows.delete_user(user.id)

    await iam.epoch.change(unit)
    return {}


async def tag_user(iam: Iam, call: Call) -> Result:
    tags = read_tags(call.params["Tags"])

    def unit() -> Unit[None]:
        user = yield from read_user(call)
        yield from put_tags(user.id, tags)

    await iam.epoch.change(unit)
    return {}


async def untag_user(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        user = yield from read_user(call)
        yield from delete_tags(user.id, call.params["TagKeys"])

    await iam.epoch.change(unit)
    return {}


async def list_user_tags(iam: Iam, call: Call) -> Result:
    name = call.params["UserName"]
    user = await found(USER, name, find_user_named(iam.database, call.account, name))
    return await list_page(iam, user.id, call)


def render_user(user: User) -> dict[str, Any]:
    """As listings show it: without its tags and its boundary."""
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": arn_of(USER, user),
        "CreateDate": shown_time(user.created_at),
    }


def _render_whole(user: User, tags: Any) -> dict[str, Any]:
    return {
        **render_user(user),
        "PermissionsBoundary": shown_boundary(user.boundary),
        "Tags": render_tags(tags) or None,
    }


async def _render_root(iam: Iam, call: Call) -> dict[str, Any]:
    """A root user has no name and no path."""
    assert call.principal.kind is PrincipalKind.ROOT
    account = await find_account(iam.database, call.account)
    created = {} if account is None else {"CreateDate": shown_time(account.created_at)}
    return {"UserId": call.account, "Arn": call.principal.arn, **created}


ROWS: Final = (
    Row("CreateUser", create_user, on_new("CreateUser", "TagUser", USER, "UserName")),
    Row("GetUser", get_user, on_user_or_caller("GetUser")),
    Row("ListUsers", list_users, on_all("ListUsers", USER)),
    Row("UpdateUser", update_user, on_renamed("UpdateUser", USER, "UserName", "NewUserName")),
    Row("DeleteUser", delete_user, on_user("DeleteUser")),
    Row("TagUser", tag_user, on_user("TagUser", asked_tags)),
    Row("UntagUser", untag_user, on_user("UntagUser", asked_keys)),
    Row("ListUserTags", list_user_tags, on_user("ListUserTags")),
)
