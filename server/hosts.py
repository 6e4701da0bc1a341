"""What a Host header says: which registry is meant, and how clients reach it.

`<account>.dkr.ecr.<region>.<any domain>` (with `dkr-ecr` and `-fips` forms) names a registry; any other host means the
home one (ECR, "Amazon ECR private registry", registry URIs).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from registry.names import RegistryId

_REGISTRY_HOST = re.compile(r"(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]{1,32})\.([a-z0-9.-]+?)(:\d{1,5})?\Z", re.ASCII)
# where the API is called; the images lie beside it
_API_HOST = re.compile(r"(?:api\.)?ecr(?:-fips)?\.[a-z]{2}(?:-[a-z]+)+-\d\.(.+)\Z", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::\d{1,5})?\Z|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?\Z", re.ASCII)
_REMEMBERED = 1024


class Fields(Protocol):
    """Header fields, whatever their case."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """The values of every line of that name."""
        ...


class Networks:
    """Addresses, by the networks that hold them."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def has(self, address: str) -> bool:
        """Whether it is an address, and in one of them."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


@dataclass(slots=True)
class Origin:
    """Where a request came from and how: the client's address (empty where a proxy names none), the host it asked for,
    whether over TLS, and whether a proxy that is trusted says that it brings it for another."""

    client: str
    host: str
    secure: bool
    proxied: bool = field(default=False, compare=False)

    @property
    def scheme(self) -> str:
        return "https" if self.secure else "http"


class Hosts:
    """Reads hosts and writes them."""

    def __init__(self, home: RegistryId, public_url: str, trusted_proxies: Sequence[str]) -> None:
        self.home = home
        self._public_url = public_url.rstrip("/")
        self._trusted = Networks(trusted_proxies)
        self._known: dict[str, RegistryId] = {}

    def registry_of(self, host: str) -> RegistryId:
        """The registry that `host` names."""
        known = self._known.get(host)
        if known is None:
            match = _REGISTRY_HOST.match(host.lower())
            known = RegistryId(match[1], match[2]) if match else self.home
            if len(self._known) < _REMEMBERED:
                self._known[host] = known
        return known

    def origin(self, peer: str, host: str, secure: bool, headers: Fields) -> Origin:
        """X-Forwarded-For, -Proto and -Host count from trusted peers only: of each, what the proxy wrote that the client
        reached. What a client writes itself stands before it."""
        peer = _normal(peer)
        if not self._trusted or not self._is_trusted(peer):
            return Origin(peer, host, secure)
        hops, protos, hosts = (_values(headers, f"X-Forwarded-{name}") for name in ("For", "Proto", "Host"))
        client, proxies = peer, 0
        for hop in reversed(hops):
            client, proxies = _address(hop), proxies + 1
            if not self._is_trusted(client):
                break
        proto = _beside(protos, len(hops), proxies)
        if proto:
            secure = proto.lower() == "https"
        sent_host = _beside(hosts, len(hops), proxies)
        if _HOST.match(sent_host):
            host = sent_host
        return Origin(client, host, secure, proxied=bool(hops))

    def url(self, registry: RegistryId, origin: Origin) -> str:
        """The address of a registry as clients write it, with scheme, without a final slash."""
        if "{account}" in self._public_url or "{region}" in self._public_url:
            return self._public_url.replace("{account}", registry.account).replace("{region}", registry.region)
        host = origin.host if _HOST.match(origin.host) else "localhost"
        scheme = origin.scheme
        if self._public_url:
            scheme, _, host = self._public_url.partition("://")
        if match := _REGISTRY_HOST.match(host.lower()):
            if RegistryId(match[1], match[2]) == registry:
                return f"{scheme}://{host}"
            host = f"{match[3]}{match[4] or ''}"
        elif match := _API_HOST.match(host):
            host = match[1]
        elif registry == self.home:
            return f"{scheme}://{host}"
        return f"{scheme}://{registry.account}.dkr.ecr.{registry.region}.{host}"

    def _is_trusted(self, address: str) -> bool:
        return self._trusted.has(address)


def _values(headers: Fields, name: str) -> list[str]:
    """Of every line of that name: some proxies add a line where others add to it."""
    return [part.strip() for field in headers.getall(name, ()) for part in field.split(",") if part.strip()]


def _beside(values: list[str], hops: int, proxies: int) -> str:
    """Of a field that each proxy appended to, what the first of `proxies` proxies said; else what the last one said."""
    if not values:
        return ""
    return values[-proxies] if len(values) == hops else values[-1]


def _address(hop: str) -> str:
    """The address of an X-Forwarded-For hop: `9.9.9.9`, `9.9.9.9:1234`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`;
    empty where it has none (`unknown`)."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        ipaddress.ip_address(hop)
    except ValueError:
        return ""
    return _normal(hop)


def _normal(address: str) -> str:
    """The one way to write an address: an IPv4 address that IPv6 wraps is that address, and a zone means nothing elsewhere."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or parsed)
