"""When access keys and roles were last used (GetAccessKeyLastUsed, RoleLastUsed).

A request only leaves a note in memory; a background loop writes the latest of each key and role down. That changes
nothing of what anyone may do, so no process forgets what it remembers.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final, TypeVar

from auth.access import Principal, PrincipalKind
from auth.rows.access_keys import note_keys_used
from auth.rows.roles import note_roles_used
from base.clock import Clock
from store.database import Database

T = TypeVar("T")

WRITTEN_EVERY: Final = 5.0
"""Seconds."""
_AT_ONCE: Final = 500
"""Rows in one transaction."""


class Usage:
    """One process's notes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._keys: dict[str, tuple[float, str, str]] = {}
        self._roles: dict[str, tuple[float, str]] = {}

    def note(self, principal: Principal, service: str, region: str) -> None:
        """A request of that principal, allowed or not, to `service` (`ecr`)."""
        if principal.session is None:
            if principal.key_id:
                self._keys[principal.key_id] = (self._clock(), service, region)
        elif principal.kind is PrincipalKind.ROLE_SESSION:
            self._roles[principal.identity_id] = (self._clock(), region)

    async def record(self) -> float:
        """Write the notes down; returns seconds until the next time. A background loop's round; what could not be
        written is kept for the next one. Raises DatabaseUnavailable, DatabaseFull."""
        keys, self._keys = self._keys, {}
        roles, self._roles = self._roles, {}
        try:
            for some in _slices([(key, *use) for key, use in keys.items()]):
                await self._database.write(partial(note_keys_used, some), durable=False)
            for others in _slices([(role, *use) for role, use in roles.items()]):
                await self._database.write(partial(note_roles_used, others), durable=False)
        except BaseException:
            self._keys, self._roles = keys | self._keys, roles | self._roles
            raise
        return WRITTEN_EVERY


def _slices(uses: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(uses), _AT_ONCE):
        yield uses[start : start + _AT_ONCE]
