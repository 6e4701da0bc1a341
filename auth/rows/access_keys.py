"""Access keys of users and of accounts' root users (IAM API reference, AccessKey)."""

from collections.abc import Iterable
from dataclasses import dataclass

from store.database import Database, Unit


@dataclass(frozen=True, slots=True)
class AccessKey:
    """All of it but the secret. `owner_id` is a user's id, or the account for its root user; `status` as in the API."""

    id: str
    account: str
    owner_id: str
    status: str
    created_at: float
    used_at: float | None
    used_service: str
    used_region: str


_KEY = "id, account, owner_id, status, created_at, used_at, used_service, used_region"


async def find_access_key(database: Database, identifier: str) -> AccessKey | None:
    row = await database.fetch_one(f"SELECT {_KEY} FROM access_keys WHERE id = ?", (identifier,))
    return None if row is None else AccessKey(*row)


async def list_access_keys(database: Database, owner_id: str, *, after: str, limit: int) -> list[AccessKey]:
    """By id, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_KEY} FROM access_keys WHERE owner_id = ? AND id > ? ORDER BY id LIMIT ?", (owner_id, after, limit)
    )
    return [AccessKey(*row) for row in rows]


def count_access_keys(owner_id: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM access_keys WHERE owner_id = ?", (owner_id,)
    count: int = rows[0][0]
    return count


def insert_access_key(key: AccessKey, secret: bytes) -> Unit[bool]:
    """`secret` is encrypted. False where the id is taken."""
    made = yield (
        f"INSERT INTO access_keys ({_KEY}, secret) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO NOTHING RETURNING 1",
        (
            key.id,
            key.account,
            key.owner_id,
            key.status,
            key.created_at,
            key.used_at,
            key.used_service,
            key.used_region,
            secret,
        ),
    )
    return bool(made)


def set_access_key_status(owner_id: str, identifier: str, status: str) -> Unit[bool]:
    """False where the owner has no such key."""
    return bool(
        (
            yield (
                "UPDATE access_keys SET status = ? WHERE id = ? AND owner_id = ? RETURNING 1",
                (status, identifier, owner_id),
            )
        )
    )


def delete_access_key(owner_id: str, identifier: str) -> Unit[bool]:
    """False where the owner has no such key."""
    return bool((yield "DELETE FROM access_keys WHERE id = ? AND owner_id = ? RETURNING 1", (identifier, owner_id)))


def note_keys_used(uses: Iterable[tuple[str, float, str, str]]) -> Unit[None]:
    """(key id, when, service, region) each. An older use never takes the place of a younger."""
    for identifier, at, service, region in uses:
        yield (
            "UPDATE access_keys SET used_at = ?, used_service = ?, used_region = ? "
            "WHERE id = ? AND (used_at IS NULL OR used_at < ?)",
            (at, service, region, identifier, at),
        )
