"""Groups of users and their members (IAM API reference, Group)."""

from dataclasses import dataclass

from auth.rows.users import User
from store.database import Database, Row, Statement, Unit


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    account: str
    name: str
    path: str
    created_at: float


_GROUP = "id, account, name, path, created_at"


def _named(account: str, name: str) -> Statement:
    return f"SELECT {_GROUP} FROM user_groups WHERE account = ? AND folded = ?", (account, name.lower())


def _one(rows: list[Row]) -> Group | None:
    return Group(*rows[0]) if rows else None


async def find_group_named(database: Database, account: str, name: str) -> Group | None:
    """Without regard to case."""
    return _one(await database.fetch(*_named(account, name)))


def read_group_named(account: str, name: str) -> Unit[Group | None]:
    """Without regard to case."""
    return _one((yield _named(account, name)))


async def list_groups(database: Database, account: str, *, prefix: str, after: str, limit: int) -> list[Group]:
    """Those whose path begins with `prefix`, by name in lower case, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_GROUP} FROM user_groups WHERE account = ? AND folded > ? AND substr(path, 1, ?) = ? "
        "ORDER BY folded LIMIT ?",
        (account, after, len(prefix), prefix, limit),
    )
    return [Group(*row) for row in rows]


def count_groups(account: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM user_groups WHERE account = ?", (account,)
    count: int = rows[0][0]
    return count


def insert_group(group: Group) -> Unit[bool]:
    """False where the name is taken."""
    made = yield (
        f"INSERT INTO user_groups ({_GROUP}, folded) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (account, folded) DO NOTHING RETURNING 1",
        (group.id, group.account, group.name, group.path, group.created_at, group.name.lower()),
    )
    return bool(made)


def rename_group(group: Group, *, name: str, path: str) -> Unit[bool]:
    """False where the name is another group's."""
    taken = yield (
        "SELECT 1 FROM user_groups WHERE account = ? AND folded = ? AND id <> ?",
        (group.account, name.lower(), group.id),
    )
    if taken:
        return False
    yield "UPDATE user_groups SET name = ?, folded = ?, path = ? WHERE id = ?", (name, name.lower(), path, group.id)
    return True


def delete_group(identifier: str) -> Unit[None]:
    yield "DELETE FROM last_accessed WHERE identity_id = ?", (identifier,)
    yield "DELETE FROM user_groups WHERE id = ?", (identifier,)


async def list_members(database: Database, group_id: str, *, after: str, limit: int) -> list[User]:
    """By name in lower case, from the first one after `after`."""
    rows = await database.fetch(
        "SELECT u.id, u.account, u.name, u.path, u.boundary, u.created_at FROM group_members m "
        "JOIN users u ON u.id = m.user_id WHERE m.group_id = ? AND u.folded > ? ORDER BY u.folded LIMIT ?",
        (group_id, after, limit),
    )
    return [User(*row) for row in rows]


async def list_groups_of(database: Database, user_id: str, *, after: str, limit: int) -> list[Group]:
    """By name in lower case, from the first one after `after`."""
    rows = await database.fetch(
        "SELECT g.id, g.account, g.name, g.path, g.created_at FROM group_members m "
        "JOIN user_groups g ON g.id = m.group_id WHERE m.user_id = ? AND g.folded > ? ORDER BY g.folded LIMIT ?",
        (user_id, after, limit),
    )
    return [Group(*row) for row in rows]


def count_groups_of(user_id: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM group_members WHERE user_id = ?", (user_id,)
    count: int = rows[0][0]
    return count


def put_member(group_id: str, user_id: str, now: float) -> Unit[None]:
    """Again is as once."""
    yield (
        "INSERT INTO group_members (group_id, user_id, joined_at) VALUES (?, ?, ?) "
        "ON CONFLICT (group_id, user_id) DO NOTHING",
        (group_id, user_id, now),
    )


def delete_member(group_id: str, user_id: str) -> Unit[bool]:
    """False where the user was none."""
    return bool((yield "DELETE FROM group_members WHERE group_id = ? AND user_id = ? RETURNING 1", (group_id, user_id)))
