"""Which database the settings mean, opened."""

from pathlib import Path

from config.settings import Settings
from store.database import Database
from store.postgres import PostgresDatabase
from store.sqlite import SqliteDatabase


def open_database(settings: Settings) -> Database:
    """PostgreSQL connects when it is first asked something. Raises DatabaseUnavailable where a file cannot be opened."""
    if is_shared(settings):
        return PostgresDatabase(settings.database.url)
    path = database_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteDatabase(path)


def is_shared(settings: Settings) -> bool:
    """Whether other machines may use the same database."""
    return settings.database.url.startswith(("postgresql://", "postgres://"))


def database_path(settings: Settings) -> Path:
    """Where the SQLite file lies."""
    url = settings.database.url
    return Path(url.removeprefix("sqlite:///")) if url else settings.data / "longshore.db"
