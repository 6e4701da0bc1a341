"""What the gate knows of the things of Organizations."""

from auth.access import Access
from auth.authorize import Facts
from auth.rows.organizations import list_tags
from store.database import Database


class OrganizationResources:
    """Implements auth.authorize.Resources.

    They have no policies of their own: what another account than the management account may do with them, the
    operations say. So to the gate they are the caller's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def facts(self, access: Access, *, account: str, region: str) -> Facts:  # noqa: ARG002 - as the protocol has it
        """Of `arn:aws:organizations::<management>:<kind>/<organization>/../<id>` the tags."""
        path = access.resource.rpartition(":")[2].split("/")
        if len(path) < 3:
            return Facts()
        return Facts(tags=tuple(await list_tags(self._database, path[1], path[-1])))
