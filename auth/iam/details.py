"""GetAccountAuthorizationDetails: everything of an account that decides what is allowed in it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from auth.iam.call import Call, Iam, Result, Row, mark, on_everything, page_of, validation
from auth.iam.documents import encode_document
from auth.iam.groups import render_group
from auth.iam.identities import ROLE, arn_of, shown_boundary, shown_time
from auth.iam.managed import CATALOGUE
from auth.iam.policies import (
    Managed,
    count_uses,
    of_aws,
    of_customer,
    render_policy,
    render_version,
    sort_key,
    versions_of,
)
from auth.iam.profiles import render_profile
from auth.iam.roles import render_last_use, render_roles
from auth.iam.tags import render_tags
from auth.iam.users import render_user
from auth.rows import details, directory, policies
from auth.rows.groups import list_groups
from auth.rows.roles import list_roles
from auth.rows.tags import list_tags_of
from auth.rows.users import list_users

Detail: TypeAlias = dict[str, Any]
Slice: TypeAlias = tuple[list[Detail], str, bool]
"""What is shown, the position of the last of it, and whether there is more."""


@dataclass(frozen=True, slots=True)
class _Section:
    """A kind of EntityType, the member of the answer that it goes into, and how it is read: after a position, so many."""

    kind: str
    member: str
    read: Callable[[Iam, str, str, int], Awaitable[Slice]]


async def get_account_authorization_details(iam: Iam, call: Call) -> Result:
    """A page goes through the sections in their order; its marker is a section's number and a position in it."""
    limit, marker = page_of(call.params)
    number, _, after = marker.partition(" ")
    if marker and not (number.isdecimal() and int(number) < len(_SECTIONS)):
        raise validation("Invalid Marker.")
    first = int(number or 0)
    wanted = call.params.get("Filter") or [section.kind for section in _SECTIONS]
    answer: Result = {section.member: [] for section in _SECTIONS}
    answer["IsTruncated"] = False
    for place, section in enumerate(_SECTIONS[first:], first):
        if section.kind not in wanted:
            continue
        shown, last, more = await section.read(iam, call.account, after if place == first else "", limit)
        answer[section.member] += shown
        limit -= len(shown)
        if more:
            return answer | {"IsTruncated": True, "Marker": mark(f"{place} {last}")}
    return answer


# -- the sections


async def _users(iam: Iam, account: str, after: str, limit: int) -> Slice:
    found = await list_users(iam.database, account, prefix="/", after=after, limit=limit + 1)
    shown = found[:limit]
    owners = [user.id for user in shown]
    holdings = await _holdings_of(iam, owners)
    groups = await details.list_group_names_of(iam.database, owners)
    return _slice(
        [
            {
                **render_user(user),
                "UserPolicyList": holdings.inline(user.id),
                "GroupList": groups.get(user.id, []),
                "AttachedManagedPolicies": holdings.attached(user.id),
                "PermissionsBoundary": shown_boundary(user.boundary),
                "Tags": holdings.tags(user.id),
            }
            for user in shown
        ],
        [user.name.lower() for user in found],
        after,
    )


async def _groups(iam: Iam, account: str, after: str, limit: int) -> Slice:
    found = await list_groups(iam.database, account, prefix="/", after=after, limit=limit + 1)
    shown = found[:limit]
    holdings = await _holdings_of(iam, [group.id for group in shown])
    return _slice(
        [
            {
                **render_group(group),
                "GroupPolicyList": holdings.inline(group.id),
                "AttachedManagedPolicies": holdings.attached(group.id),
            }
            for group in shown
        ],
        [group.name.lower() for group in found],
        after,
    )


async def _roles(iam: Iam, account: str, after: str, limit: int) -> Slice:
    found = await list_roles(iam.database, account, prefix="/", after=after, limit=limit + 1)
    shown = found[:limit]
    owners = [role.id for role in shown]
    holdings = await _holdings_of(iam, owners)
    profiles = await details.list_profiles_of_roles(iam.database, owners)
    rendered = await render_roles(iam, shown)
    return _slice(
        [
            {
                "Path": role.path,
                "RoleName": role.name,
                "RoleId": role.id,
                "Arn": arn_of(ROLE, role),
                "CreateDate": shown_time(role.created_at),
                "AssumeRolePolicyDocument": rendered[role.id]["AssumeRolePolicyDocument"],
                "InstanceProfileList": [render_profile(one, rendered) for one in profiles.get(role.id, ())],
                "RolePolicyList": holdings.inline(role.id),
                "AttachedManagedPolicies": holdings.attached(role.id),
                "PermissionsBoundary": shown_boundary(role.boundary),
                "Tags": holdings.tags(role.id),
                "RoleLastUsed": render_last_use(role),
            }
            for role in shown
        ],
        [role.name.lower() for role in found],
        after,
    )


async def _own_policies(iam: Iam, account: str, after: str, limit: int) -> Slice:
    found = map(of_customer, await policies.list_policies(iam.database, account))
    return await _policies(iam, found, await count_uses(iam, account), after, limit)


async def _aws_policies(iam: Iam, account: str, after: str, limit: int) -> Slice:
    """Those that the account uses."""
    uses = await count_uses(iam, account)
    found = (of_aws(policy) for arn, policy in CATALOGUE.items() if any(arn in use for use in uses))
    return await _policies(iam, found, uses, after, limit)


async def _policies(
    iam: Iam, found: Iterable[Managed], uses: tuple[dict[str, int], dict[str, int]], after: str, limit: int
) -> Slice:
    ordered = sorted((policy for policy in found if sort_key(policy) > after), key=sort_key)
    attached, limiting = uses
    shown = []
    for policy in ordered[:limit]:
        rendered = render_policy(policy, attached.get(policy.arn, 0), limiting.get(policy.arn, 0), describe=True)
        versions = await versions_of(iam, policy)
        rendered["PolicyVersionList"] = [render_version(version, policy.default_version) for version in versions]
        shown.append(rendered)
    return _slice(shown, [sort_key(policy) for policy in ordered], after)


def _slice(shown: list[Detail], keys: Sequence[str], after: str) -> Slice:
    """`keys` are the positions of all that was found."""
    return shown, keys[len(shown) - 1] if shown else after, len(keys) > len(shown)


_SECTIONS: Final = (
    _Section("User", "UserDetailList", _users),
    _Section("Group", "GroupDetailList", _groups),
    _Section("Role", "RoleDetailList", _roles),
    _Section("LocalManagedPolicy", "Policies", _own_policies),
    _Section("AWSManagedPolicy", "Policies", _aws_policies),
)


# -- what identities have


@dataclass(frozen=True, slots=True)
class _Holdings:
    """The policies and tags of some identities, by their ids, as they are shown."""

    inlines: Mapping[str, list[dict[str, str]]]
    attachments: Mapping[str, list[dict[str, str]]]
    tagged: Mapping[str, list[tuple[str, str]]]

    def inline(self, owner_id: str) -> list[dict[str, str]]:
        return self.inlines.get(owner_id, [])

    def attached(self, owner_id: str) -> list[dict[str, str]]:
        return self.attachments.get(owner_id, [])

    def tags(self, owner_id: str) -> list[dict[str, str]]:
        return render_tags(self.tagged.get(owner_id, ()))


async def _holdings_of(iam: Iam, owners: list[str]) -> _Holdings:
    if not owners:
        return _Holdings({}, {}, {})
    inlines: dict[str, list[dict[str, str]]] = {}
    for policy in await directory.list_inline_documents(iam.database, owners):
        shown = {"PolicyName": policy.name, "PolicyDocument": encode_document(policy.document)}
        inlines.setdefault(policy.owner_id, []).append(shown)
    pairs = await directory.list_attached_arns(iam.database, owners)
    own = await policies.find_policies(iam.database, list({arn for _, arn in pairs if arn not in CATALOGUE}))
    attachments: dict[str, list[dict[str, str]]] = {}
    for owner, arn in pairs:
        managed = CATALOGUE.get(arn) or own.get(arn)
        if managed is not None:  # one that was deleted while this was read is nobody's
            attachments.setdefault(owner, []).append({"PolicyName": managed.name, "PolicyArn": arn})
    for listed in attachments.values():
        listed.sort(key=lambda one: one["PolicyName"].lower())
    return _Holdings(inlines, attachments, await list_tags_of(iam.database, owners))


ROWS: Final[tuple[Row, ...]] = (
    Row(
        "GetAccountAuthorizationDetails",
        get_account_authorization_details,
        on_everything("GetAccountAuthorizationDetails"),
    ),
)
