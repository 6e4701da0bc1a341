"""What the driver for S3 promises beyond the common law, on a server that stores for real."""

import asyncio
import hashlib
import http.client
import urllib.parse
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from base.digest import Digest
from base.ids import new_uuid
from store.blobs import s3 as driver_module
from store.blobs.driver import BytesMissing, Fenced, StoreUnavailable
from store.blobs.gathering import Allowance
from store.blobs.s3 import MIN_PART, PART, S3Blobs, part_size
from store.bucket import Bytes, Refused, S3Settings
from tests.contracts.test_blob_drivers import append, put
from tests.rooms import patterned, read_key
from tests.s3 import MotoServer, S3Server

MB = 1024 * 1024


def digest_of(data: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


@pytest.fixture
def bucket(s3: S3Server) -> S3Settings:
    return s3.new_bucket()


@pytest.fixture
async def blobs(bucket: S3Settings) -> AsyncIterator[S3Blobs]:
    opened = S3Blobs(bucket, ids=new_uuid)
    yield opened
    await opened.close()


@pytest.fixture
async def other(bucket: S3Settings) -> AsyncIterator[S3Blobs]:
    """Another replica."""
    opened = S3Blobs(bucket, ids=new_uuid)
    yield opened
    await opened.close()


class Traffic:
    """Counts the bytes and the requests that go to the bucket."""

    def __init__(self, *drivers: S3Blobs) -> None:
        self.sent: list[tuple[str, int]] = []
        for driver in drivers:
            driver.bucket.watch = lambda operation, size: self.sent.append((operation, size))

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.sent)

    @property
    def bytes(self) -> int:
        return sum(size for name, size in self.sent if name in {"PutObject", "UploadPart"})


async def objects(driver: S3Blobs) -> list[str]:
    return sorted([entry.key async for page in driver.bucket.list_objects("") for entry in page])


async def uploads(driver: S3Blobs) -> int:
    return len([entry async for page in driver.bucket.list_uploads("") for entry in page])


@pytest.mark.parametrize(
    "size", [MIN_PART - 1, MIN_PART, MIN_PART + 1, 2 * PART - 1, 2 * PART, 3 * PART + 1, 20 * MB + 7]
)
async def test_large_blobs_are_written_once_and_appear_under_their_key(blobs: S3Blobs, other: S3Blobs, size: int):
    traffic = Traffic(blobs, other)
    data = patterned(size)
    key = await put(blobs, data)
    assert await read_key(other, key) == data
    assert traffic.bytes <= size + MIN_PART
    assert len(await objects(blobs)) == 1
    assert await uploads(blobs) == 0


async def test_a_small_blob_is_one_request(blobs: S3Blobs):
    traffic = Traffic(blobs)
    await put(blobs, b"a layer")
    assert traffic.sent == [("PutObject", 7)]


async def test_crumbs_over_replicas_are_written_at_most_twice_and_never_copied(blobs: S3Blobs, other: S3Blobs):
    traffic = Traffic(blobs, other)
    staged, data, offset = blobs.stage(), b"", 0
    for turn in range(1, 31):
        piece = patterned(700_000, turn)
        staged = await append((blobs, other)[turn % 2], staged, piece, turn=turn, offset=offset)
        data += piece
        offset += len(piece)
    key = await other.commit(staged, turn=31, size=offset)
    assert await read_key(blobs, key) == data
    parts = sum(size for name, size in traffic.sent if name == "UploadPart")
    assert parts == len(data)
    assert traffic.count("UploadPartCopy") == 0
    assert await objects(blobs) == [f"blobs/{key.partition('/')[2]}"]


async def test_chunks_of_parts_over_three_replicas_are_never_read_before_the_end(bucket: S3Settings):
    replicas = [S3Blobs(bucket, ids=new_uuid) for _ in range(3)]
    traffic = Traffic(*replicas)
    staged, whole, offset = replicas[0].stage(), hashlib.sha256(), 0
    for turn in range(1, 10):
        piece = patterned(10 * MB, turn)
        whole.update(piece)
        staged = await append(replicas[turn % 3], staged, piece, turn=turn, offset=offset, piece=MB)
        offset += len(piece)
    content = await replicas[1].open(staged)
    found = hashlib.sha256()
    for start in range(0, offset, MB):
        found.update(await content.read(start, MB))
    content.close()
    assert found.digest() == whole.digest()
    key = await replicas[2].commit(staged, turn=10, size=offset)
    assert traffic.count("GetObject") == 2, "one request for the beginning and one for all the rest"
    assert traffic.bytes == offset
    assert (await replicas[0].open(key)).size == offset
    for replica in replicas:
        await replica.close()


async def test_bytes_that_were_hashed_anew_may_still_grow(blobs: S3Blobs, other: S3Blobs):
    first, more = patterned(13 * MB), patterned(9 * MB, 1)
    staged = await append(blobs, blobs.stage(), first)
    assert await read_key(other, staged) == first
    staged = await append(other, staged, more, turn=2, offset=len(first))
    key = await blobs.commit(staged, turn=2, size=len(first) + len(more))
    assert await read_key(blobs, key) == first + more


async def test_a_commit_of_what_was_hashed_anew_needs_no_bytes(blobs: S3Blobs, other: S3Blobs):
    data = patterned(13 * MB)
    staged = await append(blobs, blobs.stage(), data)
    await read_key(other, staged)
    traffic = Traffic(other)
    key = await other.commit(staged, turn=1, size=len(data))
    assert traffic.bytes == 0
    assert await read_key(blobs, key) == data


async def test_a_writer_that_was_overtaken_spoils_no_bytes(blobs: S3Blobs, other: S3Blobs):
    base, late, winner = patterned(7 * MB), patterned(8 * MB, 1), patterned(9 * MB, 2)
    staged = await append(blobs, blobs.stage(), base)
    slow = await blobs.writer(staged, turn=2, offset=len(base))
    mine = await append(other, staged, winner, turn=3, offset=len(base))
    await slow.write([late], [])
    await slow.close()
    key = await other.commit(mine, turn=3, size=len(base) + len(winner))
    assert await read_key(blobs, key) == base + winner


async def test_who_was_overtaken_replaces_no_blob_that_was_committed(blobs: S3Blobs, other: S3Blobs):
    """Two who begin the same staged blob, one after the other: the first one commits last."""
    stage = blobs.stage()
    late, winner = patterned(13 * MB, 1), patterned(13 * MB, 2)
    theirs = await append(other, stage, late)
    mine = await append(blobs, stage, winner, turn=2)
    key = await blobs.commit(mine, turn=2, size=len(winner))
    assert await other.commit(theirs, turn=1, size=len(late)) != key
    assert await read_key(blobs, key) == winner


async def test_what_another_writer_completed_is_committed_only_if_it_has_the_digest(blobs: S3Blobs, other: S3Blobs):
    """A writer that was overtaken completes the upload with its own part, of the same size."""
    base, late, winner = patterned(7 * MB), patterned(8 * MB, 1), patterned(8 * MB, 2)
    size = len(base) + len(winner)
    staged = await append(blobs, blobs.stage(), base)
    slow = await blobs.writer(staged, turn=2, offset=len(base))
    mine = await append(other, staged, winner, turn=3, offset=len(base))
    await slow.write([late], [])
    theirs = await slow.close()
    assert await read_key(blobs, theirs) == base + late, "hashed anew, hence completed"
    for driver in (blobs, other):
        with pytest.raises(Fenced):
            await driver.seal(mine, turn=3, size=size, digest=digest_of(base + winner))
        with pytest.raises(Fenced):
            await append(driver, mine, patterned(6 * MB), turn=4, offset=size)
    key, _ = await other.seal(theirs, turn=3, size=size, digest=digest_of(base + late))
    assert await read_key(other, key) == base + late


async def test_parts_that_another_writer_changed_are_refused(blobs: S3Blobs, other: S3Blobs):
    data = patterned(13 * MB)
    staged = await append(blobs, blobs.stage(), data)
    _, state = driver_module._read_name(staged)
    await other.put_part(state, 1, Bytes(patterned(PART, 7)))
    with pytest.raises(BytesMissing):
        await other.commit(staged, turn=1, size=len(data))


@pytest.mark.parametrize("slow", [0.0, 60.0], ids=["clients that are slow", "clients that keep what they have"])
async def test_where_memory_is_short_every_upload_goes_on_and_its_bytes_are_its_own(
    slow: float, blobs: S3Blobs, other: S3Blobs, monkeypatch: pytest.MonkeyPatch
):
    """Memory for one part, and four who write in turns: what is not in memory is in the bucket for a while."""
    monkeypatch.setattr(driver_module, "_SLOW", slow)
    blobs.allowance = Allowance(PART, patience=0.02)
    traffic = Traffic(blobs)
    datas = [patterned(12 * MB + number, number) for number in range(4)]
    writers = [await blobs.writer(blobs.stage(), turn=1, offset=0) for _ in datas]
    running = [hashlib.sha256() for _ in datas]
    for start in range(0, 13 * MB, 800_000):
        pieces = [data[start : start + 800_000] for data in datas]
        await asyncio.gather(
            *(w.write([piece], [h]) for w, piece, h in zip(writers, pieces, running, strict=True) if piece)
        )
        held = sum(part.held_size for writer in writers for part in (writer._filling, writer._full) if part)
        assert held <= PART + len(writers) * 256 * 1024
    assert traffic.count("PutObject") > 0, "crumbs"
    assert [found.digest() for found in running] == [hashlib.sha256(data).digest() for data in datas]
    for writer, data in zip(writers, datas, strict=True):
        key = await blobs.commit(await writer.close(), turn=1, size=len(data))
        writer.discard()
        assert await read_key(other, key) == data
    assert blobs.allowance.free == PART
    assert len(await objects(blobs)) == len(datas), "no crumb is left"
    assert await uploads(blobs) == 0


async def test_a_turn_that_is_given_up_leaves_neither_parts_nor_crumbs_nor_keeps_memory(blobs: S3Blobs):
    blobs.allowance = Allowance(PART, patience=0.02)
    writers = [await blobs.writer(blobs.stage(), turn=1, offset=0) for _ in range(3)]
    for _ in range(7):
        await asyncio.gather(*(writer.write([patterned(MB)], []) for writer in writers))
    for writer in writers:
        writer.discard()
    await blobs.close()
    assert blobs.allowance.free == PART
    assert await objects(blobs) == []
    assert await uploads(blobs) == 0


async def test_deleting_a_staged_blob_leaves_nothing(blobs: S3Blobs, other: S3Blobs):
    staged = await append(blobs, blobs.stage(), patterned(13 * MB))
    staged = await append(other, staged, patterned(100, 1), turn=2, offset=13 * MB)
    assert await uploads(blobs) == 1
    await other.delete(staged)
    await blobs.delete(staged)
    assert await uploads(blobs) == 0
    assert await objects(blobs) == []


async def test_uploads_that_nobody_finished_are_found_and_can_be_freed(blobs: S3Blobs, other: S3Blobs):
    staged = await append(blobs, blobs.stage(), patterned(13 * MB))
    found = [stored async for batch in other.inventory(before=2e10) for stored in batch]
    assert {stored.stage for stored in found} == {staged.partition(" ")[0]}
    for stored in found:
        await other.delete(stored.key)
    assert await uploads(blobs) == 0
    assert await objects(blobs) == []


async def test_a_server_that_deletes_one_at_a_time_will_do(blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch):
    keys = [await put(blobs, patterned(size, size)) for size in (1, 2, 3, 6 * MB)]
    asked: list[int] = []

    async def refuse(paths: Sequence[str]) -> dict[str, str]:
        asked.append(len(paths))
        raise Refused("NotImplemented", 501)

    with monkeypatch.context() as patch:
        patch.setattr(blobs.bucket, "delete_many", refuse)
        assert await blobs.delete_many(keys[:2]) == {}
        assert await blobs.delete_many(keys[2:]) == {}
    assert asked == [2], "it is asked once"
    assert await objects(blobs) == []


async def test_many_objects_are_deleted_in_one_request(blobs: S3Blobs):
    keys = [await put(blobs, patterned(size, size)) for size in (0, 1, 2, 6 * MB)]
    traffic = Traffic(blobs)
    assert await blobs.delete_many(keys) == {}
    assert [name for name, _ in traffic.sent] == ["DeleteObjects"]
    assert await objects(blobs) == []


async def test_a_prefix_keeps_several_stores_apart(bucket: S3Settings):
    one, two = (S3Blobs(replace(bucket, prefix=name), ids=new_uuid) for name in ("one", "/two/"))
    key = await put(one, patterned(100))
    with pytest.raises(BytesMissing):
        await two.open(key)
    assert [stored async for batch in two.inventory(before=2e10) for stored in batch] == []
    assert await objects(one) == [f"one/tails/{key.partition('/')[2]}"]
    await one.close()
    await two.close()


async def test_an_address_serves_the_bytes_and_their_ranges(blobs: S3Blobs):
    data = patterned(300_000)
    url = await blobs.url(await put(blobs, data), seconds=60)
    assert url is not None
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", f"{parts.path}?{parts.query}")
    assert connection.getresponse().read() == data
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"Range": "bytes=10-19"})
    assert connection.getresponse().read() == data[10:20]
    connection.close()


async def test_without_redirects_there_is_no_address(bucket: S3Settings):
    quiet = S3Blobs(replace(bucket, redirect=False), ids=new_uuid)
    assert await quiet.url("t/x", seconds=60) is None
    await quiet.close()


async def test_a_server_that_is_not_there_is_unavailable(bucket: S3Settings):
    nowhere = S3Blobs(replace(bucket, endpoint_url="http://127.0.0.1:1", attempts=1, connect_timeout=1.0), ids=new_uuid)
    with pytest.raises(StoreUnavailable):
        await put(nowhere, b"bytes")
    with pytest.raises(StoreUnavailable):
        await nowhere.open("t/x.1")
    await nowhere.close()


async def test_of_a_bucket_that_is_not_there_nothing_is_missing(bucket: S3Settings):
    """Or a wrong name in the settings would make an inspection forget every blob, and a collector every object."""
    nowhere = S3Blobs(replace(bucket, bucket="nowhere"), ids=new_uuid)
    for asked in (
        nowhere.probe(),
        nowhere.open("t/x.1"),
        nowhere.delete("t/x.1"),
        put(nowhere, b"bytes"),
        put(nowhere, patterned(PART)),
        anext(nowhere.inventory(before=float("inf"))),
    ):
        with pytest.raises(StoreUnavailable, match="the bucket `nowhere` is not there"):
            await asked
    failures = await nowhere.delete_many(["t/x.1", "o/y"])
    assert failures.keys() == {"t/x.1", "o/y"}
    assert all(isinstance(error, StoreUnavailable) for error in failures.values())
    await nowhere.close()


async def test_the_environment_of_those_who_use_the_registry_names_no_bucket(
    bucket: S3Settings, monkeypatch: pytest.MonkeyPatch
):
    """They tell the AWS tools where the registry is by it, in the shell in which it is run, too."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    aws = S3Blobs(replace(bucket, endpoint_url=""), ids=new_uuid)
    assert "amazonaws.com" in (await aws.url("t/x", seconds=60) or "")
    await aws.close()


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"sse": "AES256"}, {"ServerSideEncryption": "AES256"}),
        ({"sse": "aws:kms"}, {"ServerSideEncryption": "aws:kms"}),
        (
            {"sse": "aws:kms", "kms_key_id": "alias/ours"},
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/ours"},
        ),
    ],
)
async def test_every_object_is_encrypted_as_is_set(chosen: dict[str, str], said: dict[str, str], moto: MotoServer):
    bucket = moto.new_bucket()
    driver = S3Blobs(replace(bucket, **chosen), ids=new_uuid)  # type: ignore[arg-type]
    keys = [await put(driver, patterned(size)) for size in (0, 5, 3 * MIN_PART)]
    client = moto.client()
    for key in keys:
        found = client.head_object(Bucket=bucket.bucket, Key=driver.path(key))
        assert {name: found.get(name) for name in said} == said
    assert all(not client.get_object_tagging(Bucket=bucket.bucket, Key=driver.path(key))["TagSet"] for key in keys)
    client.close()
    await driver.close()


async def test_an_outage_is_over_when_it_is_over(bucket: S3Settings, s3: S3Server):
    impatient = S3Blobs(replace(bucket, attempts=1), ids=new_uuid)
    key = await put(impatient, patterned(1000))
    s3.stop()
    with pytest.raises(StoreUnavailable):
        await impatient.open(key)
    s3.start()
    assert await read_key(impatient, key) == patterned(1000)
    await impatient.close()


def test_ten_thousand_parts_hold_more_than_s3_stores():
    assert sum(part_size(count) for count in range(10_000)) > 5 * 1024**4
    assert all(part_size(count) <= 5 * 1024**3 for count in range(10_000))
    assert part_size(0) >= MIN_PART
