"""Managed policies attached to users, groups and roles (AttachUserPolicy, DetachUserPolicy, ListAttachedUserPolicies,
and the same of groups and roles)."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from auth.iam.call import Call, Iam, Result, Row, limit_exceeded, page_of, paged
from auth.iam.entities import ENTITIES, EntityHabits, entity_of, entity_to_change, on_entity, still_there
from auth.iam.identities import Keys, present_boundary
from auth.iam.managed import CATALOGUE
from auth.iam.policies import Managed, find_managed, no_such_policy, not_attachable, sort_key
from auth.rows import attachments as rows
from auth.rows.entities import StoredEntity
from auth.rows.policies import read_policy
from aws.errors import AwsError
from store.database import Unit


async def attach_policy(habits: EntityHabits, iam: Iam, call: Call) -> Result:
    """A policy that is attached already stays so."""
    entity = await entity_to_change(iam, call, habits)
    arn = call.params["PolicyArn"]
    if await find_managed(iam, call.account, arn) is None:
        raise not_attachable(arn)
    if arn in CATALOGUE and not CATALOGUE[arn].attachable:
        raise AwsError("PolicyNotAttachableException", "Cannot attach a Service Role Policy to a Customer Role.")

    def unit() -> Unit[None]:
        yield from still_there(entity)
        if arn not in CATALOGUE and (yield from read_policy(arn)) is None:
            raise not_attachable(arn)
        if (yield from rows.count_others(entity.id, arn)) >= habits.attachments:
            raise limit_exceeded(f"Cannot exceed quota for PoliciesPer{habits.title}: {habits.attachments}")
        yield from rows.insert_attachment(entity.id, arn, entity.account, iam.clock())

    await iam.epoch.change(unit)
    return {}


async def detach_policy(habits: EntityHabits, iam: Iam, call: Call) -> Result:
    entity = await entity_to_change(iam, call, habits)
    arn = call.params["PolicyArn"]

    def unit() -> Unit[None]:
        if not (yield from rows.delete_attachment(entity.id, arn)):
            raise no_such_policy(arn)

    await iam.epoch.change(unit)
    return {}


async def list_attached_policies(habits: EntityHabits, iam: Iam, call: Call) -> Result:
    limit, after = page_of(call.params)
    entity = await entity_of(iam, call, habits)
    prefix = call.params.get("PathPrefix", "/")
    attached: list[Managed] = []
    for arn in await rows.list_attached(iam.database, entity.id):
        policy = await find_managed(iam, entity.account, arn)
        if policy is not None and policy.path.startswith(prefix) and sort_key(policy) > after:
            attached.append(policy)
    return paged(
        "AttachedPolicies",
        sorted(attached, key=sort_key),
        limit,
        key=sort_key,
        render=lambda one: {"PolicyName": one.name, "PolicyArn": one.arn},
    )


def _attached(call: Call, entity: StoredEntity | None) -> Keys:
    """iam:PolicyARN, and iam:PermissionsBoundary where there is one."""
    return (("iam:PolicyARN", call.params["PolicyArn"]), *present_boundary(call, entity))


def _rows() -> Iterator[Row]:
    for habits in ENTITIES:
        attach, detach = f"Attach{habits.title}Policy", f"Detach{habits.title}Policy"
        attached = f"ListAttached{habits.title}Policies"
        yield Row(attach, partial(attach_policy, habits), on_entity(attach, habits, _attached))
        yield Row(detach, partial(detach_policy, habits), on_entity(detach, habits, _attached))
        yield Row(attached, partial(list_attached_policies, habits), on_entity(attached, habits))


ROWS: Final[tuple[Row, ...]] = tuple(_rows())
