"""Repository creation templates: `settings` is the record of the ECR API, as JSON."""

from collections.abc import Callable, Sequence

from registry.names import RegistryId
from store.database import Database, Row, Unit, placeholders


async def find_template(database: Database, registry: RegistryId, prefix: str) -> Row | None:
    """(prefix, settings, created_at, updated_at)."""
    return await database.fetch_one(
        "SELECT prefix, settings, created_at, updated_at FROM creation_templates WHERE account = ? AND region = ? AND prefix = ?",
        (registry.account, registry.region, prefix),
    )


async def list_templates(database: Database, registry: RegistryId, *, after: str, limit: int) -> list[Row]:
    return await database.fetch(
        "SELECT prefix, settings, created_at, updated_at FROM creation_templates "
        "WHERE account = ? AND region = ? AND prefix > ? ORDER BY prefix LIMIT ?",
        (registry.account, registry.region, after, limit),
    )


async def match_templates(database: Database, registry: RegistryId, prefixes: Sequence[str]) -> list[Row]:
    """The templates with one of those prefixes, the longest first."""
    return await database.fetch(
        "SELECT prefix, settings, created_at, updated_at FROM creation_templates "
        f"WHERE account = ? AND region = ? AND prefix IN ({placeholders(len(prefixes))}) ORDER BY LENGTH(prefix) DESC",
        (registry.account, registry.region, *prefixes),
    )


def insert_template(registry: RegistryId, prefix: str, settings: str, now: float) -> Unit[bool]:
    rows = yield (
        "INSERT INTO creation_templates (account, region, prefix, settings, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (account, region, prefix) DO NOTHING RETURNING 1",
        (registry.account, registry.region, prefix, settings, now, now),
    )
    return bool(rows)


def update_template(
    registry: RegistryId, prefix: str, change: Callable[[str], Unit[str]], now: float
) -> Unit[Row | None]:
    """Replace the settings by what `change` makes of them; whatever it raises leaves them as they were."""
    rows = yield (
        "SELECT settings FROM creation_templates WHERE account = ? AND region = ? AND prefix = ?",
        (registry.account, registry.region, prefix),
    )
    if not rows:
        return None
    settings = yield from change(rows[0][0])
    rows = yield (
        "UPDATE creation_templates SET settings = ?, updated_at = ? WHERE account = ? AND region = ? AND prefix = ? "
        "RETURNING prefix, settings, created_at, updated_at",
        (settings, now, registry.account, registry.region, prefix),
    )
    return rows[0] if rows else None


def delete_template(registry: RegistryId, prefix: str) -> Unit[Row | None]:
    rows = yield (
        "DELETE FROM creation_templates WHERE account = ? AND region = ? AND prefix = ? "
        "RETURNING prefix, settings, created_at, updated_at",
        (registry.account, registry.region, prefix),
    )
    return rows[0] if rows else None
