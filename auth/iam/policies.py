"""Managed policies, their versions and tags (CreatePolicy, GetPolicy, ListPolicies, DeletePolicy, CreatePolicyVersion,
GetPolicyVersion, ListPolicyVersions, SetDefaultPolicyVersion, DeletePolicyVersion, TagPolicy, UntagPolicy,
ListPolicyTags, ListEntitiesForPolicy)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from auth.access import Access, requested_tags
from auth.directory import identity_arn
from auth.iam import tags
from auth.iam.call import (
    Call,
    Iam,
    Result,
    Row,
    delete_conflict,
    invalid_input,
    limit_exceeded,
    on_arn,
    on_everything,
    page_of,
    paged,
)
from auth.iam.documents import check_document, encode_document, size_of
from auth.iam.identities import shown_time
from auth.iam.managed import CATALOGUE, AwsPolicy
from auth.identifiers import new_unique_id
from auth.rows import attachments
from auth.rows import policies as rows
from auth.rows import tags as tag_rows
from auth.rows.entities import EntityKind
from auth.rows.policies import StoredManagedPolicy, StoredVersion
from aws.arn import Arn
from aws.errors import AwsError, Common
from store.database import Unit

MAX_SIZE: Final = 6_144
MAX_VERSIONS: Final = 5
POLICIES_AT_MOST: Final = 1_500
_AWS: Final = "aws"


@dataclass(frozen=True, slots=True)
class Managed:
    """A managed policy, AWS's or the account's own."""

    arn: str
    id: str
    name: str
    path: str
    description: str
    default_version: int
    created_at: float
    updated_at: float
    own: bool


def of_aws(policy: AwsPolicy) -> Managed:
    return Managed(
        policy.arn,
        policy.id,
        policy.name,
        policy.path,
        policy.description,
        policy.version,
        policy.created_at,
        policy.updated_at,
        own=False,
    )


def of_customer(policy: StoredManagedPolicy) -> Managed:
    return Managed(
        policy.arn,
        policy.id,
        policy.name,
        policy.path,
        policy.description,
        policy.default_version,
        policy.created_at,
        policy.updated_at,
        own=True,
    )


def sort_key(policy: Managed) -> str:
    """By name without regard to case. An account may have a policy with the name of one of AWS's: that comes first."""
    return f"{policy.name.lower()} {int(policy.own)}"


async def find_managed(iam: Iam, account: str, arn: str) -> Managed | None:
    """What that account may attach under that ARN. Raises AwsError for what is no ARN of a policy."""
    try:
        parsed = Arn.parse(arn)
    except ValueError as error:
        raise invalid_input(f"ARN {arn} is not valid.") from error
    if parsed.service != "iam" or not parsed.resource.startswith("policy/"):
        raise invalid_input(f"ARN {arn} is not valid.")
    published = CATALOGUE.get(arn)
    if published is not None:
        return of_aws(published)
    stored = await rows.find_policy(iam.database, arn)
    return of_customer(stored) if stored is not None and stored.account == account else None


async def policy_of(iam: Iam, call: Call) -> Managed:
    """The one that the call names. Raises AwsError (NoSuchEntity, InvalidInput)."""
    arn = call.params["PolicyArn"]
    found = await find_managed(iam, call.account, arn)
    if found is None:
        raise no_such_policy(arn)
    return found


async def own_policy_of(iam: Iam, call: Call) -> Managed:
    """One that the account may change. Raises AwsError, AccessDenied for one of AWS's."""
    found = await policy_of(iam, call)
    if not found.own:
        raise Common.ACCESS_DENIED.error("Policy is outside your own account.")
    return found


def no_such_policy(arn: str) -> AwsError:
    return AwsError("NoSuchEntityException", f"Policy {arn} was not found.", status=404)


def not_attachable(arn: str) -> AwsError:
    return AwsError("NoSuchEntityException", f"Policy {arn} does not exist or is not attachable.", status=404)


def no_such_version(arn: str, version: str) -> AwsError:
    return AwsError(
        "NoSuchEntityException", f"Policy {arn} version {version} does not exist or is not attachable.", status=404
    )


# -- policies


async def create_policy(iam: Iam, call: Call) -> Result:
    params = call.params
    name, path, document = params["PolicyName"], params.get("Path", "/"), params["PolicyDocument"]
    given = tags.read_tags(params.get("Tags", ()))
    _check_managed(document)
    now = iam.clock()
    arn = identity_arn("policy", call.account, path, name)
    policy = StoredManagedPolicy(
        arn, new_unique_id("ANPA"), call.account, name, path, params.get("Description", ""), 1, 1, now, now
    )

    def unit() -> Unit[None]:
        if not (yield from rows.insert_policy(policy)):
            raise AwsError(
                "EntityAlreadyExistsException",
                f"A policy called {name} already exists. Duplicate names are not allowed.",
                status=409,
            )
        if (yield from rows.count_policies(call.account)) > POLICIES_AT_MOST:
            raise limit_exceeded(f"Cannot exceed quota for PoliciesPerAccount: {POLICIES_AT_MOST}")
        yield from rows.insert_version(arn, StoredVersion(1, document, now))
        yield from tags.put_tags(policy.id, given)

    await iam.epoch.change(unit)
    return {"Policy": render_policy(of_customer(policy), 0, 0, shown_tags=given or None)}


async def get_policy(iam: Iam, call: Call) -> Result:
    policy = await policy_of(iam, call)
    attached, limiting = await count_uses(iam, call.account)
    found = await tag_rows.list_tags_of(iam.database, [policy.id])
    return {
        "Policy": render_policy(
            policy,
            attached.get(policy.arn, 0),
            limiting.get(policy.arn, 0),
            describe=True,
            shown_tags=found.get(policy.id, ()),
        )
    }


async def list_policies(iam: Iam, call: Call) -> Result:
    """IAM's Description and Tags are not in the list."""
    params = call.params
    limit, after = page_of(params)
    scope = params.get("Scope", "All")
    prefix = params.get("PathPrefix", "/")
    usage = params.get("PolicyUsageFilter")
    attached, limiting = await count_uses(iam, call.account)
    found: list[Managed] = []
    if scope != "AWS":
        found += map(of_customer, await rows.list_policies(iam.database, call.account))
    if scope != "Local":
        found += map(of_aws, CATALOGUE.values())

    def is_wanted(policy: Managed) -> bool:
        if not policy.path.startswith(prefix) or sort_key(policy) <= after:
            return False
        as_policy, as_boundary = policy.arn in attached, policy.arn in limiting
        if usage is not None:
            return as_policy if usage == "PermissionsPolicy" else as_boundary
        return as_policy or as_boundary or not params.get("OnlyAttached", False)

    wanted = sorted(filter(is_wanted, found), key=sort_key)
    return paged(
        "Policies",
        wanted,
        limit,
        key=sort_key,
        render=lambda one: render_policy(one, attached.get(one.arn, 0), limiting.get(one.arn, 0)),
    )


async def delete_policy(iam: Iam, call: Call) -> Result:
    policy = await own_policy_of(iam, call)

    def unit() -> Unit[None]:
        stored = yield from _read(policy.arn)
        if (yield from attachments.is_used(stored.account, stored.arn)):
            raise delete_conflict("Cannot delete a policy attached to entities.")
        if len((yield from rows.read_version_numbers(stored.arn))) > 1:
            raise delete_conflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's "
                "versions. The default version is deleted with the policy."
            )
        yield from rows.delete_policy(stored.arn)
        yield from tag_rows.delete_all_tags(stored.id)

    await iam.epoch.change(unit)
    return {}


# -- versions


async def create_policy_version(iam: Iam, call: Call) -> Result:
    document = call.params["PolicyDocument"]
    policy = await own_policy_of(iam, call)
    _check_managed(document)
    becomes_default = call.params.get("SetAsDefault", False)
    now = iam.clock()

    def unit() -> Unit[StoredVersion]:
        stored = yield from _read(policy.arn)
        if len((yield from rows.read_version_numbers(stored.arn))) >= MAX_VERSIONS:
            raise limit_exceeded(
                f"A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you must "
                "delete an existing version."
            )
        made = StoredVersion(stored.latest_version + 1, document, now)
        yield from rows.insert_version(stored.arn, made)
        if becomes_default:
            yield from rows.set_default_version(stored.arn, made.number)
        return made

    made = await iam.epoch.change(unit)
    return {
        "PolicyVersion": {
            "VersionId": f"v{made.number}",
            "IsDefaultVersion": becomes_default,
            "CreateDate": shown_time(made.created_at),
        }
    }


async def get_policy_version(iam: Iam, call: Call) -> Result:
    policy = await policy_of(iam, call)
    wanted = call.params["VersionId"]
    for version in await versions_of(iam, policy):
        if f"v{version.number}" == wanted:
            return {"PolicyVersion": render_version(version, policy.default_version)}
    raise no_such_version(policy.arn, wanted)


async def list_policy_versions(iam: Iam, call: Call) -> Result:
    """Newest first, without documents."""
    limit, after = page_of(call.params)
    policy = await policy_of(iam, call)
    found = await versions_of(iam, policy)
    if after:
        found = [version for version in found if f"{version.number:09}" < after]
    return paged(
        "Versions",
        found,
        limit,
        key=lambda version: f"{version.number:09}",
        render=lambda version: render_version(version, policy.default_version, with_document=False),
    )


async def set_default_policy_version(iam: Iam, call: Call) -> Result:
    policy = await own_policy_of(iam, call)
    wanted = call.params["VersionId"]

    def unit() -> Unit[None]:
        stored = yield from _read(policy.arn)
        number = _number_of(wanted, (yield from rows.read_version_numbers(stored.arn)))
        if number is None:
            raise no_such_version(policy.arn, wanted)
        yield from rows.set_default_version(stored.arn, number)

    await iam.epoch.change(unit)
    return {}


async def delete_policy_version(iam: Iam, call: Call) -> Result:
    policy = await own_policy_of(iam, call)
    wanted = call.params["VersionId"]

    def unit() -> Unit[None]:
        stored = yield from _read(policy.arn)
        number = _number_of(wanted, (yield from rows.read_version_numbers(stored.arn)))
        if number is None:
            raise no_such_version(policy.arn, wanted)
        if number == stored.default_version:
            raise delete_conflict("Cannot delete the default version of a policy.")
        yield from rows.delete_version(stored.arn, number)

    await iam.epoch.change(unit)
    return {}


async def versions_of(iam: Iam, policy: Managed) -> Sequence[StoredVersion]:
    """Newest first. Of AWS's policies only the one in force is kept."""
    if policy.own:
        return await rows.list_versions(iam.database, policy.arn)
    published = CATALOGUE[policy.arn]
    return [StoredVersion(published.version, published.document, published.updated_at)]


# -- tags


async def tag_policy(iam: Iam, call: Call) -> Result:
    given = tags.read_tags(call.params["Tags"])
    policy = await own_policy_of(iam, call)

    def unit() -> Unit[None]:
        stored = yield from _read(policy.arn)
        yield from tags.put_tags(stored.id, given)

    await iam.epoch.change(unit)
    return {}


async def untag_policy(iam: Iam, call: Call) -> Result:
    policy = await own_policy_of(iam, call)
    await iam.epoch.change(lambda: tag_rows.delete_tags(policy.id, call.params["TagKeys"]))
    return {}


async def list_policy_tags(iam: Iam, call: Call) -> Result:
    policy = await policy_of(iam, call)
    return await tags.list_page(iam, policy.id, call)


# -- who has it


async def list_entities_for_policy(iam: Iam, call: Call) -> Result:
    params = call.params
    limit, after = page_of(params)
    policy = await policy_of(iam, call)
    usage = params.get("PolicyUsageFilter")
    found: list[attachments.StoredUse] = []
    if usage != "PermissionsBoundary":
        found += await attachments.list_attached_to(iam.database, call.account, policy.arn)
    if usage != "PermissionsPolicy":
        found += await attachments.list_limited_by(iam.database, call.account, policy.arn)
    prefix = params.get("PathPrefix", "/")
    kind = params.get("EntityFilter")

    def key(use: attachments.StoredUse) -> str:
        return f"{use.kind} {use.name.lower()}"

    wanted = {
        key(use): use
        for use in found
        if use.path.startswith(prefix) and key(use) > after and (kind is None or use.kind == kind.lower())
    }
    ordered = [wanted[one] for one in sorted(wanted)]
    page = paged("PolicyUsers", ordered, limit, key=key, render=lambda use: use)
    shown: list[attachments.StoredUse] = page.pop("PolicyUsers")
    for title in ("Group", "User", "Role"):
        page[f"Policy{title}s"] = [
            {f"{title}Name": use.name, f"{title}Id": use.id} for use in shown if use.kind == EntityKind(title.lower())
        ]
    return page


# -- shapes


def render_version(version: StoredVersion, default: int, *, with_document: bool = True) -> Result:
    """IAM's PolicyVersion."""
    rendered: Result = {
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.number == default,
        "CreateDate": shown_time(version.created_at),
    }
    if with_document:
        rendered["Document"] = encode_document(version.document)
    return rendered


def render_policy(
    policy: Managed,
    attached: int,
    limiting: int,
    *,
    describe: bool = False,
    shown_tags: Sequence[tuple[str, str]] | None = None,
) -> Result:
    """IAM's Policy."""
    rendered: Result = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default_version}",
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": limiting,
        "IsAttachable": True,
        "CreateDate": shown_time(policy.created_at),
        "UpdateDate": shown_time(policy.updated_at),
    }
    if describe and policy.description:
        rendered["Description"] = policy.description
    if shown_tags is not None:
        rendered["Tags"] = tags.render_tags(shown_tags)
    return rendered


async def count_uses(iam: Iam, account: str) -> tuple[dict[str, int], dict[str, int]]:
    """How often each policy is attached, and how often it is a boundary, in an account."""
    return (
        await attachments.count_attachments(iam.database, account),
        await attachments.count_boundaries(iam.database, account),
    )


def _check_managed(document: str) -> None:
    check_document(document, managed=True)
    if size_of(document) > MAX_SIZE:
        raise limit_exceeded(f"Cannot exceed quota for PolicySize: {MAX_SIZE}")


def _read(arn: str) -> Unit[StoredManagedPolicy]:
    """Part of a unit. Raises AwsError where it has gone meanwhile."""
    stored = yield from rows.read_policy(arn)
    if stored is None:
        raise no_such_policy(arn)
    return stored


def _number_of(version: str, numbers: Sequence[int]) -> int | None:
    return next((number for number in numbers if f"v{number}" == version), None)


# -- leave


def _create_accesses(_: Iam, call: Call) -> list[Access]:
    params = call.params
    arn = identity_arn("policy", call.account, params.get("Path", "/"), params["PolicyName"])
    keys = requested_tags(params.get("Tags", ()))
    create = Access("iam:CreatePolicy", arn, keys)
    return [create, Access("iam:TagPolicy", arn, keys)] if keys else [create]


ROWS: Final[tuple[Row, ...]] = (
    Row("CreatePolicy", create_policy, _create_accesses),
    Row("GetPolicy", get_policy, on_arn("GetPolicy", "PolicyArn")),
    Row("ListPolicies", list_policies, on_everything("ListPolicies")),
    Row("DeletePolicy", delete_policy, on_arn("DeletePolicy", "PolicyArn")),
    Row("CreatePolicyVersion", create_policy_version, on_arn("CreatePolicyVersion", "PolicyArn")),
    Row("GetPolicyVersion", get_policy_version, on_arn("GetPolicyVersion", "PolicyArn")),
    Row("ListPolicyVersions", list_policy_versions, on_arn("ListPolicyVersions", "PolicyArn")),
    Row("SetDefaultPolicyVersion", set_default_policy_version, on_arn("SetDefaultPolicyVersion", "PolicyArn")),
    Row("DeletePolicyVersion", delete_policy_version, on_arn("DeletePolicyVersion", "PolicyArn")),
    Row("TagPolicy", tag_policy, on_arn("TagPolicy", "PolicyArn")),
    Row("UntagPolicy", untag_policy, on_arn("UntagPolicy", "PolicyArn")),
    Row("ListPolicyTags", list_policy_tags, on_arn("ListPolicyTags", "PolicyArn")),
    Row("ListEntitiesForPolicy", list_entities_for_policy, on_arn("ListEntitiesForPolicy", "PolicyArn")),
)
