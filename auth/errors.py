"""Why a caller is not let in."""


class AuthError(Exception):
    """Base: the message is for the caller."""


class CredentialsMissing(AuthError):
    """Nothing that says who is calling."""


class CredentialsInvalid(AuthError):
    """Something that says who is calling, and it is wrong: unknown key, wrong secret, forged token."""


class TokenMalformed(AuthError):
    """The password is no token at all."""


class TokenExpired(AuthError):
    """The token was good once."""


class ScopeInsufficient(AuthError):
    """A Bearer token that was not issued for this; `scope` is what to ask for."""

    def __init__(self, scope: str) -> None:
        super().__init__("the token was not issued for this access")
        self.scope = scope


class AccessDenied(AuthError):
    """The gate refuses; the message is AWS's sentence."""
