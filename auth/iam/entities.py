"""Users, groups and roles, where an operation is the same on each of them."""

from dataclasses import dataclass
from typing import Final

from auth.access import Access, Value
from auth.directory import identity_arn
from auth.iam.call import Accesses, Call, Iam, no_such
from auth.rows.entities import EntityKind, StoredEntity, find_entity


@dataclass(frozen=True, slots=True)
class EntityHabits:
    """`title` as in the names of operations and members; the quotas are IAM's ("IAM and AWS STS quotas"): managed
    policies attached, and characters of all inline policies together."""

    kind: EntityKind
    title: str
    attachments: int
    inline: int

    @property
    def parameter(self) -> str:
        return f"{self.title}Name"


USER: Final = EntityHabits(EntityKind.USER, "User", attachments=10, inline=2_048)
GROUP: Final = EntityHabits(EntityKind.GROUP, "Group", attachments=10, inline=5_120)
ROLE: Final = EntityHabits(EntityKind.ROLE, "Role", attachments=20, inline=10_240)
ENTITIES: Final = (USER, GROUP, ROLE)


async def entity_of(iam: Iam, call: Call, habits: EntityHabits) -> StoredEntity:
    """The one that the call names. Raises AwsError (NoSuchEntity)."""
    name = call.params[habits.parameter]
    found = await find_entity(iam.database, habits.kind, call.account, name)
    if found is None:
        raise no_such(habits.kind, name)
    return found


def arn_of(entity: StoredEntity) -> str:
    return identity_arn(entity.kind, entity.account, entity.path, entity.name)


def on_entity(action: str, habits: EntityHabits, *, boundary: bool = False, policy: bool = False) -> Accesses:
    """`iam:<action>` on the ARN of the one that the call names, with its path. Of one that is not there the ARN is made
    from the name alone, so that only who may act on it learns that it is not there.

    `policy` adds iam:PolicyARN, `boundary` iam:PermissionsBoundary, which only users and roles have.
    """

    async def accesses(iam: Iam, call: Call) -> list[Access]:
        name = call.params[habits.parameter]
        found = await find_entity(iam.database, habits.kind, call.account, name)
        arn = identity_arn(habits.kind, call.account, "/", name) if found is None else arn_of(found)
        keys: list[tuple[str, Value]] = []
        if policy:
            keys.append(("iam:PolicyARN", call.params["PolicyArn"]))
        if boundary and found is not None and found.boundary:
            keys.append(("iam:PermissionsBoundary", found.boundary))
        return [Access(f"iam:{action}", arn, tuple(keys))]

    return accesses
