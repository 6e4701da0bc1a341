"""The customers' managed policies and their versions."""

from collections.abc import Sequence
from dataclasses import dataclass

from store.database import Database, Unit, placeholders

_POLICY = (
    "arn, id, account, name, path, description, default_version, latest_version, created_at, updated_at "
    "FROM managed_policies"
)


@dataclass(frozen=True, slots=True)
class StoredManagedPolicy:
    arn: str
    id: str
    account: str
    name: str
    path: str
    description: str
    default_version: int
    latest_version: int
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class StoredVersion:
    number: int
    document: str
    created_at: float


async def find_policy(database: Database, arn: str) -> StoredManagedPolicy | None:
    row = await database.fetch_one(f"SELECT {_POLICY} WHERE arn = ?", (arn,))
    return None if row is None else StoredManagedPolicy(*row)


async def find_policies(database: Database, arns: Sequence[str]) -> dict[str, StoredManagedPolicy]:
    if not arns:
        return {}
    rows = await database.fetch(f"SELECT {_POLICY} WHERE arn IN ({placeholders(len(arns))})", arns)
    return {row[0]: StoredManagedPolicy(*row) for row in rows}


async def list_policies(database: Database, account: str) -> list[StoredManagedPolicy]:
    """By name."""
    rows = await database.fetch(f"SELECT {_POLICY} WHERE account = ? ORDER BY folded", (account,))
    return [StoredManagedPolicy(*row) for row in rows]


async def list_versions(database: Database, arn: str) -> list[StoredVersion]:
    """Newest first."""
    rows = await database.fetch(
        "SELECT number, document, created_at FROM policy_versions WHERE arn = ? ORDER BY number DESC", (arn,)
    )
    return [StoredVersion(*row) for row in rows]


async def list_versions_of(database: Database, arns: Sequence[str]) -> dict[str, list[StoredVersion]]:
    """ARN -> versions, newest first."""
    if not arns:
        return {}
    rows = await database.fetch(
        "SELECT arn, number, document, created_at FROM policy_versions "
        f"WHERE arn IN ({placeholders(len(arns))}) ORDER BY arn, number DESC",
        arns,
    )
    found: dict[str, list[StoredVersion]] = {}
    for arn, *version in rows:
        found.setdefault(arn, []).append(StoredVersion(*version))
    return found


async def find_version(database: Database, arn: str, number: int) -> StoredVersion | None:
    row = await database.fetch_one(
        "SELECT number, document, created_at FROM policy_versions WHERE arn = ? AND number = ?", (arn, number)
    )
    return None if row is None else StoredVersion(*row)


def read_policy(arn: str) -> Unit[StoredManagedPolicy | None]:
    """Part of a unit that changes it."""
    rows = yield f"SELECT {_POLICY} WHERE arn = ?", (arn,)
    return StoredManagedPolicy(*rows[0]) if rows else None


def count_policies(account: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM managed_policies WHERE account = ?", (account,)
    count: int = rows[0][0]
    return count


def insert_policy(policy: StoredManagedPolicy) -> Unit[bool]:
    """False where the account has one of that name."""
    rows = yield (
        "INSERT INTO managed_policies (arn, id, account, name, folded, path, description, default_version, "
        "latest_version, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1",
        (
            policy.arn,
            policy.id,
            policy.account,
            policy.name,
            policy.name.lower(),
            policy.path,
            policy.description,
            policy.default_version,
            policy.latest_version,
            policy.created_at,
            policy.updated_at,
        ),
    )
    return bool(rows)


def set_default_version(arn: str, number: int) -> Unit[None]:
    yield "UPDATE managed_policies SET default_version = ? WHERE arn = ?", (number, arn)


def delete_policy(arn: str) -> Unit[None]:
    """With its versions."""
    yield "DELETE FROM policy_versions WHERE arn = ?", (arn,)
    yield "DELETE FROM managed_policies WHERE arn = ?", (arn,)


def read_version_numbers(arn: str) -> Unit[list[int]]:
    rows = yield "SELECT number FROM policy_versions WHERE arn = ? ORDER BY number", (arn,)
    return [number for (number,) in rows]


def insert_version(arn: str, version: StoredVersion) -> Unit[None]:
    """The policy was last updated then."""
    yield (
        "INSERT INTO policy_versions (arn, number, document, created_at) VALUES (?, ?, ?, ?)",
        (arn, version.number, version.document, version.created_at),
    )
    yield (
        "UPDATE managed_policies SET latest_version = ?, updated_at = ? WHERE arn = ?",
        (version.number, version.created_at, arn),
    )


def delete_version(arn: str, number: int) -> Unit[None]:
    yield "DELETE FROM policy_versions WHERE arn = ? AND number = ?", (arn, number)
