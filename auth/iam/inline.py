"""Inline policies (PutUserPolicy, GetUserPolicy, ListUserPolicies, DeleteUserPolicy, and the same of groups and roles)."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from auth.iam.call import Call, Iam, Result, Row, limit_exceeded, no_such, page_of, paged
from auth.iam.documents import check_document, encode_document, size_of
from auth.iam.entities import ENTITIES, EntityHabits, entity_of, entity_to_change, on_entity, still_there
from auth.iam.identities import present_boundary
from auth.rows import inline as rows
from aws.errors import AwsError
from store.database import Unit


async def put_policy(habits: EntityHabits, iam: Iam, call: Call) -> Result:
    name, document = call.params["PolicyName"], call.params["PolicyDocument"]
    check_document(document)
    entity = await entity_to_change(iam, call, habits)

    def unit() -> Unit[None]:
        yield from still_there(entity)
        kept = yield from rows.read_inline(entity.id)
        if sum(map(size_of, (kept | {name: document}).values())) > habits.inline:
            raise limit_exceeded(
                f"Maximum policy size of {habits.inline} bytes exceeded for {habits.kind} {entity.name}"
            )
        yield from rows.put_inline(entity.id, name, document)

    await iam.epoch.change(unit)
    return {}


async def get_policy(habits: EntityHabits, iam: Iam, call: Call) -> Result:
    entity = await entity_of(iam, call, habits)
    name = call.params["PolicyName"]
    document = await rows.find_inline(iam.database, entity.id, name)
    if document is None:
        raise _no_such_policy(habits, name)
    return {habits.parameter: entity.name, "PolicyName": name, "PolicyDocument": encode_document(document)}


async def list_policies(habits: EntityHabits, iam: Iam, call: Call) -> Result:
    limit, after = page_of(call.params)
    entity = await entity_of(iam, call, habits)
    found = await rows.list_inline_names(iam.database, entity.id, after=after, limit=limit + 1)
    return paged("PolicyNames", found, limit, key=str, render=str)


async def delete_policy(habits: EntityHabits, iam: Iam, call: Call) -> Result:
    entity = await entity_to_change(iam, call, habits)
    name = call.params["PolicyName"]

    def unit() -> Unit[None]:
        if not (yield from rows.delete_inline(entity.id, name)):
            raise _no_such_policy(habits, name)

    await iam.epoch.change(unit)
    return {}


def _no_such_policy(habits: EntityHabits, name: str) -> AwsError:
    return no_such(f"{habits.kind} policy", name)


def _rows() -> Iterator[Row]:
    for habits in ENTITIES:
        title = habits.title
        plural = f"List{title}Policies"
        yield Row(
            f"Put{title}Policy", partial(put_policy, habits), on_entity(f"Put{title}Policy", habits, present_boundary)
        )
        yield Row(f"Get{title}Policy", partial(get_policy, habits), on_entity(f"Get{title}Policy", habits))
        yield Row(plural, partial(list_policies, habits), on_entity(plural, habits))
        yield Row(
            f"Delete{title}Policy",
            partial(delete_policy, habits),
            on_entity(f"Delete{title}Policy", habits, present_boundary),
        )


ROWS: Final[tuple[Row, ...]] = tuple(_rows())
