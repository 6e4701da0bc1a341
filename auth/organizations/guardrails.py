"""Service control policies as the gate asks for them, and AWS's own one."""

from typing import Final

from auth.directory import Guardrail
from auth.organizations.call import FULL_ACCESS, arn_of
from auth.rows.organizations import Level, Organization, find_levels
from store.database import Database

FULL_ACCESS_NAME: Final = "FullAWSAccess"
FULL_ACCESS_DESCRIPTION: Final = "Allows access to every operation"
FULL_ACCESS_CONTENT: Final = """\
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "*",
      "Resource": "*"
    }
  ]
}"""


class OrganizationGuardrails:
    """Implements auth.directory.Guardrails over the rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, account: str) -> Guardrail:
        """The path is that of aws:PrincipalOrgPaths: it ends with the unit or root that the account is in. Policies do
        not apply to the management account, nor where their type is not enabled."""
        found = await find_levels(self._database, account)
        if found is None:
            return Guardrail()
        organization, levels = found
        path = "/".join((organization.id, *(level.node for level in levels[:-1]))) + "/"
        if not organization.controls or organization.management == account:
            return Guardrail(organization.id, path)
        return Guardrail(organization.id, path, tuple(_policies(organization, level) for level in levels))


def _policies(organization: Organization, level: Level) -> tuple[tuple[str, str, str], ...]:
    """(name, ARN, text)."""
    return tuple(
        (
            FULL_ACCESS_NAME if identifier == FULL_ACCESS else name or "",
            arn_of(organization, identifier),
            FULL_ACCESS_CONTENT if identifier == FULL_ACCESS else content or "",  # what is no policy denies everything
        )
        for identifier, name, content in level.policies
    )
