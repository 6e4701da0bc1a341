"""Leases: which process runs a background loop. A row a name; it is taken over when its time is up."""

from store.database import Unit


def take_lease(name: str, holder: str, now: float, *, seconds: float) -> Unit[bool]:
    """Take or renew the lease. False where another holds it."""
    rows = yield (
        "INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at "
        "WHERE leases.holder = excluded.holder OR leases.expires_at < ? RETURNING 1",
        (name, holder, now + seconds, now),
    )
    return bool(rows)


def drop_lease(name: str, holder: str) -> Unit[None]:
    """Give the lease back, so that another process need not wait for its end."""
    yield "DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder)
