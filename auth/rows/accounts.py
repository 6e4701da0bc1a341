"""Accounts."""

from dataclasses import dataclass

from store.database import Database, Unit

_COLUMNS = "id, name, email, status, alias, created_at"


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """`status` is ACTIVE or SUSPENDED; `alias` is empty where there is none."""

    id: str
    name: str
    email: str
    status: str
    alias: str
    created_at: float


async def find_account(database: Database, identifier: str) -> StoredAccount | None:
    row = await database.fetch_one(f"SELECT {_COLUMNS} FROM accounts WHERE id = ?", (identifier,))
    return None if row is None else StoredAccount(*row)


async def list_accounts(database: Database) -> list[StoredAccount]:
    """Oldest first."""
    rows = await database.fetch(f"SELECT {_COLUMNS} FROM accounts ORDER BY created_at, id")
    return [StoredAccount(*row) for row in rows]


def has_account(identifier: str) -> Unit[bool]:
    rows = yield "SELECT 1 FROM accounts WHERE id = ?", (identifier,)
    return bool(rows)


def find_email(email: str) -> Unit[str | None]:
    """The account that has the address, which no two have, without regard to case."""
    rows = yield "SELECT id FROM accounts WHERE LOWER(email) = ?", (email.lower(),)
    return rows[0][0] if rows else None


def insert_account(account: StoredAccount) -> Unit[bool]:
    """False where the id is taken."""
    rows = yield (
        f"INSERT INTO accounts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING 1",
        (account.id, account.name, account.email, account.status, account.alias, account.created_at),
    )
    return bool(rows)


def set_account_status(identifier: str, status: str, *, was: str) -> Unit[bool]:
    """False where there is no such account that is `was`."""
    rows = yield "UPDATE accounts SET status = ? WHERE id = ? AND status = ? RETURNING 1", (status, identifier, was)
    return bool(rows)


def find_alias(alias: str) -> Unit[str | None]:
    """The account that has it; no two have."""
    rows = yield "SELECT id FROM accounts WHERE alias = ? AND alias <> ''", (alias,)
    return rows[0][0] if rows else None


def set_alias(identifier: str, alias: str) -> Unit[None]:
    """An empty one takes it away."""
    yield "UPDATE accounts SET alias = ? WHERE id = ?", (alias, identifier)
