"""Which database the settings mean, opened."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from config.settings import Settings
from store.database import Database, DatabaseUnavailable
from store.migrate import migrate
from store.postgres import PostgresDatabase
from store.sqlite import SqliteDatabase


def open_database(settings: Settings) -> Database:
    """PostgreSQL connects when it is first asked something. Raises DatabaseUnavailable where a file cannot be opened."""
    if is_shared(settings):
        return PostgresDatabase(settings.database.url)
    path = database_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteDatabase(path)


@asynccontextmanager
async def existing_database(settings: Settings) -> AsyncIterator[Database]:
    """The database that a server has made, which may be running beside, at this release. Raises DatabaseUnavailable."""
    if not is_shared(settings) and not database_path(settings).exists():
        raise DatabaseUnavailable(
            f"there is no database at `{database_path(settings)}`: say where the server keeps everything with --data or --config"
        )
    database = open_database(settings)
    try:
        await migrate(database, now=time.time())
        yield database
    finally:
        await database.close()


def is_shared(settings: Settings) -> bool:
    """Whether other machines may use the same database."""
    return settings.database.url.startswith(("postgresql://", "postgres://"))


def database_path(settings: Settings) -> Path:
    """Where the SQLite file lies."""
    url = settings.database.url
    return Path(url.removeprefix("sqlite:///")) if url else settings.data / "longshore.db"
