import re
import time

import pytest

from auth.accounts import AccountRefused, Accounts, EmailTaken
from auth.directory import ACTIVE
from auth.epoch import Epoch
from auth.identifiers import new_access_key_id, new_unique_id
from auth.rows.accounts import find_account, list_accounts
from auth.rows.directory import find_access_key
from auth.rows.epochs import read_epoch
from auth.secrets import Vault
from store.sqlite import SqliteDatabase
from tests.rooms import Time
from tests.unit.auth.conftest import SERVER_KEY

VAULT = Vault([SERVER_KEY])


@pytest.fixture
def accounts(database: SqliteDatabase, clock: Time) -> Accounts:
    return Accounts(database, Epoch(database, time.monotonic), VAULT, clock)


async def test_an_account_comes_with_its_root_key_sealed(database: SqliteDatabase, accounts: Accounts):
    key = await accounts.create("team-b", email="b@example.test")
    stored = await find_account(database, key.account)
    assert stored is not None
    assert (stored.name, stored.email, stored.status) == ("team-b", "b@example.test", ACTIVE)
    kept = await find_access_key(database, key.id)
    assert kept is not None
    assert (kept.account, kept.owner_id, kept.status) == (key.account, key.account, "Active")
    assert key.secret.encode() not in kept.secret
    assert VAULT.decrypt(kept.secret).decode() == key.secret
    assert key.secret not in repr(key)


async def test_ensuring_makes_a_row_once_and_leaves_what_is_there(database: SqliteDatabase, accounts: Accounts):
    await accounts.ensure("123456789012", "home")
    number = await read_epoch(database)
    await accounts.ensure("123456789012", "another name")
    assert [one.name for one in await list_accounts(database)] == ["home"]
    assert await read_epoch(database) == number


async def test_neither_an_id_nor_an_address_is_given_twice(database: SqliteDatabase, accounts: Accounts):
    await accounts.create("a", email="Some@example.test", identifier="111122223333")
    with pytest.raises(AccountRefused, match="there is an account 111122223333 already"):
        await accounts.create("b", identifier="111122223333")
    with pytest.raises(EmailTaken):
        await accounts.create("b", email="some@EXAMPLE.test")
    assert len(await list_accounts(database)) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""},
        {"name": "a" * 51},
        {"name": "caf\u00e9"},
        {"name": "a\nb"},
        {"name": "a", "email": "nobody"},
        {"name": "a", "email": ".a@example.test"},
        {"name": "a", "email": "a b@example.test"},
        {"name": "a", "email": "a<b>@example.test"},
        {"name": "a", "email": "a@b@example.test"},
        {"name": "a", "email": "caf\u00e9@example.test"},
        {"name": "a", "email": "a@example"},
        {"name": "a", "email": "a@-example.test"},
        {"name": "a", "email": "a@example.test."},
        {"name": "a", "email": "a@" + "b" * 60 + ".cd"},
        {"name": "a", "identifier": "12345678901"},
        {"name": "a", "identifier": "\u0661" * 12},
    ],
)
async def test_what_aws_would_not_take_is_refused(database: SqliteDatabase, accounts: Accounts, given: dict[str, str]):
    with pytest.raises(AccountRefused):
        await accounts.create(**given)
    assert await list_accounts(database) == []


async def test_closing_and_opening_are_told_apart_from_nothing_to_do(database: SqliteDatabase, accounts: Accounts):
    account = (await accounts.create("a")).account
    number = await read_epoch(database)
    await accounts.close(account)
    assert await read_epoch(database) > number
    with pytest.raises(AccountRefused, match="is suspended already"):
        await accounts.close(account)
    await accounts.reopen(account)
    with pytest.raises(AccountRefused, match="is active already"):
        await accounts.reopen(account)
    with pytest.raises(AccountRefused, match="there is no account 999999999999"):
        await accounts.close("999999999999")


async def test_a_root_user_has_two_keys_at_most(accounts: Accounts):
    account = (await accounts.create("a")).account
    await accounts.issue_key(account)
    with pytest.raises(AccountRefused, match="has 2 access keys"):
        await accounts.issue_key(account)
    with pytest.raises(AccountRefused, match="there is no account 999999999999"):
        await accounts.issue_key("999999999999")


def test_ids_have_the_forms_of_aws():
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", new_unique_id("AIDA"))
    for account in ("000000000001", "123456789012", "999999999999"):
        key = new_access_key_id(account)
        assert re.fullmatch(r"AKIA[A-Z2-7]{16}", key)
        assert key != new_access_key_id(account)


def test_a_key_carries_its_account_where_tools_look_for_it():
    # 40 bits after the first bit of the ten bytes that the letters after AKIA are in base 32
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    for account in ("000000000001", "123456789012", "999999999999"):
        number = 0
        for letter in new_access_key_id(account)[4:]:
            number = number * 32 + digits.index(letter)
        assert f"{(number >> 39) & ((1 << 40) - 1):012}" == account
