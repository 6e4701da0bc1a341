"""What the operations on users, groups, roles and instance profiles share: how one is found by its name, what leave an
operation on it asks for, and how it is shown."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias, TypeVar

from auth.access import Access, Principal, PrincipalKind, Value, requested_tags
from auth.directory import identity_arn
from auth.iam.call import Accesses, Call, Iam, delete_conflict, no_such, validation
from auth.rows.entities import EntityKind, StoredEntity, find_entity
from auth.rows.groups import Group, read_group_named
from auth.rows.profiles import Profile, read_profile_named
from auth.rows.roles import Role, read_role_named
from auth.rows.users import User, find_user, find_user_named, read_user_named
from aws.errors import AwsError
from store.database import Unit

USER: Final = EntityKind.USER
GROUP: Final = EntityKind.GROUP
ROLE: Final = EntityKind.ROLE
PROFILE: Final = EntityKind.PROFILE
SERVICE_ROLES: Final = "/aws-service-role/"
"""The path below which service-linked roles stand."""

Keys: TypeAlias = tuple[tuple[str, Value], ...]
"""Condition keys of one access."""


class Identity(Protocol):
    """A row of any of the four."""

    @property
    def id(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...


Found = TypeVar("Found", bound=Identity)
KeysOf: TypeAlias = Callable[[Call, StoredEntity | None], Keys]
Looked: TypeAlias = Callable[[Iam, Call], Awaitable[list[Access]]]
"""Accesses that take a look into the database."""


def arn_of(kind: EntityKind, identity: Identity) -> str:
    return identity_arn(kind, identity.account, identity.path, identity.name)


# --- finding


def missing(kind: EntityKind, name: str) -> AwsError:
    """NoSuchEntity in the words for its kind."""
    if kind == PROFILE:
        return AwsError("NoSuchEntityException", f"Instance Profile {name} cannot be found.", status=404)
    return no_such(kind, name)


async def found(kind: EntityKind, name: str, looking: Awaitable[Found | None]) -> Found:
    """Raises AwsError (NoSuchEntity)."""
    identity = await looking
    if identity is None:
        raise missing(kind, name)
    return identity


def there(kind: EntityKind, name: str, reading: Unit[Found | None]) -> Unit[Found]:
    """As `found`, within a unit."""
    identity = yield from reading
    if identity is None:
        raise missing(kind, name)
    return identity


def read_user(call: Call) -> Unit[User]:
    name = call.params["UserName"]
    return there(USER, name, read_user_named(call.account, name))


def read_role(call: Call) -> Unit[Role]:
    name = call.params["RoleName"]
    return there(ROLE, name, read_role_named(call.account, name))


def read_free_role(call: Call) -> Unit[Role]:
    """Raises AwsError (UnmodifiableEntity) for a role that only its service may change."""
    role = yield from read_role(call)
    refuse_protected(role)
    return role


def read_group(call: Call) -> Unit[Group]:
    name = call.params["GroupName"]
    return there(GROUP, name, read_group_named(call.account, name))


def read_profile(call: Call) -> Unit[Profile]:
    name = call.params["InstanceProfileName"]
    return there(PROFILE, name, read_profile_named(call.account, name))


def refuse_protected(role: Identity) -> None:
    """Raises AwsError (UnmodifiableEntity) for a service-linked role."""
    if role.path.startswith(SERVICE_ROLES):
        raise AwsError(
            "UnmodifiableEntityException",
            f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable by AWS",
        )


async def caller_or_named(iam: Iam, call: Call) -> User | None:
    """The user of UserName, or without it the caller; None for the account's root user. Raises AwsError."""
    name = call.params.get("UserName")
    if name is not None:
        return await found(USER, name, find_user_named(iam.database, call.account, name))
    principal = call.principal
    if principal.kind is PrincipalKind.ROOT:
        return None
    refuse_without_user(principal)
    return await found(USER, principal.name, find_user(iam.database, principal.identity_id))


def refuse_without_user(principal: Principal) -> None:
    """Roles and federated users are no users: they have to name one. Raises AwsError."""
    if principal.kind not in {PrincipalKind.ROOT, PrincipalKind.USER}:
        raise validation("Must specify userName when calling with non-User credentials")


# --- the leave that an operation asks for


def on_identity(action: str, kind: EntityKind, parameter: str, keys: KeysOf | None = None) -> Looked:
    """`iam:<action>` on the ARN, with its path, of what `parameter` names; of what is not there, on the ARN at `/`."""

    async def accesses(iam: Iam, call: Call) -> list[Access]:
        name = call.params[parameter]
        identity = await find_entity(iam.database, kind, call.account, name)
        arn = identity_arn(kind, call.account, "/", name) if identity is None else arn_of(kind, identity)
        return [Access(f"iam:{action}", arn, () if keys is None else keys(call, identity))]

    return accesses


def on_user(action: str, keys: KeysOf | None = None) -> Looked:
    return on_identity(action, USER, "UserName", keys)


def on_group(action: str) -> Looked:
    return on_identity(action, GROUP, "GroupName")


def on_role(action: str, keys: KeysOf | None = None) -> Looked:
    return on_identity(action, ROLE, "RoleName", keys)


def on_profile(action: str, keys: KeysOf | None = None) -> Looked:
    return on_identity(action, PROFILE, "InstanceProfileName", keys)


def on_user_or_caller(action: str) -> Looked:
    """As `on_user`; without UserName it is the caller."""
    named = on_user(action)

    async def accesses(iam: Iam, call: Call) -> list[Access]:
        if "UserName" in call.params:
            return await named(iam, call)
        refuse_without_user(call.principal)
        return [Access(f"iam:{action}", call.principal.arn)]

    return accesses


def on_renamed(action: str, kind: EntityKind, parameter: str, new: str) -> Looked:
    """`iam:<action>` on what is there and on what it becomes: a new name or path is another ARN."""
    present = on_identity(action, kind, parameter)

    async def accesses(iam: Iam, call: Call) -> list[Access]:
        identity = await find_entity(iam.database, kind, call.account, call.params[parameter])
        wanted = await present(iam, call)
        if identity is not None:
            path, name = call.params.get("NewPath", identity.path), call.params.get(new, identity.name)
            becomes = identity_arn(kind, call.account, path, name)
            if becomes != wanted[0].resource:
                wanted.append(Access(f"iam:{action}", becomes))
        return wanted

    return accesses


def on_all(action: str, kind: EntityKind) -> Accesses:
    """`iam:<action>` on everything of a kind below PathPrefix, as a listing asks for it: `arn:aws:iam::..:user/`."""
    return lambda _, call: [
        Access(f"iam:{action}", identity_arn(kind, call.account, call.params.get("PathPrefix", "/"), ""))
    ]


def on_new(action: str, tagging: str, kind: EntityKind, parameter: str) -> Accesses:
    """`iam:<action>` on what is about to be made; with Tags, iam:<tagging> too, and a boundary as its condition key."""

    def accesses(_: Iam, call: Call) -> list[Access]:
        params = call.params
        arn = identity_arn(kind, call.account, params.get("Path", "/"), params[parameter])
        tags = requested_tags(params.get("Tags", ()))
        wanted = [Access(f"iam:{action}", arn, tags + asked_boundary(call))]
        if tags:
            wanted.append(Access(f"iam:{tagging}", arn, tags))
        return wanted

    return accesses


def asked_tags(call: Call, _: StoredEntity | None) -> Keys:
    """Of Tag...: aws:RequestTag and aws:TagKeys."""
    return requested_tags(call.params["Tags"])


def asked_keys(call: Call, _: StoredEntity | None) -> Keys:
    """Of Untag...: aws:TagKeys."""
    keys = tuple(call.params["TagKeys"])
    return (("aws:TagKeys", keys),) if keys else ()


def asked_boundary(call: Call, _: StoredEntity | None = None) -> Keys:
    """iam:PermissionsBoundary of a request that sets one."""
    arn = call.params.get("PermissionsBoundary")
    return (("iam:PermissionsBoundary", arn),) if arn else ()


def present_boundary(_: Call, identity: StoredEntity | None) -> Keys:
    """iam:PermissionsBoundary of a user or role that has one."""
    return (("iam:PermissionsBoundary", identity.boundary),) if identity is not None and identity.boundary else ()


# --- deleting


def refuse_while(conflicts: Sequence[tuple[Unit[bool], str]]) -> Unit[None]:
    """Raises AwsError (DeleteConflict) with the words of the first that holds."""
    for check, words in conflicts:
        if (yield from check):
            raise delete_conflict(f"Cannot delete entity, must {words} first.")


# --- showing


def shown_time(seconds: float) -> float:
    """IAM's times have whole seconds."""
    return float(int(seconds))


def shown_boundary(arn: str) -> dict[str, str] | None:
    if not arn:
        return None
    return {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": arn}
