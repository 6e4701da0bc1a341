"""Releases of this program that differ by their migrations."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from store.migrate import migrations, parse_migration
from store.schema import tables
from tests.live import ROOT

NEWEST = max(migrations())
ROOMS = ("base", "aws", "auth", "registry", "server", "config")
EXPANDING = (
    "-- expand: a column that others do not name\nALTER TABLE tags ADD COLUMN newer BIGINT NOT NULL DEFAULT 0;\n",
    "-- expand: a column that others do not name\nALTER TABLE manifests ADD COLUMN newer TEXT NOT NULL DEFAULT '';\n",
    "-- expand: a column that others do not name\nALTER TABLE uploads ADD COLUMN newer TEXT;\n",
    "-- expand: an index that others need not know\nCREATE INDEX {concurrently} manifests_by_push ON manifests (pushed_at);\n",
)
"""What the next release brings."""
CONTRACTING = f"-- contract {NEWEST + 1:04}: what the next release uses no more\nALTER TABLE tags DROP COLUMN newer;\n"


def make_release(directory: Path, *further: str) -> Path:
    """The sources of a release that has further migrations of these texts, for `LiveServer`."""
    migrated = directory / "store" / "migrations"
    migrated.mkdir(parents=True)
    for room in ROOMS:
        (directory / room).symlink_to(ROOT / room)
    for kept, place in (("store", directory / "store"), ("store/migrations", migrated)):
        for entry in (ROOT / kept).iterdir():
            if entry.name not in {"migrations", "__pycache__"}:
                (place / entry.name).symlink_to(entry)
    for number, text in enumerate(further, NEWEST + 1):
        (migrated / f"{number:04}_newer.sql").write_text(text)
    return directory


@contextlib.contextmanager
def being_release(*further: str) -> Iterator[None]:
    """This process's own commands are those of that release meanwhile."""
    known = dict(migrations())
    for number, text in enumerate(further, NEWEST + 1):
        known[number] = parse_migration(f"{number:04}_newer.sql", text)
    tables.cache_clear()
    with contextlib.ExitStack() as stack:
        for module in ("store.migrate", "store.schema", "server.operation.migrate"):
            stack.enter_context(mock.patch(f"{module}.migrations", return_value=known))
        yield
    tables.cache_clear()
