"""Users, groups, roles and instance profiles, looked at alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from store.database import Database, Unit, placeholders


class EntityKind(StrEnum):
    """As in ARNs."""

    USER = "user"
    GROUP = "group"
    ROLE = "role"
    PROFILE = "instance-profile"


@dataclass(frozen=True, slots=True)
class StoredEntity:
    """`boundary` is the ARN of its permissions boundary; only users and roles have one."""

    kind: EntityKind
    id: str
    account: str
    name: str
    path: str
    boundary: str


_COLUMNS: Final = {
    EntityKind.USER: "id, account, name, path, boundary FROM users",
    EntityKind.GROUP: "id, account, name, path, '' FROM user_groups",
    EntityKind.ROLE: "id, account, name, path, boundary FROM roles",
    EntityKind.PROFILE: "id, account, name, path, '' FROM instance_profiles",
}
_TABLES: Final = {
    EntityKind.USER: "users",
    EntityKind.GROUP: "user_groups",
    EntityKind.ROLE: "roles",
    EntityKind.PROFILE: "instance_profiles",
}


async def find_entity(database: Database, kind: EntityKind, account: str, name: str) -> StoredEntity | None:
    """Without regard to case."""
    row = await database.fetch_one(f"SELECT {_COLUMNS[kind]} WHERE account = ? AND folded = ?", (account, name.lower()))
    return None if row is None else StoredEntity(kind, *row)


def is_there(kind: EntityKind, identifier: str) -> Unit[bool]:
    """Part of a unit that hangs something on it."""
    rows = yield f"SELECT 1 FROM {_TABLES[kind]} WHERE id = ?", (identifier,)
    return bool(rows)


async def list_groups_of(database: Database, user_id: str) -> list[StoredEntity]:
    """By name."""
    rows = await database.fetch(
        "SELECT g.id, g.account, g.name, g.path, '' FROM group_members m JOIN user_groups g ON g.id = m.group_id "
        "WHERE m.user_id = ? ORDER BY g.folded",
        (user_id,),
    )
    return [StoredEntity(EntityKind.GROUP, *row) for row in rows]


async def list_members_of(database: Database, groups: Sequence[str]) -> list[StoredEntity]:
    """The users in any of these groups."""
    if not groups:
        return []
    rows = await database.fetch(
        "SELECT DISTINCT u.id, u.account, u.name, u.path, u.boundary FROM group_members m "
        f"JOIN users u ON u.id = m.user_id WHERE m.group_id IN ({placeholders(len(groups))})",
        groups,
    )
    return [StoredEntity(EntityKind.USER, *row) for row in rows]
