"""The commands of operation, beside a running server: a module a command."""

import argparse
from typing import Any

from server.operation import backup, collect, fsck, move, read_only


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """All of them."""
    backup.add_backup(commands, common)
    backup.add_restore(commands, common)
    collect.add_command(commands, common)
    fsck.add_command(commands, common)
    move.add_command(commands, common)
    read_only.add_command(commands, common)
