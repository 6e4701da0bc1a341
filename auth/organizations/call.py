"""What the handlers of the Organizations API are given, the rows of its table, names and pages."""

import base64
import binascii
import json
import secrets
import string
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from auth.access import Access, Principal, Value, requested_tags
from auth.epoch import Epoch
from auth.organizations.errors import failure, invalid_input
from auth.rows import organizations as rows
from auth.rows.organizations import Organization
from aws import dispatch
from base.clock import Clock
from store.database import Database, Unit

T = TypeVar("T")

Call: TypeAlias = dispatch.Call[Principal]
Result: TypeAlias = dict[str, Any]
CONTROL: Final = "SERVICE_CONTROL_POLICY"
"""The one policy type that there is."""
FULL_ACCESS: Final = "p-FullAWSAccess"
"""The id of AWS's own policy."""
PAGE: Final = 20
"""Entries of a page, at the most and by default."""
_LETTERS: Final = string.ascii_lowercase + string.digits
_LONGEST_TOKEN: Final = 4096


@dataclass(frozen=True, slots=True)
class Organizations:
    """What the handlers work on. Whatever changes permissions is written by `epoch.change`."""

    database: Database
    epoch: Epoch
    clock: Clock


Handler: TypeAlias = Callable[[Organizations, Call], Awaitable[Result]]
Inside: TypeAlias = Callable[[Organizations, Call, Organization], Awaitable[Result]]
"""A handler for callers whose account is in the organization."""
Accesses: TypeAlias = Callable[[Organizations, Call], Awaitable[list[Access]]]


@dataclass(frozen=True, slots=True)
class Row:
    """One operation. A row without the accesses that it asks for cannot be made. `name` is the model's."""

    name: str
    handler: Handler
    accesses: Accesses


def for_members(handler: Inside) -> Handler:
    """Any account of an organization may call it."""

    async def handle(organizations: Organizations, call: Call) -> Result:
        return await handler(organizations, call, await _own(organizations, call))

    return handle


def for_management(handler: Inside) -> Handler:
    """Only the management account may call it."""

    async def handle(organizations: Organizations, call: Call) -> Result:
        organization = await _own(organizations, call)
        if organization.management != call.account:
            raise failure("AccessDeniedException")
        return await handler(organizations, call, organization)

    return handle


async def _own(organizations: Organizations, call: Call) -> Organization:
    organization = await rows.find_organization_of(organizations.database, call.account)
    if organization is None:
        raise failure("AWSOrganizationsNotInUseException")
    return organization


def take_turn(organization: Organization) -> Unit[Organization]:
    """The first part of every unit that changes something of an organization. Raises AwsError where it is gone."""
    found = yield from rows.take_turn(organization.id)
    if found is None:
        raise failure("AWSOrganizationsNotInUseException")
    return found


async def look(organizations: Organizations, unit: Unit[T]) -> T:
    """The value of a unit that only reads. Its statements run one by one: what they see may change between them."""
    try:
        statement = next(unit)
        while True:
            statement = unit.send(await organizations.database.fetch(*statement))
    except StopIteration as done:
        value: T = done.value
        return value


# -- accesses


def on(*parameters: str) -> Accesses:
    """The operation's own action, on each of the things that these parameters name; on everything for accounts outside
    of an organization, which have none of them. With Tags also organizations:TagResource."""

    async def accesses(organizations: Organizations, call: Call) -> list[Access]:
        organization = await rows.find_organization_of(organizations.database, call.account) if parameters else None
        named = [call.params[parameter] for parameter in parameters if parameter in call.params]
        resources = ["*"] if organization is None else [arn_of(organization, one) for one in named] or ["*"]
        actions = dict.fromkeys([call.operation, *(["TagResource"] if call.params.get("Tags") else [])])
        keys = _keys(call)
        return [Access(f"organizations:{action}", resource, keys) for action in actions for resource in resources]

    return accesses


def _keys(call: Call) -> tuple[tuple[str, Value], ...]:
    """organizations:PolicyType, aws:RequestTag/<key>, aws:TagKeys."""
    keys: list[tuple[str, Value]] = []
    about = "PolicyId" in call.params or str(call.params.get("ResourceId", "")).startswith("p-")
    given = call.params.get("Type") or call.params.get("PolicyType") or call.params.get("Filter")
    if about or isinstance(given, str):
        keys.append(("organizations:PolicyType", given if isinstance(given, str) else CONTROL))
    if "TagKeys" in call.params:
        keys.append(("aws:TagKeys", tuple(call.params["TagKeys"])))
    return (*keys, *requested_tags(call.params.get("Tags", ())))


# -- names


def new_id(prefix: str, letters: int) -> str:
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(letters))


def arn_of(organization: Organization, identifier: str) -> str:
    """Of a root, unit, account or policy (Service Authorization Reference, AWS Organizations), whether it is or not."""
    if identifier == FULL_ACCESS:
        return f"arn:aws:organizations::aws:policy/{CONTROL.lower()}/{identifier}"
    path = f"{organization.id}/{identifier}"
    if identifier.startswith("p-"):
        path = f"policy/{organization.id}/{CONTROL.lower()}/{identifier}"
    elif identifier.startswith("ou-"):
        path = f"ou/{path}"
    elif identifier.startswith("r-"):
        path = f"root/{path}"
    else:
        path = f"account/{path}"
    return f"arn:aws:organizations::{organization.management}:{path}"


def path_of(organization: Organization, parents: Mapping[str, str], *nodes: str) -> str:
    """`o-../r-../ou-../`, down to the last of `nodes`, each the parent of the next; `parents` are those of all units."""
    way = list(reversed(nodes))
    while way[-1] in parents:
        way.append(parents[way[-1]])
    return "/".join((organization.id, *reversed(way))) + "/"


# -- pages


def page_of(call: Call) -> tuple[int, str]:
    """(entries at the most, the key after which to begin) of MaxResults and NextToken. Raises AwsError."""
    limit = call.params.get("MaxResults") or PAGE
    token = call.params.get("NextToken")
    if not token:
        return limit, ""
    if len(token) <= _LONGEST_TOKEN:
        try:
            listing, after = json.loads(base64.urlsafe_b64decode(token))
            if listing == call.operation and after.isascii() and after.isprintable():
                return limit, after
        except (binascii.Error, ValueError, TypeError, AttributeError):
            pass
    raise invalid_input("INVALID_NEXT_TOKEN")


def paged(
    call: Call, name: str, found: Sequence[T], limit: int, *, key: Callable[[T], str], render: Callable[[T], Any]
) -> Result:
    """The answer of a listing: `found` holds up to one more than `limit`, in the order of `key`."""
    shown = found[:limit]
    result: Result = {name: [render(one) for one in shown]}
    if len(found) > limit:
        token = json.dumps([call.operation, key(shown[-1])])
        result["NextToken"] = base64.urlsafe_b64encode(token.encode()).decode()
    return result
