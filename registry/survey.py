"""What a round of the collector, and a search of the store, would take away now, and why: nothing is changed.

Bytes are counted under the reason for which a round would delete them, tombstones that stand already included.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from base.clock import Clock
from registry import rows
from registry.garbage import Amount, Garbage
from registry.owner import check_owner
from registry.rows import survey as found
from store.blobs.driver import BlobDriver
from store.database import Database

_PAGE = 500
_EXAMPLES = 5


@dataclass(slots=True)
class Finding:
    """Things that go for one reason. `examples`: some of them, in words."""

    amount: Amount = field(default_factory=Amount)
    examples: list[str] = field(default_factory=list)

    def add(self, size: int, example: str) -> None:
        self.amount += Amount(1, size)
        if len(self.examples) < _EXAMPLES:
            self.examples.append(example)


@dataclass(slots=True)
class Report:
    """`garbage` is in the store; `manifests` are rows only. `waiting` goes when its time has come."""

    garbage: dict[Garbage, Finding] = field(default_factory=dict)
    manifests: Finding = field(default_factory=Finding)
    """Of repositories that were deleted."""
    referrers: Finding = field(default_factory=Finding)
    """Manifests whose subject was deleted."""
    waiting: Finding = field(default_factory=Finding)
    """Blobs that no manifest names, in their grace."""

    def of(self, kind: Garbage) -> Finding:
        return self.garbage.setdefault(kind, Finding())

    @property
    def total(self) -> Amount:
        return sum((finding.amount for finding in self.garbage.values()), Amount())

    @property
    def items(self) -> int:
        """Everything that was found so far."""
        return self.total.items + self.manifests.amount.items + self.referrers.amount.items


class Survey:
    """Looks through rows and, if asked to, the store."""

    def __init__(
        self,
        database: Database,
        blobs: BlobDriver,
        *,
        clock: Clock,
        grace: float,
        upload_expiry: float,
        orphan_age: float = 3600.0,
        referrers_after: float = 0.0,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._grace = grace
        self._upload_expiry = upload_expiry
        self._orphan_age = orphan_age
        self._referrers_after = referrers_after

    async def look(self, report: Report, *, orphans: bool = False) -> AsyncGenerator[None, None]:
        """Fills `report`, page by page. With `orphans` raises StoreForeign."""
        now = self._clock()
        parts = [self._uploads(report, now), self._repositories(report, now), self._graces(report, now)]
        if self._referrers_after > 0:
            parts.append(self._referrers(report, now))
        parts.append(self._tombstones(report, now))
        if orphans:
            parts.append(self._orphans(report, now))
        for part in parts:
            async with aclosing(part):
                async for _ in part:
                    yield

    async def _uploads(self, report: Report, now: float) -> AsyncGenerator[None, None]:
        after = (0.0, "")
        before = now - self._upload_expiry
        while page := await found.list_untouched_uploads(self._database, before=before, after=after, limit=_PAGE):
            for one in page:
                text = f"upload {one.id} in {one.repository}, untouched for {_age(now - one.touched_at)}"
                report.of(Garbage.UPLOAD).add(one.received, text)
            after = (page[-1].touched_at, page[-1].id)
            yield

    async def _repositories(self, report: Report, now: float) -> AsyncGenerator[None, None]:
        last = 0
        while page := await found.list_deleted_repositories(self._database, after=last, limit=_PAGE):
            for repository_id, deleted_at in page:
                where = f"of a repository that was deleted {_age(now - deleted_at)} ago"
                async with aclosing(self._repository(report, repository_id, where)) as steps:
                    async for _ in steps:
                        yield
            last = page[-1][0]

    async def _repository(self, report: Report, repository_id: int, where: str) -> AsyncGenerator[None, None]:
        last = ""
        while page := await found.list_manifest_digests(self._database, repository_id, after=last, limit=_PAGE):
            for digest in page:
                report.manifests.add(0, f"{digest} {where}")
            last = page[-1]
            yield
        last = ""
        while blobs := await found.list_lone_blobs(self._database, repository_id, after=last, limit=_PAGE):
            for digest, size in blobs:
                if size is not None:
                    report.of(Garbage.REPOSITORY).add(size, f"{digest} {where}")
            last = blobs[-1][0]
            yield
        last = ""
        while uploads := await found.list_uploads_of(self._database, repository_id, after=last, limit=_PAGE):
            for identifier, size in uploads:
                report.of(Garbage.UPLOAD).add(size, f"upload {identifier} {where}")
            last = uploads[-1][0]
            yield

    async def _graces(self, report: Report, now: float) -> AsyncGenerator[None, None]:
        due = now - self._grace
        async with aclosing(self._blobs_without(report.of(Garbage.UNREFERENCED), now, before=due)) as steps:
            async for _ in steps:
                yield
        async with aclosing(self._blobs_without(report.waiting, now, since=due)) as steps:
            async for _ in steps:
                yield

    async def _blobs_without(
        self, finding: Finding, now: float, *, since: float = 0.0, before: float = 1e14
    ) -> AsyncGenerator[None, None]:
        after = (since, 0, "")
        while page := await rows.list_graces(self._database, after=after, before=before, limit=_PAGE):
            names = await found.find_repository_names(self._database, [one.repository_id for one in page])
            for one in page:
                name = names.get(one.repository_id, "a repository that is gone")
                if one.size is not None:
                    finding.add(one.size, f"{one.digest} in {name}, needed by no image for {_age(now - one.kept_at)}")
            last = page[-1]
            after = (last.kept_at, last.repository_id, last.digest)
            yield

    async def _referrers(self, report: Report, now: float) -> AsyncGenerator[None, None]:
        after = (0.0, 0, "", "")
        before = now - self._referrers_after
        while page := await found.list_lone_referrers(self._database, before=before, after=after, limit=_PAGE):
            names = await found.find_repository_names(self._database, [one.repository_id for one in page])
            for one in page:
                name = names.get(one.repository_id, "a repository that is gone")
                report.referrers.add(0, f"{one.digest} in {name}, about {one.subject}, which was deleted")
            last = page[-1]
            after = (last.deleted_at, last.repository_id, last.subject, last.digest)
            yield

    async def _tombstones(self, report: Report, now: float) -> AsyncGenerator[None, None]:
        after = (0.0, "")
        while page := await rows.list_tombstones(self._database, after=after, limit=_PAGE):
            for one in page:
                if one.kind is not Garbage.BURIED:
                    text = f"{one.key.partition(' ')[0]}, given up {_age(now - one.condemned_at)} ago"
                    report.of(one.kind).add(one.size, text)
            after = (page[-1].condemned_at, page[-1].key)
            yield

    async def _orphans(self, report: Report, now: float) -> AsyncGenerator[None, None]:
        await check_owner(self._database, self._blobs)
        before = now - max(self._orphan_age, self._grace)
        async with aclosing(self._blobs.inventory(before=before)) as pages:
            async for page in pages:
                for one in await rows.find_unknown(self._database, page.found):
                    text = f"{one.key.partition(' ')[0]}, written {_age(now - one.written_at)} ago"
                    report.of(Garbage.ORPHAN).add(one.size, text)
                yield


def _age(seconds: float) -> str:
    """The two largest units: `3 d 4 h`, `25 min`, `0 s`."""
    rest = max(0, int(seconds))
    parts: list[str] = []
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])
