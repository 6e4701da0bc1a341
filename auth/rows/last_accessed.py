"""When identities last used which action, and the reports about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from store.database import Database, Unit, placeholders

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class StoredUse:
    """`action` with its service, as in `ecr:PutImage`."""

    identity_id: str
    action: str
    region: str
    used_at: float


@dataclass(frozen=True, slots=True)
class StoredReport:
    """`granularity` as in the API: SERVICE_LEVEL, ACTION_LEVEL."""

    id: str
    account: str
    arn: str
    granularity: str
    created_at: float


async def list_uses(database: Database, identities: Sequence[str]) -> list[StoredUse]:
    found: list[StoredUse] = []
    for start in range(0, len(identities), _AT_ONCE):
        some = identities[start : start + _AT_ONCE]
        rows = await database.fetch(
            "SELECT identity_id, action, region, used_at FROM last_accessed "
            f"WHERE identity_id IN ({placeholders(len(some))})",
            some,
        )
        found += [StoredUse(*row) for row in rows]
    return found


def put_uses(uses: Sequence[StoredUse]) -> Unit[None]:
    """The latest one stays."""
    for use in uses:
        yield (
            "INSERT INTO last_accessed (identity_id, action, region, used_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (identity_id, action) DO UPDATE SET region = excluded.region, used_at = excluded.used_at "
            "WHERE excluded.used_at > last_accessed.used_at",
            (use.identity_id, use.action, use.region, use.used_at),
        )


async def find_report(database: Database, account: str, identifier: str) -> StoredReport | None:
    row = await database.fetch_one(
        "SELECT id, account, arn, granularity, created_at FROM access_reports WHERE id = ? AND account = ?",
        (identifier, account),
    )
    return None if row is None else StoredReport(*row)


def insert_report(report: StoredReport, *, forget_before: float) -> Unit[None]:
    """Reports that were made before `forget_before` go."""
    yield "DELETE FROM access_reports WHERE created_at < ?", (forget_before,)
    yield (
        "INSERT INTO access_reports (id, account, arn, granularity, created_at) VALUES (?, ?, ?, ?, ?)",
        (report.id, report.account, report.arn, report.granularity, report.created_at),
    )
