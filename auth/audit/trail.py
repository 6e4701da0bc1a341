"""The decisions on record: reading them beside a server that writes, and forgetting the old ones."""

import heapq
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from itertools import count

from auth.audit.record import Case, Record, matches
from auth.audit.recorder import POLICY_RESOLUTION
from auth.audit.segment import Cases, read_records
from auth.rows import audit as rows
from auth.rows.audit import StoredSegment
from store.database import Database

_PAGE = 100
_STEP = 20


@dataclass(frozen=True, slots=True)
class Query:
    """Which decisions; what is empty or None does not matter. Times are seconds since the epoch, [since, until).

    `principal` is compared with the ARN and the name, `action` without regard to case, `resource` with the ARN and, of
    a repository, its name; `*` and `?` stand for what they do in policies.
    """

    since: float = 0.0
    until: float = float("inf")
    principal: str = ""
    action: str = ""
    resource: str = ""
    allowed: bool | None = None
    request_id: str = ""

    def wants(self, case: Case) -> bool:
        """Whether decisions of this case may be among them."""
        if self.allowed is not None and case.allowed is not self.allowed:
            return False
        principal = case.principal
        if self.principal and not matches(self.principal, principal.arn, principal.identity_arn, principal.name):
            return False
        if self.action and not matches(self.action.lower(), case.action.lower()):
            return False
        return not self.resource or matches(self.resource, case.resource, case.resource.partition(":repository/")[2])


class Trail:
    """What all processes have written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, query: Query) -> AsyncIterator[Record]:
        """The latest first. Raises DatabaseUnavailable.

        Segments of several processes overlap in time: what is read of them waits until no segment that is still to be
        opened can hold anything later.
        """
        waiting: list[tuple[float, int, Record]] = []
        order = count()
        async for segment in self._segments(query):
            while waiting and -waiting[0][0] > segment.ended_at:
                yield heapq.heappop(waiting)[2]
            for record in await self._open(segment, query):
                heapq.heappush(waiting, (-record.at, -next(order), record))
        while waiting:
            yield heapq.heappop(waiting)[2]

    async def documents(self, digests: Iterable[str]) -> dict[str, str]:
        """Digest -> text of policies that were in force."""
        return await rows.find_audit_policies(self._database, sorted(digests))

    async def trim(self, now: float, *, keep: float, largest: int) -> int:
        """Forget decisions older than `keep` seconds, and the oldest of those that take more than `largest` bytes.

        Returns how many decisions went. Raises DatabaseUnavailable.
        """
        gone = 0
        while True:
            oldest = await rows.list_oldest_segments(self._database, _STEP)
            segments, policies = await rows.measure_audit(self._database)
            excess = segments + policies - largest
            doomed: list[StoredSegment] = []
            for segment in oldest:
                if segment.ended_at >= now - keep and excess <= 0:
                    break
                doomed.append(segment)
                excess -= segment.size + segment.size * policies // max(
                    1, segments
                )  # a fair share of the texts goes with it
            if doomed:
                identifiers = [segment.id for segment in doomed]
                await self._database.write(lambda found=identifiers: rows.delete_segments(found), durable=False)  # type: ignore[misc]
                gone += sum(segment.decisions for segment in doomed)
            first = min((segment.started_at for segment in oldest[len(doomed) :]), default=None)
            if first is None and len(oldest) < _STEP:
                first = now
            if first is not None:
                await self._forget_policies(first - POLICY_RESOLUTION)
            if len(doomed) < _STEP:
                return gone

    async def _forget_policies(self, used_before: float) -> None:
        while True:
            count = await self._database.write(
                lambda: rows.delete_audit_policies(used_before=used_before, limit=_PAGE), durable=False
            )
            if count < _PAGE:
                return

    async def _segments(self, query: Query) -> AsyncIterator[StoredSegment]:
        before: tuple[float, str] | None = None
        seen: set[str] = set()
        while True:
            page = await rows.list_segments(
                self._database, since=query.since, until=query.until, before=before, limit=_PAGE
            )
            for segment in page:
                if segment.id not in seen:  # one that grows comes again, further up
                    seen.add(segment.id)
                    yield segment
            if len(page) < _PAGE:
                return
            before = (page[-1].ended_at, page[-1].id)

    async def _open(self, segment: StoredSegment, query: Query) -> list[Record]:
        stream = await rows.find_cases(self._database, segment.id)
        if stream is None:
            return []
        cases = Cases(stream).cases
        wanted = {number for number, case in enumerate(cases) if query.wants(case)}
        if not wanted:
            return []
        stream = await rows.find_records(self._database, segment.id)
        if stream is None:
            return []
        return [
            record
            for record in read_records(stream, cases, wanted, request_id=query.request_id)
            if query.since <= record.at < query.until and query.request_id in {"", record.request_id}
        ]
