"""The driver for S3 before a bucket that fails: a proxy breaks requests on their way to a server that stores for real."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from base.ids import new_uuid
from store.blobs.driver import BytesMissing, StoreUnavailable
from store.blobs.s3 import MIN_PART, S3Blobs
from store.bucket import S3Settings
from tests.contracts.test_blob_drivers import append, put
from tests.faulty import Fault, Faulty, faulty
from tests.require import long_form
from tests.rooms import patterned, read_key
from tests.s3 import S3Server

PASSING = [
    Fault("refused", refuse=True),
    Fault("500", status=500, code="InternalError"),
    Fault("503 SlowDown", status=503, code="SlowDown"),
    Fault("a proxy's 502", status=502),
    Fault("a request cut in the middle", cut_request=70_000),
    Fault("an answer cut at byte 0", cut=0),
    Fault("an answer cut in its header", cut=40),
    Fault("an answer cut before its last byte", cut=-1),
    Fault("an answer that is late", late=0.05),
]
FAR = 2e10


@pytest.fixture
def bucket(s3: S3Server) -> S3Settings:
    return s3.new_bucket()


@pytest.fixture
async def proxy(bucket: S3Settings) -> AsyncIterator[Faulty]:
    async with faulty(bucket.endpoint_url) as running:
        yield running


@pytest.fixture
async def direct(bucket: S3Settings) -> AsyncIterator[S3Blobs]:
    """What sees the bucket as it is."""
    opened = S3Blobs(bucket, ids=new_uuid)
    yield opened
    await opened.close()


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pauses between attempts."""
    monkeypatch.setattr("store.bucket.pause_before", lambda _attempt, _chance: 0.0)


def through(proxy: Faulty, bucket: S3Settings, **settings: float) -> S3Blobs:
    return S3Blobs(replace(bucket, endpoint_url=proxy.url, **settings), ids=new_uuid)  # type: ignore[arg-type]


async def live(driver: S3Blobs) -> None:
    """A small blob and a large one, over two turns, hashed anew, committed, read, read in part, listed, deleted."""
    small = await put(driver, b"small")
    assert await read_key(driver, small) == b"small"
    first, more = patterned(2 * MIN_PART), patterned(100_000, 1)
    staged = await append(driver, driver.stage(), first)
    staged = await append(driver, staged, more, turn=2, offset=len(first))
    assert await read_key(driver, staged) == first + more
    key = await driver.commit(staged, turn=2, size=len(first) + len(more))
    content = await driver.open(key)
    assert content.size == len(first) + len(more)
    assert await content.read(MIN_PART - 7, 400_000) == first[MIN_PART - 7 : MIN_PART - 7 + 400_000]
    content.close()
    assert {small, key} <= {stored.key async for page in driver.inventory(before=FAR) for stored in page}
    assert await driver.delete_many([small]) == {}
    await driver.delete(key)
    with pytest.raises(BytesMissing):
        await driver.open(key)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("fault", PASSING, ids=str)
async def test_a_fault_that_passes_is_not_noticed_whichever_request_it_hits(
    fault: Fault, bucket: S3Settings, proxy: Faulty, direct: S3Blobs
):
    counting = through(proxy, bucket)
    await live(counting)
    await counting.close()
    requests = len(proxy.asked)
    assert requests > 10
    for hit in range(0, requests, 1 if long_form() else 3):
        proxy.asked.clear()
        proxy.choose = lambda number, _line, hit=hit: fault if number == hit else None
        driver = through(proxy, bucket)
        await live(driver)
        await driver.close()
        for stored in [stored async for page in direct.inventory(before=FAR) for stored in page]:
            assert stored.key.startswith("u/"), "what the answer was lost of, for the search to find"
            await direct.delete(stored.key)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("fault", PASSING[:-1], ids=str)
async def test_a_fault_that_stays_is_told_after_as_many_attempts_as_are_set_and_over_when_it_is_over(
    fault: Fault, bucket: S3Settings, proxy: Faulty, direct: S3Blobs
):
    data = patterned(2 * MIN_PART)
    key = await put(direct, data)
    driver = through(proxy, bucket, attempts=3)
    staged = await append(driver, driver.stage(), data)
    proxy.choose = lambda _number, _line: fault
    for doing in (
        lambda: put(driver, patterned(100_000)),
        lambda: append(driver, driver.stage(), data),
        lambda: driver.commit(staged, turn=1, size=len(data)),
        lambda: read_key(driver, key),
        lambda: driver.delete(key),
        lambda: anext(driver.inventory(before=FAR)),
    ):
        proxy.asked.clear()
        with pytest.raises(StoreUnavailable):
            await doing()
        lines = {line.partition(" ")[0] for line in proxy.asked}
        # where a kept connection breaks, the client asks over a new one at once
        assert 3 * len(lines) <= len(proxy.asked) <= 6 * len(lines), proxy.asked
    proxy.choose = lambda _number, _line: None
    await driver.commit(staged, turn=1, size=len(data))
    await driver.close()


async def test_attempts_are_apart_by_chance(bucket: S3Settings, proxy: Faulty, monkeypatch: pytest.MonkeyPatch):
    pauses: list[tuple[int, float]] = []
    monkeypatch.setattr("store.bucket.pause_before", lambda attempt, chance: pauses.append((attempt, chance)) or 0.0)
    proxy.choose = lambda _number, _line: PASSING[2]
    driver = through(proxy, bucket, attempts=4)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="SlowDown"):
            await driver.delete("t/x.1")
    assert [attempt for attempt, _ in pauses] == [1, 2, 3] * 2
    assert len({chance for _, chance in pauses}) == 6
    await driver.close()


@pytest.mark.usefixtures("quickly")
async def test_silence_ends_every_attempt(bucket: S3Settings, proxy: Faulty, direct: S3Blobs):
    data = patterned(2 * MIN_PART)
    key = await put(direct, data)
    driver = through(proxy, bucket, attempts=2, read_timeout=0.2, connect_timeout=0.2)
    proxy.choose = lambda _number, _line: Fault("silence", late=3600.0)
    began = time.monotonic()
    for doing in (put(driver, b"x"), driver.open(key), driver.delete(key), driver.probe(), driver.url(key, seconds=5)):
        if doing.__name__ == "url":
            assert await doing is not None, "for which nobody is asked"
            continue
        with pytest.raises(StoreUnavailable):
            await doing
    assert time.monotonic() - began < 30.0
    await driver.close()


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("kept", [0, 1, 300_000, 2_000_000])
async def test_a_stream_that_breaks_at_any_byte_goes_on_where_it_stood(
    kept: int, bucket: S3Settings, proxy: Faulty, direct: S3Blobs
):
    data = patterned(3 * MIN_PART + 5)
    key = await put(direct, data)
    driver = through(proxy, bucket)
    broken: list[int] = []

    def choose(number: int, line: str) -> Fault | None:
        if line.startswith("GET") and 0 < number < 3:
            broken.append(number)
            return Fault("cut", cut=600 + kept)
        return None

    proxy.choose = choose
    assert await read_key(driver, key) == data
    assert broken == [1, 2]
    await driver.close()


async def test_connections_that_went_stale_are_replaced(bucket: S3Settings, proxy: Faulty):
    proxy.stale = True
    driver = through(proxy, bucket)
    for size in (5, MIN_PART + 1, 2 * MIN_PART + 3):
        key = await put(driver, patterned(size))
        assert await read_key(driver, key) == patterned(size)
    await driver.close()


async def test_a_stale_listing_deletes_nothing_that_is_new_and_names_nothing_twice(
    bucket: S3Settings, proxy: Faulty, direct: S3Blobs
):
    gone = await put(direct, b"gone")
    driver = through(proxy, bucket)
    answers: dict[str, bytes] = {}
    ask = proxy.ask

    async def keep(head: bytes, body: bytes) -> bytes:
        answer = answers[head.partition(b" HTTP")[0].decode()] = await ask(head, body)
        return answer

    proxy.ask = keep  # type: ignore[method-assign]
    assert [stored.key async for page in driver.inventory(before=FAR) for stored in page] == [gone]
    proxy.replay = {line: answer for line, answer in answers.items() if "prefix=tails" in line}
    assert len(proxy.replay) == 1
    await direct.delete(gone)
    new = await put(direct, b"new")
    found = [stored.key async for page in driver.inventory(before=FAR) for stored in page]
    assert found == [gone], "the bucket tells what was"
    assert await driver.delete_many(found) == {}
    assert await read_key(direct, new) == b"new"
    await driver.close()


async def test_who_is_gone_leaves_no_request_behind(bucket: S3Settings, proxy: Faulty, direct: S3Blobs):
    """A client that goes away ends what it waited for, at once: no thread is kept by a bucket that is silent."""
    key = await put(direct, b"bytes")
    driver = through(proxy, bucket, read_timeout=60.0)
    proxy.choose = lambda _number, _line: Fault("silence", late=3600.0)
    waiting = [asyncio.create_task(driver.open(key)) for _ in range(100)]
    while len(proxy.asked) < 100:
        await asyncio.sleep(0.01)
    for one in waiting:
        one.cancel()
    await asyncio.wait(waiting, timeout=10.0)
    assert all(one.cancelled() for one in waiting)
    proxy.choose = lambda _number, _line: None
    assert await read_key(driver, key) == b"bytes"
    await driver.close()
