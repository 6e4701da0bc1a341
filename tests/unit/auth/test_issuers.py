"""The keys of issuers: fetched once, bounded, looked for again when they are missing, and not for every stranger."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import pytest

from auth.issuers import (
    GOOD_FOR,
    LOOK_AGAIN,
    MAX_ANSWER,
    MAX_KEYS,
    REFRESH_AFTER,
    Fetcher,
    IssuerMalformed,
    Issuers,
    IssuerUnreachable,
    is_issuer,
)
from tests.issuers import CONFIGURATION, KEYS, Issuer
from tests.rooms import Time

URL = "https://issuer.example.test/realm"


class Web:
    """What addresses answer, and how often they were asked."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Exception] = {
            URL + CONFIGURATION: json.dumps({"issuer": URL, "jwks_uri": "https://keys.example.test/set"}).encode()
        }
        self.publish("one")
        self.asked: Counter[str] = Counter()
        self.gate: asyncio.Event | None = None

    def publish(self, *identifiers: str) -> None:
        keys = [{"kty": "RSA", "kid": identifier} for identifier in identifiers]
        self.pages["https://keys.example.test/set"] = json.dumps({"keys": keys}).encode()

    async def fetch(self, url: str) -> bytes:
        self.asked[url] += 1
        if self.gate is not None:
            await self.gate.wait()
        page = self.pages[url]
        if isinstance(page, Exception):
            raise page
        return page


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def issuers(web: Web, clock: Time) -> Issuers:
    return Issuers(clock, fetch=web.fetch)


async def ids(issuers: Issuers, identifier: str | None = None) -> list[str]:
    return [key["kid"] for key in await issuers.keys(URL, identifier)]


async def test_keys_are_fetched_once_and_found_by_their_id(issuers: Issuers, web: Web):
    web.publish("one", "two", "two")
    assert await ids(issuers, "one") == ["one"]
    assert await ids(issuers, "two") == ["two", "two"]
    assert await ids(issuers) == ["one", "two", "two"]
    assert set(web.asked.values()) == {1}


async def test_who_asks_at_once_waits_for_one_look(issuers: Issuers, web: Web):
    web.gate = asyncio.Event()
    asking = [asyncio.create_task(ids(issuers, "one")) for _ in range(20)]
    await asyncio.sleep(0)
    web.gate.set()
    assert await asyncio.gather(*asking) == [["one"]] * 20
    assert set(web.asked.values()) == {1}


async def test_a_new_key_is_found_when_a_token_names_it(issuers: Issuers, web: Web, clock: Time):
    await ids(issuers, "one")
    web.publish("one", "two")
    clock.pass_(LOOK_AGAIN)
    assert await ids(issuers, "two") == ["two"]


async def test_a_flood_of_unknown_key_ids_is_no_flood_of_looks(issuers: Issuers, web: Web, clock: Time):
    for number in range(200):
        assert await ids(issuers, f"unknown-{number}") == []
        clock.pass_(LOOK_AGAIN / 100)
    assert web.asked[URL + CONFIGURATION] <= 3


async def test_a_key_that_was_taken_back_is_not_known_for_longer_than_it_is_fresh(
    issuers: Issuers, web: Web, clock: Time
):
    await ids(issuers, "one")
    web.publish("two")
    clock.pass_(REFRESH_AFTER)
    assert await ids(issuers, "one") == []


async def test_known_keys_serve_for_hours_while_the_issuer_is_silent(issuers: Issuers, web: Web, clock: Time):
    await ids(issuers, "one")
    web.pages[URL + CONFIGURATION] = IssuerUnreachable("silent")
    clock.pass_(GOOD_FOR - 1)
    assert await ids(issuers, "one") == ["one"]
    clock.pass_(1)
    with pytest.raises(IssuerUnreachable):
        await ids(issuers, "one")


async def test_a_key_that_is_missing_while_the_issuer_is_silent_may_be_there(issuers: Issuers, web: Web, clock: Time):
    await ids(issuers, "one")
    web.pages[URL + CONFIGURATION] = IssuerUnreachable("silent")
    clock.pass_(LOOK_AGAIN)
    with pytest.raises(IssuerUnreachable):
        await ids(issuers, "two")
    assert await ids(issuers, "one") == ["one"]


async def test_nobody_waits_for_a_look_whose_keys_are_known(issuers: Issuers, web: Web, clock: Time):
    await ids(issuers, "one")
    clock.pass_(REFRESH_AFTER)
    web.gate = asyncio.Event()
    looking = asyncio.create_task(ids(issuers, "one"))
    await asyncio.sleep(0)
    assert await ids(issuers, "one") == ["one"]
    web.gate.set()
    assert await looking == ["one"]
    assert web.asked[URL + CONFIGURATION] == 2


async def test_a_failure_is_not_asked_for_again_at_once(issuers: Issuers, web: Web, clock: Time):
    web.pages[URL + CONFIGURATION] = IssuerUnreachable("silent")
    for _ in range(50):
        with pytest.raises(IssuerUnreachable):
            await ids(issuers, "one")
    assert web.asked[URL + CONFIGURATION] == 1
    web.pages[URL + CONFIGURATION] = Web().pages[URL + CONFIGURATION]
    clock.pass_(LOOK_AGAIN)
    assert await ids(issuers, "one") == ["one"]


@pytest.mark.parametrize("configuration", [
    b"", b"<html>", b"[]", b"null", b"[" * 100_000, b"{}", {"issuer": URL}, {"jwks_uri": "https://keys.example.test/set"},
    {"issuer": URL + "/", "jwks_uri": "https://keys.example.test/set"}, {"issuer": URL, "jwks_uri": 7},
    {"issuer": URL, "jwks_uri": "http://keys.example.test/set"}, {"issuer": URL, "jwks_uri": "http://127.0.0.1/set"},
    {"issuer": URL, "jwks_uri": "file:///etc/passwd"}, {"issuer": URL, "jwks_uri": "https://"},
    {"issuer": URL, "jwks_uri": "https://[::1"}, {"issuer": URL, "jwks_uri": ""},
], ids=str)  # fmt: skip
async def test_a_configuration_that_is_none_is_refused(
    issuers: Issuers, web: Web, configuration: bytes | dict[str, str]
):
    web.pages[URL + CONFIGURATION] = (
        configuration if isinstance(configuration, bytes) else json.dumps(configuration).encode()
    )
    with pytest.raises(IssuerMalformed):
        await ids(issuers)


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"[]", b'{"keys": 1}', json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode()]
)
async def test_keys_that_are_none_are_refused(issuers: Issuers, web: Web, document: bytes):
    web.pages["https://keys.example.test/set"] = document
    with pytest.raises(IssuerMalformed):
        await ids(issuers)


async def test_issuers_are_a_bounded_memory(web: Web, clock: Time, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("auth.issuers._ISSUERS", 10)
    issuers = Issuers(clock, fetch=web.fetch)
    for number in range(30):
        with pytest.raises(KeyError):
            await issuers.keys(f"https://issuer-{number}.example.test", None)
    assert len(issuers._known) <= 10


@pytest.mark.parametrize(("url", "may"), [
    (URL, True), ("https://issuer.example.test:8443", True), ("http://localhost:8080/x", True), ("http://127.0.0.9", True),
    ("http://[::1]:80", True), ("http://plain.test:80/a", True), ("http://bare.test:9/a", True), ("http://bare.test", True),
    ("http://plain.test", False), ("http://issuer.example.test", False), ("http://10.0.0.1", False), ("ftp://localhost", False),
    ("https://a?b", False), ("https://a#b", False), ("https://u@a", False), ("https://", False), ("", False),
    ("https://a:0", False), ("https://a:x", False), ("https://[::1", False), ("https://a b\n", False), ("HTTPS://a", False),
    ("http://127.0.0.1.evil.test", False),
])  # fmt: skip
def test_issuers_are_asked_over_https_but_for_those_that_are_named_and_this_machine(url: str, may: bool):
    assert is_issuer(url, {"plain.test:80", "bare.test"}) is may


# -- over a socket


@pytest.fixture
def served() -> Iterator[Issuer]:
    with Issuer() as issuer:
        issuer.add_key()
        yield issuer


async def test_an_issuer_on_loopback_is_asked(served: Issuer, clock: Time):
    issuers = Issuers(clock)
    assert [key["kid"] for key in await issuers.keys(served.url, "one")] == ["one"]
    assert served.asked == {CONFIGURATION: 1, KEYS: 1}


@pytest.mark.parametrize(("status", "error"), [
    (404, IssuerMalformed), (204, IssuerMalformed), (500, IssuerUnreachable), (503, IssuerUnreachable), (429, IssuerUnreachable),
])  # fmt: skip
async def test_statuses_say_whether_it_may_work_later(served: Issuer, clock: Time, status: int, error: type[Exception]):
    served.answers[KEYS] = (status, b"{}" if status != 204 else b"")
    with pytest.raises(error):
        await Issuers(clock).keys(served.url, "one")


async def test_no_redirect_is_followed(served: Issuer, clock: Time):
    served.answers[CONFIGURATION] = (302, (served.url + "/elsewhere").encode())
    with pytest.raises(IssuerMalformed):
        await Issuers(clock).keys(served.url, "one")
    assert served.asked == {CONFIGURATION: 1}


async def test_an_answer_without_end_is_not_read_to_the_end(served: Issuer, clock: Time):
    served.answers[KEYS] = (200, b" " * (MAX_ANSWER + 1))
    with pytest.raises(IssuerMalformed, match="more than"):
        await Issuers(clock).keys(served.url, "one")


async def test_an_issuer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("auth.issuers.TIMEOUT", 0.05)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):  # until it is given up
            pass
        writer.close()
        await writer.wait_closed()
        left.set()

    left = asyncio.Event()
    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(IssuerUnreachable):
            await Fetcher().fetch(f"http://127.0.0.1:{port}/")
        await left.wait()


async def test_nobody_there_is_unreachable():
    with Issuer() as gone:
        pass
    with pytest.raises(IssuerUnreachable):
        await Fetcher().fetch(gone.url)
