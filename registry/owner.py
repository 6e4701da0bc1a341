"""Whose a store is. A search deletes what no row knows: in the store of another registry that would be everything.

A store is claimed for the registry's identity, which goes along wherever its rows are moved or restored, before it is
searched for the first time.
"""

from base.ids import Ids
from registry.rows import copies
from store.blobs.driver import BlobDriver
from store.database import Database


class StoreForeign(Exception):
    """The store was claimed by another registry."""

    def __init__(self, owner: str, registry: str) -> None:
        super().__init__(
            f"the store of blobs belongs to the registry {owner}, this one is {registry or 'new'}: do both have the same "
            "directory, or bucket and prefix? Where the other one is gone for good, delete what is called `owner` there"
        )


async def claim_store(database: Database, blobs: BlobDriver, *, ids: Ids) -> None:
    """Raises StoreForeign, StoreUnavailable, DatabaseUnavailable."""
    fresh = ids()
    registry = await database.write(lambda: copies.find_identity(fresh))
    owner = await blobs.claim(registry)
    if owner != registry:
        raise StoreForeign(owner, registry)


async def check_owner(database: Database, blobs: BlobDriver) -> None:
    """Like `claim_store`, and claims nothing."""
    registry = await copies.read_identity(database)
    owner = await blobs.owner()
    if owner not in {"", registry}:
        raise StoreForeign(owner, registry)
