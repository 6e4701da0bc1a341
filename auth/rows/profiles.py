"""Instance profiles (IAM API reference, InstanceProfile)."""

from dataclasses import dataclass

from store.database import Database, Row, Statement, Unit


@dataclass(frozen=True, slots=True)
class Profile:
    """`role_id` is empty where it holds no role."""

    id: str
    account: str
    name: str
    path: str
    role_id: str
    created_at: float


_PROFILE = "id, account, name, path, role_id, created_at"


def _named(account: str, name: str) -> Statement:
    return f"SELECT {_PROFILE} FROM instance_profiles WHERE account = ? AND folded = ?", (account, name.lower())


def _one(rows: list[Row]) -> Profile | None:
    return Profile(*rows[0]) if rows else None


async def find_profile_named(database: Database, account: str, name: str) -> Profile | None:
    """Without regard to case."""
    return _one(await database.fetch(*_named(account, name)))


def read_profile_named(account: str, name: str) -> Unit[Profile | None]:
    """Without regard to case."""
    return _one((yield _named(account, name)))


async def list_profiles(database: Database, account: str, *, prefix: str, after: str, limit: int) -> list[Profile]:
    """Those whose path begins with `prefix`, by name in lower case, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_PROFILE} FROM instance_profiles WHERE account = ? AND folded > ? AND substr(path, 1, ?) = ? "
        "ORDER BY folded LIMIT ?",
        (account, after, len(prefix), prefix, limit),
    )
    return [Profile(*row) for row in rows]


async def list_profiles_of(database: Database, role_id: str, *, after: str, limit: int) -> list[Profile]:
    """By name in lower case, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_PROFILE} FROM instance_profiles WHERE role_id = ? AND folded > ? ORDER BY folded LIMIT ?",
        (role_id, after, limit),
    )
    return [Profile(*row) for row in rows]


def count_profiles(account: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM instance_profiles WHERE account = ?", (account,)
    count: int = rows[0][0]
    return count


def insert_profile(profile: Profile) -> Unit[bool]:
    """False where the name is taken."""
    made = yield (
        f"INSERT INTO instance_profiles ({_PROFILE}, folded) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (account, folded) DO NOTHING RETURNING 1",
        (
            profile.id,
            profile.account,
            profile.name,
            profile.path,
            profile.role_id,
            profile.created_at,
            profile.name.lower(),
        ),
    )
    return bool(made)


def set_profile_role(identifier: str, role_id: str) -> Unit[None]:
    yield "UPDATE instance_profiles SET role_id = ? WHERE id = ?", (role_id, identifier)


def delete_profile(identifier: str) -> Unit[None]:
    yield "DELETE FROM identity_tags WHERE owner_id = ?", (identifier,)
    yield "DELETE FROM instance_profiles WHERE id = ?", (identifier,)
