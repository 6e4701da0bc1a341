"""OpenID Connect identity providers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from store.database import Database, Unit

_PROVIDER = "arn, account, url, client_ids, thumbprints, created_at FROM oidc_providers"


@dataclass(frozen=True, slots=True)
class StoredProvider:
    """`url` is the issuer's, as in the claim `iss`; `client_ids` are the audiences that are let in."""

    arn: str
    account: str
    url: str
    client_ids: tuple[str, ...]
    thumbprints: tuple[str, ...]
    created_at: float


def _provider(arn: str, account: str, url: str, client_ids: str, thumbprints: str, created_at: float) -> StoredProvider:
    return StoredProvider(arn, account, url, tuple(json.loads(client_ids)), tuple(json.loads(thumbprints)), created_at)


async def find_provider(database: Database, account: str, url: str) -> StoredProvider | None:
    row = await database.fetch_one(f"SELECT {_PROVIDER} WHERE account = ? AND url = ?", (account, url))
    return None if row is None else _provider(*row)


async def find_provider_named(database: Database, arn: str) -> StoredProvider | None:
    row = await database.fetch_one(f"SELECT {_PROVIDER} WHERE arn = ?", (arn,))
    return None if row is None else _provider(*row)


async def list_provider_arns(database: Database, account: str) -> list[str]:
    rows = await database.fetch("SELECT arn FROM oidc_providers WHERE account = ? ORDER BY arn", (account,))
    return [arn for (arn,) in rows]


def count_providers(account: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM oidc_providers WHERE account = ?", (account,)
    count: int = rows[0][0]
    return count


def read_provider(arn: str) -> Unit[StoredProvider | None]:
    """Part of a unit that changes it."""
    rows = yield f"SELECT {_PROVIDER} WHERE arn = ?", (arn,)
    return _provider(*rows[0]) if rows else None


def insert_provider(provider: StoredProvider) -> Unit[bool]:
    """False where the account has one of that address."""
    rows = yield (
        "INSERT INTO oidc_providers (arn, account, url, client_ids, thumbprints, created_at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (arn) DO NOTHING RETURNING 1",
        (
            provider.arn,
            provider.account,
            provider.url,
            json.dumps(provider.client_ids),
            json.dumps(provider.thumbprints),
            provider.created_at,
        ),
    )
    return bool(rows)


def update_provider(arn: str, client_ids: Sequence[str], thumbprints: Sequence[str]) -> Unit[None]:
    yield (
        "UPDATE oidc_providers SET client_ids = ?, thumbprints = ? WHERE arn = ?",
        (json.dumps(list(client_ids)), json.dumps(list(thumbprints)), arn),
    )


def delete_provider(arn: str) -> Unit[None]:
    yield "DELETE FROM oidc_providers WHERE arn = ?", (arn,)
