"""`longshore migrate`."""

import argparse
import asyncio
import time
from typing import Any

from config.settings import Settings
from server.stores import open_database
from store.migrate import migrate


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command."""
    commands.add_parser("migrate", parents=[common]).set_defaults(run=_migrate)


def _migrate(settings: Settings, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    async def run() -> list[str]:
        database = open_database(settings)
        try:
            return await migrate(database, now=time.time())
        finally:
            await database.close()

    applied = asyncio.run(run())
    for name in applied:
        print(f"applied {name}")
    if not applied:
        print("the database is up to date")
    return 0
