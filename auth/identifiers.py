"""Ids in AWS's forms (IAM, "IAM identifiers"), and the secrets of access keys."""

import secrets
import string
from base64 import b32encode
from typing import Final

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SECRET: Final = string.ascii_letters + string.digits + "+/"
_TAIL: Final = 39
"""Random bits that close an access key id."""


def new_unique_id(prefix: str) -> str:
    """A unique id: `AIDA` of a user, `AGPA` group, `AROA` role, `ANPA` managed policy, `AIPA` instance profile."""
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(17))


def new_access_key_id(account: str, prefix: str = "AKIA") -> str:
    """`AKIA` is long-lived, `ASIA` temporary. Carries its account where AWS's do, for tools that read it there."""
    number = (1 << 79) | (int(account) << _TAIL) | secrets.randbits(_TAIL)
    return prefix + b32encode(number.to_bytes(10, "big")).decode()


def new_secret_access_key() -> str:
    return "".join(secrets.choice(_SECRET) for _ in range(40))


def new_account_id() -> str:
    """Twelve digits, the first of which is not 0: what strips it in spreadsheets and YAML strips nothing."""
    return str(secrets.choice("123456789")) + "".join(secrets.choice(string.digits) for _ in range(11))
