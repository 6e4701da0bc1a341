"""The commands that there are, as a table. What one of them needs is imported when it is asked for: all of the server takes
longer to import than most commands take to run."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `MODULE:FUNCTION` of what adds it and its options to a parser, and what it is for."""

    place: str
    help: str


@dataclass(frozen=True, slots=True)
class Group:
    """A word with commands of its own."""

    help: str
    commands: Mapping[str, Command]


COMMANDS: Final[Mapping[str, Command | Group]] = {
    "serve": Command("server.serve:add_command", "run the server"),
    "migrate": Command("server.operation.migrate:add_command", "bring the database to this release"),
    "rotate-keys": Command("server.operation.keys:add_command", "begin to sign tokens with a new key"),
    "account": Command(
        "server.operation.accounts:add_command", "make, list, close and open accounts, beside a running server too"
    ),
    "audit": Command("server.audit:add_command", "show what was decided, the latest first"),
    "policy": Group(
        "try policies before they count",
        {
            "lint": Command("server.policy.lint:add_command", "say what is wrong with policy documents"),
            "simulate": Command("server.policy.simulate:add_command", "say what would be decided, and why"),
            "test": Command("server.policy.testing:add_command", "hold tables of cases against policies"),
            "replay": Command(
                "server.policy.replay:add_command",
                "list the requests on record that other policies would answer otherwise",
            ),
        },
    ),
    "backup": Command(
        "server.operation.backup:add_backup", "copy everything to a directory or bucket, beside a running server"
    ),
    "restore": Command("server.operation.backup:add_restore", "restore a backup into an empty store"),
    "gc": Command("server.operation.collect:add_command", "free what nothing needs any more, now"),
    "fsck": Command(
        "server.operation.fsck:add_command",
        "compare rows, bytes and digests, beside a running server, and mend what can be",
    ),
    "move": Command(
        "server.operation.move:add_command", "move to another database or store of blobs, while serving reads"
    ),
    "read-only": Command(
        "server.operation.read_only:add_command", "switch changes off and on, beside a running server"
    ),
}


def add_commands(
    parsers: Any, common: argparse.ArgumentParser, words: Sequence[str], table: Mapping[str, Command | Group] = COMMANDS
) -> None:
    """Adds all of `table` by name to `parsers`, and with its options the one that `words` begin with."""
    asked = words[0] if words else None
    for name, command in table.items():
        if name != asked:
            parsers.add_parser(name, help=command.help)
        elif isinstance(command, Group):
            group = parsers.add_parser(name, description=f"{command.help.capitalize()}.")
            inner = group.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
            add_commands(inner, common, words[1:], command.commands)
        else:
            find(command.place)(parsers, common)


def find(place: str) -> Callable[..., Any]:
    """The function of `MODULE:FUNCTION`."""
    module, _, function = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
