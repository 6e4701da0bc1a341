"""Ids in AWS's forms (IAM, "IAM identifiers"), and the secrets of access keys."""

import secrets
import string
from base64 import b32decode, b32encode
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


def account_in(access_key_id: str) -> str | None:
    """The account that an access key id carries; None where it has not the form of one."""
    if len(access_key_id) != 20 or not access_key_id.startswith(("AKIA", "ASIA")):
        return None
    try:
        number = int.from_bytes(b32decode(access_key_id[4:]), "big")
    except ValueError:
        return None
    account = number >> _TAIL & (1 << 40) - 1
    return f"{account:012}" if account < 10**12 else None


def new_secret_access_key() -> str:
    return "".join(secrets.choice(_SECRET) for _ in range(40))


def new_account_id() -> str:
    """Twelve digits, the first of which is not 0: what strips it in spreadsheets and YAML strips nothing."""
    return str(secrets.choice("123456789")) + "".join(secrets.choice(string.digits) for _ in range(11))
