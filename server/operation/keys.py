"""`longshore rotate-keys`."""

import argparse
import asyncio
import time
from typing import Any

from auth.keys import SigningKeys
from auth.secrets import Vault
from config.settings import Settings
from server.first import prepare
from server.stores import changing_database


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command."""
    commands.add_parser("rotate-keys", parents=[common]).set_defaults(run=_rotate)


def _rotate(settings: Settings, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    first = prepare(settings)

    async def run() -> None:
        async with changing_database(settings) as database:
            await SigningKeys(database, Vault(first.server_keys), time.time).rotate()

    asyncio.run(run())
    print("tokens are signed with a new key within the hour, or from the next start; those that are out stay good")
    return 0
