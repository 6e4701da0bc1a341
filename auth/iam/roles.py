"""Roles (CreateRole, GetRole, ListRoles, UpdateRole, UpdateRoleDescription, UpdateAssumeRolePolicy, DeleteRole, TagRole,
UntagRole, ListRoleTags)."""

from collections.abc import Sequence
from typing import Any, Final

from auth.iam.boundaries import refuse_boundary
from auth.iam.call import Call, Iam, Result, Row, exists, limit_exceeded, malformed_policy, page_of, paged
from auth.iam.documents import check_document, encode_document, size_of
from auth.iam.identities import (
    ROLE,
    SERVICE_ROLES,
    arn_of,
    asked_keys,
    asked_tags,
    found,
    on_all,
    on_new,
    on_role,
    present_boundary,
    read_free_role,
    read_role,
    refuse_while,
    shown_boundary,
    shown_time,
)
from auth.iam.tags import list_page, put_tags, read_tags, render_tags
from auth.identifiers import new_unique_id
from auth.policy.document import Kind
from auth.principals import PrincipalInvalid, bind_principals, show_principals
from auth.rows import roles as rows
from auth.rows.directory import list_identity_tags
from auth.rows.holdings import has_attached_policies, has_inline_policies, has_profiles
from auth.rows.roles import Role, find_role_named
from auth.rows.tags import delete_tags
from aws.errors import AwsError
from store.database import Unit

ROLES_AT_MOST: Final = 1000
TRUST_AT_MOST: Final = 2048
"""Characters of a trust policy, without white space."""
_HOUR: Final = 3600


async def create_role(iam: Iam, call: Call) -> Result:
    params = call.params
    tags = read_tags(params.get("Tags", ()))
    path, name, text = params.get("Path", "/"), params["RoleName"], params["AssumeRolePolicyDocument"]
    if path.startswith(SERVICE_ROLES):
        raise AwsError("InvalidInputException", "Roles below /aws-service-role/ are made by CreateServiceLinkedRole.")
    check_trust(text)
    identifier, now = new_unique_id("AROA"), iam.clock()

    def unit() -> Unit[Role]:
        yield from refuse_boundary(call)
        role = Role(
            identifier,
            call.account,
            name,
            path,
            (yield from bind_trust(text)),
            params.get("Description", ""),
            params.get("MaxSessionDuration", _HOUR),
            params.get("PermissionsBoundary", ""),
            now,
        )
        yield from insert(role, taken=exists("Role", name))
        yield from put_tags(role.id, tags)
        return role

    role = await iam.epoch.change(unit)
    return {"Role": await _render_whole(iam, role, tags)}


def insert(role: Role, *, taken: AwsError) -> Unit[None]:
    """Part of a unit. Raises AwsError: `taken` where there is such a role."""
    if not (yield from rows.insert_role(role)):
        raise taken
    if (yield from rows.count_roles(role.account)) > ROLES_AT_MOST:
        raise limit_exceeded(f"Cannot exceed quota for RolesPerAccount: {ROLES_AT_MOST}")


def check_trust(text: str) -> None:
    """Raises AwsError."""
    if size_of(text) > TRUST_AT_MOST:
        raise limit_exceeded(f"Cannot exceed quota for ACLSizePerRole: {TRUST_AT_MOST}")
    check_document(text, Kind.TRUST)


def bind_trust(text: str) -> Unit[str]:
    """`bind_principals`, raising AwsError."""
    try:
        return (yield from bind_principals(text))
    except PrincipalInvalid as error:
        raise malformed_policy(str(error)) from error


async def get_role(iam: Iam, call: Call) -> Result:
    role = await _find(iam, call)
    shown = await _render_whole(iam, role, await list_identity_tags(iam.database, role.id))
    return {"Role": {**shown, "RoleLastUsed": render_last_use(role)}}


async def list_roles(iam: Iam, call: Call) -> Result:
    limit, after = page_of(call.params)
    prefix = call.params.get("PathPrefix", "/")
    roles = await rows.list_roles(iam.database, call.account, prefix=prefix, after=after, limit=limit + 1)
    shown = await render_roles(iam, roles)
    return paged("Roles", roles, limit, key=lambda role: role.name.lower(), render=lambda role: shown[role.id])


async def update_role(iam: Iam, call: Call) -> Result:
    """What is left out stays as it is."""
    await _update(iam, call)
    return {}


async def update_role_description(iam: Iam, call: Call) -> Result:
    await _update(iam, call)
    role = await _find(iam, call)
    return {"Role": (await render_roles(iam, [role]))[role.id]}


async def _update(iam: Iam, call: Call) -> None:
    params = call.params

    def unit() -> Unit[None]:
        role = yield from read_free_role(call)
        yield from rows.update_role(
            role.id,
            description=params.get("Description", role.description),
            max_session=params.get("MaxSessionDuration", role.max_session),
        )

    await iam.epoch.change(unit)


async def update_assume_role_policy(iam: Iam, call: Call) -> Result:
    text = call.params["PolicyDocument"]
    check_trust(text)

    def unit() -> Unit[None]:
        role = yield from read_free_role(call)
        yield from rows.set_trust(role.id, (yield from bind_trust(text)))

    await iam.epoch.change(unit)
    return {}


async def delete_role(iam: Iam, call: Call) -> Result:
    """Its sessions end with it."""

    def unit() -> Unit[None]:
        role = yield from read_free_role(call)
        yield from refuse_while(
            (
                (has_profiles(role.id), "remove roles from instance profile"),
                (has_attached_policies(role.id), "detach all policies"),
                (has_inline_policies(role.id), "delete policies"),
            )
        )
        yield from rows.delete_role(role.id)

    await iam.epoch.change(unit)
    return {}


async def tag_role(iam: Iam, call: Call) -> Result:
    tags = read_tags(call.params["Tags"])

    def unit() -> Unit[None]:
        role = yield from read_role(call)
        yield from put_tags(role.id, tags)

    await iam.epoch.change(unit)
    return {}


async def untag_role(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        role = yield from read_role(call)
        yield from delete_tags(role.id, call.params["TagKeys"])

    await iam.epoch.change(unit)
    return {}


async def list_role_tags(iam: Iam, call: Call) -> Result:
    role = await _find(iam, call)
    return await list_page(iam, role.id, call)


async def render_roles(iam: Iam, roles: Sequence[Role]) -> dict[str, dict[str, Any]]:
    """By id, as listings show them: without tags, boundary and last use."""
    trusts = await show_principals(iam.database, [role.trust for role in roles])
    return {role.id: _render(role, trust) for role, trust in zip(roles, trusts, strict=True)}


def _render(role: Role, trust: str) -> dict[str, Any]:
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": arn_of(ROLE, role),
        "CreateDate": shown_time(role.created_at),
        "AssumeRolePolicyDocument": encode_document(trust),
        "Description": role.description or None,
        "MaxSessionDuration": role.max_session,
    }


def render_last_use(role: Role) -> dict[str, Any]:
    return {} if role.used_at is None else {"LastUsedDate": shown_time(role.used_at), "Region": role.used_region}


async def _render_whole(iam: Iam, role: Role, tags: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        **(await render_roles(iam, [role]))[role.id],
        "PermissionsBoundary": shown_boundary(role.boundary),
        "Tags": render_tags(tags) or None,
    }


async def _find(iam: Iam, call: Call) -> Role:
    name = call.params["RoleName"]
    return await found(ROLE, name, find_role_named(iam.database, call.account, name))


ROWS: Final = (
    Row("CreateRole", create_role, on_new("CreateRole", "TagRole", ROLE, "RoleName")),
    Row("GetRole", get_role, on_role("GetRole", present_boundary)),
    Row("ListRoles", list_roles, on_all("ListRoles", ROLE)),
    Row("UpdateRole", update_role, on_role("UpdateRole", present_boundary)),
    Row("UpdateRoleDescription", update_role_description, on_role("UpdateRoleDescription", present_boundary)),
    Row("UpdateAssumeRolePolicy", update_assume_role_policy, on_role("UpdateAssumeRolePolicy", present_boundary)),
    Row("DeleteRole", delete_role, on_role("DeleteRole", present_boundary)),
    Row("TagRole", tag_role, on_role("TagRole", asked_tags)),
    Row("UntagRole", untag_role, on_role("UntagRole", asked_keys)),
    Row("ListRoleTags", list_role_tags, on_role("ListRoleTags")),
)
