"""The keys that sign registry tokens."""

from dataclasses import dataclass

from store.database import Database, Unit


@dataclass(frozen=True, slots=True, repr=False)
class StoredKey:
    """A signing key as it is stored: `secret` is encrypted."""

    id: str
    secret: bytes
    created_at: float
    retired_at: float | None


async def list_signing_keys(database: Database) -> list[StoredKey]:
    """Newest first."""
    rows = await database.fetch(
        "SELECT id, secret, created_at, retired_at FROM signing_keys ORDER BY created_at DESC, id"
    )
    return [StoredKey(*row) for row in rows]


def rotate_signing_key(
    identifier: str, secret: bytes, now: float, *, unless_after: float, forget_before: float
) -> Unit[bool]:
    """Put a new key in front, retire the others and forget those retired before `forget_before`.

    False, and nothing changed, where the newest key was made after `unless_after`.
    """
    fresh = yield "SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND created_at > ?", (unless_after,)
    if fresh:
        return False
    yield "UPDATE signing_keys SET retired_at = ? WHERE retired_at IS NULL", (now,)
    yield "DELETE FROM signing_keys WHERE retired_at < ?", (forget_before,)
    yield (
        "INSERT INTO signing_keys (id, secret, created_at, retired_at) VALUES (?, ?, ?, NULL)",
        (identifier, secret, now),
    )
    return True
