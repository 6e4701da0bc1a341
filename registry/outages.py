"""What the rooms below cannot do, in this room's words."""

from registry.errors import ReadOnly, RegistryError, StorageFull, Unavailable
from store.blobs.driver import NoRoom, StoreUnavailable
from store.database import DatabaseFull, DatabaseUnavailable, Sealed


def outage(error: Exception) -> RegistryError | None:
    """What to say where the store or the database does not do its part; None for any other error."""
    if isinstance(error, NoRoom | DatabaseFull):
        return StorageFull(str(error))
    if isinstance(error, DatabaseUnavailable):
        return Unavailable("the registry's database does not answer: try again soon")
    if isinstance(error, StoreUnavailable):
        return Unavailable("the registry's store does not answer: try again soon")
    if isinstance(error, Sealed):
        return ReadOnly(str(error))
    return None
