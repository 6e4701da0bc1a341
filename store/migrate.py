"""Numbered migrations, applied once, in order, under a lock.

A migration is a file `NNNN_words.sql` in `store/migrations`; statements end with a semicolon at the end of a line. Each
is safe to run beside the previous release: it adds, and what it would take away a later release takes away.
"""

import re
from importlib import resources

from store.database import Database, Unit

_TABLE = "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, applied_at DOUBLE PRECISION)"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql\Z")


class MigrationMissing(Exception):
    """The database is not at this release, or this release not at the database's."""


def migrations() -> dict[int, tuple[str, list[str]]]:
    """Number -> (name, statements), in order."""
    found = {}
    for entry in resources.files("store.migrations").iterdir():
        match = _NAME.match(entry.name)
        if match:
            text = re.sub(r"^\s*--.*$", "", entry.read_text(), flags=re.MULTILINE)
            statements = [part.strip() for part in re.split(r";\s*(?:\n|\Z)", text) if part.strip()]
            found[int(match.group(1))] = (entry.name, statements)
    return dict(sorted(found.items()))


async def list_applied(database: Database) -> list[int]:
    """The numbers of the migrations that were applied, in order; none where nothing is there yet."""

    def look() -> Unit[list[int]]:
        yield _TABLE, ()
        rows = yield "SELECT number FROM migrations ORDER BY number", ()
        return [number for (number,) in rows]

    return await database.write(look, durable=False)


async def require_migrated(database: Database) -> None:
    """Raises MigrationMissing where `migrate` would have anything to do."""
    done = {number for (number,) in await database.fetch("SELECT number FROM migrations")}
    missing = [name for number, (name, _) in migrations().items() if number not in done]
    if missing:
        raise MigrationMissing(f"the database lacks the migration {missing[0]}: run `longshore migrate` first")


async def migrate(database: Database, *, now: float, upto: int | None = None) -> list[str]:
    """Bring the schema to this release (or to the migration `upto`) and return the names of what was applied.

    Raises MigrationMissing where the schema is newer than this release.
    """
    known = migrations()

    def apply() -> Unit[list[str]]:
        yield _TABLE, ()
        rows = yield "SELECT number FROM migrations", ()
        done = {number for (number,) in rows}
        newer = done - known.keys()
        if newer:
            raise MigrationMissing(
                f"the database has migration {max(newer)}, this release knows up to {max(known)}: install the newer release"
            )
        applied = []
        for number, (name, statements) in known.items():
            if number not in done and (upto is None or number <= upto):
                for statement in statements:
                    yield statement.format_map(database.vocabulary), ()
                yield "INSERT INTO migrations (number, applied_at) VALUES (?, ?)", (number, now)
                applied.append(name)
        return applied

    return await database.write(apply)
