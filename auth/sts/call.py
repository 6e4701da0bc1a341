"""What the handlers of the STS API are given, the rows of its table, and the errors that they share."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from auth.access import Access, Principal
from auth.authorize import Gate
from auth.credentials import Keyring
from auth.directory import Directory
from auth.issuers import Issuers
from auth.sessions import Sessions, TemporaryKey
from auth.sts.messages import Messages
from aws import dispatch
from aws.errors import AwsError, Common
from base.clock import Clock, moment
from store.database import Database

Call: TypeAlias = dispatch.Call[Principal]
Result: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sts:
    """What the handlers work on."""

    database: Database
    directory: Directory
    gate: Gate
    keyring: Keyring
    sessions: Sessions
    messages: Messages
    issuers: Issuers
    clock: Clock


Handler: TypeAlias = Callable[[Sts, Call], Awaitable[Result]]
Accesses: TypeAlias = Callable[[Sts, Call], Iterable[Access] | Awaitable[Iterable[Access]]]


@dataclass(frozen=True, slots=True)
class Row:
    """One operation. A row without the accesses that it asks for cannot be made. `name` is the model's."""

    name: str
    handler: Handler
    accesses: Accesses
    signed: bool = True


def nothing(sts: Sts, call: Call) -> tuple[Access, ...]:  # noqa: ARG001 - as every row is asked
    """Needs no leave, and no policy takes it away."""
    return ()


def on_everything(action: str) -> Accesses:
    """`sts:<action>` on `*`."""
    return lambda _, __: [Access(f"sts:{action}", "*")]


def denied(message: str) -> AwsError:
    return Common.ACCESS_DENIED.error(message)


def validation(message: str) -> AwsError:
    return Common.VALIDATION.error(message)


def invalid_value(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message, status=400)


def check_mfa(call: Call) -> None:
    """There are no MFA devices, so no code is the right one. Raises AwsError."""
    given = {"SerialNumber", "TokenCode"} & call.params.keys()
    if len(given) == 1:
        raise denied("MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code. ")
    if given:
        raise denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")


def render_credentials(key: TemporaryKey) -> Result:
    """STS's Credentials."""
    return {
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret,
        "SessionToken": key.token,
        "Expiration": moment(key.expires_at),
    }
