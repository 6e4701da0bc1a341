"""The keys of OpenID Connect issuers, fetched as they are needed (OpenID Connect Discovery 1.0, RFC 7517).

This is the server's only outgoing connection. It goes to issuers that an account has made identity providers, and to
where their configuration says that their keys lie; it takes a bounded time and answer, follows no redirect, and however
many requests ask, an issuer is asked once in `LOOK_AGAIN` seconds at the most.
"""

import asyncio
import contextlib
import ipaddress
import json
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import aiohttp

from base.clock import Clock

LOOK_AGAIN = 10.0
"""Seconds between two looks at one issuer, whether the last one failed or a key was still missing."""
REFRESH_AFTER = 900.0
"""Seconds after which keys are fetched anew."""
GOOD_FOR = 6 * 3600.0
"""Seconds for which keys are used while the issuer does not answer."""
TIMEOUT = 5.0
MAX_ANSWER = 256 * 1024
MAX_KEYS = 100
_CONFIGURATION = "/.well-known/openid-configuration"
_ISSUERS = 1000
_AT_ONCE = 32

Key: TypeAlias = Mapping[str, Any]
"""A JSON Web Key."""
Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""The body that an address answers with. Raises IssuerUnreachable, IssuerMalformed."""


class IssuerUnreachable(Exception):
    """The issuer did not answer, or not in time; it may later."""


class IssuerMalformed(Exception):
    """The issuer answers with what is no configuration, or no keys."""


def is_plain(url: str, hosts: Collection[str]) -> bool:
    """Whether `url` is one of http that is allowed: on this machine's loopback, or of `hosts` (`host` or `host:port`)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" and (_is_loopback(host) or host in hosts or parts.netloc.lower() in hosts)


def is_issuer(url: str, plain_hosts: Collection[str]) -> bool:
    """Whether an issuer may have this address: https, or http where that is allowed, without query and fragment."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.query or parts.fragment or parts.username or not url.isprintable():
        return False
    if is_service_name(url.partition("://")[2]):
        return False
    return url.startswith("https://") or (url.startswith("http://") and is_plain(url, plain_hosts))


def is_service_name(name: str) -> bool:
    """Whether it might be a service's (`aws`, `sts`): an issuer's claims are condition keys that begin with its address, and
    must never be taken for a service's."""
    return name.isascii() and name.replace("-", "").isalnum() and name.lower() != "localhost"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(slots=True)
class _Issuer:
    """What is known of one. Times are of the monotonic clock."""

    keys: tuple[Key, ...] = ()
    fetched_at: float = float("-inf")
    looked_at: float = float("-inf")
    failure: Exception | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def having(self, identifier: str | None) -> tuple[Key, ...]:
        """A token without a key id may be signed by any of them."""
        return tuple(key for key in self.keys if identifier is None or key.get("kid") == identifier)


class Issuers:
    """One process's view."""

    def __init__(self, clock: Clock, *, plain_hosts: Collection[str] = (), fetch: Fetch | None = None) -> None:
        """`clock` is monotonic, in seconds. `plain_hosts` may be spoken to over http."""
        self._clock = clock
        self._plain_hosts = frozenset(plain_hosts)
        self._fetch = fetch or Fetcher().fetch
        self._known: OrderedDict[str, _Issuer] = OrderedDict()
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def keys(self, url: str, identifier: str | None) -> tuple[Key, ...]:
        """The issuer's keys of that id, none where it has none. Raises IssuerUnreachable, IssuerMalformed.

        Who finds known keys old while somebody else is looking does not wait for that.
        """
        issuer = self._known.get(url)
        if issuer is None:
            issuer = self._known[url] = _Issuer()
            if len(self._known) > _ISSUERS:
                self._known.popitem(last=False)
        if self._is_due(issuer, identifier) and not (issuer.lock.locked() and self._holds(issuer, identifier)):
            async with issuer.lock:
                if self._is_due(issuer, identifier):
                    await self._look(issuer, url)
        if issuer.failure is not None and not self._holds(issuer, identifier):
            raise issuer.failure
        return issuer.having(identifier)

    def _holds(self, issuer: _Issuer, identifier: str | None) -> bool:
        """Whether it has such a key that may still be used."""
        return self._clock() - issuer.fetched_at < GOOD_FOR and bool(issuer.having(identifier))

    def _is_due(self, issuer: _Issuer, identifier: str | None) -> bool:
        now = self._clock()
        if now - issuer.looked_at < LOOK_AGAIN:
            return False
        return now - issuer.fetched_at >= REFRESH_AFTER or not issuer.having(identifier)

    async def _look(self, issuer: _Issuer, url: str) -> None:
        try:
            async with self._at_once:
                issuer.keys = await self._fetch_keys(url)
            issuer.fetched_at, issuer.failure = self._clock(), None
        except (IssuerUnreachable, IssuerMalformed) as error:
            issuer.failure = error
        finally:
            issuer.looked_at = self._clock()

    async def _fetch_keys(self, url: str) -> tuple[Key, ...]:
        if not is_issuer(url, self._plain_hosts):
            raise IssuerMalformed(f"{url} is no issuer that may be asked")
        configuration = _object(await self._fetch(url.rstrip("/") + _CONFIGURATION))
        if configuration.get("issuer") != url:
            raise IssuerMalformed(f"the configuration at {url} is another issuer's")
        address = configuration.get("jwks_uri")
        if not isinstance(address, str) or not self._may_hold_keys(address, url):
            raise IssuerMalformed(f"the configuration at {url} names no address of keys that may be asked")
        keys = _object(await self._fetch(address)).get("keys")
        if not isinstance(keys, list) or len(keys) > MAX_KEYS:
            raise IssuerMalformed(f"{address} holds no set of keys")
        return tuple(key for key in keys if isinstance(key, dict))

    def _may_hold_keys(self, address: str, issuer: str) -> bool:
        """What is secured stays secured; only an issuer of http may have its keys there."""
        with contextlib.suppress(ValueError):
            if urlsplit(address).scheme == "https" and urlsplit(address).hostname:
                return True
            return issuer.startswith("http://") and is_plain(address, self._plain_hosts)
        return False


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise IssuerMalformed("the issuer answers with what is no JSON") from error
    if not isinstance(found, dict):
        raise IssuerMalformed("the issuer answers with what is no JSON object")
    return found


class Fetcher:
    """Fetches over HTTP. Certificates are verified against the system's authorities (or SSL_CERT_FILE's); proxies for
    https are taken from the environment."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None

    async def fetch(self, url: str) -> bytes:
        """Raises IssuerUnreachable, IssuerMalformed."""
        if self._context is None:
            self._context = await asyncio.to_thread(ssl.create_default_context)
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                    auto_decompress=False,
                    trust_env=url.startswith("https:"),
                    headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "longshore"},
                ) as session,
                session.get(url, allow_redirects=False, ssl=self._context) as response,
            ):
                if response.status >= 500 or response.status == 429:
                    raise IssuerUnreachable(f"{url} answers with status {response.status}")
                if response.status != 200:
                    raise IssuerMalformed(f"{url} answers with status {response.status}")
                return await _read(response.content, url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise IssuerUnreachable(f"{url} does not answer: {error}") from error
        except ValueError as error:  # an address that is none
            raise IssuerMalformed(f"{url} cannot be asked: {error}") from error


async def _read(content: aiohttp.StreamReader, url: str) -> bytes:
    body = bytearray()
    async for piece in content.iter_chunked(16 * 1024):
        body += piece
        if len(body) > MAX_ANSWER:
            raise IssuerMalformed(f"{url} answers with more than {MAX_ANSWER} bytes")
    return bytes(body)
