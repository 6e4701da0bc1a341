"""What the gate has to know of the resources of IAM: their tags, and of a role that is assumed its trust policy."""

from typing import Final

from auth.access import Access
from auth.authorize import Facts
from auth.directory import Directory, Role
from auth.policy.evaluate import PolicySet
from auth.rows.directory import list_identity_tags
from auth.rows.resources import KINDS, find_owner_id, find_policy_id
from store.database import Database

ASSUMING: Final = frozenset(
    {
        "sts:AssumeRole",
        "sts:AssumeRoleWithSAML",
        "sts:AssumeRoleWithWebIdentity",
        "sts:SetSourceIdentity",
        "sts:TagSession",
    }
)
"""What a role's trust policy decides (IAM, "Grant a user permissions to switch roles")."""
_NOBODY_TRUSTED: Final = PolicySet()
"""The trust of a role that is not there, or not any more: to who may not assume it, there is no difference."""


class IamResources:
    """Looks them up."""

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._directory = directory

    async def facts(self, access: Access, *, account: str, region: str) -> Facts:  # noqa: ARG002 - IAM is everywhere
        """`auth.authorize.Resources` of the service iam."""
        if access.resource == "*":
            return Facts(owner=account)
        role = await find_role(self._directory, access.resource)
        owner = access.resource.split(":", 5)[4]
        if owner == "aws":  # AWS's own managed policies are every account's
            return Facts(owner=account)
        if access.action in ASSUMING:
            if role is None or not await self._directory.is_open(owner):
                return Facts(owner=owner, trust=_NOBODY_TRUSTED)
            return Facts(owner=owner, trust=role.trust, tags=role.tags)
        if role is not None:
            return Facts(owner=owner, tags=role.tags)
        return Facts(owner=owner, tags=await self._tags(access.resource))

    async def _tags(self, arn: str) -> tuple[tuple[str, str], ...]:
        _, _, _, _, account, resource = arn.split(":", 5)
        kind, _, rest = resource.partition("/")
        path, _, name = f"/{rest}".rpartition("/")
        if kind in KINDS:
            owner = await find_owner_id(self._database, kind, account, f"{path}/", name)
        elif kind == "policy":
            owner = await find_policy_id(self._database, arn)
        elif kind == "oidc-provider":
            owner = arn
        else:
            return ()
        return () if owner is None else tuple(await list_identity_tags(self._database, owner))


async def find_role(directory: Directory, arn: str) -> Role | None:
    """The role of exactly that ARN, path and case included."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or not parts[5].startswith("role/"):
        return None
    role = await directory.role_named(parts[4], parts[5].rpartition("/")[2])
    return role if role is not None and role.arn == arn else None
