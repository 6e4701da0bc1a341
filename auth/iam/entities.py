"""Users, groups and roles, where an operation is the same on each of them."""

from dataclasses import dataclass
from typing import Final

from auth.iam.call import Call, Iam
from auth.iam.identities import KeysOf, Looked, found, missing, on_identity, refuse_protected
from auth.rows.entities import EntityKind, StoredEntity, find_entity, is_there
from store.database import Unit


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
    return await found(habits.kind, name, find_entity(iam.database, habits.kind, call.account, name))


async def entity_to_change(iam: Iam, call: Call, habits: EntityHabits) -> StoredEntity:
    """As `entity_of`. Raises AwsError also for a role that only its service may change."""
    entity = await entity_of(iam, call, habits)
    if entity.kind is EntityKind.ROLE:
        refuse_protected(entity)
    return entity


def still_there(entity: StoredEntity) -> Unit[None]:
    """Part of a unit. Raises AwsError (NoSuchEntity) where it has gone meanwhile."""
    if not (yield from is_there(entity.kind, entity.id)):
        raise missing(entity.kind, entity.name)


def on_entity(action: str, habits: EntityHabits, keys: KeysOf | None = None) -> Looked:
    """`iam:<action>` on the one that the call names."""
    return on_identity(action, habits.kind, habits.parameter, keys)
