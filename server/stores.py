"""Which database and which store of blobs the settings mean, opened. What only some settings need is imported for those: the
libraries of S3 and PostgreSQL take longer to import than most commands to run."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from base.clock import Clock
from base.disk import make_directories
from base.ids import Ids
from config.settings import Settings, SettingsInvalid
from store.archive import Archive
from store.archive.directory import DirectoryArchive
from store.blobs.driver import BlobDriver
from store.blobs.filesystem import FilesystemBlobs
from store.database import Database, DatabaseUnavailable
from store.migrate import migrate, read_schema, require_migrated
from store.seals import Heeding
from store.sqlite import SqliteDatabase


def open_database(settings: Settings) -> Database:
    """PostgreSQL connects when it is first asked something. Raises DatabaseUnavailable where a file cannot be opened."""
    if is_shared(settings):
        from store.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(
            settings.database.url, timeout=settings.database.timeout, standby=settings.server.read_only
        )
    path = database_path(settings)
    make_directories(path.parent)
    return SqliteDatabase(path)


def open_blobs(settings: Settings, *, ids: Ids, clock: Clock) -> BlobDriver:
    """The bucket is first asked when a blob is."""
    storage = settings.storage
    if storage.driver != "s3":
        return FilesystemBlobs(settings.data / "blobs", clock=clock, ids=ids)
    from store.blobs.s3 import S3Blobs  # noqa: PLC0415
    from store.bucket import S3Settings  # noqa: PLC0415

    return S3Blobs(
        S3Settings(
            bucket=storage.s3_bucket,
            endpoint_url=storage.s3_endpoint_url,
            prefix=storage.s3_prefix,
            region=storage.s3_region,
            access_key_id=storage.s3_access_key_id,
            secret_access_key=storage.s3_secret_access_key,
            sse=storage.s3_sse,
            kms_key_id=storage.s3_kms_key_id,
            redirect=storage.s3_redirect,
            connect_timeout=min(5.0, storage.s3_timeout),
            read_timeout=storage.s3_timeout,
        ),
        ids=ids,
    )


def open_archive(settings: Settings, place: str) -> Archive:
    """The archive that `place` means: `s3://bucket/prefix`, or a directory. Raises SettingsInvalid."""
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    if not place.startswith("s3://"):
        return DirectoryArchive(Path(place).absolute())
    if not bucket:
        raise SettingsInvalid(f"`{place}` names no bucket: say s3://bucket/prefix")
    from store.archive.bucket import BucketArchive  # noqa: PLC0415
    from store.bucket import S3Settings  # noqa: PLC0415

    own, storage = settings.backup, settings.storage
    keys = own if own.s3_access_key_id else storage
    return BucketArchive(
        S3Settings(
            bucket=bucket,
            prefix=prefix,
            endpoint_url=own.s3_endpoint_url or storage.s3_endpoint_url,
            region=own.s3_region or storage.s3_region,
            access_key_id=keys.s3_access_key_id,
            secret_access_key=keys.s3_secret_access_key,
            sse=own.s3_sse,
            kms_key_id=own.s3_kms_key_id,
        )
    )


@asynccontextmanager
async def changing_database(settings: Settings) -> AsyncIterator[Database]:
    """The database at this release, made if it is not there, for a command that changes what it holds: Sealed is raised
    by every write while the registry is read-only. Raises DatabaseUnavailable, MigrationMissing."""
    database = open_database(settings)
    try:
        if (await read_schema(database)).applied:
            await require_migrated(database)
        else:
            await migrate(database, now=time.time())
        yield Heeding(database)
    finally:
        await database.close()


@asynccontextmanager
async def existing_database(settings: Settings, *, since: int | None = None) -> AsyncIterator[Database]:
    """The database that a server has made, which may be running beside: at this release, or for a command that works on
    earlier schemas, too, at `since` or later. Raises DatabaseUnavailable, MigrationMissing."""
    if not is_shared(settings) and not database_path(settings).exists():
        raise DatabaseUnavailable(
            f"there is no database at `{database_path(settings)}`: say where the server keeps everything with --data or --config"
        )
    database = open_database(settings)
    try:
        await require_migrated(database, since=since)
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
