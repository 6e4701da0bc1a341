"""`longshore account`: the accounts of this server, beside it."""

import argparse
import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from auth.accounts import AccountRefused, Accounts, RootKey
from auth.rows.accounts import list_accounts
from config.settings import Settings
from server.first import HOME, accounts_of, prepare
from server.stores import changing_database
from store.database import Database


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command, its actions and their options."""
    account = commands.add_parser("account")
    actions = account.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser(
        "create",
        parents=[common],
        help="make an account and print its root key, this once",
        description="Make an account. Prints its root user's access key as a profile of an AWS shared credentials file; "
        "the secret is shown this once.",
    )
    create.add_argument("name", metavar="NAME", help="1 to 50 characters")
    create.add_argument(
        "--email", default="", help="its address, which no two accounts share (default: none that is real)"
    )
    create.add_argument("--id", default="", help="12 digits (default: chosen at random)")
    create.set_defaults(run=_create_account)
    show = actions.add_parser("list", parents=[common], help="the accounts of this server: id, status, address, name")
    show.set_defaults(run=_list_accounts)
    for action, text in (
        ("key", "make another root key of an account and print it, this once"),
        ("close", "suspend an account: none of its keys signs any more, what it has stays"),
        ("reopen", "make a suspended account active again"),
    ):
        parser = actions.add_parser(action, parents=[common], help=text)
        parser.add_argument("id", metavar="ID", help="the account's 12 digits")
        parser.set_defaults(run={"key": _issue_key, "close": _close_account, "reopen": _reopen_account}[action])


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, Accounts]]:
    """The store as it is after a start of the server, which may be running beside."""
    first = prepare(settings)
    async with changing_database(settings) as database:
        accounts = accounts_of(database, first)
        await accounts.ensure(settings.account.id, HOME)
        yield database, accounts


def _create_account(settings: Settings, options: argparse.Namespace) -> int:
    async def run() -> RootKey:
        async with _opened(settings) as (_, accounts):
            return await accounts.create(options.name, email=options.email, identifier=options.id)

    key = asyncio.run(run())
    _print_key(key, options.name if re.fullmatch(r"[\w.-]+", options.name) else key.account)
    return 0


def _issue_key(settings: Settings, options: argparse.Namespace) -> int:
    async def run() -> RootKey:
        async with _opened(settings) as (_, accounts):
            return await accounts.issue_key(options.id)

    _print_key(asyncio.run(run()), options.id)
    return 0


def _print_key(key: RootKey, profile: str) -> None:
    print(
        f"# root user of account {key.account}; the secret is not shown again\n"
        f"[{profile}]\n"
        f"aws_account_id = {key.account}\n"
        f"aws_access_key_id = {key.id}\n"
        f"aws_secret_access_key = {key.secret}"
    )


def _list_accounts(settings: Settings, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    async def run() -> list[tuple[str, str, str, str]]:
        async with _opened(settings) as (database, _):
            return [(one.id, one.status, one.email, one.name) for one in await list_accounts(database)]

    found = asyncio.run(run())
    width = max(len(email) for _, _, email, _ in found)
    for identifier, status, email, name in found:
        print(f"{identifier}  {status:9}  {email:{width}}  {name}")
    return 0


def _close_account(settings: Settings, options: argparse.Namespace) -> int:
    async def run() -> None:
        async with _opened(settings) as (_, accounts):
            if options.id == settings.account.id:
                raise AccountRefused(f"{options.id} is the home account: it stays open")
            await accounts.close(options.id)

    asyncio.run(run())
    print(f"account {options.id} is closed: its keys and tokens count no more")
    return 0


def _reopen_account(settings: Settings, options: argparse.Namespace) -> int:
    async def run() -> None:
        async with _opened(settings) as (_, accounts):
            await accounts.reopen(options.id)

    asyncio.run(run())
    print(f"account {options.id} is active")
    return 0
