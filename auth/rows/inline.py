"""Policies embedded in a user, group or role."""

from store.database import Database, Unit


async def find_inline(database: Database, owner_id: str, name: str) -> str | None:
    """The document."""
    row = await database.fetch_one(
        "SELECT document FROM inline_policies WHERE owner_id = ? AND name = ?", (owner_id, name)
    )
    return None if row is None else row[0]


async def list_inline_names(database: Database, owner_id: str, *, after: str, limit: int) -> list[str]:
    rows = await database.fetch(
        "SELECT name FROM inline_policies WHERE owner_id = ? AND name > ? ORDER BY name LIMIT ?",
        (owner_id, after, limit),
    )
    return [name for (name,) in rows]


def read_inline(owner_id: str) -> Unit[dict[str, str]]:
    """Name -> document, all of one owner: part of a unit that adds to them."""
    rows = yield "SELECT name, document FROM inline_policies WHERE owner_id = ?", (owner_id,)
    return dict(rows)


def put_inline(owner_id: str, name: str, document: str) -> Unit[None]:
    yield (
        "INSERT INTO inline_policies (owner_id, name, document) VALUES (?, ?, ?) "
        "ON CONFLICT (owner_id, name) DO UPDATE SET document = excluded.document",
        (owner_id, name, document),
    )


def delete_inline(owner_id: str, name: str) -> Unit[bool]:
    """False where there was none."""
    rows = yield "DELETE FROM inline_policies WHERE owner_id = ? AND name = ? RETURNING 1", (owner_id, name)
    return bool(rows)
