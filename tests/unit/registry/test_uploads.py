import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.digest import Digest, DigestMalformed, digest_of
from registry import rows
from registry.errors import BlobUnknown, DigestInvalid, OffsetWrong, SizeInvalid, StorageFull, UploadUnknown
from registry.names import RepositoryName
from registry.rows import Repository, Upload
from registry.uploads import FIRST_READ, ClientGone
from store.database import DatabaseUnavailable
from tests.rooms import (
    EXPIRY,
    HOME,
    SETTLE,
    WHO,
    Bytes,
    House,
    Time,
    announced,
    open_house,
    patterned,
    quick_directory,
    read_blob,
)

SMALL, EXACT, LARGE = 1000, FIRST_READ, 3 * FIRST_READ + 5
SIZES = (SMALL, EXACT, LARGE)


class Slow:
    """A body that stops before its last piece until it is told to go on."""

    def __init__(self, first: bytes, last: bytes) -> None:
        self.stopped, self.go_on = asyncio.Event(), asyncio.Event()
        self._first, self._last = first, last
        self.length: int | None = len(first) + len(last)

    async def read(self, size: int) -> list[bytes]:
        if self._first:
            first, self._first = self._first, b""
            if len(first) >= size:
                return [first]
            return [first, *await self.read(size - len(first))]
        if self._last:
            self.stopped.set()
            await self.go_on.wait()
            last, self._last = self._last, b""
            return [last]
        return []


async def find(house: House, upload: Upload) -> Upload:
    return await house.uploads.find(HOME, RepositoryName("some/repository"), WHO, upload.id)


async def begin(house: House, repository: Repository) -> Upload:
    return await house.uploads.begin(repository.id, WHO)


async def content(house: House, repository: Repository, digest: str) -> bytes:
    return await read_blob(house, repository.name, digest)


async def leftovers(house: House, clock: Time) -> set[str]:
    """What the store holds, once the collector has been everywhere."""
    clock.pass_(2 * EXPIRY)
    await house.collector.collect()
    clock.pass_(2 * SETTLE)
    await house.collector.collect()
    await house.collector.collect_orphans()
    return {stored.key async for batch in house.blobs.inventory(before=clock() + 1) for stored in batch}


# -- the usual ways


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size", [0, 1, *SIZES])
async def test_a_whole_blob_in_the_closing_request(house: House, repository: Repository, size: int, algorithm: str):
    data = patterned(size)
    digest = digest_of(data, algorithm)
    for body in (announced(data), Bytes(data)):
        upload = await begin(house, repository)
        assert await house.uploads.finish(upload, digest, body) == digest
        assert await content(house, repository, digest) == data
        with pytest.raises(UploadUnknown):
            await find(house, upload)


@pytest.mark.parametrize("size", SIZES)
async def test_a_disk_without_holes_will_do(house: House, repository: Repository, size: int, clock: Time):
    """Every blob is a file of its own there, a small one in the closing request, too."""
    house.blobs.packs = False  # type: ignore[attr-defined]
    data = patterned(size)
    digest = digest_of(data)
    await house.uploads.finish(await begin(house, repository), digest, announced(data))
    assert await content(house, repository, digest) == data
    other = patterned(size, 1)
    upload = await house.uploads.receive(await begin(house, repository), announced(other))
    with pytest.raises(DigestInvalid):
        await house.uploads.finish(await find(house, upload), digest)
    await house.uploads.finish(await find(house, upload), digest_of(other))
    assert await content(house, repository, digest_of(other)) == other
    upload = await begin(house, repository)
    with pytest.raises(DigestInvalid):
        await house.uploads.finish(upload, digest, announced(patterned(size, 2)))
    await house.uploads.finish(await find(house, upload), digest_of(other), announced(other))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size", [0, 1, *SIZES])
async def test_a_whole_blob_in_one_request(house: House, repository: Repository, size: int, algorithm: str):
    data = patterned(size)
    digest = digest_of(data, algorithm)
    assert await house.uploads.take(repository.id, digest, announced(data)) == digest
    assert await content(house, repository, digest) == data


@pytest.mark.parametrize("first", [0, 1, SMALL, EXACT, LARGE])
@pytest.mark.parametrize("second", [0, SMALL, LARGE])
@pytest.mark.parametrize("last", [None, 0, SMALL, LARGE])
async def test_a_blob_in_chunks(house: House, repository: Repository, first: int, second: int, last: int | None):
    parts = [patterned(first), patterned(second, 1), patterned(last or 0, 2)]
    digest = digest_of(b"".join(parts))
    upload = await begin(house, repository)
    upload = await house.uploads.receive(upload, announced(parts[0]))
    assert upload.received == first
    upload = await house.uploads.receive(await find(house, upload), Bytes(parts[1]), offset=first)
    assert upload == await find(house, upload)
    assert (upload.received, upload.digest) == (first + second, digest_of(parts[0] + parts[1]))
    body = None if last is None else announced(parts[2])
    await house.uploads.finish(upload, digest, body, offset=first + second)
    assert await content(house, repository, digest) == b"".join(parts)


@pytest.mark.parametrize(
    "sizes", [(SMALL, SMALL, SMALL), (SMALL, LARGE, SMALL), (LARGE, SMALL, 0), (LARGE, LARGE, LARGE)]
)
async def test_an_upload_continues_in_another_process(
    house: House, other: House, repository: Repository, sizes: tuple[int, ...]
):
    parts = [patterned(size, number) for number, size in enumerate(sizes)]
    digest = digest_of(b"".join(parts))
    upload = await begin(house, repository)
    await house.uploads.receive(upload, announced(parts[0]))
    await other.uploads.receive(await find(other, upload), announced(parts[1]))
    upload = await find(house, upload)
    assert (upload.received, upload.digest) == (sizes[0] + sizes[1], "")
    await house.uploads.finish(upload, digest, announced(parts[2]))
    assert await content(other, repository, digest) == b"".join(parts)


@pytest.mark.parametrize("size", SIZES)
async def test_any_process_can_close_an_upload_without_reading_it(
    house: House, other: House, repository: Repository, size: int
):
    data = patterned(size)
    upload = await house.uploads.receive(await begin(house, repository), announced(data))
    assert (await find(other, upload)).digest == digest_of(data)
    await other.uploads.finish(await find(other, upload), digest_of(data))
    assert await content(house, repository, digest_of(data)) == data


@pytest.mark.parametrize("size", SIZES)
async def test_an_upload_of_one_algorithm_can_be_closed_with_another(house: House, repository: Repository, size: int):
    data = patterned(size)
    digest = digest_of(data, "sha512")
    upload = await house.uploads.receive(await begin(house, repository), announced(data))
    await house.uploads.finish(upload, digest)
    assert await content(house, repository, digest) == data


async def test_an_upload_may_say_its_algorithm_at_the_start(house: House, repository: Repository):
    upload = await house.uploads.begin(repository.id, WHO, algorithm="sha512")
    upload = await house.uploads.receive(upload, announced(b"some bytes"))
    assert upload.digest == digest_of(b"some bytes", "sha512")
    with pytest.raises(DigestMalformed):
        await house.uploads.begin(repository.id, WHO, algorithm="md5")


async def test_a_restart_in_the_middle_loses_nothing(place: Path, clock: Time):
    data = patterned(LARGE)
    before = await open_house(place, clock)
    repository = await before.repository()
    upload = await before.uploads.receive(await begin(before, repository), announced(data))
    await before.close()
    after = await open_house(place, clock)
    upload = await after.uploads.receive(await find(after, upload), announced(data))
    await after.uploads.finish(upload, digest_of(data + data))
    assert await content(after, repository, digest_of(data + data)) == data + data
    await after.close()


async def test_identical_pushes_at_once_all_succeed_and_one_keeps_its_bytes(
    house: House, other: House, repository: Repository, clock: Time
):
    data = patterned(LARGE)
    digest = digest_of(data)
    done = await asyncio.gather(
        *(one.uploads.take(repository.id, digest, announced(data)) for one in (house, other) for _ in range(5))
    )
    assert done == [digest] * 10
    assert await content(house, repository, digest) == data
    clock.pass_(2 * SETTLE)
    collected = await house.collector.collect()
    assert (collected.freed, collected.bytes) == (9, 9 * LARGE)
    assert await content(other, repository, digest) == data


# -- who may


async def test_an_upload_is_its_principals_and_its_repositorys(house: House, repository: Repository):
    await house.repository("another")
    upload = await begin(house, repository)
    for name, who, identifier in [
        ("some/repository", "arn:aws:iam::123456789012:user/other", upload.id),
        ("another", WHO, upload.id),
        ("missing", WHO, upload.id),
        ("some/repository", WHO, "00000000-0000-4000-8000-000000000000"),
        ("some/repository", WHO, ""),
    ]:
        with pytest.raises(UploadUnknown):
            await house.uploads.find(HOME, RepositoryName(name), who, identifier)
    assert await find(house, upload) == upload


async def test_an_upload_begins_in_a_repository_that_is_there(house: House, repository: Repository):
    named = await house.uploads.begin_named(HOME, repository.name, WHO)
    assert named is not None
    assert (await find(house, named)).repository_id == repository.id
    assert await house.uploads.begin_named(HOME, RepositoryName("missing"), WHO) is None
    with pytest.raises(UploadUnknown):
        await house.uploads.begin(repository.id + 1, WHO)


# -- refusals


@pytest.mark.parametrize("offset", [-1, 0, 1, SMALL - 1, SMALL + 1, 10**18])
async def test_bytes_for_another_place_are_refused_and_nothing_changes(
    house: House, repository: Repository, offset: int
):
    upload = await house.uploads.receive(await begin(house, repository), announced(patterned(SMALL)))
    for attempt in (
        lambda: house.uploads.receive(upload, announced(b"late"), offset=offset),
        lambda: house.uploads.finish(upload, digest_of(patterned(SMALL)), None, offset=offset),
        lambda: house.uploads.finish(upload, digest_of(b"late"), announced(b"late"), offset=offset),
    ):
        with pytest.raises(OffsetWrong) as refused:
            await attempt()
        assert refused.value.received == SMALL
    assert await find(house, upload) == upload


@pytest.mark.parametrize("standing", [0, SMALL, LARGE])
@pytest.mark.parametrize("closing", [None, SMALL, EXACT, LARGE])
async def test_a_wrong_digest_leaves_the_upload_where_it_stood(
    house: House, other: House, repository: Repository, standing: int, closing: int | None
):
    first, last = patterned(standing), patterned(closing or 0, 1)
    wrong = digest_of(b"something else")
    upload = await house.uploads.receive(await begin(house, repository), announced(first))
    body = None if closing is None else announced(last)
    with pytest.raises(DigestInvalid, match=digest_of(first + last)):
        await house.uploads.finish(upload, wrong, body)
    stands = await find(house, upload)
    assert (stands.received, stands.staged) == (standing, upload.staged)
    with pytest.raises(BlobUnknown):
        await content(house, repository, wrong)
    digest = digest_of(first + last)
    await other.uploads.finish(await find(other, upload), digest, announced(last))
    assert await content(house, repository, digest) == first + last


async def test_a_wrong_digest_of_a_whole_blob_leaves_no_upload(house: House, repository: Repository, clock: Time):
    for size in SIZES:
        with pytest.raises(DigestInvalid):
            await house.uploads.take(repository.id, digest_of(b"other"), announced(patterned(size)))
    assert await house.database.fetch("SELECT id FROM uploads") == []
    assert await leftovers(house, clock) == set()


@pytest.mark.parametrize("standing", [0, SMALL, LARGE])
@pytest.mark.parametrize("arrived", [0, SMALL, LARGE])
async def test_a_client_that_vanishes_leaves_the_upload_where_it_stood(
    house: House, repository: Repository, standing: int, arrived: int
):
    first, rest = patterned(standing), patterned(arrived + 10, 1)
    upload = await house.uploads.receive(await begin(house, repository), announced(first))
    with pytest.raises(ClientGone):
        await house.uploads.receive(upload, Bytes(rest[:arrived], length=len(rest), gone=True))
    with pytest.raises(ClientGone):
        await house.uploads.finish(
            await find(house, upload), digest_of(first + rest), Bytes(rest[:arrived], length=len(rest), gone=True)
        )
    upload = await find(house, upload)
    assert upload.received == standing
    upload = await house.uploads.receive(upload, announced(rest))
    await house.uploads.finish(upload, digest_of(first + rest))
    assert await content(house, repository, digest_of(first + rest)) == first + rest


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_body_of_another_length_than_announced_is_refused(house: House, repository: Repository, size: int):
    upload = await begin(house, repository)
    for length in (size - 1, size + 1):
        with pytest.raises(SizeInvalid):
            await house.uploads.receive(await find(house, upload), Bytes(patterned(size), length=length))
        stands, body = await find(house, upload), Bytes(patterned(size), length=length)
        with pytest.raises(SizeInvalid):
            await house.uploads.finish(stands, digest_of(patterned(size)), body)
    assert (await find(house, upload)).received == 0


async def test_uploads_are_refused_below_the_reserve_and_deletes_are_not(place: Path, clock: Time):
    roomy = await open_house(place, clock)
    repository = await roomy.repository()
    digest = await roomy.uploads.take(repository.id, digest_of(b"kept"), announced(b"kept"))
    upload = await begin(roomy, repository)
    full = await open_house(place, clock, reserve=2**62)
    for attempt in (
        lambda: begin(full, repository),
        lambda: full.uploads.begin_named(HOME, repository.name, WHO),
        lambda: full.uploads.receive(upload, announced(b"more")),
        lambda: full.uploads.finish(upload, digest_of(b"more"), announced(b"more")),
        lambda: full.uploads.take(repository.id, digest_of(b"more"), announced(b"more")),
    ):
        with pytest.raises(StorageFull, match="reserve"):
            await attempt()
    await full.uploads.cancel(upload)
    assert await full.database.write(lambda: rows.unlink_blob(repository.id, digest, clock()))
    await full.close()
    await roomy.close()


async def test_a_body_that_does_not_fit_is_refused_before_it_is_read(house: House, repository: Repository):
    upload = await begin(house, repository)
    body = Bytes(b"x", length=2**62)
    with pytest.raises(StorageFull):
        await house.uploads.receive(upload, body)
    assert await body.read(1) == [b"x"]


async def test_free_space_is_looked_at_again(house: House, repository: Repository, clock: Time):
    seen: list[int] = []

    async def free_space() -> int:
        seen.append(1)
        return 10**12

    house.blobs.free_space = free_space  # type: ignore[method-assign]
    for _ in range(10):
        await begin(house, repository)
    assert len(seen) <= 1
    for _ in range(3):
        clock.pass_(1.5)
        await begin(house, repository)
    assert len(seen) >= 3


# -- races


async def outcome(attempt: Callable[[], object]) -> object:
    try:
        return await attempt()  # type: ignore[misc]
    except (OffsetWrong, UploadUnknown) as error:
        return error


@pytest.mark.parametrize("standing", [0, SMALL, LARGE])
@pytest.mark.parametrize("sizes", [(SMALL, SMALL), (SMALL, LARGE), (LARGE, SMALL), (LARGE, LARGE)])
@pytest.mark.parametrize("processes", [1, 2])
async def test_one_of_two_at_once_wins_and_the_other_learns_where_the_upload_stands(
    house: House, other: House, repository: Repository, standing: int, sizes: tuple[int, int], processes: int
):
    base = patterned(standing)
    upload = await house.uploads.receive(await begin(house, repository), announced(base))
    one, two = patterned(sizes[0], 1), patterned(sizes[1], 2)
    second = house if processes == 1 else other
    ended = await asyncio.gather(
        outcome(lambda: house.uploads.receive(upload, announced(one), offset=standing)),
        outcome(lambda: second.uploads.receive(upload, announced(two), offset=standing)),
    )
    winners = [data for data, end in zip((one, two), ended, strict=True) if isinstance(end, Upload)]
    assert len(winners) == 1, ended
    stands = await find(house, upload)
    assert stands.received == standing + len(winners[0])
    lost = [end for end in ended if not isinstance(end, Upload)]
    assert isinstance(lost[0], OffsetWrong)
    assert lost[0].received in (standing, stands.received)
    digest = digest_of(base + winners[0])
    await second.uploads.finish(stands, digest)
    assert await content(house, repository, digest) == base + winners[0]


@pytest.mark.parametrize("standing", [0, SMALL, LARGE])
@pytest.mark.parametrize("early", [10, 2 * FIRST_READ])
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_who_is_overtaken_while_its_bytes_come_has_lost_and_mixes_nothing(
    house: House, other: House, repository: Repository, standing: int, early: int, size: int
):
    base, quick = patterned(standing), patterned(size, 2)
    upload = await house.uploads.receive(await begin(house, repository), announced(base))
    body = Slow(patterned(early, 1), patterned(LARGE, 3))
    slow = asyncio.ensure_future(outcome(lambda: house.uploads.receive(upload, body)))
    await body.stopped.wait()
    now = await other.uploads.receive(await find(other, upload), announced(quick))
    body.go_on.set()
    ended = await slow
    assert isinstance(ended, OffsetWrong)
    assert ended.received == standing + size
    digest = digest_of(base + quick)
    await other.uploads.finish(now, digest)
    assert await content(house, repository, digest) == base + quick


@pytest.mark.parametrize("early", [10, 2 * FIRST_READ])
@pytest.mark.parametrize("standing", [SMALL, LARGE])
async def test_an_upload_can_be_closed_while_another_chunk_is_coming(
    house: House, other: House, repository: Repository, standing: int, early: int
):
    """Either the chunk has taken the turn, and the closing request learns so, or the blob is what the upload was."""
    base = patterned(standing)
    digest = digest_of(base)
    upload = await house.uploads.receive(await begin(house, repository), announced(base))
    seen = await find(other, upload)
    body = Slow(patterned(early, 1), patterned(LARGE, 3))
    slow = asyncio.ensure_future(outcome(lambda: house.uploads.receive(upload, body)))
    await body.stopped.wait()
    closed = await outcome(lambda: other.uploads.finish(seen, digest))
    body.go_on.set()
    ended = await slow
    if closed == digest:
        assert isinstance(ended, UploadUnknown | OffsetWrong)
        assert await content(house, repository, digest) == base
    else:
        assert isinstance(ended, Upload)
        whole = base + patterned(early, 1) + patterned(LARGE, 3)
        await other.uploads.finish(ended, digest_of(whole))
        assert await content(house, repository, digest_of(whole)) == whole


@pytest.mark.parametrize("early", [10, 2 * FIRST_READ])
@pytest.mark.parametrize("closing", [True, False])
async def test_a_cancelled_upload_is_unknown_to_who_still_brings_bytes(
    house: House, other: House, repository: Repository, clock: Time, early: int, closing: bool
):
    upload = await begin(house, repository)
    body = Slow(patterned(early, 1), patterned(LARGE, 3))
    whole = patterned(early, 1) + patterned(LARGE, 3)
    slow = asyncio.ensure_future(
        outcome(
            lambda: (
                house.uploads.finish(upload, digest_of(whole), body) if closing else house.uploads.receive(upload, body)
            )
        )
    )
    await body.stopped.wait()
    await other.uploads.cancel(await find(other, upload))
    body.go_on.set()
    assert isinstance(await slow, UploadUnknown)
    with pytest.raises(UploadUnknown):
        await house.uploads.cancel(upload)
    assert await leftovers(house, clock) == set()


@pytest.mark.parametrize("size", SIZES)
async def test_two_that_close_at_once_make_one_blob(house: House, other: House, repository: Repository, size: int):
    data = patterned(size)
    upload = await house.uploads.receive(await begin(house, repository), announced(data))
    ended = await asyncio.gather(
        *(outcome(lambda one=one: one.uploads.finish(upload, digest_of(data))) for one in (house, other, house))  # type: ignore[misc]
    )
    assert [end for end in ended if end == digest_of(data)]
    assert all(isinstance(end, str | UploadUnknown) for end in ended)
    assert await content(house, repository, digest_of(data)) == data


async def test_an_upload_whose_repository_is_deleted_is_unknown(house: House, repository: Repository, clock: Time):
    uploads = [
        await house.uploads.receive(await begin(house, repository), announced(patterned(size))) for size in SIZES
    ]
    await house.repositories.delete(repository, force=True)
    for upload in uploads:
        with pytest.raises(UploadUnknown):
            await house.uploads.finish(upload, Digest(upload.digest))
        with pytest.raises(UploadUnknown):
            await house.uploads.receive(upload, announced(b"more"))
    assert await leftovers(house, clock) == set()


async def test_an_expired_upload_is_unknown_and_leaves_nothing(house: House, repository: Repository, clock: Time):
    uploads = [
        await house.uploads.receive(await begin(house, repository), announced(patterned(size))) for size in SIZES
    ]
    clock.pass_(EXPIRY - 1)
    assert (await house.collector.collect()).uploads == 0
    clock.pass_(2)
    assert (await house.collector.collect()).uploads == 3
    for upload in uploads:
        with pytest.raises(UploadUnknown):
            await house.uploads.finish(upload, Digest(upload.digest))
    assert await leftovers(house, clock) == set()


async def test_a_chunk_keeps_an_upload_from_expiring(house: House, repository: Repository, clock: Time):
    upload = await begin(house, repository)
    for _ in range(4):
        clock.pass_(EXPIRY * 0.7)
        upload = await house.uploads.receive(upload, announced(patterned(SMALL)))
        assert (await house.collector.collect()).uploads == 0
    assert upload.received == 4 * SMALL


# -- failures in between


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("with_body", [True, False])
async def test_bytes_that_are_committed_but_whose_row_failed_can_be_closed_again(
    house: House, other: House, repository: Repository, size: int, with_body: bool, monkeypatch: pytest.MonkeyPatch
):
    """As after a crash between the two."""
    data = patterned(size)
    upload = await begin(house, repository)
    if not with_body:
        upload = await house.uploads.receive(upload, announced(data))
    write = house.database.write

    async def failing(unit, *, durable=True, first=None):
        if durable:
            if first is not None:
                await asyncio.to_thread(first)
            raise DatabaseUnavailable("gone")
        return await write(unit, durable=durable, first=first)

    monkeypatch.setattr(house.database, "write", failing)
    with pytest.raises(DatabaseUnavailable):
        await house.uploads.finish(upload, digest_of(data), announced(data) if with_body else None)
    upload = await find(other, upload)
    body = announced(data) if upload.received == 0 else None
    await other.uploads.finish(upload, digest_of(data), body)
    assert await content(other, repository, digest_of(data)) == data


async def test_running_hashes_are_a_bounded_cache(
    house: House, repository: Repository, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("registry.uploads._REMEMBERED", 4)
    uploads = [
        await house.uploads.receive(await begin(house, repository), announced(patterned(SMALL, number)))
        for number in range(12)
    ]
    assert len(house.uploads._hashes) <= 4
    for number, upload in enumerate(uploads):
        whole = patterned(SMALL, number) + patterned(LARGE, number)
        await house.uploads.finish(upload, digest_of(whole), announced(patterned(LARGE, number)))
        assert await content(house, repository, digest_of(whole)) == whole
    assert len(house.uploads._hashes) == 0


# -- ECR's closing: the digest is one of several


@pytest.mark.parametrize("size", [0, *SIZES])
async def test_the_digest_of_an_upload_is_found_among_candidates(
    house: House, other: House, repository: Repository, size: int
):
    data = patterned(size)
    upload = await house.uploads.receive(await begin(house, repository), announced(data))
    for algorithm in ("sha256", "sha512"):
        digest = digest_of(data, algorithm)
        for one in (house, other):
            assert await one.uploads.identify(upload, [digest_of(b"x"), digest_of(b"x", "sha512")]) is None
            found = await one.uploads.identify(upload, [digest_of(b"x"), digest])
            assert found is not None
            assert (found.digest, found.algorithm) == (digest, algorithm)
    await other.uploads.finish(found, digest)
    assert await content(house, repository, digest) == data


# -- all of it


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["receive", "receive", "gone", "wrong digest", "wrong offset", "restart"]),
            st.integers(0, 1),
            st.sampled_from([0, 1, 4096, EXACT - 1, EXACT, EXACT + 1, LARGE]),
        ),
        max_size=8,
    ),
    algorithm=st.sampled_from(["sha256", "sha512"]),
)
def test_however_its_bytes_come_a_blob_is_all_of_them_in_order(steps: list[tuple[str, int, int]], algorithm: str):
    async def run(place: Path) -> None:
        clock = Time()
        houses = [await open_house(place, clock) for _ in range(2)]
        repository = await houses[0].repository()
        upload = await begin(houses[0], repository)
        expected = b""
        for number, (act, which, size) in enumerate(steps):
            house, data = houses[which], patterned(size, number)
            stands = await find(house, upload)
            assert stands.received == len(expected)
            if act == "receive":
                await house.uploads.receive(stands, announced(data), offset=len(expected))
                expected += data
            elif act == "gone":
                with pytest.raises(ClientGone):
                    await house.uploads.receive(stands, Bytes(data, length=size + 1, gone=True))
            elif act == "wrong digest":
                with pytest.raises(DigestInvalid):
                    await house.uploads.finish(stands, digest_of(b"no"), announced(data))
            elif act == "wrong offset":
                with pytest.raises(OffsetWrong):
                    await house.uploads.receive(stands, announced(data), offset=len(expected) + 1)
            else:
                await house.close()
                houses[which] = await open_house(place, clock)
        digest = digest_of(expected, algorithm)
        await houses[1].uploads.finish(await find(houses[1], upload), digest)
        assert await content(houses[0], repository, digest) == expected
        for house in houses:
            await house.close()

    with quick_directory() as place:
        asyncio.run(run(place))
