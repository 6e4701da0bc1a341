"""Instance profiles (CreateInstanceProfile, GetInstanceProfile, ListInstanceProfiles, ListInstanceProfilesForRole,
DeleteInstanceProfile, AddRoleToInstanceProfile, RemoveRoleFromInstanceProfile, TagInstanceProfile,
UntagInstanceProfile, ListInstanceProfileTags)."""

from collections.abc import Sequence
from typing import Any, Final

from auth.access import Access
from auth.iam.call import Call, Iam, Result, Row, limit_exceeded, page_of, paged
from auth.iam.identities import (
    PROFILE,
    ROLE,
    arn_of,
    asked_keys,
    asked_tags,
    found,
    on_all,
    on_new,
    on_profile,
    on_role,
    read_free_role,
    read_profile,
    refuse_while,
    shown_time,
)
from auth.iam.roles import render_roles
from auth.iam.tags import list_page, put_tags, read_tags, render_tags
from auth.identifiers import new_unique_id
from auth.rows import profiles as rows
from auth.rows.directory import list_identity_tags
from auth.rows.holdings import has_role
from auth.rows.profiles import Profile, find_profile_named
from auth.rows.roles import find_role_named, find_roles
from auth.rows.tags import delete_tags
from aws.errors import AwsError
from store.database import Unit

PROFILES_AT_MOST: Final = 1000
_EC2: Final = "ec2.amazonaws.com"
"""Whom a role is passed to by putting it into an instance profile."""


async def create_instance_profile(iam: Iam, call: Call) -> Result:
    params = call.params
    tags = read_tags(params.get("Tags", ()))
    name, path = params["InstanceProfileName"], params.get("Path", "/")
    profile = Profile(new_unique_id("AIPA"), call.account, name, path, "", iam.clock())

    def unit() -> Unit[None]:
        if not (yield from rows.insert_profile(profile)):
            raise AwsError("EntityAlreadyExistsException", f"Instance Profile {name} already exists.", status=409)
        if (yield from rows.count_profiles(profile.account)) > PROFILES_AT_MOST:
            raise limit_exceeded(f"Cannot exceed quota for InstanceProfilesPerAccount: {PROFILES_AT_MOST}")
        yield from put_tags(profile.id, tags)

    await iam.epoch.change(unit)
    return {"InstanceProfile": {**render_profile(profile, {}), "Tags": render_tags(tags) or None}}


async def get_instance_profile(iam: Iam, call: Call) -> Result:
    profile = await _find(iam, call)
    tags = await list_identity_tags(iam.database, profile.id)
    roles = await _roles_of(iam, [profile])
    return {"InstanceProfile": {**render_profile(profile, roles), "Tags": render_tags(tags) or None}}


async def list_instance_profiles(iam: Iam, call: Call) -> Result:
    limit, after = page_of(call.params)
    prefix = call.params.get("PathPrefix", "/")
    profiles = await rows.list_profiles(iam.database, call.account, prefix=prefix, after=after, limit=limit + 1)
    return await _page(iam, profiles, limit)


async def list_instance_profiles_for_role(iam: Iam, call: Call) -> Result:
    name = call.params["RoleName"]
    limit, after = page_of(call.params)
    role = await found(ROLE, name, find_role_named(iam.database, call.account, name))
    return await _page(iam, await rows.list_profiles_of(iam.database, role.id, after=after, limit=limit + 1), limit)


async def delete_instance_profile(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        profile = yield from read_profile(call)
        yield from refuse_while(((has_role(profile.id), "remove roles from instance profile"),))
        yield from rows.delete_profile(profile.id)

    await iam.epoch.change(unit)
    return {}


async def add_role_to_instance_profile(iam: Iam, call: Call) -> Result:
    """A profile holds one role."""

    def unit() -> Unit[None]:
        profile = yield from read_profile(call)
        role = yield from read_free_role(call)
        if profile.role_id:
            raise limit_exceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
        yield from rows.set_profile_role(profile.id, role.id)

    await iam.epoch.change(unit)
    return {}


async def remove_role_from_instance_profile(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        profile = yield from read_profile(call)
        role = yield from read_free_role(call)
        if profile.role_id != role.id:
            raise AwsError(
                "NoSuchEntityException", f"Role {role.name} is not in Instance Profile {profile.name}.", status=404
            )
        yield from rows.set_profile_role(profile.id, "")

    await iam.epoch.change(unit)
    return {}


async def tag_instance_profile(iam: Iam, call: Call) -> Result:
    tags = read_tags(call.params["Tags"])

    def unit() -> Unit[None]:
        profile = yield from read_profile(call)
        yield from put_tags(profile.id, tags)

    await iam.epoch.change(unit)
    return {}


async def untag_instance_profile(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        profile = yield from read_profile(call)
        yield from delete_tags(profile.id, call.params["TagKeys"])

    await iam.epoch.change(unit)
    return {}


async def list_instance_profile_tags(iam: Iam, call: Call) -> Result:
    profile = await _find(iam, call)
    return await list_page(iam, profile.id, call)


async def _adding(iam: Iam, call: Call) -> list[Access]:
    """Who puts a role into a profile passes it to the machines that have the profile."""
    wanted = await on_profile("AddRoleToInstanceProfile")(iam, call)
    passed = await on_role("PassRole", lambda _, __: (("iam:PassedToService", _EC2),))(iam, call)
    return [*wanted, *passed]


async def _find(iam: Iam, call: Call) -> Profile:
    name = call.params["InstanceProfileName"]
    return await found(PROFILE, name, find_profile_named(iam.database, call.account, name))


async def _roles_of(iam: Iam, profiles: Sequence[Profile]) -> dict[str, dict[str, Any]]:
    """The roles in these profiles, by id, as they are shown."""
    stored = await find_roles(iam.database, [profile.role_id for profile in profiles if profile.role_id])
    return await render_roles(iam, list(stored.values()))


async def _page(iam: Iam, profiles: list[Profile], limit: int) -> Result:
    roles = await _roles_of(iam, profiles)
    return paged(
        "InstanceProfiles",
        profiles,
        limit,
        key=lambda profile: profile.name.lower(),
        render=lambda profile: render_profile(profile, roles),
    )


def render_profile(profile: Profile, roles: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.id,
        "Arn": arn_of(PROFILE, profile),
        "CreateDate": shown_time(profile.created_at),
        "Roles": [roles[profile.role_id]] if profile.role_id in roles else [],
    }


ROWS: Final = (
    Row(
        "CreateInstanceProfile",
        create_instance_profile,
        on_new("CreateInstanceProfile", "TagInstanceProfile", PROFILE, "InstanceProfileName"),
    ),
    Row("GetInstanceProfile", get_instance_profile, on_profile("GetInstanceProfile")),
    Row("ListInstanceProfiles", list_instance_profiles, on_all("ListInstanceProfiles", PROFILE)),
    Row("ListInstanceProfilesForRole", list_instance_profiles_for_role, on_role("ListInstanceProfilesForRole")),
    Row("DeleteInstanceProfile", delete_instance_profile, on_profile("DeleteInstanceProfile")),
    Row("AddRoleToInstanceProfile", add_role_to_instance_profile, _adding),
    Row(
        "RemoveRoleFromInstanceProfile",
        remove_role_from_instance_profile,
        on_profile("RemoveRoleFromInstanceProfile"),
    ),
    Row("TagInstanceProfile", tag_instance_profile, on_profile("TagInstanceProfile", asked_tags)),
    Row("UntagInstanceProfile", untag_instance_profile, on_profile("UntagInstanceProfile", asked_keys)),
    Row("ListInstanceProfileTags", list_instance_profile_tags, on_profile("ListInstanceProfileTags")),
)
