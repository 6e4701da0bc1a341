"""What stands in the way of deleting an identity."""

from store.database import Unit


def has_attached_policies(owner_id: str) -> Unit[bool]:
    return bool((yield "SELECT 1 FROM policy_attachments WHERE owner_id = ? LIMIT 1", (owner_id,)))


def has_inline_policies(owner_id: str) -> Unit[bool]:
    return bool((yield "SELECT 1 FROM inline_policies WHERE owner_id = ? LIMIT 1", (owner_id,)))


def has_access_keys(owner_id: str) -> Unit[bool]:
    return bool((yield "SELECT 1 FROM access_keys WHERE owner_id = ? LIMIT 1", (owner_id,)))


def has_groups(user_id: str) -> Unit[bool]:
    return bool((yield "SELECT 1 FROM group_members WHERE user_id = ? LIMIT 1", (user_id,)))


def has_members(group_id: str) -> Unit[bool]:
    return bool((yield "SELECT 1 FROM group_members WHERE group_id = ? LIMIT 1", (group_id,)))


def has_profiles(role_id: str) -> Unit[bool]:
    return bool((yield "SELECT 1 FROM instance_profiles WHERE role_id = ? LIMIT 1", (role_id,)))


def has_role(profile_id: str) -> Unit[bool]:
    return bool((yield "SELECT 1 FROM instance_profiles WHERE id = ? AND role_id <> ''", (profile_id,)))
