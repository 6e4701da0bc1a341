"""The tags of users, roles, instance profiles, policies and OIDC providers. Keys are unique without regard to case."""

from collections.abc import Sequence

from store.database import Database, Unit, placeholders


async def list_tags(database: Database, owner_id: str, *, after: str, limit: int) -> list[tuple[str, str]]:
    """(key, value), in the order of the keys in lower case, from the first one after `after`."""
    rows = await database.fetch(
        "SELECT key, value FROM identity_tags WHERE owner_id = ? AND folded > ? ORDER BY folded LIMIT ?",
        (owner_id, after.lower(), limit),
    )
    return [(key, value) for key, value in rows]


async def list_tags_of(database: Database, owners: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Owner -> (key, value)."""
    if not owners:
        return {}
    rows = await database.fetch(
        f"SELECT owner_id, key, value FROM identity_tags WHERE owner_id IN ({placeholders(len(owners))}) "
        "ORDER BY owner_id, folded",
        owners,
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for owner, key, value in rows:
        found.setdefault(owner, []).append((key, value))
    return found


def put_tags(owner_id: str, tags: Sequence[tuple[str, str]]) -> Unit[int]:
    """Add tags, or put other values under their keys; returns how many there are then."""
    for key, value in tags:
        yield (
            "INSERT INTO identity_tags (owner_id, folded, key, value) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (owner_id, folded) DO UPDATE SET key = excluded.key, value = excluded.value",
            (owner_id, key.lower(), key, value),
        )
    rows = yield "SELECT COUNT(*) FROM identity_tags WHERE owner_id = ?", (owner_id,)
    count: int = rows[0][0]
    return count


def delete_tags(owner_id: str, keys: Sequence[str]) -> Unit[None]:
    if keys:
        yield (
            f"DELETE FROM identity_tags WHERE owner_id = ? AND folded IN ({placeholders(len(keys))})",
            (owner_id, *(key.lower() for key in keys)),
        )


def delete_all_tags(owner_id: str) -> Unit[None]:
    yield "DELETE FROM identity_tags WHERE owner_id = ?", (owner_id,)
