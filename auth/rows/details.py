"""What is counted of an account, and what its identities have, for many of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from auth.rows.profiles import Profile
from store.database import Database, placeholders


@dataclass(frozen=True, slots=True)
class Counts:
    """What one account has."""

    users: int
    groups: int
    roles: int
    profiles: int
    policies: int
    versions: int
    providers: int
    root_keys: int


async def count_everything(database: Database, account: str) -> Counts:
    row = await database.fetch_one(
        "SELECT (SELECT COUNT(*) FROM users WHERE account = ?), "
        "(SELECT COUNT(*) FROM user_groups WHERE account = ?), "
        "(SELECT COUNT(*) FROM roles WHERE account = ?), "
        "(SELECT COUNT(*) FROM instance_profiles WHERE account = ?), "
        "(SELECT COUNT(*) FROM managed_policies WHERE account = ?), "
        "(SELECT COUNT(*) FROM managed_policies p JOIN policy_versions v ON v.arn = p.arn WHERE p.account = ?), "
        "(SELECT COUNT(*) FROM oidc_providers WHERE account = ?), "
        "(SELECT COUNT(*) FROM access_keys WHERE owner_id = ?)",
        (account,) * 8,
    )
    assert row is not None, "it has no FROM"
    return Counts(*row)


async def list_group_names_of(database: Database, users: Sequence[str]) -> dict[str, list[str]]:
    """User's id -> the names of the groups that it is in."""
    if not users:
        return {}
    rows = await database.fetch(
        "SELECT m.user_id, g.name FROM group_members m JOIN user_groups g ON g.id = m.group_id "
        f"WHERE m.user_id IN ({placeholders(len(users))}) ORDER BY g.folded",
        users,
    )
    found: dict[str, list[str]] = {}
    for user, name in rows:
        found.setdefault(user, []).append(name)
    return found


async def list_profiles_of_roles(database: Database, roles: Sequence[str]) -> dict[str, list[Profile]]:
    """Role's id -> the instance profiles that hold it."""
    if not roles:
        return {}
    rows = await database.fetch(
        "SELECT id, account, name, path, role_id, created_at FROM instance_profiles "
        f"WHERE role_id IN ({placeholders(len(roles))}) ORDER BY folded",
        roles,
    )
    found: dict[str, list[Profile]] = {}
    for row in rows:
        profile = Profile(*row)
        found.setdefault(profile.role_id, []).append(profile)
    return found
