"""Users, groups and roles, where an operation is the same on each of them, and the policies that each has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from auth.iam.call import Call, Iam, invalid_input
from auth.iam.identities import KeysOf, Looked, arn_of, found, missing, on_identity, refuse_protected
from auth.iam.managed import CATALOGUE
from auth.policy.document import Kind, Policy, Source
from auth.rows import directory as rows
from auth.rows.entities import EntityKind, StoredEntity, find_entity, is_there, list_groups_of
from aws.arn import Arn
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


def read_entity_arn(arn: str, parameter: str) -> tuple[EntityKind, str, str]:
    """Kind, account and name of the user, group or role that an ARN names. Raises AwsError (InvalidInput)."""
    try:
        parsed = Arn.parse(arn)
        kind = EntityKind(parsed.resource.partition("/")[0])
    except ValueError:
        parsed, kind = None, EntityKind.PROFILE
    name = arn.rpartition("/")[2]
    if parsed is None or kind is EntityKind.PROFILE or parsed.service != "iam" or not name:
        raise invalid_input(f'Invalid Input {parameter}: "{arn}" is not the ARN of an IAM user, group or role.')
    return kind, parsed.account, name


async def entity_of_arn(iam: Iam, call: Call, parameter: str, arn: str = "") -> StoredEntity:
    """The user, group or role whose ARN the call gives, or `arn`. Raises AwsError (NoSuchEntity, InvalidInput)."""
    arn = arn or call.params[parameter]
    kind, account, name = read_entity_arn(arn, parameter)
    entity = await find_entity(iam.database, kind, account, name) if account == call.account else None
    if entity is None or arn_of(kind, entity) != arn:
        raise missing(kind, name)
    return entity


@dataclass(frozen=True, slots=True)
class HeldPolicy:
    """An identity-based policy that someone has. `arn` is a managed policy's and empty for an inline one; `kind` and
    `owner` are whose it is: a group's, too, where a user has it from there."""

    policy: Policy
    arn: str
    name: str
    kind: EntityKind
    owner: str


async def policies_of(iam: Iam, entity: StoredEntity) -> list[HeldPolicy]:
    """Its own and those of its groups, each managed one once. They are compiled under the names that the policy simulator
    calls them by: a managed one's own, an inline one's with whom it is embedded in (`role_builder_push`)."""
    owners = {entity.id: (entity.kind, entity.name)}
    if entity.kind is EntityKind.USER:
        owners |= {group.id: (group.kind, group.name) for group in await list_groups_of(iam.database, entity.id)}
    held = []
    for one in await rows.list_inline_documents(iam.database, list(owners)):
        kind, owner = owners[one.owner_id]
        identifier = f"{kind}_{owner}_{one.name}"
        policy = iam.directory.compile(one.document, Kind.IDENTITY, identifier, "", Source(kind.value))
        held.append(HeldPolicy(policy, "", one.name, kind, owner))
    attached = {arn: owner for owner, arn in reversed(await rows.list_attached_arns(iam.database, list(owners)))}
    for arn, (name, text) in (await documents_of(iam, sorted(attached))).items():
        source = Source.AWS_MANAGED if arn in CATALOGUE else Source.USER_MANAGED
        policy = iam.directory.compile(text, Kind.IDENTITY, name, "", source)
        held.append(HeldPolicy(policy, arn, name, *owners[attached[arn]]))
    return held


async def documents_of(iam: Iam, arns: Sequence[str]) -> dict[str, tuple[str, str]]:
    """ARN of a managed policy -> its name, the text of its default version; in the order of `arns`."""
    own = await rows.find_managed_documents(iam.database, [arn for arn in arns if arn not in CATALOGUE])
    found = {}
    for arn in arns:
        if arn in CATALOGUE:
            found[arn] = (CATALOGUE[arn].name, CATALOGUE[arn].document)
        elif arn in own:
            found[arn] = own[arn]
    return found
