"""What the first start makes and later starts find: the root key and the server key."""

import configparser
import os
import secrets
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from auth.accounts import Accounts
from auth.credentials import AccessKey, root_of
from auth.epoch import Epoch
from auth.identifiers import new_access_key_id, new_secret_access_key
from auth.secrets import MIN_LENGTH, Vault
from base.disk import make_directories, sync_directory
from config.settings import Settings, SettingsInvalid
from server.stores import is_shared
from store.database import Database

PROFILE = "default"
HOME = "home"
"""What the home account is called."""


@dataclass(frozen=True, slots=True, repr=False)
class FirstThings:
    """The root key, where it lies (None: in the settings), and the server's keys."""

    root: AccessKey
    credentials: Path | None
    server_keys: list[str]


def prepare(settings: Settings) -> FirstThings:
    """Find or make them. Raises SettingsInvalid."""
    data = settings.data
    if is_shared(settings) and not (settings.root.access_key_id and settings.secrets.key_file):
        raise SettingsInvalid(
            "with PostgreSQL every replica needs the same root key and server keys: set root.access_key_id, "
            "root.secret_access_key and secrets.key_file"
        )
    try:
        make_directories(data)
    except OSError as error:
        raise SettingsInvalid(f"server.data: the directory `{data}` cannot be made: {error.strerror}") from error
    if not os.access(data, os.W_OK | os.X_OK):
        raise SettingsInvalid(f"server.data: the directory `{data}` cannot be written to")
    keys = _server_keys(Path(settings.secrets.key_file) if settings.secrets.key_file else None, data / "server.key")
    account = settings.account.id
    if settings.root.access_key_id:
        return FirstThings(_root_key(account, settings.root.access_key_id, settings.root.secret_access_key), None, keys)
    path = data / "credentials"
    identifier, secret = _read_credentials(path) if path.exists() else _make_credentials(path, account)
    return FirstThings(_root_key(account, identifier, secret), path, keys)


def _root_key(account: str, identifier: str, secret: str) -> AccessKey:
    return AccessKey(identifier, secret, root_of(account, identifier))


def _make_credentials(path: Path, account: str) -> tuple[str, str]:
    identifier, secret = new_access_key_id(account), new_secret_access_key()
    text = f"[{PROFILE}]\naws_access_key_id = {identifier}\naws_secret_access_key = {secret}\n"
    if not _write_secret(path, text):  # another process was quicker
        return _read_credentials(path)
    return identifier, secret


def _read_credentials(path: Path) -> tuple[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text())
        return parser[PROFILE]["aws_access_key_id"].strip(), parser[PROFILE]["aws_secret_access_key"].strip()
    except (OSError, KeyError, configparser.Error) as error:
        raise SettingsInvalid(
            f"`{path}` cannot be used: expected [{PROFILE}] with aws_access_key_id and aws_secret_access_key"
        ) from error


def _server_keys(given: Path | None, own: Path) -> list[str]:
    path = given or own
    if given is None and not own.exists():
        _write_secret(own, secrets.token_urlsafe(48) + "\n")
    return read_server_keys(path)


def read_server_keys(path: Path) -> list[str]:
    """The keys in a file. Raises SettingsInvalid."""
    try:
        keys = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise SettingsInvalid(f"secrets.key_file: `{path}` cannot be read: {error.strerror}") from error
    if not keys or any(len(key) < MIN_LENGTH for key in keys):
        raise SettingsInvalid(
            f"secrets.key_file: `{path}` needs a line of at least {MIN_LENGTH} characters for each key"
        )
    return keys


def _write_secret(path: Path, text: str) -> bool:
    """Write a file that only its owner reads, wholly or not at all. False where it is there already."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            return False
    finally:
        fresh.unlink()
    sync_directory(path.parent)
    return True


def welcome(settings: Settings, first: FirstThings, address: str, *, secure: bool) -> str:
    """What the server prints when it begins: the lines to copy."""
    region = settings.account.region
    url = settings.server.public_url.replace("{account}", settings.account.id).replace("{region}", region).rstrip("/")
    url = url or f"{'https' if secure else 'http'}://{address}"
    host = url.partition("://")[2]
    key_file = first.credentials and shlex.quote(str(first.credentials))
    lines = [f"Longshore listens on {url}", ""]
    # version 1 of the AWS CLI knows the region by the second name alone
    endpoint = f"  export AWS_ENDPOINT_URL={url} AWS_REGION={region} AWS_DEFAULT_REGION={region}"
    if key_file is not None:
        lines += [
            f"The root key of account {settings.account.id} is in {first.credentials} (an AWS shared credentials file).",
            "",
            "With docker and the AWS CLI:",
            "",
            endpoint,
            f"  export AWS_SHARED_CREDENTIALS_FILE={key_file} AWS_PROFILE={PROFILE}",
        ]
    else:
        lines += [
            f"The root key of account {settings.account.id} is the one in the settings.",
            "",
            "With docker and the AWS CLI (and that key):",
            "",
            endpoint,
        ]
    lines += [
        f"  aws ecr get-login-password | docker login --username AWS --password-stdin {host}",
        "  aws ecr create-repository --repository-name hello",
        f"  docker tag hello {host}/hello",
        f"  docker push {host}/hello",
        "",
        "With docker alone:",
        "",
    ]
    if key_file is not None:
        lines.append(
            f"  sed -n 's/^aws_secret_access_key = //p' {key_file} "
            f"| docker login --username {first.root.id} --password-stdin {host}"
        )
    else:
        lines.append(f"  docker login --username {first.root.id} {host}")
    lines += [
        f"  docker tag hello {host}/hello",
        f"  docker push {host}/hello"
        + (
            ""
            if settings.registry.create_on_push
            else "     # the repository has to exist, unless the server runs with LONGSHORE_REGISTRY__CREATE_ON_PUSH=true"
        ),
        "",
    ]
    return "\n".join(lines)


def accounts_of(database: Database, first: FirstThings) -> Accounts:
    """The accounts of a server that runs, or will."""
    return Accounts(database, Epoch(database, time.monotonic), Vault(first.server_keys), time.time)
