"""What the handlers of the IAM API are given, the rows of its table, and the errors that they share."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from auth.access import Access, Principal, requested_tags
from auth.authorize import Gate
from auth.directory import Directory
from auth.epoch import Epoch
from auth.secrets import Vault
from aws import dispatch
from aws.errors import AwsError, Common
from base.clock import Clock
from store.database import Database

T = TypeVar("T")

Call: TypeAlias = dispatch.Call[Principal]
Result: TypeAlias = dict[str, Any]
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True)
class Iam:
    """What the handlers work on. Whatever changes permissions is written by `epoch.change`.

    `settled` are the root keys that the server's settings hold rather than its store: id -> account.
    """

    database: Database
    directory: Directory
    epoch: Epoch
    gate: Gate
    vault: Vault
    clock: Clock
    settled: Mapping[str, str] = field(default_factory=dict)
    plain_issuers: Collection[str] = ()
    """Hosts of identity providers that may be spoken to over http."""


Handler: TypeAlias = Callable[[Iam, Call], Awaitable[Result]]
Accesses: TypeAlias = Callable[[Iam, Call], Iterable[Access] | Awaitable[Iterable[Access]]]


@dataclass(frozen=True, slots=True)
class Row:
    """One operation. A row without the accesses that it asks for cannot be made. `name` is the model's."""

    name: str
    handler: Handler
    accesses: Accesses


def on_everything(action: str) -> Accesses:
    """`iam:<action>` on `*`."""
    return lambda _, __: [Access(f"iam:{action}", "*")]


def on_arn(action: str, parameter: str) -> Accesses:
    """`iam:<action>` on the ARN that the call gives, with the tags that it sets or takes away."""

    def accesses(_: Iam, call: Call) -> list[Access]:
        keys = requested_tags(call.params.get("Tags", ()))
        if call.params.get("TagKeys"):
            keys = (("aws:TagKeys", tuple(call.params["TagKeys"])),)
        return [Access(f"iam:{action}", call.params[parameter], keys)]

    return accesses


def no_such(kind: str, name: str) -> AwsError:
    """`kind` as in AWS's sentence: user, group, role."""
    return AwsError("NoSuchEntityException", f"The {kind} with name {name} cannot be found.", status=404)


def exists(kind: str, name: str) -> AwsError:
    """`kind` as in AWS's sentence: User, Group, Role."""
    return AwsError("EntityAlreadyExistsException", f"{kind} with name {name} already exists.", status=409)


def delete_conflict(message: str) -> AwsError:
    return AwsError("DeleteConflictException", message, status=409)


def limit_exceeded(message: str) -> AwsError:
    return AwsError("LimitExceededException", message, status=409)


def invalid_input(message: str) -> AwsError:
    return AwsError("InvalidInputException", message, status=400)


def validation(message: str) -> AwsError:
    return Common.VALIDATION.error(message)


def malformed_policy(message: str) -> AwsError:
    return AwsError("MalformedPolicyDocumentException", message, status=400)


def page_of(params: Mapping[str, Any]) -> tuple[int, str]:
    """(entries at the most, the key after which to begin) of MaxItems and Marker. Raises AwsError."""
    limit = params.get("MaxItems", DEFAULT_PAGE)
    marker = params.get("Marker")
    if marker is None:
        return limit, ""
    try:
        after = base64.urlsafe_b64decode(marker.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise validation("Invalid Marker.") from error
    if "\0" in after:  # which no database would take
        raise validation("Invalid Marker.")
    return limit, after


def paged(name: str, found: Sequence[T], limit: int, *, key: Callable[[T], str], render: Callable[[T], Any]) -> Result:
    """The page's part of an answer: `found` holds up to one more than `limit`, in the order of `key`."""
    shown = found[:limit]
    result: Result = {name: [render(one) for one in shown], "IsTruncated": len(found) > limit}
    if len(found) > limit:
        result["Marker"] = mark(key(shown[-1]))
    return result


def mark(key: str) -> str:
    """The Marker that `page_of` reads."""
    return base64.urlsafe_b64encode(key.encode()).decode()
