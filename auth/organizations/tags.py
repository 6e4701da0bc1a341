"""Tags on accounts, roots, units and policies."""

from collections.abc import Iterable, Mapping
from typing import Final

from auth.organizations.call import FULL_ACCESS, Call, Organizations, Result, look, take_turn
from auth.organizations.errors import constraint, failure, invalid_input
from auth.rows import organizations as rows
from auth.rows.organizations import Organization
from store.database import Unit

MAX_TAGS: Final = 50


def read_tags(given: Iterable[Mapping[str, str]]) -> list[tuple[str, str]]:
    """`Tags` of a request. Raises AwsError."""
    tags: dict[str, str] = {}
    for tag in given:
        key = tag["Key"]
        if key.lower().startswith("aws:"):
            raise invalid_input("INVALID_SYSTEM_TAGS_PARAMETER")
        if key in tags:
            raise invalid_input("DUPLICATE_TAG_KEY")
        tags[key] = tag["Value"]
    return list(tags.items())


def put_tags(organization: str, resource_id: str, tags: list[tuple[str, str]]) -> Unit[None]:
    """Part of a unit. Raises AwsError where there are too many."""
    if tags and (yield from rows.put_tags(organization, resource_id, tags)) > MAX_TAGS:
        raise constraint("MAX_TAG_LIMIT_EXCEEDED")


def _taggable(organization: Organization, identifier: str) -> Unit[None]:
    """Raises AwsError."""
    if identifier == FULL_ACCESS:
        raise invalid_input("TARGET_NOT_SUPPORTED")
    if identifier.startswith("p-"):
        found = (yield from rows.read_policy(organization.id, identifier)) is not None
    else:
        found = yield from is_target(organization, identifier)
    if not found:
        raise failure("TargetNotFoundException")


def is_target(organization: Organization, identifier: str) -> Unit[bool]:
    """Whether it is the root, a unit or an account of the organization."""
    if identifier.startswith("r-"):
        return identifier == organization.root_id
    if identifier.startswith("ou-"):
        return (yield from rows.read_unit(organization.id, identifier)) is not None
    return (yield from rows.read_member(organization.id, identifier)) is not None


async def tag_resource(organizations: Organizations, call: Call, own: Organization) -> Result:
    identifier, tags = call.params["ResourceId"], read_tags(call.params["Tags"])

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        yield from _taggable(organization, identifier)
        yield from put_tags(organization.id, identifier, tags)

    await organizations.database.write(unit)
    return {}


async def untag_resource(organizations: Organizations, call: Call, own: Organization) -> Result:
    identifier, keys = call.params["ResourceId"], call.params["TagKeys"]

    def unit() -> Unit[None]:
        organization = yield from take_turn(own)
        yield from _taggable(organization, identifier)
        yield from rows.delete_tags(organization.id, identifier, keys)

    await organizations.database.write(unit)
    return {}


async def list_tags_for_resource(organizations: Organizations, call: Call, own: Organization) -> Result:
    """All that a resource can have are on the one page."""
    identifier = call.params["ResourceId"]
    await look(organizations, _taggable(own, identifier))
    tags = await rows.list_tags(organizations.database, own.id, identifier)
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags]}
