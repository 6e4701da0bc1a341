import pytest
from multidict import CIMultiDict

from registry.names import RegistryId
from server.hosts import Hosts, Origin

HOME = RegistryId("123456789012", "us-east-1")
AWAY = RegistryId("210987654321", "eu-west-1")


def hosts(public_url: str = "", *trusted: str) -> Hosts:
    return Hosts(HOME, public_url, trusted)


@pytest.mark.parametrize(("host", "registry"), [
    ("210987654321.dkr.ecr.eu-west-1.amazonaws.com", AWAY),
    ("210987654321.dkr.ecr.eu-west-1.localhost:5000", AWAY),
    ("210987654321.dkr-ecr.eu-west-1.on.aws", AWAY),
    ("210987654321.dkr.ecr-fips.eu-west-1.amazonaws.com", AWAY),
    ("210987654321.DKR.ECR.EU-WEST-1.Example.COM:443", AWAY),
    ("210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn", RegistryId("210987654321", "cn-north-1")),
    ("localhost:5000", HOME), ("127.0.0.1", HOME), ("[::1]:5000", HOME), ("registry.example.com", HOME), ("", HOME),
    ("21098765432.dkr.ecr.eu-west-1.amazonaws.com", HOME), ("x210987654321.dkr.ecr.eu-west-1.example.com", HOME),
    ("210987654321.dkr.ecr.eu-west-1", HOME), ("210987654321.dkr.ecr.eu_west.example.com", HOME),
    ("210987654321.dkr.ecr.eu-west-1.example.com:5000/x", HOME), ("210987654321.ecr.eu-west-1.example.com", HOME),
])  # fmt: skip
def test_a_host_of_ecrs_form_names_a_registry_and_any_other_the_home_one(host: str, registry: RegistryId):
    for _ in range(2):
        assert hosts().registry_of(host) == registry


def test_what_is_remembered_of_hosts_is_bounded():
    some = hosts()
    for number in range(5000):
        some.registry_of(f"{number}.example.com")
    assert len(some._known) <= 1024
    assert some.registry_of("210987654321.dkr.ecr.eu-west-1.amazonaws.com") == AWAY


@pytest.mark.parametrize(("public", "host", "secure", "registry", "expected"), [
    ("", "localhost:5000", False, HOME, "http://localhost:5000"),
    ("", "localhost:5000", True, HOME, "https://localhost:5000"),
    ("", "localhost:5000", False, AWAY, "http://210987654321.dkr.ecr.eu-west-1.localhost:5000"),
    ("", "123456789012.dkr.ecr.us-east-1.example.com", True, HOME, "https://123456789012.dkr.ecr.us-east-1.example.com"),
    ("", "123456789012.dkr.ecr.us-east-1.example.com:99", True, AWAY, "https://210987654321.dkr.ecr.eu-west-1.example.com:99"),
    ("", "210987654321.dkr.ecr.eu-west-1.example.com", True, HOME, "https://123456789012.dkr.ecr.us-east-1.example.com"),
    ("https://r.example.com", "other:5000", False, HOME, "https://r.example.com"),
    ("https://r.example.com/", "other:5000", False, AWAY, "https://210987654321.dkr.ecr.eu-west-1.r.example.com"),
    ("https://{account}.dkr.ecr.{region}.r.com", "x", False, AWAY, "https://210987654321.dkr.ecr.eu-west-1.r.com"),
    ("https://{account}.dkr.ecr.{region}.r.com", "x", False, HOME, "https://123456789012.dkr.ecr.us-east-1.r.com"),
    ("", 'bad host" or 1', False, HOME, "http://localhost"),
    ("", "", False, HOME, "http://localhost"),
    ("", "[::1]:5000", False, HOME, "http://[::1]:5000"),
])  # fmt: skip
def test_the_address_of_a_registry_follows_what_the_client_used(
    public: str, host: str, secure: bool, registry: RegistryId, expected: str
):
    assert hosts(public).url(registry, Origin("", host, secure)) == expected


def test_hosts_mean_the_same_in_any_case():
    upper = "210987654321.DKR.ECR.EU-WEST-1.Example.COM"
    assert hosts().url(AWAY, Origin("", upper, True)).lower() == f"https://{upper.lower()}"
    assert hosts().url(HOME, Origin("", upper, True)).lower() == "https://123456789012.dkr.ecr.us-east-1.example.com"


def forwarded(**fields: str) -> CIMultiDict[str]:
    return CIMultiDict({f"X-Forwarded-{name}": value for name, value in fields.items()})


ALL = forwarded(For="9.9.9.9", Proto="https", Host="public.example.com")


def test_what_a_stranger_says_about_itself_does_not_count():
    for some in (hosts(), hosts("", "10.0.0.0/8")):
        assert some.origin("192.0.2.1", "localhost", False, ALL) == Origin("192.0.2.1", "localhost", False)


def test_what_a_trusted_proxy_says_counts():
    some = hosts("", "10.0.0.0/8", "fd00::/8")
    for peer in ("10.1.2.3", "fd00::1"):
        assert some.origin(peer, "localhost", False, ALL) == Origin("9.9.9.9", "public.example.com", True)
    assert some.origin("10.1.2.3", "localhost", True, forwarded(Proto="http")).secure is False
    assert some.origin("10.1.2.3", "localhost", True, CIMultiDict()) == Origin("10.1.2.3", "localhost", True)


@pytest.mark.parametrize(("value", "client"), [
    ("9.9.9.9", "9.9.9.9"),
    ("1.1.1.1, 9.9.9.9", "9.9.9.9"),
    ("1.1.1.1, 9.9.9.9, 10.0.0.7", "9.9.9.9"),
    ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
    (" 9.9.9.9 ,", "9.9.9.9"),
    ("", "10.1.2.3"),
    ("2001:db8::1", "2001:db8::1"),
    ("[2001:db8::1]:443", "2001:db8::1"),
])  # fmt: skip
def test_the_client_is_the_last_hop_that_no_proxy_of_ours_is(value: str, client: str):
    assert hosts("", "10.0.0.0/8").origin("10.1.2.3", "h", False, forwarded(For=value)).client == client


@pytest.mark.parametrize(("value", "client"), [("[2001:db8::1]", "2001:db8::1"), ("9.9.9.9:1234", "9.9.9.9")])
def test_a_hop_may_be_written_with_brackets_and_with_a_port(value: str, client: str):
    assert hosts("", "10.0.0.0/8").origin("10.1.2.3", "h", False, forwarded(For=value)).client == client


@pytest.mark.parametrize("host", ['evil"host', "a b", "a/b", "a:b", "x" * 300, "a,b c"])
def test_a_forwarded_host_that_is_none_does_not_count(host: str):
    origin = hosts("", "10.0.0.0/8").origin("10.1.2.3", "localhost", False, forwarded(Host=host))
    assert origin.host in {"localhost", "c"}


@pytest.mark.parametrize(("peer", "client"), [
    ("::ffff:9.9.9.9", "9.9.9.9"), ("::FFFF:0909:0909", "9.9.9.9"), ("2001:DB8:0:0::1", "2001:db8::1"),
    ("fe80::1%eth0", "fe80::1"), ("::1", "::1"), ("9.9.9.9", "9.9.9.9"), ("", ""),
])  # fmt: skip
def test_an_address_is_written_in_one_way(peer: str, client: str):
    for some in (hosts(), hosts("", "10.0.0.0/8")):
        assert some.origin(peer, "h", False, CIMultiDict()).client == client


def test_a_proxy_is_trusted_and_a_client_named_however_ipv6_wraps_them():
    some = hosts("", "10.0.0.0/8")
    assert some.origin("::ffff:10.1.2.3", "h", False, forwarded(For="[::ffff:9.9.9.9]:80")).client == "9.9.9.9"


@pytest.mark.parametrize(
    "value", ["unknown", "_hidden", "9.9.9", "1.1.1.1, unknown", "1.1.1.1, 10.0.0.300", "[nonsense]"]
)
def test_a_hop_without_an_address_is_nobodys(value: str):
    assert hosts("", "10.0.0.0/8").origin("10.1.2.3", "h", False, forwarded(For=value)).client == ""


@pytest.mark.parametrize(("sent_for", "proto", "secure"), [
    ("9.9.9.9", "http", False), ("9.9.9.9", "https", True), ("9.9.9.9", "HTTPS", True),
    # one field each: the proxy at the door and one behind it
    ("9.9.9.9, 10.0.0.7", "https, http", True), ("9.9.9.9, 10.0.0.7", "http, https", False),
    # the client said more than it could know
    ("1.1.1.1, 9.9.9.9", "https, http", False), ("1.1.1.1, 9.9.9.9, 10.0.0.7", "https, http, https", False),
    ("9.9.9.9", "https, http", False), ("", "https, http", False),
])  # fmt: skip
def test_a_client_cannot_say_that_it_came_over_tls(sent_for: str, proto: str, secure: bool):
    fields = forwarded(For=sent_for, Proto=proto)
    assert hosts("", "10.0.0.0/8").origin("10.1.2.3", "h", False, fields).secure is secure


def test_a_client_cannot_choose_the_host_that_a_proxy_was_asked_for():
    fields = forwarded(For="1.1.1.1, 9.9.9.9", Host="evil.example.com, r.example.com")
    assert hosts("", "10.0.0.0/8").origin("10.1.2.3", "h", False, fields).host == "r.example.com"


def test_a_proxy_that_adds_a_line_of_its_own_is_believed_before_the_clients_line():
    fields = CIMultiDict([("X-Forwarded-For", "1.1.1.1"), ("x-forwarded-for", "9.9.9.9")])
    assert hosts("", "10.0.0.0/8").origin("10.1.2.3", "h", False, fields).client == "9.9.9.9"
