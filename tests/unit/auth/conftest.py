"""Signing keys in a real database, and a clock that stands until it is moved."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from auth.credentials import AccessKey, Keyring, root_of
from auth.directory import Directory
from auth.epoch import Epoch
from auth.keys import SigningKeys
from auth.secrets import Vault
from auth.tokens import Tokens
from base.ids import new_uuid
from store.migrate import migrate
from store.sqlite import SqliteDatabase
from tests.rooms import Time, quick_directory

SERVER_KEY = "a server key of more than thirty-two characters"
ACCOUNT = "123456789012"
ROOT = root_of(ACCOUNT, "AKIAEXAMPLE")
KEY = AccessKey(ROOT.key_id, "a/secret+with:colons=and\u00e4", ROOT)


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_directory() as directory:
        yield directory


@pytest.fixture
def clock() -> Time:
    return Time(1_700_000_000.0)


@pytest.fixture
async def database(place: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(place / "test.db")
    await migrate(opened, now=0.0)
    yield opened
    await opened.close()


@pytest.fixture
async def keys(database: SqliteDatabase, clock: Time) -> SigningKeys:
    made = SigningKeys(database, Vault([SERVER_KEY]), clock)
    await made.load()
    return made


@pytest.fixture
def vault() -> Vault:
    return Vault([SERVER_KEY])


@pytest.fixture
def epoch(database: SqliteDatabase, clock: Time) -> Epoch:
    return Epoch(database, clock)


@pytest.fixture
def directory(database: SqliteDatabase, epoch: Epoch) -> Directory:
    return Directory(database, epoch, managed={})


@pytest.fixture
def keyring(directory: Directory, vault: Vault, epoch: Epoch) -> Keyring:
    return Keyring((KEY,), directory, vault, epoch)


@pytest.fixture
def tokens(keys: SigningKeys, clock: Time) -> Tokens:
    return Tokens(keys, clock, new_uuid)
