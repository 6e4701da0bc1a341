"""What is SQLite's alone."""

import stat
from pathlib import Path

from store.sqlite import SqliteDatabase


async def test_a_new_database_is_for_nobody_else(tmp_path: Path):
    database = SqliteDatabase(tmp_path / "longshore.db")
    try:
        assert await database.fetch("SELECT 1") == [(1,)]
        made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        await database.close()
    assert "longshore.db-wal" in made
    assert set(made.values()) == {0o600}, made


async def test_the_mode_of_a_database_that_is_there_stays(tmp_path: Path):
    path = tmp_path / "longshore.db"
    await SqliteDatabase(path).close()
    path.chmod(0o640)
    await SqliteDatabase(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
