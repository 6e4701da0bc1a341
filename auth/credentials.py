"""Access keys and whom they stand for.

The root key of the home account comes from the settings or from a file of AWS's shared-credentials format; this module
holds what was found and answers for it.
"""

import hmac
from dataclasses import dataclass

from auth.access import Principal, PrincipalKind

_PARTITION = "aws"


@dataclass(frozen=True, slots=True, repr=False)
class AccessKey:
    """A long-lived key. Its secret never shows in a representation."""

    id: str
    secret: str
    principal: Principal

    def __repr__(self) -> str:
        return f"AccessKey({self.id})"


def root_of(account: str) -> Principal:
    """The root user of an account."""
    arn = f"arn:{_PARTITION}:iam::{account}:root"
    return Principal(PrincipalKind.ROOT, account, arn, account, identity_arn=arn, identity_id=account)


class Keyring:
    """Knows every access key that may sign."""

    def __init__(self, keys: tuple[AccessKey, ...]) -> None:
        self._keys = {key.id: key for key in keys}
        self._principals = {key.principal.arn: key.principal for key in keys}

    async def find(self, identifier: str) -> AccessKey | None:
        """The key with that id, if it may sign."""
        return self._keys.get(identifier)

    async def check(self, identifier: str, secret: str) -> Principal | None:
        """Whom the key and its secret stand for, or None. Takes as long for an unknown key as for a wrong secret."""
        key = self._keys.get(identifier)
        expected = key.secret if key is not None else "-" * 40
        same = hmac.compare_digest(expected.encode(), secret.encode())
        return key.principal if key is not None and same else None

    async def current(self, arn: str) -> Principal | None:
        """The principal of that ARN as it is now, or None where it is gone."""
        return self._principals.get(arn)
