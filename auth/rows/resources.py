"""Resources of IAM found by what their ARN says, for the tags that policies ask about."""

from typing import Final

from store.database import Database

_TABLES: Final = {"user": "users", "role": "roles", "group": "user_groups", "instance-profile": "instance_profiles"}
KINDS: Final = frozenset(_TABLES)
"""As in ARNs."""


async def find_owner_id(database: Database, kind: str, account: str, path: str, name: str) -> str | None:
    """The id under which its tags lie. `kind` is one of KINDS; `path` begins and ends with a slash."""
    row = await database.fetch_one(
        f"SELECT id, name, path FROM {_TABLES[kind]} WHERE account = ? AND folded = ?", (account, name.lower())
    )
    return row[0] if row is not None and row[1:] == (name, path) else None


async def find_policy_id(database: Database, arn: str) -> str | None:
    """Of a managed policy."""
    row = await database.fetch_one("SELECT id FROM managed_policies WHERE arn = ?", (arn,))
    return None if row is None else row[0]
