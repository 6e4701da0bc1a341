"""`longshore read-only`: a switch that every process of a registry obeys."""

import argparse
import asyncio
import time
from typing import Any

from auth.audit.record import stamp
from config.settings import Settings
from registry.move import SEAL as MOVED
from server.stores import existing_database
from store.seals import Seal, break_seal, list_seals, put_seal

NAME = "read-only"
"""The seal that this command puts and breaks."""
_REASON = "an operator has switched changes off"


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command and its actions."""
    parser = commands.add_parser(
        "read-only",
        description="While changes are off, pulls and reads work, and pushes, deletions and everything else that would "
        "change something are refused (503), by every process of the registry. Once `on` has returned nothing is "
        "written any more that was not acknowledged before.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    on = actions.add_parser("on", parents=[common], help="refuse changes")
    on.add_argument("--reason", default=_REASON, metavar="TEXT", help="what clients are told")
    on.set_defaults(run=_switch_on)
    off = actions.add_parser("off", parents=[common], help="take changes again")
    off.add_argument(
        "--after-move",
        action="store_true",
        help="also in the store that a move has left behind; the other one must not be in use",
    )
    off.set_defaults(run=_switch_off)
    status = actions.add_parser("status", parents=[common], help="whether changes are refused, since when and why")
    status.set_defaults(run=_show)


def _switch_on(settings: Settings, options: argparse.Namespace) -> int:
    async def run() -> None:
        async with existing_database(settings) as database:
            await database.write(lambda: put_seal(NAME, options.reason, time.time()))

    asyncio.run(run())
    print("read-only: changes are refused")
    return 0


def _switch_off(settings: Settings, options: argparse.Namespace) -> int:
    async def run() -> list[Seal]:
        async with existing_database(settings) as database:
            await database.write(lambda: break_seal(NAME))
            if options.after_move:
                await database.write(lambda: break_seal(MOVED))
            return await list_seals(database)

    left = asyncio.run(run())
    print(_described(left))
    return 1 if left else 0


def _show(settings: Settings, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    async def run() -> list[Seal]:
        async with existing_database(settings) as database:
            return await list_seals(database)

    print(_described(asyncio.run(run())))
    return 0


def _described(seals: list[Seal]) -> str:
    if not seals:
        return "not read-only: changes are taken"
    return "\n".join(f"read-only since {stamp(seal.sealed_at)} ({seal.name}): {seal.reason}" for seal in seals)
