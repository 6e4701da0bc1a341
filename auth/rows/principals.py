"""Users and roles as principals of policies: from ARN to unique id and back."""

from collections.abc import Sequence
from dataclasses import dataclass

from store.database import Database, Unit, placeholders


@dataclass(frozen=True, slots=True)
class Named:
    """A user or role; `kind` as in its ARN."""

    kind: str
    id: str
    account: str
    path: str
    name: str


_TABLES = {"user": "users", "role": "roles"}


def read_principal(kind: str, account: str, path: str, name: str) -> Unit[str | None]:
    """The id of a user or role. Names in ARNs have their case."""
    rows = yield (
        f"SELECT id FROM {_TABLES[kind]} WHERE account = ? AND folded = ? AND name = ? AND path = ?",
        (account, name.lower(), name, path),
    )
    return rows[0][0] if rows else None


def has_principal(identifier: str) -> Unit[bool]:
    rows = yield (
        "SELECT 1 FROM users WHERE id = ? UNION ALL SELECT 1 FROM roles WHERE id = ?",
        (identifier, identifier),
    )
    return bool(rows)


async def find_principals(database: Database, identifiers: Sequence[str]) -> dict[str, Named]:
    """By id; those that are gone are not in it."""
    found: dict[str, Named] = {}
    for start in range(0, len(identifiers), 500):
        some = identifiers[start : start + 500]
        for kind, table in _TABLES.items():
            rows = await database.fetch(
                f"SELECT id, account, path, name FROM {table} WHERE id IN ({placeholders(len(some))})", some
            )
            found |= {row[0]: Named(kind, *row) for row in rows}
    return found
