"""Handshakes between organizations and accounts."""

from dataclasses import dataclass

from store.database import Database, Unit, placeholders

_FIELDS = (
    "id", "organization", "action", "parent", "account", "email", "notes", "tags", "state",
    "requested_at", "expires_at", "ended_at",
)  # fmt: skip
_HANDSHAKE = ", ".join(_FIELDS)


@dataclass(frozen=True, slots=True)
class StoredHandshake:
    """`account` or `email` (in lower case) is whom it is for; both are empty where that is the organization itself.
    `tags` is a JSON object. `ended_at` is when it was accepted, declined or canceled."""

    id: str
    organization: str
    action: str
    parent: str
    account: str
    email: str
    notes: str
    tags: str
    state: str
    requested_at: float
    expires_at: float
    ended_at: float | None = None


def read_handshake(identifier: str) -> Unit[StoredHandshake | None]:
    rows = yield f"SELECT {_HANDSHAKE} FROM handshakes WHERE id = ?", (identifier,)
    return StoredHandshake(*rows[0]) if rows else None


def list_handshakes(organization: str, action: str) -> Unit[list[StoredHandshake]]:
    """All of an organization's, of one action."""
    rows = yield (
        f"SELECT {_HANDSHAKE} FROM handshakes WHERE organization = ? AND action = ? ORDER BY id",
        (organization, action),
    )
    return [StoredHandshake(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which handshakes a listing shows: those that did not end or expire before `since`, of one `action` or `parent`
    where it names one; up to `limit`, by id, from the first one after `after`."""

    since: float
    action: str
    parent: str
    after: str
    limit: int

    def where(self) -> tuple[str, list[object]]:
        """The rest of a statement after its own condition."""
        condition, values = "AND COALESCE(ended_at, expires_at) > ? AND id > ?", [self.since, self.after]
        for column, value in (("action", self.action), ("parent", self.parent)):
            if value:
                condition += f" AND {column} = ?"
                values.append(value)
        return f"{condition} ORDER BY id LIMIT ?", [*values, self.limit]


async def list_sent(database: Database, organization: str, wanted: Wanted) -> list[StoredHandshake]:
    """By an organization."""
    rest, values = wanted.where()
    rows = await database.fetch(
        f"SELECT {_HANDSHAKE} FROM handshakes WHERE organization = ? {rest}", (organization, *values)
    )
    return [StoredHandshake(*row) for row in rows]


async def list_received(database: Database, account: str, email: str, wanted: Wanted) -> list[StoredHandshake]:
    """By an account that has that address (in lower case)."""
    rest, values = wanted.where()
    rows = await database.fetch(
        f"SELECT {_HANDSHAKE} FROM handshakes WHERE (account = ? OR (email <> '' AND email = ?)) {rest}",
        (account, email, *values),
    )
    return [StoredHandshake(*row) for row in rows]


def insert_handshake(handshake: StoredHandshake) -> Unit[None]:
    yield (
        f"INSERT INTO handshakes ({_HANDSHAKE}) VALUES ({placeholders(len(_FIELDS))})",
        [getattr(handshake, field) for field in _FIELDS],
    )


def end_handshake(identifier: str, state: str, now: float) -> Unit[None]:
    yield "UPDATE handshakes SET state = ?, ended_at = ? WHERE id = ?", (state, now, identifier)


def forget_handshakes(organization: str, *, before: float) -> Unit[None]:
    """Those that ended or expired before."""
    yield (
        "DELETE FROM handshakes WHERE organization = ? AND COALESCE(ended_at, expires_at) < ?",
        (organization, before),
    )
