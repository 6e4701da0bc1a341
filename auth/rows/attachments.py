"""Which managed policies are attached to whom, as policies and as permissions boundaries."""

from dataclasses import dataclass

from auth.rows.entities import EntityKind
from store.database import Database, Unit


@dataclass(frozen=True, slots=True)
class StoredUse:
    """Someone who has a policy."""

    kind: EntityKind
    id: str
    name: str
    path: str


async def list_attached(database: Database, owner_id: str) -> list[str]:
    """ARNs."""
    rows = await database.fetch(
        "SELECT policy_arn FROM policy_attachments WHERE owner_id = ? ORDER BY policy_arn", (owner_id,)
    )
    return [arn for (arn,) in rows]


async def count_attachments(database: Database, account: str) -> dict[str, int]:
    """ARN -> entities of the account that have it."""
    rows = await database.fetch(
        "SELECT policy_arn, COUNT(*) FROM policy_attachments WHERE account = ? GROUP BY policy_arn", (account,)
    )
    return dict(rows)


async def count_boundaries(database: Database, account: str) -> dict[str, int]:
    """ARN -> users and roles of the account that it limits."""
    rows = await database.fetch(
        "SELECT boundary, COUNT(*) FROM (SELECT boundary FROM users WHERE account = ? AND boundary <> '' "
        "UNION ALL SELECT boundary FROM roles WHERE account = ? AND boundary <> '') AS used GROUP BY boundary",
        (account, account),
    )
    return dict(rows)


async def list_attached_to(database: Database, account: str, arn: str) -> list[StoredUse]:
    """By kind, then by name."""
    rows = await database.fetch(
        "SELECT e.kind, e.id, e.name, e.path FROM policy_attachments a JOIN ("
        "SELECT 'group' AS kind, id, name, folded, path FROM user_groups WHERE account = ? "
        "UNION ALL SELECT 'role', id, name, folded, path FROM roles WHERE account = ? "
        "UNION ALL SELECT 'user', id, name, folded, path FROM users WHERE account = ?"
        ") AS e ON e.id = a.owner_id WHERE a.account = ? AND a.policy_arn = ? ORDER BY e.kind, e.folded",
        (account, account, account, account, arn),
    )
    return [StoredUse(EntityKind(kind), *rest) for kind, *rest in rows]


async def list_limited_by(database: Database, account: str, arn: str) -> list[StoredUse]:
    """Roles, then users, by name."""
    rows = await database.fetch(
        "SELECT 'role' AS kind, id, name, path, folded FROM roles WHERE account = ? AND boundary = ? AND boundary <> '' "
        "UNION ALL SELECT 'user', id, name, path, folded FROM users WHERE account = ? AND boundary = ? "
        "AND boundary <> '' ORDER BY kind, folded",
        (account, arn, account, arn),
    )
    return [StoredUse(EntityKind(kind), identifier, name, path) for kind, identifier, name, path, _ in rows]


def count_others(owner_id: str, arn: str) -> Unit[int]:
    """How many policies but that one it has."""
    rows = yield (
        "SELECT COUNT(*) FROM policy_attachments WHERE owner_id = ? AND policy_arn <> ?",
        (owner_id, arn),
    )
    count: int = rows[0][0]
    return count


def is_used(account: str, arn: str) -> Unit[bool]:
    """As a policy or as a boundary, by the account that owns it."""
    rows = yield "SELECT 1 FROM policy_attachments WHERE account = ? AND policy_arn = ? LIMIT 1", (account, arn)
    if not rows:
        rows = yield "SELECT 1 FROM users WHERE account = ? AND boundary = ? AND boundary <> '' LIMIT 1", (account, arn)
    if not rows:
        rows = yield "SELECT 1 FROM roles WHERE account = ? AND boundary = ? AND boundary <> '' LIMIT 1", (account, arn)
    return bool(rows)


def insert_attachment(owner_id: str, arn: str, account: str, now: float) -> Unit[None]:
    yield (
        "INSERT INTO policy_attachments (owner_id, policy_arn, account, attached_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (owner_id, policy_arn) DO NOTHING",
        (owner_id, arn, account, now),
    )


def delete_attachment(owner_id: str, arn: str) -> Unit[bool]:
    """False where it was not attached."""
    rows = yield "DELETE FROM policy_attachments WHERE owner_id = ? AND policy_arn = ? RETURNING 1", (owner_id, arn)
    return bool(rows)
