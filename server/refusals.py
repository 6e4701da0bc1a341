"""What keeps a command from its work, in words for people."""

from auth.accounts import AccountRefused
from auth.secrets import ServerKeyInvalid
from registry.backup import BackupBusy
from registry.fsck.inspection import StoreEmpty
from registry.intake import IntakeRefused
from registry.owner import StoreForeign
from store.archive import ArchiveUnusable
from store.blobs.driver import NoRoom, StoreUnavailable
from store.database import DatabaseFull, DatabaseUnavailable, Sealed
from store.leases import LeaseLost
from store.migrate import MigrationMissing

_REFUSALS = (
    ServerKeyInvalid,
    MigrationMissing,
    DatabaseUnavailable,
    DatabaseFull,
    StoreUnavailable,
    NoRoom,
    LeaseLost,
    AccountRefused,
    ArchiveUnusable,
    BackupBusy,
    IntakeRefused,
    StoreForeign,
    StoreEmpty,
)


def refusal(error: Exception) -> str:
    """Empty where something is wrong with the command itself."""
    if isinstance(error, Sealed):
        return f"the registry is read-only at the moment: {error}"
    return str(error) if isinstance(error, _REFUSALS) else ""
