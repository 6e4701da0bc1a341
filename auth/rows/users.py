"""Users of accounts (IAM API reference, User)."""

from dataclasses import dataclass

from store.database import Database, Row, Statement, Unit


@dataclass(frozen=True, slots=True)
class User:
    """`boundary` is the ARN of a managed policy, or empty."""

    id: str
    account: str
    name: str
    path: str
    boundary: str
    created_at: float


_USER = "id, account, name, path, boundary, created_at"


def _identified(identifier: str) -> Statement:
    return f"SELECT {_USER} FROM users WHERE id = ?", (identifier,)


def _named(account: str, name: str) -> Statement:
    return f"SELECT {_USER} FROM users WHERE account = ? AND folded = ?", (account, name.lower())


def _one(rows: list[Row]) -> User | None:
    return User(*rows[0]) if rows else None


async def find_user(database: Database, identifier: str) -> User | None:
    return _one(await database.fetch(*_identified(identifier)))


def read_user(identifier: str) -> Unit[User | None]:
    return _one((yield _identified(identifier)))


async def find_user_named(database: Database, account: str, name: str) -> User | None:
    """Without regard to case."""
    return _one(await database.fetch(*_named(account, name)))


def read_user_named(account: str, name: str) -> Unit[User | None]:
    """Without regard to case."""
    return _one((yield _named(account, name)))


async def list_users(database: Database, account: str, *, prefix: str, after: str, limit: int) -> list[User]:
    """Those whose path begins with `prefix`, by name in lower case, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_USER} FROM users WHERE account = ? AND folded > ? AND substr(path, 1, ?) = ? ORDER BY folded LIMIT ?",
        (account, after, len(prefix), prefix, limit),
    )
    return [User(*row) for row in rows]


def count_users(account: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM users WHERE account = ?", (account,)
    count: int = rows[0][0]
    return count


def insert_user(user: User) -> Unit[bool]:
    """False where the name is taken."""
    made = yield (
        f"INSERT INTO users ({_USER}, folded) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (account, folded) DO NOTHING RETURNING 1",
        (user.id, user.account, user.name, user.path, user.boundary, user.created_at, user.name.lower()),
    )
    return bool(made)


def rename_user(user: User, *, name: str, path: str) -> Unit[bool]:
    """False where the name is another user's."""
    taken = yield (
        "SELECT 1 FROM users WHERE account = ? AND folded = ? AND id <> ?",
        (user.account, name.lower(), user.id),
    )
    if taken:
        return False
    yield "UPDATE users SET name = ?, folded = ?, path = ? WHERE id = ?", (name, name.lower(), path, user.id)
    return True


def set_user_boundary(identifier: str, arn: str) -> Unit[None]:
    yield "UPDATE users SET boundary = ? WHERE id = ?", (arn, identifier)


def delete_user(identifier: str) -> Unit[None]:
    """The user, and what nobody has to remove beforehand."""
    yield "DELETE FROM identity_tags WHERE owner_id = ?", (identifier,)
    yield "DELETE FROM last_accessed WHERE identity_id = ?", (identifier,)
    yield "DELETE FROM users WHERE id = ?", (identifier,)
