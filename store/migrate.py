"""Numbered migrations, applied once, in order, under a lock, while servers of the release before go on working.

A migration is a file `NNNN_words.sql` in `store/migrations`; statements end with a semicolon at the end of a line. Its
first line says what it means for servers that do not know it:

    -- expand: why they may go on beside it
    -- contract 0012: what it takes away, which servers that know 0012 do not use any more

What expands only adds. What a release has ceased to use, a contracting migration of a later one takes away; so an upgrade
from one release to the next never stops a server. The database itself keeps the oldest schema that may still work on it,
hence a server that meets migrations of a later release knows whether it may start.

Each migration is one transaction and locks one table at the most. One that builds indices on large tables consists of nothing but
`CREATE INDEX {concurrently} name ON ...`, which do not run in any: writers go on meanwhile.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from store.database import Database, Snapshot, Tell, Unit, untold

_TABLE = "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, applied_at DOUBLE PRECISION)"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql\Z")
_MEANING = re.compile(r"-- (?:(expand)|contract (\d{4})): \S.*\n")
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX \{concurrently\} (\w+) ON ")
_RECORDED = 10
"""From this migration on the table of migrations says what each means for older servers."""


class MigrationMissing(Exception):
    """The database is not at this release, or this release not at the database's."""


class MigrationMalformed(ValueError):
    """A migration of this release cannot be understood."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A step from one schema to the next; `needs` is the oldest schema whose servers bear it, 0 for all of them."""

    number: int
    name: str
    needs: int
    statements: tuple[str, ...]

    @property
    def indices(self) -> tuple[str, ...]:
        """The names of the indices that it builds beside writers; then that is all it does."""
        return tuple(match[1] for match in map(_INDEX.match, self.statements) if match)


@dataclass(frozen=True, slots=True)
class Schema:
    """What a database is at: the migrations that were applied, in order, and the oldest schema that may work on it."""

    applied: tuple[int, ...]
    oldest: int

    @property
    def number(self) -> int:
        """That of the last migration; 0 where there was none yet."""
        return max(self.applied, default=0)


def parse_migration(name: str, text: str) -> Migration:
    """The migration in a file. Raises MigrationMalformed."""
    number = int(name[:4])
    meaning = _MEANING.match(text)
    if meaning is None and number >= _RECORDED:
        raise MigrationMalformed(f"{name}: the first line has to be `-- expand: WHY` or `-- contract NNNN: WHAT`")
    needs = number if meaning is None else int(meaning[2] or 0)
    if needs > number:
        raise MigrationMalformed(f"{name}: nobody knows the later migration {needs:04}")
    text = re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE)
    migration = Migration(
        number, name, needs, tuple(part.strip() for part in re.split(r";\s*(?:\n|\Z)", text) if part.strip())
    )
    if "{concurrently}" in text and len(migration.indices) != len(migration.statements):
        raise MigrationMalformed(f"{name}: what is built concurrently has a migration of its own")
    return migration


def migrations() -> dict[int, Migration]:
    """Those of this release by number, in order."""
    found = {}
    for entry in resources.files("store.migrations").iterdir():
        if _NAME.match(entry.name):
            migration = parse_migration(entry.name, entry.read_text())
            found[migration.number] = migration
    return dict(sorted(found.items()))


def oldest_after(known: Mapping[int, Migration], number: int) -> int:
    """The oldest schema whose servers may work beside the one that `number` leads to."""
    return max((migration.needs for migration in known.values() if migration.number <= number), default=0)


async def read_schema(database: Database) -> Schema:
    """What the database is at. Changes nothing."""
    columns = {name for (name,) in await database.fetch(database.vocabulary["columns"], ("migrations",))}
    if not columns:
        return Schema((), 0)
    oldest = "COALESCE(oldest, number)" if "oldest" in columns else "number"
    rows = await database.fetch(f"SELECT number, {oldest} FROM migrations ORDER BY number")  # noqa: S608
    return Schema(tuple(number for number, _ in rows), max((oldest for _, oldest in rows), default=0))


async def snapshot_schema(snapshot: Snapshot) -> int:
    """The schema of what is seen in a snapshot, for whoever copies all of it. Raises MigrationMissing where it is a later
    one: this release does not know all that there is."""
    number = 0
    async for rows in snapshot.stream("SELECT number FROM migrations"):
        number = max(number, *(number for (number,) in rows))
    return require_known(number)


def require_known(number: int) -> int:
    """The schema, if this release knows all of it. Raises MigrationMissing."""
    newest = max(migrations())
    if number > newest:
        raise MigrationMissing(
            f"the database is at schema {number}, of which this release knows {newest}: the newer release can copy all of it"
        )
    return number


def missing(schema: Schema) -> list[Migration]:
    """What this release has yet to apply; nothing where the schema is a later one that it may work on.

    Raises MigrationMissing where it may not.
    """
    known = migrations()
    newest = max(known)
    if newest < schema.oldest:
        raise MigrationMissing(
            f"the database is at schema {schema.number}, beside which servers work that know {schema.oldest} or later; "
            f"this release knows up to {newest}: install the newer release"
        )
    return [migration for number, migration in known.items() if number not in schema.applied]


async def require_migrated(database: Database, *, since: int | None = None) -> Schema:
    """What the database is at. Raises MigrationMissing where `migrate` would have anything to do, with `since` only where
    the schema is older than that."""
    schema = await read_schema(database)
    if not schema.applied:
        raise MigrationMissing("the database holds no registry yet: start a server on it, or run `longshore migrate`")
    lacking = missing(schema)
    if lacking and (since is None or schema.number < since):
        raise MigrationMissing(
            f"the database lacks the migration {lacking[0].name}: run `longshore migrate` first; with --check it says what "
            "that means for servers that are running"
        )
    return schema


def would_stop(schema: Schema, steps: Iterable[Migration]) -> Migration | None:
    """The first of the steps that servers of the present schema do not bear."""
    if not schema.applied:
        return None
    return next((step for step in steps if step.number >= _RECORDED and step.needs > schema.number), None)


async def migrate(
    database: Database,
    *,
    now: float,
    upto: int | None = None,
    gently: bool = False,
    tell: Tell = untold,
) -> list[str]:
    """Bring the schema to this release (or to the migration `upto`) and return the names of what was applied.

    `tell` is told of each migration before it runs, and of what is waited for. Raises MigrationMissing where the schema is too
    new for this release, and with `gently` where servers of the present schema would not bear what is missing;
    DatabaseUnavailable where others do not let go of what a migration needs. Each migration that was applied until then stays.
    """
    if not _upto(missing(await read_schema(database)), upto):
        return []
    known = migrations()
    done = []
    async with database.altering(tell) as alteration:
        schema = await read_schema(database)
        steps = _upto(missing(schema), upto)
        stopping = would_stop(schema, steps) if gently else None
        if stopping is not None:
            raise MigrationMissing(
                f"servers of the database's present schema {schema.number} would not bear the migration {stopping.name}, for "
                f"which they have to know {stopping.needs}: when none of them runs any more, run `longshore migrate --offline`"
            )
        await alteration.run(_make_table)
        for step in steps:
            tell(f"applying {step.name}")
            unit = _unit(step, oldest_after(known, step.number), database.vocabulary, now)
            if await alteration.run(unit, apart=bool(step.indices)):
                done.append(step.name)
    return done


def _upto(steps: Iterable[Migration], number: int | None) -> list[Migration]:
    return [step for step in steps if number is None or step.number <= number]


def _make_table() -> Unit[None]:
    yield _TABLE, ()


def _unit(step: Migration, oldest: int, vocabulary: Mapping[str, str], now: float) -> Callable[[], Unit[bool]]:
    """The migration and the row that says so; False where another process was quicker."""

    def apply() -> Unit[bool]:
        rows = yield "SELECT 1 FROM migrations WHERE number = ?", (step.number,)
        if rows:
            return False
        for name in step.indices:  # whatever is left of an attempt that was interrupted, which may be half an index
            yield f"DROP INDEX {{concurrently}} IF EXISTS {name}".format_map(vocabulary), ()
        for statement in step.statements:
            yield statement.format_map(vocabulary), ()
        if step.number < _RECORDED:
            yield "INSERT INTO migrations (number, applied_at) VALUES (?, ?)", (step.number, now)
        else:
            yield (
                "INSERT INTO migrations (number, applied_at, oldest) VALUES (?, ?, ?)",
                (step.number, now, oldest),
            )
        return True

    return apply
