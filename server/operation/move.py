"""`longshore move`: to another database, another store of blobs, or both."""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from base.ids import new_uuid
from config.settings import Settings, SettingsInvalid, load_settings
from registry.intake import Intake
from registry.move import Move, Moved
from server.first import read_server_keys
from server.progress import Display, bytes_of
from server.stores import database_path, existing_database, is_shared, open_blobs, open_database

_SHOWN = 20


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "move",
        parents=[common],
        description="Copies the registry that the present settings name to the empty database and store that NEW.toml names. "
        "Without --finish blobs are copied, beside the running server, as often as you like. With --finish the registry "
        "becomes read-only, the rest and all rows are copied, and the server is to be started with the new settings. "
        "Interrupted, it goes on when it is called again.",
    )
    parser.add_argument(
        "--to-config",
        type=Path,
        required=True,
        metavar="NEW.toml",
        help="the settings after the move; the environment counts for the present ones alone",
    )
    parser.add_argument("--finish", action="store_true", help="make the registry read-only and move it for good")
    parser.set_defaults(run=_move)


def _move(settings: Settings, options: argparse.Namespace) -> int:
    target = load_settings(options.to_config, environment={})
    _check(settings, target)
    done = asyncio.run(_run(settings, target, finish=options.finish))
    copied = f"{done.blobs} blobs ({bytes_of(done.size)})"
    if options.finish:
        print(f"moved: {copied} and {done.rows} rows in this last step")
        print(f"stop the server and start it with `longshore serve --config {options.to_config}`")
        print(
            "the old store stays read-only; `longshore read-only off --after-move` takes it back into use, if it has to be"
        )
    else:
        print(f"copied {copied} that were not there yet; with --finish the registry moves for good")
    for digest, what in list(done.damaged.items())[:_SHOWN]:
        print(f"longshore: {digest} is damaged and stays behind: {what}", file=sys.stderr)
    if done.damaged:
        print(
            f"longshore: {len(done.damaged)} blobs are damaged and stay behind: `longshore fsck` names the images that need "
            "them; pushing one of those again makes it whole",
            file=sys.stderr,
        )
    return 1 if done.damaged else 0


async def _run(settings: Settings, target: Settings, *, finish: bool) -> Moved:
    target.data.mkdir(parents=True, exist_ok=True)
    blobs = open_blobs(settings, ids=new_uuid, clock=time.time)
    new_database = open_database(target)
    new_blobs = open_blobs(target, ids=new_uuid, clock=time.time)
    try:
        async with existing_database(settings) as database:
            with Display() as display:
                move = Move(
                    database,
                    blobs,
                    Intake(new_database, new_blobs, clock=time.time),
                    clock=time.time,
                    ids=new_uuid,
                    same_bytes=_bytes(settings) == _bytes(target),
                    tell=display,
                )
                return await (move.finish() if finish else move.copy())
    finally:
        await new_blobs.close()
        await new_database.close()
        await blobs.close()


def _check(settings: Settings, target: Settings) -> None:
    """Raises SettingsInvalid where the registry could not work, or not be the same, under the new settings."""
    if _database(settings) == _database(target):
        raise SettingsInvalid("database.url: the new settings name the same database; a move needs an empty one")
    if settings.account != target.account:
        raise SettingsInvalid("account.id and account.region have to be the same in the new settings")
    old, new = _key_file(settings), _key_file(target)
    if old.exists():
        keys = read_server_keys(new) if new.exists() else []
        if not set(read_server_keys(old)[:1]) <= set(keys):
            raise SettingsInvalid(
                f"secrets.key_file: the server key has to move along: copy `{old}` to `{new}` (mode 0600)"
            )


def _database(settings: Settings) -> str:
    return settings.database.url if is_shared(settings) else str(database_path(settings).absolute())


def _bytes(settings: Settings) -> tuple[str, ...]:
    """Where the bytes of blobs lie."""
    storage = settings.storage
    if storage.driver == "s3":
        return (storage.s3_endpoint_url, storage.s3_bucket, storage.s3_prefix.strip("/"))
    return (str(settings.data / "blobs"),)


def _key_file(settings: Settings) -> Path:
    return Path(settings.secrets.key_file) if settings.secrets.key_file else settings.data / "server.key"
