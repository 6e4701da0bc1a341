"""Accounts of this server: several in one, each with its own root user."""

import re
from dataclasses import dataclass, field
from typing import Final

from auth.directory import ACTIVE
from auth.epoch import Epoch
from auth.identifiers import new_access_key_id, new_account_id, new_secret_access_key
from auth.rows import accounts as rows
from auth.rows.access_keys import AccessKey, count_access_keys, insert_access_key
from auth.rows.accounts import StoredAccount
from auth.secrets import Vault
from base.clock import Clock
from store.database import Database, Unit

SUSPENDED: Final = "SUSPENDED"
KEYS_AT_MOST: Final = 2
"""Access keys of a root user (IAM, "IAM and AWS STS quotas")."""
_ID: Final = re.compile(r"[0-9]{12}")
_EMAIL: Final = re.compile(r"""(?!\.)[!#$*+\-./0-9=?A-Z^_`a-z{}~]+@(?![.-])[A-Za-z0-9.-]*\.[A-Za-z0-9.-]*(?<![.-])""")
_NAME: Final = re.compile(r"[\x20-\x7e]{1,50}")


class AccountRefused(ValueError):
    """What was asked for an account cannot be; the message says why."""


class EmailTaken(AccountRefused):
    """Another account has the address."""


@dataclass(frozen=True, slots=True)
class RootKey:
    """A root user's new access key. This is the only time that its secret is told."""

    account: str
    id: str
    secret: str = field(repr=False)


class Accounts:
    """Makes, closes and opens them."""

    def __init__(self, database: Database, epoch: Epoch, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._epoch = epoch
        self._vault = vault
        self._clock = clock

    async def ensure(self, identifier: str, name: str) -> None:
        """See to it that the account has a row; the name is for one that had none."""
        if await rows.find_account(self._database, identifier) is None:
            made = _new(identifier, name, "", self._clock())
            await self._epoch.change(lambda: rows.insert_account(made))

    async def create(self, name: str, *, email: str = "", identifier: str = "") -> RootKey:
        """Raises AccountRefused."""
        if not _NAME.fullmatch(name):
            raise AccountRefused("an account's name has 1 to 50 characters of ASCII")
        if email and not is_email(email):
            raise AccountRefused(f"`{email}` is not an e-mail address of 6 to 64 characters")
        if identifier and not _ID.fullmatch(identifier):
            raise AccountRefused(f"`{identifier}` is not an account id: it takes 12 digits")
        account = _new(identifier or new_account_id(), name, email, self._clock())
        key, sealed = self._new_key(account.id)

        def unit() -> Unit[None]:
            yield from add(account)
            yield from insert_access_key(_stored(key, account.created_at), sealed)

        await self._epoch.change(unit)
        return key

    async def issue_key(self, identifier: str) -> RootKey:
        """Another key for its root user. Raises AccountRefused."""
        key, sealed = self._new_key(identifier)
        now = self._clock()

        def unit() -> Unit[None]:
            if not (yield from rows.has_account(identifier)):
                raise AccountRefused(_missing(identifier))
            if (yield from count_access_keys(identifier)) >= KEYS_AT_MOST:
                raise AccountRefused(
                    f"the root user of {identifier} has {KEYS_AT_MOST} access keys: delete one "
                    "(`aws iam delete-access-key`) first"
                )
            yield from insert_access_key(_stored(key, now), sealed)

        await self._epoch.change(unit)
        return key

    async def close(self, identifier: str) -> None:
        """No key of it signs any more; what it owns stays. Raises AccountRefused."""
        await self._change_status(identifier, SUSPENDED, was=ACTIVE)

    async def reopen(self, identifier: str) -> None:
        """Raises AccountRefused."""
        await self._change_status(identifier, ACTIVE, was=SUSPENDED)

    async def _change_status(self, identifier: str, status: str, *, was: str) -> None:
        def unit() -> Unit[None]:
            if not (yield from rows.set_account_status(identifier, status, was=was)):
                known = yield from rows.has_account(identifier)
                raise AccountRefused(
                    f"account {identifier} is {status.lower()} already" if known else _missing(identifier)
                )

        await self._epoch.change(unit)

    def _new_key(self, account: str) -> tuple[RootKey, bytes]:
        if not _ID.fullmatch(account):
            raise AccountRefused(f"`{account}` is not an account id: it takes 12 digits")
        key = RootKey(account, new_access_key_id(account), new_secret_access_key())
        return key, self._vault.encrypt(key.secret.encode())


def add(account: StoredAccount) -> Unit[None]:
    """Part of a unit. Raises AccountRefused, EmailTaken."""
    if (yield from rows.has_account(account.id)):
        raise AccountRefused(f"there is an account {account.id} already")
    if (yield from rows.find_email(account.email)) is not None:
        raise EmailTaken(f"another account has the address {account.email}")
    yield from rows.insert_account(account)


def is_email(text: str) -> bool:
    """As Organizations takes them (API reference, CreateAccount, Email)."""
    return 6 <= len(text) <= 64 and _EMAIL.fullmatch(text) is not None


def _new(identifier: str, name: str, email: str, now: float) -> StoredAccount:
    return StoredAccount(identifier, name, email or f"{identifier}@longshore.invalid", ACTIVE, "", now)


def _stored(key: RootKey, now: float) -> AccessKey:
    return AccessKey(key.id, key.account, key.account, "Active", now, None, "", "")


def _missing(identifier: str) -> str:
    return f"there is no account {identifier}: `longshore account list` shows those that there are"
