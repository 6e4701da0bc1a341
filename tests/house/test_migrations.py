"""What a migration says of itself is so: what older servers are said to bear can only be what adds."""

import re
from collections.abc import Iterable

import pytest

from store.migrate import Migration, migrations, parse_migration

Column = tuple[str, str]
"""(table, column)."""

_LITERAL = r"(?:'[^']*'|-?\d+(?:\.\d+)?|NULL)"
_COLUMN = re.compile(
    r"ALTER TABLE (\w+) ADD COLUMN (\w+) (?:TEXT|BIGINT|INTEGER|DOUBLE PRECISION|BYTEA)"
    rf"(?: NOT NULL DEFAULT {_LITERAL}| DEFAULT {_LITERAL})?"
)
_TABLE = re.compile(r"CREATE TABLE (\w+) \(")
_INDEX = re.compile(r"CREATE (UNIQUE )?INDEX (\{concurrently\} )?\w+ ON (\w+) ")
_ROWS = re.compile(r"INSERT INTO (\w+) ")
_LOCKED = re.compile(r"(?:ALTER|DROP) TABLE (?:IF EXISTS )?(\w+)")
_FILLED = re.compile(r"UPDATE (\w+) SET (\w+) = [^,]*(?: WHERE .*)?")


def unbearable(migration: Migration, added: Iterable[Column] = ()) -> list[str]:
    """What of an expanding migration servers that do not know it might not bear, or might wait for; `added` are the columns
    that earlier ones have added."""
    fresh: set[str] = set()
    altered = any(_COLUMN.fullmatch(" ".join(text.split())) for text in migration.statements)
    found = []
    for text in (" ".join(text.split()) for text in migration.statements):
        if match := _TABLE.match(text):
            fresh.add(match[1])
        elif match := _INDEX.match(text):
            unique, concurrently, table = match.groups()
            if table not in fresh and (unique or not concurrently):
                found.append(text)
        elif match := _ROWS.match(text):
            if match[1] not in fresh:
                found.append(text)
        elif match := _FILLED.fullmatch(text):
            if altered or (match[1], match[2]) not in added:
                found.append(text)
        elif not _COLUMN.fullmatch(text):
            found.append(text)
    return found


def columns_of(known: Iterable[Migration]) -> set[Column]:
    """Those that were added to tables that were there."""
    texts = (" ".join(text.split()) for migration in known for text in migration.statements)
    return {(match[1], match[2]) for match in map(_COLUMN.fullmatch, texts) if match}


def test_migrations_are_numbered_without_a_gap():
    assert list(migrations()) == list(range(1, len(migrations()) + 1))
    assert all(migration.statements for migration in migrations().values())


def test_what_expands_only_adds():
    added: set[Column] = set()
    for migration in migrations().values():
        if not migration.needs:
            assert unbearable(migration, added) == [], migration.name
        added |= columns_of([migration])


def test_no_migration_holds_the_lock_of_one_table_while_it_waits_for_that_of_another():
    for number, migration in migrations().items():
        assert number < 10 or len(locked(migration)) <= 1, migration.name


def locked(migration: Migration) -> set[str]:
    """The tables that were there and that it locks against readers."""
    return {match[1] for match in map(_LOCKED.match, migration.statements) if match}


def test_the_tables_that_a_migration_locks_are_found():
    texts = ("ALTER TABLE tags ADD COLUMN a TEXT", "ALTER TABLE tags ADD COLUMN b TEXT", "DROP TABLE IF EXISTS blobs")
    assert locked(expand(*texts)) == {"tags", "blobs"}


def test_what_was_released_before_migrations_said_what_they_mean_only_adds():
    for number in range(1, 10):
        for statement in migrations()[number].statements:
            assert statement.split()[0] in {"CREATE", "INSERT", "ALTER"}
            assert not {"DROP", "RENAME"} & set(statement.upper().split())


def test_no_migration_stops_servers_of_the_release_before():
    for number, migration in migrations().items():
        assert number < 10 or migration.needs < number, migration.name


def expand(*statements: str) -> Migration:
    return parse_migration("0011_test.sql", "-- expand: it says\n" + "".join(f"{text};\n" for text in statements))


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE tags",
        "DROP INDEX tags_by_digest",
        "TRUNCATE tags",
        "ALTER TABLE tags RENAME TO labels",
        "ALTER TABLE tags RENAME COLUMN name TO label",
        "ALTER TABLE tags DROP COLUMN name",
        "ALTER TABLE tags ADD COLUMN other TEXT NOT NULL",
        "ALTER TABLE tags ADD COLUMN other DOUBLE PRECISION DEFAULT random()",
        "ALTER TABLE tags ADD COLUMN other TEXT UNIQUE",
        "ALTER TABLE tags ADD COLUMN other BIGINT REFERENCES repositories (id)",
        "ALTER TABLE tags ADD COLUMN other TEXT CHECK (other <> name)",
        "ALTER TABLE tags ADD COLUMN other TEXT, DROP COLUMN name",
        "ALTER TABLE tags ALTER COLUMN name TYPE BYTEA",
        "ALTER TABLE tags ALTER COLUMN name SET NOT NULL",
        "ALTER TABLE tags ADD CONSTRAINT short CHECK (length(name) < 9)",
        "CREATE UNIQUE INDEX tags_once ON tags (digest)",
        "CREATE INDEX tags_by_time ON tags (updated_at)",
        "CREATE TRIGGER never BEFORE INSERT ON tags BEGIN SELECT RAISE(ABORT, 'no'); END",
        "INSERT INTO tags (repository_id, name) VALUES (1, 'a')",
        "DELETE FROM tags",
        "UPDATE tags SET name = lower(name)",
        "UPDATE uploads SET era = 'a', turn = 0",
        "VACUUM",
    ],
)
def test_what_takes_away_or_refuses_or_makes_wait_may_not_say_that_it_expands(statement: str):
    assert unbearable(expand(statement), columns_of(migrations().values())) == [statement]


def test_a_unique_index_is_no_better_for_being_built_beside_writers():
    assert unbearable(expand("CREATE UNIQUE INDEX {concurrently} tags_once ON tags (digest)"))


def test_what_locks_a_table_moves_no_rows():
    added = {("tags", "other")}
    assert unbearable(expand("UPDATE tags SET other = name WHERE other IS NULL"), added) == []
    assert unbearable(expand("ALTER TABLE tags ADD COLUMN more TEXT", "UPDATE tags SET other = name"), added)


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE things (\n  name TEXT NOT NULL PRIMARY KEY\n) {clustered}", "CREATE UNIQUE INDEX a ON things (name)",
         "INSERT INTO things (name) VALUES ('a')"],
        ["ALTER TABLE tags ADD COLUMN other TEXT"],
        ["ALTER TABLE tags ADD COLUMN other BIGINT NOT NULL DEFAULT 0", "ALTER TABLE tags ADD COLUMN more TEXT DEFAULT ''"],
        ["CREATE INDEX {concurrently} tags_by_time ON tags (updated_at)"],
    ],
)  # fmt: skip
def test_what_adds_may_say_so(statements: list[str]):
    assert unbearable(expand(*statements)) == []
