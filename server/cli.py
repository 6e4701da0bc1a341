"""The command line: `longshore serve`, and the commands of operation."""

import argparse
import asyncio
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from auth.accounts import AccountRefused, Accounts, RootKey
from auth.epoch import Epoch
from auth.keys import SigningKeys
from auth.rows.accounts import list_accounts
from auth.secrets import ServerKeyInvalid, Vault
from config.settings import Settings, SettingsInvalid, load_settings
from registry.backup import BackupBusy
from registry.intake import IntakeRefused, require_complete
from server import audit, operation, policy
from server.first import FirstThings, prepare, welcome
from server.logs import Log
from server.stores import changing_database, open_database
from server.supervisor import Workers
from server.tls import Certificate
from server.worker import work
from store.archive import ArchiveUnusable
from store.blobs.driver import NoRoom, StoreUnavailable
from store.database import Database, DatabaseFull, DatabaseUnavailable, Sealed
from store.leases import LeaseLost
from store.migrate import MigrationMissing, migrate, require_migrated

_REFUSALS = (
    SettingsInvalid,
    ServerKeyInvalid,
    MigrationMissing,
    DatabaseUnavailable,
    DatabaseFull,
    StoreUnavailable,
    NoRoom,
    LeaseLost,
    AccountRefused,
    ArchiveUnusable,
    BackupBusy,
    IntakeRefused,
)
"""What keeps a command from its work, in words for people."""
HOME = "home"
"""What the home account is called."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 only on success; errors are one line on stderr."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(options.config, overrides=_overrides(options))
        return int(options.run(settings, options))
    except _REFUSALS as error:
        print(f"longshore: {error}", file=sys.stderr)
        return int(getattr(options, "failure", 1))
    except Sealed as error:
        print(f"longshore: the registry is read-only at the moment: {error}", file=sys.stderr)
        return int(getattr(options, "failure", 1))
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="longshore", description="A private container registry that speaks Amazon ECR."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="a settings file (TOML); see config/default.toml")
    common.add_argument("--data", metavar="DIR", help="where everything is kept (default: ./var)")
    serve = commands.add_parser("serve", parents=[common], help="run the server")
    serve.add_argument("--host", metavar="H", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, metavar="P", help="port to listen on (default: 5000)")
    serve.add_argument("--workers", type=int, metavar="N", help="processes that share the port (default: 1)")
    serve.set_defaults(run=_serve)
    move = commands.add_parser("migrate", parents=[common], help="bring the database to this release")
    move.set_defaults(run=_migrate)
    rotate = commands.add_parser("rotate-keys", parents=[common], help="begin to sign tokens with a new key")
    rotate.set_defaults(run=_rotate)
    _add_account(commands, common)
    audit.add_command(commands, common)
    policy.add_commands(commands, common)
    operation.add_commands(commands, common)
    return parser


def _add_account(commands: Any, common: argparse.ArgumentParser) -> None:
    account = commands.add_parser("account", help="make, list, close and open accounts, beside a running server too")
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


def _overrides(options: argparse.Namespace) -> dict[tuple[str, str], Any]:
    named = {key: getattr(options, key, None) for key in ("host", "port", "workers", "data")}
    return {("server", key): value for key, value in named.items() if value is not None}


def _serve(settings: Settings, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    log = Log(settings.server.log_format, access=settings.server.access_log)
    first = prepare(settings)
    certificate = None
    if settings.tls.certificate:
        certificate = Certificate(Path(settings.tls.certificate), Path(settings.tls.key))
    asyncio.run(_prepare_store(settings, first, log))
    listener = _listen(settings)
    host, port = listener.getsockname()[:2]
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host  # noqa: S104
    print(welcome(settings, first, f"{shown}:{port}", secure=certificate is not None), flush=True)
    log.event("serving", host=host, port=port, workers=settings.server.workers, data=str(settings.data))
    if settings.server.workers == 1:
        uvloop.run(work(settings, first, log, worker=0, listener=listener, certificate=certificate))
        return 0

    def run(number: int, channel: socket.socket) -> None:
        uvloop.run(work(settings, first, log, worker=number, channel=channel, certificate=certificate))

    Workers(listener, settings.server.workers, run, log).supervise(settings.server.drain)
    return 0


async def _prepare_store(settings: Settings, first: FirstThings, log: Log) -> None:
    database = open_database(settings)
    try:
        if settings.server.read_only:
            await require_migrated(database)
        else:
            for name in await migrate(database, now=time.time()):
                log.event("migrated", migration=name)
        await require_complete(database)
        if not settings.server.read_only:
            await _accounts(database, first).ensure(settings.account.id, HOME)
            # a server key that is not the one of this store is found here, before anybody listens
            await SigningKeys(database, Vault(first.server_keys), time.time).load()
    finally:
        await database.close()
    for leftover in (settings.data / "run").glob("*.json"):
        leftover.unlink(missing_ok=True)
    log.flush()


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        raise SettingsInvalid(
            f"server.host and server.port: {host}:{port} cannot be listened on: {error.strerror or error}"
        ) from error
    return listener


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


def _rotate(settings: Settings, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    first = prepare(settings)

    async def run() -> None:
        async with changing_database(settings) as database:
            await SigningKeys(database, Vault(first.server_keys), time.time).rotate()

    asyncio.run(run())
    print("tokens are signed with a new key within the hour, or from the next start; those that are out stay good")
    return 0


def _accounts(database: Database, first: FirstThings) -> Accounts:
    return Accounts(database, Epoch(database, time.monotonic), Vault(first.server_keys), time.time)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, Accounts]]:
    """The store as it is after a start of the server, which may be running beside."""
    first = prepare(settings)
    async with changing_database(settings) as database:
        accounts = _accounts(database, first)
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
