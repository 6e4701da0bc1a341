"""Repository policies, registry policies and account settings."""

from registry.errors import RepositoryNotFound
from registry.names import RegistryId, RepositoryName
from registry.rows.repositories import Repository
from store.database import Database, Unit


async def find_policed_repository(
    database: Database, registry: RegistryId, name: RepositoryName
) -> tuple[int, str | None] | None:
    """(id, text of its policy) of a repository, or None where there is no such repository."""
    row = await database.fetch_one(
        "SELECT r.id, p.document FROM repositories r LEFT JOIN repository_policies p ON p.repository_id = r.id "
        "WHERE r.account = ? AND r.region = ? AND r.name = ?",
        (registry.account, registry.region, name),
    )
    return None if row is None else (row[0], row[1])


async def find_repository_facts(
    database: Database, registry: RegistryId, name: RepositoryName
) -> tuple[str | None, tuple[tuple[str, str], ...]] | None:
    """(text of its policy, its resource tags by key) of a repository, as of one moment; None where there is none such."""
    where = "r.account = ? AND r.region = ? AND r.name = ?"
    named = (registry.account, registry.region, name)
    rows = await database.fetch(
        "SELECT p.document, NULL, NULL FROM repositories r LEFT JOIN repository_policies p ON p.repository_id = r.id "
        f"WHERE {where} UNION ALL "
        f"SELECT NULL, t.key, t.value FROM repositories r JOIN resource_tags t ON t.repository_id = r.id WHERE {where}",
        (*named, *named),
    )
    if not rows:
        return None
    (document,) = (document for document, key, _ in rows if key is None)
    return document, tuple(sorted((key, value) for _, key, value in rows if key is not None))


def put_repository_policy(repository: Repository, document: str) -> Unit[None]:
    """Raises RepositoryNotFound."""
    there = yield "SELECT 1 FROM repositories WHERE id = ?", (repository.id,)
    if not there:
        raise RepositoryNotFound(repository.registry, repository.name)
    yield (
        "INSERT INTO repository_policies (repository_id, document) VALUES (?, ?) "
        "ON CONFLICT (repository_id) DO UPDATE SET document = excluded.document",
        (repository.id, document),
    )


def delete_repository_policy(repository_id: int) -> Unit[str | None]:
    """The text that was deleted, or None."""
    rows = yield "DELETE FROM repository_policies WHERE repository_id = ? RETURNING document", (repository_id,)
    return rows[0][0] if rows else None


async def find_registry_policy(database: Database, registry: RegistryId) -> str | None:
    row = await database.fetch_one(
        "SELECT document FROM registry_policies WHERE account = ? AND region = ?", (registry.account, registry.region)
    )
    return None if row is None else row[0]


def put_registry_policy(registry: RegistryId, document: str) -> Unit[None]:
    yield (
        "INSERT INTO registry_policies (account, region, document) VALUES (?, ?, ?) "
        "ON CONFLICT (account, region) DO UPDATE SET document = excluded.document",
        (registry.account, registry.region, document),
    )


def delete_registry_policy(registry: RegistryId) -> Unit[str | None]:
    """The text that was deleted, or None."""
    rows = yield (
        "DELETE FROM registry_policies WHERE account = ? AND region = ? RETURNING document",
        (registry.account, registry.region),
    )
    return rows[0][0] if rows else None


async def list_account_settings(database: Database, registry: RegistryId) -> dict[str, str]:
    """Those that were ever put."""
    rows = await database.fetch(
        "SELECT name, value FROM account_settings WHERE account = ? AND region = ?", (registry.account, registry.region)
    )
    return dict(rows)


def put_account_setting(registry: RegistryId, name: str, value: str) -> Unit[None]:
    yield (
        "INSERT INTO account_settings (account, region, name, value) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (account, region, name) DO UPDATE SET value = excluded.value",
        (registry.account, registry.region, name, value),
    )
