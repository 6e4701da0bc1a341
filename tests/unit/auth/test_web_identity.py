"""What makes a web identity token good, and everything that does not."""

import base64
import warnings
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.web_identity import (
    ALGORITHMS,
    ClaimRejected,
    IdentityTokenExpired,
    IdentityTokenInvalid,
    check_claims,
    read_token,
    verify,
)
from tests.issuers import jwk_of, make_key, part

ISSUER = "https://issuer.example.test/realm"
PREFIX = "issuer.example.test/realm"
NOW = 1_700_000_000
KEYS = {algorithm: make_key(algorithm) for algorithm in ("ES256", "ES384", "ES512", "RS256")}
RSA = KEYS["RS256"]
BASE: dict[str, Any] = {"iss": ISSUER, "aud": "app", "sub": "repo:a/b", "iat": NOW, "exp": NOW + 60}
TAGS = "https://aws.amazon.com/tags"
SOURCE = "https://aws.amazon.com/source_identity"


def token(algorithm: str = "RS256", key: Any = None, header: dict[str, Any] | None = None, **changed: Any) -> str:
    claims = {name: value for name, value in {**BASE, **changed}.items() if value is not None}
    signing = key or KEYS.get(algorithm, RSA)
    return jwt.encode(claims, signing, algorithm=algorithm, headers={"kid": "one", **(header or {})})


def checked(now: float = NOW, clients: tuple[str, ...] = ("app",), **changed: Any) -> Any:
    return check_claims(read_token(token("ES256", **changed)), clients, now)


# -- signatures


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_that_is_taken_is_verified(algorithm: str):
    key = KEYS.get(algorithm, RSA)
    made = read_token(token(algorithm))
    assert (made.algorithm, made.key_id, made.issuer) == (algorithm, "one", ISSUER)
    assert verify(made, [jwk_of(key, "one", algorithm)])
    header, payload, signature = made.text.split(".")
    for forged in (f"{header}.{part({**BASE, 'sub': 'root'})}.{signature}", f"{header}.{payload}.{part(b'x' * 64)}"):
        assert not verify(read_token(forged), [jwk_of(key, "one", algorithm)])


def test_a_token_is_verified_by_any_of_the_keys_it_may_be_signed_with():
    made = read_token(token())
    others = [jwk_of(make_key(), "one", "RS256"), jwk_of(KEYS["ES256"], "one", "ES256"), {}, {"kty": "RSA"}]
    assert not verify(made, others)
    assert verify(made, [*others, jwk_of(RSA, None, "RS256")])
    assert not verify(made, [])


@pytest.mark.parametrize(
    "members", [{"use": "enc"}, {"alg": "RS512"}, {"alg": "none"}, {"kty": "EC"}, {"kty": "oct"}, {"n": "AQAB"}]
)
def test_a_key_for_something_else_verifies_nothing(members: dict[str, str]):
    assert not verify(read_token(token()), [{**jwk_of(RSA, "one", "RS256"), **members}])


def test_a_public_key_is_no_secret_to_sign_with():
    """The confusion of RS256 with HS256."""
    secret = base64.urlsafe_b64decode(jwk_of(RSA, "one", "RS256")["n"] + "==")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forged = jwt.encode(BASE, secret, algorithm="HS256", headers={"kid": "one"})
    with pytest.raises(IdentityTokenInvalid, match="not a valid JWT"):
        read_token(forged)


def test_weak_keys_verify_nothing():
    weak = make_key("RS256", 1024)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = read_token(token(key=weak))
    assert not verify(made, [jwk_of(weak, "one", "RS256")])


def test_a_key_on_another_curve_verifies_nothing():
    made = read_token(token("ES256"))
    assert not verify(made, [{**jwk_of(KEYS["ES384"], "one", "ES384"), "alg": "ES256"}])


def test_a_set_that_gives_its_private_key_away_verifies_nothing():
    private = jwt.algorithms.RSAAlgorithm.to_jwk(RSA, as_dict=True)
    assert not verify(read_token(token()), [{**private, "kid": "one", "use": "sig", "alg": "RS256"}])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda x: st.lists(x, max_size=2), max_leaves=3
)


@given(st.dictionaries(st.sampled_from(["kty", "n", "e", "x", "y", "d", "crv", "alg", "use", "kid", "oth"]), JSON))
def test_no_set_of_keys_ends_in_a_failure(members: dict[str, Any]):
    made = {algorithm: read_token(token(algorithm)) for algorithm in ("RS256", "ES256")}
    for algorithm, one in made.items():
        kind = {"kty": "RSA" if algorithm == "RS256" else "EC"}
        good = jwk_of(KEYS[algorithm], "one", algorithm)
        assert not verify(one, [members, {**members, **kind}])
        assert isinstance(verify(one, [{**good, **members}]), bool)


# -- tokens that are none


GOOD = token()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")


@pytest.mark.parametrize("text", [
    "", "x", "a.b", "a.b.c", "....", GOOD[: len(GOOD) // 3], f"{HEADER}.{PAYLOAD}", f"{HEADER}..{SIGNATURE}",
    f".{PAYLOAD}.{SIGNATURE}",
    f"{part({'alg': 'none'})}.{PAYLOAD}.", f"{part({'alg': 'none'})}.{PAYLOAD}.{SIGNATURE}", f"{part({})}.{PAYLOAD}.{SIGNATURE}",
    f"{part({'alg': 'HS256'})}.{PAYLOAD}.{SIGNATURE}", f"{part({'alg': ['RS256']})}.{PAYLOAD}.{SIGNATURE}",
    f"{part({'alg': 'RS256', 'kid': 7})}.{PAYLOAD}.{SIGNATURE}",
    f"{part({'alg': 'RS256', 'crit': ['x'], 'x': 1})}.{PAYLOAD}.{SIGNATURE}",
    f"{HEADER}.{part([1])}.{SIGNATURE}", f"{HEADER}.{part(b'{')}.{SIGNATURE}", f"{HEADER}.{part(b'[' * 5000)}.{SIGNATURE}",
    f"{part(b'[' * 5000)}.{PAYLOAD}.{SIGNATURE}", f"{part({'alg': 'EdDSA'})}.{PAYLOAD}.{SIGNATURE}", "é.é.é", "\0",
])  # fmt: skip
def test_what_is_no_token_is_said_to_be_none(text: str):
    with pytest.raises(IdentityTokenInvalid):
        read_token(text)


@given(st.text(max_size=60))
def test_no_text_ends_in_a_failure(text: str):
    for made in (text, f"{HEADER}.{text}.{SIGNATURE}", f"{text}.{PAYLOAD}.{SIGNATURE}"):
        with pytest.raises(IdentityTokenInvalid):
            read_token(made)


# -- claims


def test_a_good_token_says_who_and_for_whom():
    identity = checked()
    assert (identity.subject, identity.audience) == ("repo:a/b", "app")
    assert dict(identity.lasting) == {f"{PREFIX}:aud": "app", f"{PREFIX}:sub": "repo:a/b"}
    assert (identity.tags, identity.transitive, identity.source_identity) == ((), (), "")


@pytest.mark.parametrize(("changed", "message"), [
    ({"aud": "other"}, "Incorrect token audience"), ({"aud": ["x", "y"]}, "Incorrect token audience"),
    ({"aud": "App"}, "Incorrect token audience"), ({"aud": ["app", 7], "azp": "other"}, "Incorrect token audience"),
    ({"aud": 7}, "Incorrect token audience"), ({"aud": None}, "Missing a required claim: aud"),
    ({"aud": {"app": 1}}, "Incorrect token audience"), ({"azp": None, "aud": []}, "Incorrect token audience"),
    ({"sub": None}, "Missing a required claim: sub"), ({"sub": ""}, "Missing a required claim: sub"),
    ({"sub": "x" * 256}, "more than 255"), ({"exp": None}, "Missing a required claim: exp"),
    ({"nbf": NOW + 120}, "not valid yet"), ({"iat": NOW + 120}, "not valid yet"),
])  # fmt: skip
def test_a_token_that_is_for_another_or_says_too_little_is_refused(changed: dict[str, Any], message: str):
    with pytest.raises(IdentityTokenInvalid, match=message):
        checked(**changed)


@pytest.mark.parametrize("time", ["soon", [NOW], True, {}, float("inf"), float("nan"), 1e300])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_is_none_is_refused(name: str, time: Any):
    claims = part({**BASE, name: time})
    with pytest.raises(IdentityTokenInvalid):
        check_claims(read_token(f"{HEADER}.{claims}.{SIGNATURE}"), ("app",), NOW)


def test_a_token_is_over_at_its_second():
    checked(NOW + 59.9)
    with pytest.raises(IdentityTokenExpired, match="Token expired: current date/time 1700000060 must be before"):
        checked(NOW + 60)


def test_clocks_may_differ_by_a_minute():
    checked(nbf=NOW + 60, iat=NOW + 60)


def test_the_authorized_party_counts_before_the_audience():
    identity = checked(aud=["other", "more"], azp="app")
    assert identity.audience == "app"
    assert dict(identity.lasting)[f"{PREFIX}:oaud"] == ("other", "more")


def test_one_of_several_audiences_is_enough():
    assert checked(aud=["other", "app"]).audience == "app"


def test_claims_are_condition_keys_under_the_issuers_name():
    keys = dict(checked(
        amr=["pwd", "mfa"], repository="a/b", run=7, fork=False, groups=["x", "y"], nested={"a": 1}, mixed=["a", 1],
        long="x" * 5000, **{"https://aws.amazon.com/roles": "x"},
    ).keys)  # fmt: skip
    assert keys[f"{PREFIX}:amr"] == ("pwd", "mfa")
    assert keys[f"{PREFIX}:repository"] == "a/b"
    assert keys[f"{PREFIX}:run"] == "7"
    assert keys[f"{PREFIX}:fork"] == "false"
    assert keys[f"{PREFIX}:groups"] == ("x", "y")
    for absent in ("nested", "mixed", "long", "https://aws.amazon.com/roles"):
        assert f"{PREFIX}:{absent}" not in keys


def test_no_claim_passes_for_another_one_in_another_case():
    claims = {"SUB": "root", "Aud": "x", "OAUD": "x", "oaud": "x", "AMR": ["mfa"], "Team": "a", "team": "b", "Run": 7}
    keys = dict(checked(**claims).keys)
    spelt = {name.lower(): value for name, value in keys.items()}
    assert spelt[f"{PREFIX}:sub"] == "repo:a/b"
    assert spelt[f"{PREFIX}:aud"] == "app"
    assert f"{PREFIX}:Run" in keys
    assert not {f"{PREFIX}:{name}" for name in ("oaud", "amr", "team")} & spelt.keys()


@pytest.mark.parametrize("name", ["aws", "AWS", "sts", "elastic-beanstalk"])
def test_no_issuer_writes_the_condition_keys_of_a_service(name: str):
    with pytest.raises(IdentityTokenInvalid, match="service"):
        checked(iss=f"https://{name}", SourceIp="10.0.0.1")


@pytest.mark.parametrize("claims", [
    {TAGS: {"principal_tags": {"team": ["blue"], "stage": ["ci"]}, "transitive_tag_keys": ["team"]}},
    {f"{TAGS}/principal_tags/team": ["blue"], f"{TAGS}/principal_tags/stage": "ci", f"{TAGS}/transitive_tag_keys": ["team"]},
])  # fmt: skip
def test_tags_come_nested_or_flat(claims: dict[str, Any]):
    identity = checked(**claims)
    assert identity.tags == (("team", "blue"), ("stage", "ci"))
    assert identity.transitive == ("team",)


@pytest.mark.parametrize("claims", [
    {TAGS: "x"}, {TAGS: {"principal_tags": []}}, {TAGS: {"principal_tags": {"a": ["x", "y"]}}},
    {TAGS: {"principal_tags": {"a": []}}},
    {TAGS: {"principal_tags": {"a": 7}}}, {TAGS: {"principal_tags": {"": "x"}}}, {TAGS: {"principal_tags": {"a" * 129: "x"}}},
    {TAGS: {"principal_tags": {"a": "x" * 257}}}, {TAGS: {"principal_tags": {"a": "<script>"}}},
    {TAGS: {"transitive_tag_keys": "a"}}, {TAGS: {"transitive_tag_keys": [1]}}, {SOURCE: "x"}, {SOURCE: "a b"}, {SOURCE: 7},
    {SOURCE: "x" * 65}, {"amr": "pwd"}, {"amr": ["x" * 256]}, {"amr": [7]}, {"amr": ["x" * 100] * 3},
])  # fmt: skip
def test_claims_for_aws_that_cannot_be_used_are_rejected(claims: dict[str, Any]):
    with pytest.raises(ClaimRejected):
        checked(**claims)


def test_a_source_identity_is_taken_from_its_claim():
    assert checked(**{SOURCE: "alice@example.test"}).source_identity == "alice@example.test"
