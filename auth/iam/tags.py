"""Tags on whatever IAM lets be tagged (IAM, "Tags for IAM resources"): reading, writing, listing."""

from collections.abc import Iterable, Mapping, Sequence

from auth.iam.call import Call, Iam, Result, invalid_input, limit_exceeded, page_of, paged
from auth.rows import tags as rows
from store.database import Unit

MAX_TAGS = 50


def read_tags(given: Iterable[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """`Tags` of a request. Raises AwsError."""
    tags: dict[str, tuple[str, str]] = {}
    for tag in given:
        key = tag["Key"]
        if key.lower() in tags:
            raise invalid_input("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        if key.lower().startswith("aws:"):
            raise invalid_input("aws: prefixed tag key names are not allowed for external use.")
        tags[key.lower()] = (key, tag.get("Value", ""))
    return tuple(tags.values())


def put_tags(owner_id: str, tags: Sequence[tuple[str, str]]) -> Unit[None]:
    """Part of a unit. Raises AwsError where there are too many."""
    if (yield from rows.put_tags(owner_id, tags)) > MAX_TAGS:
        raise limit_exceeded("The number of tags has reached the maximum limit.")


def render_tags(tags: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """IAM's tagListType."""
    return [{"Key": key, "Value": value} for key, value in tags]


async def list_page(iam: Iam, owner_id: str, call: Call) -> Result:
    """The answer of every List...Tags."""
    limit, after = page_of(call.params)
    found = await rows.list_tags(iam.database, owner_id, after=after, limit=limit + 1)
    return paged("Tags", found, limit, key=lambda one: one[0], render=lambda one: {"Key": one[0], "Value": one[1]})
