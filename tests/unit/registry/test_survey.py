"""What `longshore gc --dry-run` says: exactly what a round and a search take away, and why."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from base.digest import digest_of
from registry import rows
from registry.errors import BlobReferenced
from registry.garbage import Amount, Garbage
from registry.gc import Collected, Collector
from registry.rows import Repository
from registry.rows.blobs import condemn
from registry.survey import Report, Survey
from tests.rooms import EXPIRY, GRACE, WHO, House, Time, announced, open_house, patterned, quick_directory
from tests.unit.registry.test_push_and_pull import blob, image, index

ORPHAN_AGE = 3600.0
Act: TypeAlias = Callable[[], Awaitable[object]]


def survey_of(house: House, *, referrers_after: float = 0.0) -> Survey:
    return Survey(
        house.database,
        house.blobs,
        clock=house.clock,
        grace=GRACE,
        upload_expiry=EXPIRY,
        referrers_after=referrers_after,
    )


async def look(survey: Survey) -> Report:
    report = Report()
    async for _ in survey.look(report, orphans=True):
        pass
    return report


def amounts(report: Report) -> dict[Garbage, Amount]:
    return {kind: finding.amount for kind, finding in report.garbage.items() if finding.amount.items}


async def counts(house: House, table: str) -> int:
    row = await house.database.fetch_one(f"SELECT COUNT(*) FROM {table}")
    assert row is not None
    return int(row[0])


async def everything(house: House) -> list[object]:
    """All that a look must leave as it is."""
    tables = ("blobs", "repository_blobs", "condemned", "manifests", "uploads", "deleted_repositories", "deleted_subjects",
              "collections", "reclaimed", "leases", "tags")  # fmt: skip
    found: list[object] = [await house.database.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]
    keys = {one.key async for page in house.blobs.inventory(before=house.clock() + 1e6) for one in page}
    return [*found, keys]


class Life:
    """Whatever people do with a registry, at random."""

    def __init__(self, house: House, source: random.Random) -> None:
        self.house = house
        self.random = source
        self.repositories: list[Repository] = []
        self.images: list[tuple[Repository, str]] = []
        self.made = 0

    async def step(self) -> None:
        acts: list[tuple[int, Act]] = [
            (2, self.create), (6, self.push), (3, self.load), (2, self.mount), (3, self.delete_image), (2, self.delete_blob),
            (1, self.delete_repository), (2, self.leave_upload), (1, self.cancel_upload), (1, self.lose), (1, self.crash),
            (1, self.sparse), (2, self.refer), (1, self.index), (4, self.wait), (1, self.collect),
        ]  # fmt: skip
        if not self.repositories:
            await self.create()
        await self.random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()

    @property
    def repository(self) -> Repository:
        return self.random.choice(self.repositories)

    def data(self) -> bytes:
        return f"blob {self.random.randrange(12)}".encode()

    async def create(self) -> None:
        self.made += 1
        self.repositories.append(await self.house.repository(f"some/repository-{self.made}"))

    async def load(self) -> None:
        await blob(self.house, self.repository, self.data())

    async def push(self) -> None:
        repository = self.repository
        digests = [await blob(self.house, repository, self.data()) for _ in range(self.random.randrange(1, 4))]
        put = await self.house.push.put(repository, image(*digests), None)
        self.images.append((repository, put.digest))

    async def sparse(self) -> None:
        """An image before its blobs."""
        repository, data = self.repository, self.data()
        put = await self.house.push.put(repository, image(digest_of(data)), None)
        self.images.append((repository, put.digest))
        await blob(self.house, repository, data)

    async def refer(self) -> None:
        if self.images:
            repository, digest = self.random.choice(self.images)
            subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 3}
            config = await blob(self.house, repository, self.data())
            tags = ["signature"] if self.random.random() < 0.3 else []
            put = await self.house.push.put(repository, image(config, subject=subject), None, tags=tags)  # type: ignore[arg-type]
            self.images.append((repository, put.digest))

    async def index(self) -> None:
        if self.images:
            repository, digest = self.random.choice(self.images)
            await self.house.push.put(repository, index(digest), None)

    async def mount(self) -> None:
        source, target, digest = self.repository, self.repository, digest_of(self.data())
        await self.house.database.write(lambda: rows.link_blob(source.id, target.id, digest, self.house.clock()))

    async def delete_image(self) -> None:
        if self.images:
            repository, digest = self.images.pop(self.random.randrange(len(self.images)))
            unit = rows.delete_manifest
            await self.house.database.write(
                lambda: unit(repository.id, digest, self.house.clock(), keep_referenced=False)
            )

    async def delete_blob(self) -> None:
        repository, digest = self.repository, digest_of(self.data())
        try:
            await self.house.database.write(lambda: rows.unlink_blob(repository.id, digest, self.house.clock()))
        except BlobReferenced:
            return

    async def delete_repository(self) -> None:
        repository = self.repositories.pop(self.random.randrange(len(self.repositories)))
        self.images = [one for one in self.images if one[0] is not repository]
        await self.house.repositories.delete(repository, force=True)

    async def leave_upload(self) -> None:
        upload = await self.house.uploads.begin(self.repository.id, WHO)
        await self.house.uploads.receive(upload, announced(patterned(self.random.randrange(1, 100))))

    async def cancel_upload(self) -> None:
        upload = await self.house.uploads.begin(self.repository.id, WHO)
        await self.house.uploads.cancel(await self.house.uploads.receive(upload, announced(b"cancelled")))

    async def lose(self) -> None:
        """As an inspection does with a blob whose bytes are damaged."""
        self.made += 1
        key = f"p/{self.made:032x}/0/5"
        await self.house.database.write(lambda: condemn([(key, 5)], self.house.clock(), Garbage.LOST))

    async def crash(self) -> None:
        """Between the bytes and their row."""
        writer = await self.house.blobs.writer(self.house.blobs.stage(), turn=1, offset=0)
        await writer.write([b"row that never came"], [])
        await writer.close()

    async def wait(self) -> None:
        self.house.clock.pass_(self.random.choice([1.0, GRACE / 3, GRACE * 1.1, ORPHAN_AGE * 1.1, EXPIRY * 1.1]))

    async def collect(self) -> None:
        """Some steps of a round, which is cut off then."""
        steps = self.random.randrange(1, 6)
        done = Collected()
        async for _ in self.house.collector.round(done):
            steps -= 1
            if not steps:
                return


@pytest.mark.parametrize("referrers_after", [0.0, GRACE / 2])
@pytest.mark.parametrize("seed", [*range(10), 69, 183])
async def test_a_look_says_what_a_round_and_a_search_take_and_changes_nothing(seed: int, referrers_after: float):
    with quick_directory() as place:
        house = await open_house(place, Time(), sparse=True)
        try:
            life = Life(house, random.Random(f"{seed}"))
            for _ in range(80):
                await life.step()
            before = await everything(house)
            report = await look(survey_of(house, referrers_after=referrers_after))
            assert await everything(house) == before
            await _compare(house, report, referrers_after)
        finally:
            await house.close()


async def _compare(house: House, report: Report, referrers_after: float) -> None:
    collector = Collector(
        house.database,
        house.blobs,
        clock=house.clock,
        grace=GRACE,
        upload_expiry=EXPIRY,
        settle=0.0,
        referrers_after=referrers_after,
    )
    manifests = await counts(house, "manifests")
    done = await collector.collect()
    found = await collector.collect_orphans()
    done.reclaimed.add_all(found.reclaimed.amounts)
    assert amounts(report) == done.reclaimed.amounts
    assert done.referrers == report.referrers.amount.items
    assert manifests - await counts(house, "manifests") == report.manifests.amount.items + done.referrers
    again = await look(survey_of(house, referrers_after=referrers_after))
    assert (again.items, again.total) == (0, Amount())
    graces = await house.database.fetch(
        "SELECT DISTINCT r.digest, b.size FROM repository_blobs r JOIN blobs b ON b.digest = r.digest WHERE NOT EXISTS "
        "(SELECT 1 FROM repository_blobs o JOIN manifest_references f ON f.repository_id = o.repository_id "
        "AND f.digest = o.digest WHERE o.digest = r.digest)"
    )
    assert again.waiting.amount == Amount(len(graces), sum(size for _, size in graces))
