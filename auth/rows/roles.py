"""Roles (IAM API reference, Role)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from store.database import Database, Row, Statement, Unit, placeholders


@dataclass(frozen=True, slots=True)
class Role:
    """`trust` is the text of its trust policy with principals as `auth.principals` stores them, `boundary` the ARN of a
    managed policy, or empty; `max_session` is in seconds."""

    id: str
    account: str
    name: str
    path: str
    trust: str
    description: str
    max_session: int
    boundary: str
    created_at: float
    used_at: float | None = None
    used_region: str = ""


_FIELDS = (
    "id", "account", "name", "path", "trust", "description", "max_session", "boundary", "created_at", "used_at", "used_region",
)  # fmt: skip
_ROLE = ", ".join(_FIELDS)


def _named(account: str, name: str) -> Statement:
    return f"SELECT {_ROLE} FROM roles WHERE account = ? AND folded = ?", (account, name.lower())


def _one(rows: list[Row]) -> Role | None:
    return Role(*rows[0]) if rows else None


async def find_role_named(database: Database, account: str, name: str) -> Role | None:
    """Without regard to case."""
    return _one(await database.fetch(*_named(account, name)))


def read_role_named(account: str, name: str) -> Unit[Role | None]:
    """Without regard to case."""
    return _one((yield _named(account, name)))


async def find_roles(database: Database, identifiers: Sequence[str]) -> dict[str, Role]:
    """By id."""
    if not identifiers:
        return {}
    rows = await database.fetch(
        f"SELECT {_ROLE} FROM roles WHERE id IN ({placeholders(len(identifiers))})", identifiers
    )
    return {row[0]: Role(*row) for row in rows}


async def list_roles(database: Database, account: str, *, prefix: str, after: str, limit: int) -> list[Role]:
    """Those whose path begins with `prefix`, by name in lower case, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_ROLE} FROM roles WHERE account = ? AND folded > ? AND substr(path, 1, ?) = ? ORDER BY folded LIMIT ?",
        (account, after, len(prefix), prefix, limit),
    )
    return [Role(*row) for row in rows]


def count_roles(account: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM roles WHERE account = ?", (account,)
    count: int = rows[0][0]
    return count


def insert_role(role: Role) -> Unit[bool]:
    """False where the name is taken."""
    values = [getattr(role, field) for field in _FIELDS]
    made = yield (
        f"INSERT INTO roles ({_ROLE}, folded) VALUES ({placeholders(len(values) + 1)}) "
        "ON CONFLICT (account, folded) DO NOTHING RETURNING 1",
        (*values, role.name.lower()),
    )
    return bool(made)


def update_role(identifier: str, *, description: str, max_session: int) -> Unit[None]:
    yield "UPDATE roles SET description = ?, max_session = ? WHERE id = ?", (description, max_session, identifier)


def set_trust(identifier: str, trust: str) -> Unit[None]:
    yield "UPDATE roles SET trust = ? WHERE id = ?", (trust, identifier)


def set_role_boundary(identifier: str, arn: str) -> Unit[None]:
    yield "UPDATE roles SET boundary = ? WHERE id = ?", (arn, identifier)


def delete_role(identifier: str) -> Unit[None]:
    """The role, and what nobody has to remove beforehand."""
    yield "DELETE FROM identity_tags WHERE owner_id = ?", (identifier,)
    yield "DELETE FROM last_accessed WHERE identity_id = ?", (identifier,)
    yield "DELETE FROM roles WHERE id = ?", (identifier,)


def note_roles_used(uses: Iterable[tuple[str, float, str]]) -> Unit[None]:
    """(role id, when, region) each. An older use never takes the place of a younger."""
    for identifier, at, region in uses:
        yield (
            "UPDATE roles SET used_at = ?, used_region = ? WHERE id = ? AND (used_at IS NULL OR used_at < ?)",
            (at, region, identifier, at),
        )
