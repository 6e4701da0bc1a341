"""The keys that sign registry tokens: random, in the store, encrypted, rotated.

Every process sees a new key when it meets a token that names it, at most once a second, so a flood of unknown key ids
does not become a flood of queries.
"""

import asyncio
import contextlib
import secrets

from auth import rows
from auth.secrets import Vault
from base.clock import Clock
from store.database import Database, Sealed

ROTATE_AFTER = 30 * 86400.0
"""Seconds after which the signing key is replaced."""
KEEP_RETIRED = 86400.0
"""Seconds for which a retired key still verifies: longer than any token lives."""
_LOOK_AGAIN = 1.0


class SigningKeys:
    """Holds the keys of one process; `load` before use."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._keys: dict[str, bytes] = {}
        self._current = ""
        self._loaded_at = 0.0
        self._looking = asyncio.Lock()

    async def load(self) -> None:
        """Read the keys, and make the first one or replace an old one."""
        now = self._clock()
        with contextlib.suppress(Sealed):  # an old key signs until something may be changed again
            await self.rotate(older_than=ROTATE_AFTER)
        stored = await rows.list_signing_keys(self._database)
        self._keys = {key.id: self._vault.decrypt(key.secret) for key in stored if _verifies(key, now)}
        self._current = next(key.id for key in stored if key.retired_at is None)
        self._loaded_at = now

    async def rotate(self, *, older_than: float = 0.0) -> bool:
        """Begin to sign with a new key if the present one is older than so many seconds; tokens of the old one stay good."""
        now = self._clock()
        newest = await rows.list_signing_keys(self._database)
        if older_than and any(key.retired_at is None and key.created_at > now - older_than for key in newest):
            return False
        identifier, secret = secrets.token_hex(8), secrets.token_bytes(32)
        sealed = self._vault.encrypt(secret)
        return await self._database.write(
            lambda: rows.rotate_signing_key(
                identifier,
                sealed,
                now,
                unless_after=now - older_than if older_than else now,
                forget_before=now - KEEP_RETIRED,
            )
        )

    def current(self) -> tuple[str, bytes]:
        """(key id, secret) to sign with."""
        return self._current, self._keys[self._current]

    async def find(self, identifier: str) -> bytes | None:
        """The secret of a key that verifies, or None."""
        secret = self._keys.get(identifier)
        if secret is None:
            async with self._looking:  # of many that ask at once one looks
                if identifier not in self._keys and self._clock() - self._loaded_at >= _LOOK_AGAIN:
                    await self.load()
            secret = self._keys.get(identifier)
        return secret


def _verifies(key: rows.StoredKey, now: float) -> bool:
    return key.retired_at is None or key.retired_at > now - KEEP_RETIRED
