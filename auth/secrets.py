"""Secrets at rest: encrypted under the server key, rotated by writing a new key in front of the old ones."""

import base64
import hashlib
import hmac
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

MIN_LENGTH = 32


class ServerKeyInvalid(ValueError):
    """A server key cannot be used, or is not the one that encrypted a secret."""


class Vault:
    """Encrypts with the first of `keys` and decrypts with any."""

    def __init__(self, keys: list[str]) -> None:
        if not keys or any(len(key) < MIN_LENGTH for key in keys):
            raise ServerKeyInvalid(f"the server key file needs a line of at least {MIN_LENGTH} characters for each key")
        self._keys = list(keys)
        self._fernet = MultiFernet(
            [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
        )

    def for_purpose(self, purpose: str) -> Self:
        """A vault under keys of its own: what one seals no other opens, so nothing is taken for something else."""
        return type(self)([hmac.digest(key.encode(), purpose.encode(), "sha256").hex() for key in self._keys])

    def encrypt(self, secret: bytes) -> bytes:
        return self._fernet.encrypt(secret)

    def decrypt(self, sealed: bytes) -> bytes:
        """Raises ServerKeyInvalid."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise ServerKeyInvalid(
                "a secret in the store was encrypted under another server key: put that key into the key file, too"
            ) from error
