"""`longshore migrate`: what is to be done to the schema of the database, and doing it."""

import argparse
import asyncio
import time
from typing import Any

from config.settings import Settings
from server.stores import database_path, is_shared, open_database
from store.migrate import (
    Migration,
    Schema,
    migrate,
    migrations,
    missing,
    oldest_after,
    read_schema,
    would_stop,
)

_PENDING = 1
_CANNOT_TELL = 2


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "migrate",
        parents=[common],
        description="Brings the database to this release, beside servers of the release before. With --check nothing is "
        "changed; exit code 0: there is nothing to do; 1: there is; 2: it could not be told, or this release cannot work "
        "on the database.",
    )
    parser.add_argument("--check", action="store_true", help="show what would be done, and what it means for servers")
    parser.add_argument(
        "--offline",
        action="store_true",
        help="no server is running: also do what servers of the present schema would not bear (with SQLite always)",
    )
    parser.set_defaults(run=_migrate)


def _migrate(settings: Settings, options: argparse.Namespace) -> int:
    if options.check:
        options.failure = _CANNOT_TELL
        return asyncio.run(_check(settings))

    async def run() -> tuple[list[str], Schema]:
        database = open_database(settings)
        try:
            done = await migrate(
                database,
                now=time.time(),
                gently=is_shared(settings) and not options.offline,
                tell=lambda text: print(text, flush=True),
            )
            return done, await read_schema(database)
        finally:
            await database.close()

    applied, schema = asyncio.run(run())
    for name in applied:
        print(f"applied {name}")
    if not applied:
        print("the database is up to date")
    _print_later(schema)
    return 0


async def _check(settings: Settings) -> int:
    schema = await _present(settings)
    steps = missing(schema)
    print(_described(schema.number, schema.oldest))
    _print_later(schema)
    for step in steps:
        print(f"{step.name:<32} {_meaning(step)}")
    if not steps:
        print("the database is up to date")
        return 0
    number = max(step.number for step in steps)
    print(f"afterwards: {_described(number, oldest_after(migrations(), number))}")
    stopping = would_stop(schema, steps)
    if stopping is not None:
        print(
            f"servers of the present schema {schema.number} stop working at {stopping.name}: "
            "stop them first (then --offline), or go to a release between"
        )
    return _PENDING


async def _present(settings: Settings) -> Schema:
    """What the database is at; a file that is not there is not made."""
    if not is_shared(settings) and not database_path(settings).exists():
        return Schema((), 0)
    database = open_database(settings)
    try:
        return await read_schema(database)
    finally:
        await database.close()


def _described(number: int, oldest: int) -> str:
    if not number:
        return "the database holds nothing yet"
    return f"schema {number}; servers that know schema {oldest} or later work on it"


def _meaning(step: Migration) -> str:
    what = f"contract: servers have to know schema {step.needs}" if step.needs else "expand: servers go on beside it"
    return f"{what} while it builds indices" if step.indices else what


def _print_later(schema: Schema) -> None:
    own = max(migrations())
    if schema.number > own:
        print(f"the database is of a later release (schema {schema.number}, this one knows {own}), which is fine")
