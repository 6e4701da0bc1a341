"""Takes decisions from the gate and writes them in the background.

`record` is called for every decision, on the request path: it only appends. A few dozen at a time are folded into the
growing segment by the event loop, between requests, and once a second the segment is compressed on a thread and its
row written. A segment ends when it is large or a minute old. While the database does not take them, segments wait;
beyond a bound what comes is dropped, and counted.
"""

import asyncio
from collections.abc import Callable

from auth.audit.accessed import LastAccessed
from auth.audit.segment import Digests, Segment
from auth.authorize import Judgement
from auth.rows import audit as rows
from auth.rows.audit import StoredSegment
from base.clock import Clock
from base.ids import Ids
from base.threads import Threads
from store.database import Database, Unit

PERIOD = 1.0
"""Seconds between two flushes: what a crash may take."""
LARGEST = 10_000
WAITING = 32
POLICY_RESOLUTION = 3600.0
"""Seconds: how coarsely the use of a policy's text is on record."""

_ROUND = 32
"""Decisions that are folded together: few enough that the processor still has them at hand."""
_LINE = 512
"""Decisions that become one line of a segment."""
_HEAVIEST = 4 * 1024 * 1024
_OLDEST = 60.0
_REMEMBERED = 20_000


class _Open:
    """A segment and its place in the table."""

    __slots__ = ("began", "id", "segment", "written")

    def __init__(self, identifier: str, digests: Digests, began: float) -> None:
        self.id = identifier
        self.segment = Segment(digests)
        self.began = began
        self.written = 0


class Recorder:
    """One process's. `keep` is whether decisions are kept; uses of actions are, in any case.

    `count` is told how many were allowed and denied, written and dropped (`server.metrics` has the names). A segment
    holds `largest` decisions at the most, and `waiting` of them wait for the database.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        ids: Ids,
        count: Callable[[str, float], None],
        keep: bool = True,
        largest: int = LARGEST,
        waiting: int = WAITING,
    ) -> None:
        self._accessed = LastAccessed(database)
        self._database = database
        self._clock = clock
        self._ids = ids
        self._count = count
        self._keep = keep
        self._largest = largest
        self._most_waiting = waiting
        self._digests = Digests()
        self._buffer: list[Judgement] = []
        self._open: _Open | None = None
        self._waiting: list[_Open] = []
        self._texts: dict[str, float] = {}
        self._flushing = asyncio.Lock()
        self._thread = Threads(1, "audit")
        self._hurry: Callable[[], None] = lambda: None

    @property
    def unwritten(self) -> int:
        """Decisions that a crash would take at this moment."""
        segments = self._waiting if self._open is None else [*self._waiting, self._open]
        return len(self._buffer) + sum(one.segment.count - one.written for one in segments)

    def when_full(self, hurry: Callable[[], None]) -> None:
        """`hurry` is called when a segment is full: a flush before the next period keeps memory low."""
        self._hurry = hurry

    def record(self, judgement: Judgement) -> None:
        """One decision. Takes well under a microsecond, and never fails; from the event loop."""
        buffer = self._buffer
        buffer.append(judgement)
        if len(buffer) == _ROUND:
            asyncio.get_running_loop().call_soon(self._fold)

    async def flush(self) -> None:
        """Write all that was recorded before the call. Raises DatabaseUnavailable, DatabaseFull: nothing is lost then."""
        async with self._flushing:
            self._fold()
            if self._open is not None:
                self._open.segment.end_round()
            await self._accessed.flush()
            while self._waiting:
                await self._write(self._waiting[0])
                del self._waiting[0]
            opened = self._open
            if opened is not None:
                await self._write(opened)
                if opened is self._open and self._clock() - opened.began >= _OLDEST:
                    self._end(opened)

    async def close(self) -> None:
        """Flush, and end the thread. Raises what `flush` does."""
        try:
            await self.flush()
        finally:
            await self._thread.close()

    def _fold(self) -> None:
        buffer, self._buffer = self._buffer, []
        if not buffer:
            return
        allowed = sum(judgement.verdict.allowed for judgement in buffer)
        self._count("decisions_allowed", allowed)
        self._count("decisions_denied", len(buffer) - allowed)
        for judgement in buffer:
            opened = self._open
            if opened is None:
                if not self._keep or len(self._waiting) >= self._most_waiting:
                    self._accessed.note(judgement)
                    self._count("audit_records_dropped", self._keep)
                    continue
                opened = self._open = _Open(self._ids(), self._digests, self._clock())
            segment = opened.segment
            if segment.add(judgement):  # the first of its case in a segment, hence once a minute
                self._accessed.note(judgement)
            if segment.count >= self._largest or segment.weight >= _HEAVIEST:
                self._end(opened)
                self._hurry()
        if self._open is not None and self._open.segment.pending >= _LINE:
            self._open.segment.end_round()

    def _end(self, opened: _Open) -> None:
        opened.segment.close()
        self._waiting.append(opened)
        self._open = None

    async def _write(self, opened: _Open) -> None:
        segment = opened.segment
        extent = segment.extent
        if extent.count == opened.written:
            return
        now = self._clock()
        documents = [
            (digest, text)
            for digest, text in segment.documents.items()
            if now - self._texts.get(digest, float("-inf")) >= POLICY_RESOLUTION / 2
        ]
        cases, records = await self._thread.run(segment.encode, extent)
        size = len(cases) + len(records)
        stored = StoredSegment(opened.id, extent.started_at, extent.ended_at, extent.count, size)

        def unit() -> Unit[None]:
            yield from rows.put_audit_policies(documents, extent.ended_at)
            yield from rows.put_segment(stored, cases, records)

        await self._database.write(unit)
        if len(self._texts) > _REMEMBERED:
            self._texts.clear()
        self._texts.update((digest, now) for digest, _ in documents)
        self._count("audit_records_written", extent.count - opened.written)
        opened.written = extent.count
