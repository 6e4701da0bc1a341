"""Whose signature a request to the AWS APIs bears.

The order of the checks is STS's: the token and its key belong together, the session is not over, whom it stands for
still exists; and only then, by the dispatcher, the signature.
"""

from auth.access import Principal
from auth.credentials import Keyring
from auth.errors import CredentialsInvalid, TokenExpired, TokenMalformed
from auth.sessions import Sessions
from aws.dispatch import Credential
from aws.errors import Common
from aws.sigv4 import Claim

_MALFORMED = "The security token included in the request is invalid"
"""AWS leaves the full stop out where the token itself cannot be read."""


class Signers:
    """Finds the credential of a claim."""

    def __init__(self, keyring: Keyring, sessions: Sessions) -> None:
        self._keyring = keyring
        self._sessions = sessions

    async def find(self, claim: Claim) -> Credential[Principal] | None:
        """None for a key that may not sign. Raises AwsError, DatabaseUnavailable."""
        token = claim.session_token
        if token is None:
            key = await self._keyring.find(claim.access_key_id)
            return None if key is None else _credential(key.principal, key.secret)
        if not token:
            return None
        try:
            subject, secret = self._sessions.open(claim.access_key_id, token)
        except TokenMalformed as error:
            raise Common.UNRECOGNIZED_CLIENT.error(_MALFORMED) from error
        except TokenExpired as error:
            raise Common.EXPIRED_TOKEN.error() from error
        except CredentialsInvalid:
            return None
        principal = await self._keyring.current(subject)
        return None if principal is None else _credential(principal, secret)


def _credential(principal: Principal, secret: str) -> Credential[Principal]:
    return Credential(secret_access_key=secret, account=principal.account, principal=principal)
