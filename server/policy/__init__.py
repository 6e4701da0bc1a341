"""`longshore policy`: writing and testing policies. A module a subcommand."""

import argparse
from typing import Any

from server.policy import lint, replay, simulate, testing


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """The group and its subcommands."""
    group = commands.add_parser("policy", help="try policies before they count")
    subcommands = group.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    lint.add_command(subcommands, common)
    simulate.add_command(subcommands, common)
    testing.add_command(subcommands, common)
    replay.add_command(subcommands, common)
