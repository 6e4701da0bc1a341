"""What deciding needs to know of an identity, read whole."""

from dataclasses import dataclass

from store.database import Database, placeholders


@dataclass(frozen=True, slots=True)
class StoredUser:
    id: str
    account: str
    name: str
    path: str
    boundary: str


@dataclass(frozen=True, slots=True)
class StoredRole:
    """`trust` is the text of its trust policy; `max_session` is in seconds."""

    id: str
    account: str
    name: str
    path: str
    boundary: str
    trust: str
    max_session: int


@dataclass(frozen=True, slots=True, repr=False)
class StoredAccessKey:
    """`secret` is encrypted. `owner_id` is a user's id, or the account for its root user."""

    id: str
    account: str
    owner_id: str
    secret: bytes
    status: str


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy that counts for an identity. `arn` is empty for an inline one; `owner_id` is whom it is attached to."""

    owner_id: str
    name: str
    arn: str
    document: str


async def find_user(database: Database, identifier: str) -> StoredUser | None:
    row = await database.fetch_one("SELECT id, account, name, path, boundary FROM users WHERE id = ?", (identifier,))
    return None if row is None else StoredUser(*row)


async def find_role(database: Database, identifier: str) -> StoredRole | None:
    row = await database.fetch_one(
        "SELECT id, account, name, path, boundary, trust, max_session FROM roles WHERE id = ?", (identifier,)
    )
    return None if row is None else StoredRole(*row)


async def find_role_named(database: Database, account: str, name: str) -> StoredRole | None:
    """Without regard to case."""
    row = await database.fetch_one(
        "SELECT id, account, name, path, boundary, trust, max_session FROM roles WHERE account = ? AND folded = ?",
        (account, name.lower()),
    )
    return None if row is None else StoredRole(*row)


async def find_access_key(database: Database, identifier: str) -> StoredAccessKey | None:
    row = await database.fetch_one(
        "SELECT id, account, owner_id, secret, status FROM access_keys WHERE id = ?", (identifier,)
    )
    return None if row is None else StoredAccessKey(*row)


async def find_account_status(database: Database, account: str) -> str | None:
    row = await database.fetch_one("SELECT status FROM accounts WHERE id = ?", (account,))
    return None if row is None else row[0]


async def list_groups_of(database: Database, user_id: str) -> list[str]:
    """Ids."""
    rows = await database.fetch("SELECT group_id FROM group_members WHERE user_id = ? ORDER BY group_id", (user_id,))
    return [identifier for (identifier,) in rows]


async def list_identity_tags(database: Database, owner_id: str) -> list[tuple[str, str]]:
    rows = await database.fetch("SELECT key, value FROM identity_tags WHERE owner_id = ? ORDER BY folded", (owner_id,))
    return [(key, value) for key, value in rows]


async def list_inline_documents(database: Database, owners: list[str]) -> list[StoredPolicy]:
    rows = await database.fetch(
        f"SELECT owner_id, name, document FROM inline_policies WHERE owner_id IN ({placeholders(len(owners))}) "
        "ORDER BY owner_id, name",
        owners,
    )
    return [StoredPolicy(owner, name, "", document) for owner, name, document in rows]


async def list_attached_arns(database: Database, owners: list[str]) -> list[tuple[str, str]]:
    """(owner, ARN of a managed policy)."""
    rows = await database.fetch(
        f"SELECT owner_id, policy_arn FROM policy_attachments WHERE owner_id IN ({placeholders(len(owners))}) "
        "ORDER BY owner_id, policy_arn",
        owners,
    )
    return [(owner, arn) for owner, arn in rows]


async def find_managed_documents(database: Database, arns: list[str]) -> dict[str, tuple[str, str]]:
    """ARN -> (name, document of the default version)."""
    if not arns:
        return {}
    rows = await database.fetch(
        "SELECT p.arn, p.name, v.document FROM managed_policies p "
        "JOIN policy_versions v ON v.arn = p.arn AND v.number = p.default_version "
        f"WHERE p.arn IN ({placeholders(len(arns))})",
        arns,
    )
    return {arn: (name, document) for arn, name, document in rows}
