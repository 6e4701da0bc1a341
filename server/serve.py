"""`longshore serve`: settings to a server that listens."""

import argparse
import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import uvloop

from auth.keys import SigningKeys
from auth.secrets import Vault
from config.settings import Settings, SettingsInvalid
from registry.intake import require_complete
from server.first import HOME, FirstThings, accounts_of, prepare, welcome
from server.logs import Log
from server.process import raise_limit
from server.stores import is_shared, open_database
from server.supervisor import Workers
from server.tls import Certificate
from server.worker import work
from store.database import Database
from store.migrate import migrate, migrations, read_schema, require_migrated


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command and its options."""
    parser = commands.add_parser("serve", parents=[common])
    parser.add_argument("--host", metavar="H", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, metavar="P", help="port to listen on (default: 5000)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that share the port (default: 1)")
    parser.set_defaults(run=_serve)


def _serve(settings: Settings, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    log = Log(settings.server.log_format, access=settings.server.access_log)
    first = prepare(settings)
    certificate = None
    if settings.tls.certificate:
        certificate = Certificate(Path(settings.tls.certificate), Path(settings.tls.key))
    asyncio.run(_prepare_store(settings, first, log))
    raise_limit()
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


async def _prepare_schema(settings: Settings, database: Database, log: Log) -> None:
    """Bring the schema to this release before a server starts; one that only reads finds it there.

    A schema of a later release will do where it says so. Raises MigrationMissing, DatabaseUnavailable.
    """

    def tell(text: str) -> None:
        log.event("migrating", about=text)
        log.flush()  # it may take long

    if settings.server.read_only:
        await require_migrated(database)
    else:
        for name in await migrate(database, now=time.time(), gently=is_shared(settings), tell=tell):
            log.event("migrated", migration=name)
    found, own = (await read_schema(database)).number, max(migrations())
    if found > own:
        log.warning("the database is of a later release, beside which this one works", schema=found, known=own)


async def _prepare_store(settings: Settings, first: FirstThings, log: Log) -> None:
    database = open_database(settings)
    try:
        await _prepare_schema(settings, database, log)
        await require_complete(database)
        if not settings.server.read_only:
            await accounts_of(database, first).ensure(settings.account.id, HOME)
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
