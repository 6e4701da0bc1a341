"""When each identity last used an action.

IAM counts attempts, also those that were refused (IAM API reference, "GenerateServiceLastAccessedDetails"), and no
request without credentials. It promises four hours; here a use is written within seconds where none was on record, and
at most once in `RESOLUTION` seconds after that.
"""

from functools import partial
from itertools import islice

from auth.access import PrincipalKind
from auth.authorize import Judgement
from auth.rows.last_accessed import StoredUse, put_uses
from store.database import Database

RESOLUTION = 300.0
_REMEMBERED = 100_000
_AT_ONCE = 500


class LastAccessed:
    """One process's notes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._written: dict[tuple[str, str], float] = {}
        self._noted: dict[tuple[str, str], tuple[str, float]] = {}

    def note(self, judgement: Judgement) -> None:
        """Someone tried to use an action."""
        principal = judgement.request.principal
        if principal.kind is PrincipalKind.ANONYMOUS:
            return
        key = (principal.identity_id or principal.account, judgement.request.action)
        if judgement.at - self._written.get(key, float("-inf")) >= RESOLUTION and len(self._noted) < _REMEMBERED:
            self._noted[key] = (judgement.circumstances.region, judgement.at)

    async def flush(self) -> None:
        """Write what is worth it. Raises DatabaseUnavailable, DatabaseFull: then it is written the next time."""
        while self._noted:
            some = list(islice(self._noted.items(), _AT_ONCE))
            uses = [StoredUse(identity, action, region, at) for (identity, action), (region, at) in some]
            await self._database.write(partial(put_uses, uses), durable=False)
            if len(self._written) + len(some) > _REMEMBERED:
                self._written.clear()
            for key, (_, at) in some:
                self._written[key] = at
                del self._noted[key]
