"""`longshore backup` and `longshore restore`."""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from auth.audit.record import stamp
from auth.secrets import ServerKeyInvalid, Vault
from base.ids import new_uuid
from config.settings import Settings
from registry.backup import SINCE, Backup, Backups, find_backup, list_backups, read_rows, verify_backup
from registry.intake import Intake
from registry.restore import Restored, restore
from server.first import read_server_keys
from server.progress import Display, bytes_of
from server.stores import existing_database, open_archive, open_blobs, open_database
from store.archive import Archive, ArchiveUnusable

_PLACE = "a directory, or s3://bucket/prefix (see [backup] in config/default.toml)"
_SHOWN = 20
_SEALED_TABLES = ("signing_keys", "access_keys")
"""Whose rows hold secrets that only the server key opens."""


def add_backup(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "backup",
        parents=[common],
        description="Makes a backup of the registry as it is at this moment, while it serves. Blobs that the place has "
        "already are not copied again. The server key and the root key are left out: keep them in another place.",
    )
    parser.add_argument("place", metavar="PLACE", help=_PLACE)
    parser.add_argument("--keep", type=_count, default=0, metavar="N", help="afterwards forget all but the newest N")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show the backups in PLACE instead of making one")
    what.add_argument("--verify", action="store_true", help="read a backup, byte by byte, instead of making one")
    parser.add_argument("--backup", default="", metavar="ID", help="the one to verify (default: the newest)")
    parser.set_defaults(run=_backup)


def add_restore(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "restore",
        parents=[common],
        description="Restores a backup into the database and the store that the settings name, of whatever kind, which "
        "have to be empty. Interrupted, it goes on when it is called again. The server does not start before it is done.",
    )
    parser.add_argument("place", metavar="PLACE", help=_PLACE)
    parser.add_argument("--backup", default="", metavar="ID", help="which one (default: the newest)")
    parser.add_argument(
        "--keep-going", action="store_true", help="leave out blobs that are damaged in the backup, and name them"
    )
    parser.add_argument(
        "--new-server-key",
        action="store_true",
        help="the server key is lost: restore without the secrets that it opened, which are all access keys",
    )
    parser.set_defaults(run=_restore)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of backups: 1 or more")
    return int(text)


def _backup(settings: Settings, options: argparse.Namespace) -> int:
    if options.list:
        return asyncio.run(_show(settings, options))
    if options.verify:
        return asyncio.run(_verify(settings, options))
    return asyncio.run(_make(settings, options))


async def _make(settings: Settings, options: argparse.Namespace) -> int:
    archive = open_archive(settings, options.place)
    try:
        async with existing_database(settings, since=SINCE) as database:
            blobs = open_blobs(settings, ids=new_uuid, clock=time.time)
            try:
                with Display() as display:
                    backups = Backups(database, blobs, archive, clock=time.time, ids=new_uuid, tell=display)
                    made = await backups.make(keep=options.keep)
            finally:
                await blobs.close()
    finally:
        await archive.close()
    print(f"backup {_described(made)}, in {archive.address}")
    print(f"left out, keep elsewhere: {', '.join(_left_out(settings))}")
    for digest, what in list(made.damaged.items())[:_SHOWN]:
        print(f"longshore: {digest} is damaged in the store: {what}", file=sys.stderr)
    if made.damaged:
        print(
            f"longshore: {len(made.damaged)} blobs are damaged in the store and not in the backup: run `longshore fsck`",
            file=sys.stderr,
        )
    return 1 if made.damaged else 0


def _described(backup: Backup) -> str:
    rows = sum(table.rows for table in backup.tables.values())
    return (
        f"{backup.id}: {backup.blobs} blobs ({bytes_of(backup.size)}; {backup.copied} of them, "
        f"{bytes_of(backup.copied_size)}, were new), {rows} rows, {backup.ended - backup.began:.1f} s"
    )


def _left_out(settings: Settings) -> list[str]:
    files = [settings.secrets.key_file or str(settings.data / "server.key")]
    if not settings.root.access_key_id:
        files.append(str(settings.data / "credentials"))
    return files


async def _show(settings: Settings, options: argparse.Namespace) -> int:
    archive = open_archive(settings, options.place)
    try:
        for backup in await list_backups(archive):
            damaged = f", {len(backup.damaged)} damaged" if backup.damaged else ""
            print(f"{stamp(backup.began)}  {_described(backup)}{damaged}")
    finally:
        await archive.close()
    return 0


async def _verify(settings: Settings, options: argparse.Namespace) -> int:
    archive = open_archive(settings, options.place)
    try:
        backup = await find_backup(archive, options.backup)
        with Display() as display:
            faults = await verify_backup(archive, backup, display)
    finally:
        await archive.close()
    for fault in faults:
        print(fault)
    if not faults:
        print(f"the backup {backup.id} is whole: {backup.blobs} blobs, {bytes_of(backup.size)}")
    return 1 if faults else 0


def _restore(settings: Settings, options: argparse.Namespace) -> int:
    done = asyncio.run(_run_restore(settings, options))
    print(
        f"restored the backup {done.backup.id}: {done.blobs} blobs ({bytes_of(done.size)}), {done.rows} rows; start the server"
    )
    for digest, what in list(done.damaged.items())[:_SHOWN]:
        print(f"longshore: {digest} could not be restored: {what}", file=sys.stderr)
    if done.damaged:
        print(
            f"longshore: {len(done.damaged)} blobs could not be restored: `longshore fsck` names the images that need "
            "them; pushing one of those again makes it whole",
            file=sys.stderr,
        )
    return 1 if done.damaged else 0


async def _run_restore(settings: Settings, options: argparse.Namespace) -> Restored:
    archive = open_archive(settings, options.place)
    try:
        backup = await find_backup(archive, options.backup)
        if not options.new_server_key:
            await _check_server_key(settings, archive, backup)
        settings.data.mkdir(parents=True, exist_ok=True)
        database = open_database(settings)
        blobs = open_blobs(settings, ids=new_uuid, clock=time.time)
        try:
            with Display() as display:
                return await restore(
                    archive,
                    backup,
                    Intake(database, blobs, clock=time.time),
                    keep_going=options.keep_going,
                    without=_SEALED_TABLES if options.new_server_key else (),
                    tell=display,
                )
        finally:
            await blobs.close()
            await database.close()
    finally:
        await archive.close()


async def _check_server_key(settings: Settings, archive: Archive, backup: Backup) -> None:
    """Raises ArchiveUnusable where the secrets in the backup cannot be opened here: better now than at the first start."""
    where = Path(settings.secrets.key_file) if settings.secrets.key_file else settings.data / "server.key"
    keys = _found_keys(where)
    for table in _SEALED_TABLES:
        secrets = await _secrets(archive, backup, table)
        if secrets and not _opens(keys, secrets[0]):
            raise ArchiveUnusable(
                f"`{where}` is not there, or not the server key of the backup: put the registry's own there first. If it is "
                "lost, --new-server-key restores without the secrets that it opened"
            )


def _found_keys(path: Path) -> list[str]:
    return read_server_keys(path) if path.exists() else []


def _opens(keys: list[str], secret: bytes) -> bool:
    try:
        Vault(keys).decrypt(secret)
    except ServerKeyInvalid:
        return False
    return True


async def _secrets(archive: Archive, backup: Backup, table: str) -> list[bytes]:
    found: list[bytes] = []
    async for rows in read_rows(archive, backup, table):
        found += [value for row in rows for value in row if isinstance(value, bytes)]
    return found
