"""The number that tells every process whether what it remembers of identities and policies still holds."""

from store.database import Database, Unit

PERMISSIONS = "permissions"


async def read_epoch(database: Database) -> int:
    row = await database.fetch_one("SELECT number FROM epochs WHERE name = ?", (PERMISSIONS,))
    assert row is not None, "the migration made the row"
    number: int = row[0]
    return number


def bump_epoch() -> Unit[None]:
    """Part of every unit that changes what someone may do."""
    yield "UPDATE epochs SET number = number + 1 WHERE name = ?", (PERMISSIONS,)
