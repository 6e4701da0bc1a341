"""Web identities over the wire: a token of a local issuer pushes an image; one that is not quite right does not."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore
import botocore.config
import jwt
import pytest

from tests.issuers import CONFIGURATION, KEYS, Issuer, jwk_of, make_key, part
from tests.wire.sts.conftest import ACCOUNT, House, allow, credentials, policy, refusal, trust

WEB = "sts:AssumeRoleWithWebIdentity"
SUBJECT = "repo:team-a/app:ref:refs/heads/main"
TAGS = "https://aws.amazon.com/tags"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        running.add_key("one", "RS256")
        running.add_key("two", "ES256")
        yield running


@pytest.fixture(scope="module")
def provider(iam: Any, issuer: Issuer) -> str:
    made = iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["longshore", "other-client"])
    return str(made["OpenIDConnectProviderArn"])


@pytest.fixture
def role(house: House, issuer: Issuer, provider: str, name: str) -> str:
    """A role for pushing team-a/*, for the main branch only."""
    condition = {"StringEquals": {f"{issuer.name}:sub": SUBJECT, f"{issuer.name}:aud": "longshore"}}
    return house.role(
        name,
        trust({"Federated": provider}, WEB, Condition=condition),
        grants=(
            allow("ecr:*", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team-a/*"),
            allow("ecr:GetAuthorizationToken"),
        ),
    )


@pytest.fixture(scope="module")
def nobody(server: Any) -> Any:
    """A client without credentials: the request is not signed."""
    config = botocore.config.Config(retries={"total_max_attempts": 1}, signature_version=botocore.UNSIGNED)
    return server.client("sts", config=config)


def call(role: str, token: str, **more: Any) -> dict[str, Any]:
    return {"RoleArn": role, "RoleSessionName": "job-7", "WebIdentityToken": token, **more}


@pytest.mark.parametrize("key", ["one", "two"])
def test_a_token_of_the_issuer_pushes_an_image(
    house: House, issuer: Issuer, provider: str, role: str, name: str, nobody: Any, key: str
):
    assumed = nobody.assume_role_with_web_identity(**call(role, issuer.token(key)))
    assert assumed["SubjectFromWebIdentityToken"] == SUBJECT
    assert (assumed["Audience"], assumed["Provider"]) == ("longshore", provider)
    assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/job-7"
    session = credentials(assumed["Credentials"])
    assert house.client("sts", session).get_caller_identity()["Arn"] == assumed["AssumedRoleUser"]["Arn"]
    house.client("ecr", session).create_repository(repositoryName=f"team-a/{name}")
    with house.docker(session) as docker:
        docker.push_image(f"team-a/{name}", "latest")
        assert docker("GET", f"/v2/team-a/{name}/manifests/latest").status == 200
        assert docker("GET", "/v2/team-b/app/tags/list").said == (403, "DENIED")


NOT_A_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)


def wrong_tokens(issuer: Issuer) -> dict[str, tuple[str, int, str, str]]:
    """What is wrong -> (token, status, code, how the message begins)."""
    now = issuer.claims()["iat"]
    good = issuer.token()
    header, payload, signature = good.split(".")
    stranger = make_key()
    public = issuer.keys["one"][1].public_key().public_numbers().n.to_bytes(256, "big")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        confused = jwt.encode(issuer.claims(), public, algorithm="HS256", headers={"kid": "one"})
    invalid = 400, "InvalidIdentityToken"
    return {
        "another audience": (issuer.token(aud="elsewhere"), *invalid, "Incorrect token audience"),
        "no audience": (issuer.token(aud=None), *invalid, "Missing a required claim: aud"),
        "another issuer": (
            issuer.token(iss="https://elsewhere.example.test"), *invalid,
            "No OpenIDConnect provider found in your account for https://elsewhere.example.test",
        ),
        "no issuer": (issuer.token(iss=None), *invalid, "Missing a required claim: iss"),
        "no subject": (issuer.token(sub=None), *invalid, "Missing a required claim: sub"),
        "expired": (issuer.token(exp=now - 1), 400, "ExpiredTokenException", "Token expired: current date/time"),
        "no expiry": (issuer.token(exp=None), *invalid, "Missing a required claim: exp"),
        "not yet valid": (issuer.token(nbf=now + 3600), *invalid, "The token is not valid yet"),
        "a signature of another key": (
            jwt.encode(issuer.claims(), stranger, algorithm="RS256", headers={"kid": "one"}), *invalid,
            "Invalid token signature",
        ),
        "a key that the issuer has not": (
            jwt.encode(issuer.claims(), stranger, algorithm="RS256", headers={"kid": "three"}), *invalid, NO_KEY,
        ),
        "a key in the header": (
            jwt.encode(
                issuer.claims(), stranger, algorithm="RS256",
                headers={"kid": "one", "jwk": jwk_of(stranger, "one", "RS256"), "jku": issuer.url + "/mine"},
            ),
            *invalid, "Invalid token signature",
        ),
        "another payload": (
            f"{header}.{part(issuer.claims(sub='root'))}.{signature}", *invalid, "Invalid token signature",
        ),
        "cut short": (good[:-20], *invalid, ""),
        "without a signature": (f"{header}.{payload}", *invalid, NOT_A_JWT),
        "alg none": (f"{part({'alg': 'none', 'kid': 'one'})}.{payload}.", *invalid, NOT_A_JWT),
        "the public key as a secret": (confused, *invalid, NOT_A_JWT),
        "no token": ("hunter2", *invalid, NOT_A_JWT),
        "tags that are none": (
            issuer.token(**{TAGS: {"principal_tags": {"a": [1]}}}), 403, "IDPRejectedClaim", f"The claim {TAGS}",
        ),
    }  # fmt: skip


WRONG = (
    "another audience", "no audience", "another issuer", "no issuer", "no subject", "expired", "no expiry",
    "not yet valid", "a signature of another key", "a key that the issuer has not", "a key in the header",
    "another payload", "cut short", "without a signature", "alg none", "the public key as a secret", "no token",
    "tags that are none",
)  # fmt: skip


def test_every_wrong_token_is_tried(issuer: Issuer):
    assert set(wrong_tokens(issuer)) == set(WRONG)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_that_is_not_quite_right_assumes_nothing(issuer: Issuer, role: str, nobody: Any, wrong: str):
    token, status, code, message = wrong_tokens(issuer)[wrong]
    said = refusal(nobody.assume_role_with_web_identity, **call(role, token))
    assert said[:2] == (status, code)
    assert said[2].startswith(message)
    assert issuer.asked["/mine"] == 0


def test_a_role_is_for_the_subject_and_client_that_it_trusts(house: House, issuer: Issuer, role: str, nobody: Any):
    denied = 403, "AccessDenied", f"Not authorized to perform {WEB}"
    for token in (issuer.token(sub="repo:team-a/app:ref:refs/heads/evil"), issuer.token(aud="other-client")):
        assert refusal(nobody.assume_role_with_web_identity, **call(role, token)) == denied
    missing = f"arn:aws:iam::{ACCOUNT}:role/missing"
    assert refusal(nobody.assume_role_with_web_identity, **call(missing, issuer.token())) == denied
    elsewhere = "arn:aws:iam::210987654321:role/missing"
    assert refusal(nobody.assume_role_with_web_identity, **call(elsewhere, issuer.token()))[1] == "InvalidIdentityToken"


@pytest.mark.parametrize("principal", [{"AWS": "*"}, {"AWS": ACCOUNT}, {"Federated": "accounts.google.com"},
    {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/elsewhere.example.test"},
])  # fmt: skip
def test_only_a_trust_that_names_the_provider_counts(
    house: House, issuer: Issuer, provider: str, name: str, nobody: Any, principal: Any
):
    role = house.role(name, trust(principal, WEB))
    assert refusal(nobody.assume_role_with_web_identity, **call(role, issuer.token()))[:2] == (403, "AccessDenied")


def test_a_trust_for_other_ways_of_assuming_does_not_count(
    house: House, issuer: Issuer, provider: str, name: str, nobody: Any
):
    role = house.role(name, trust({"Federated": provider}, ["sts:AssumeRole", "sts:TagSession"]))
    assert refusal(nobody.assume_role_with_web_identity, **call(role, issuer.token()))[:2] == (403, "AccessDenied")


def test_claims_become_tags_and_a_source_identity_with_the_trusts_leave(
    house: House, issuer: Issuer, provider: str, name: str, nobody: Any
):
    condition = {"StringEquals": {"aws:PrincipalTag/team": "blue", "aws:SourceIdentity": "alice"}}
    session = {"StringEquals": {"aws:FederatedProvider": provider, f"{issuer.name}:sub": SUBJECT}}
    role = house.role(
        name,
        trust({"Federated": provider}, WEB),
        grants=(
            allow("ecr:DescribeRepositories", Condition=condition),
            allow("ecr:DescribeRegistry", Condition=session),
        ),
    )
    token = issuer.token(**{
        TAGS: {"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": ["team"]},
        "https://aws.amazon.com/source_identity": "alice",
    })  # fmt: skip
    refused = refusal(nobody.assume_role_with_web_identity, **call(role, token))
    assert refused == (403, "AccessDenied", "Not authorized to perform sts:SetSourceIdentity")
    every = [WEB, "sts:TagSession", "sts:SetSourceIdentity"]
    only_blue = {"StringEquals": {"aws:RequestTag/team": "blue", "sts:RoleSessionName": "job-7"}}
    house.iam.update_assume_role_policy(
        RoleName=name, PolicyDocument=policy(trust({"Federated": provider}, every, Condition=only_blue))
    )
    assumed = nobody.assume_role_with_web_identity(**call(role, token))
    assert (assumed["SourceIdentity"], assumed["PackedPolicySize"] > 0) == ("alice", True)
    ecr = house.client("ecr", credentials(assumed["Credentials"]))
    ecr.describe_repositories()
    ecr.describe_registry()


def test_a_session_policy_and_a_duration_are_the_requests(house: House, issuer: Issuer, role: str, nobody: Any):
    assumed = nobody.assume_role_with_web_identity(
        **call(role, issuer.token(), Policy=policy(allow("ecr:GetAuthorizationToken")), DurationSeconds=900)
    )
    ecr = house.client("ecr", credentials(assumed["Credentials"]))
    expires = ecr.get_authorization_token()["authorizationData"][0]["expiresAt"]
    assert abs((expires - assumed["Credentials"]["Expiration"]).total_seconds()) < 1, "a password ends with its session"
    assert refusal(ecr.describe_repositories)[1] == "AccessDeniedException"
    too_long = call(role, issuer.token(), DurationSeconds=7200)
    assert refusal(nobody.assume_role_with_web_identity, **too_long)[1] == "ValidationError"


def test_a_provider_that_is_deleted_lets_nobody_in_any_more(house: House, name: str, nobody: Any):
    with Issuer() as issuer:
        issuer.add_key()
        made = house.iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["longshore"])
        arn = made["OpenIDConnectProviderArn"]
        role = house.role(name, trust({"Federated": arn}, WEB))
        nobody.assume_role_with_web_identity(**call(role, issuer.token()))
        house.iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="longshore")
        assert (
            refusal(nobody.assume_role_with_web_identity, **call(role, issuer.token()))[2] == "Incorrect token audience"
        )
        house.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        assert refusal(nobody.assume_role_with_web_identity, **call(role, issuer.token()))[2].startswith(
            "No OpenIDConnect provider found"
        )


@pytest.mark.parametrize(("path", "answer", "code"), [
    (CONFIGURATION, (503, b""), "IDPCommunicationError"), (KEYS, (500, b""), "IDPCommunicationError"),
    (CONFIGURATION, (404, b""), "InvalidIdentityToken"), (CONFIGURATION, (200, b"<html>"), "InvalidIdentityToken"),
    (KEYS, (200, b'{"keys": []}'), "InvalidIdentityToken"), (KEYS, (200, b" " * 300_000), "InvalidIdentityToken"),
])  # fmt: skip
def test_an_issuer_that_does_not_answer_as_one_lets_nobody_in(
    house: House, name: str, nobody: Any, path: str, answer: tuple[int, bytes], code: str
):
    with Issuer() as issuer:
        issuer.add_key()
        issuer.answers[path] = answer
        made = house.iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["longshore"])
        role = house.role(name, trust({"Federated": made["OpenIDConnectProviderArn"]}, WEB))
        for _ in range(3):
            assert refusal(nobody.assume_role_with_web_identity, **call(role, issuer.token()))[:2] == (400, code)
        assert issuer.asked[CONFIGURATION] == 1, "one look is enough for a while"


def test_an_access_token_of_another_kind_of_provider_is_not_taken(issuer: Issuer, role: str, nobody: Any):
    refused = refusal(nobody.assume_role_with_web_identity, **call(role, issuer.token(), ProviderId="www.amazon.com"))
    assert refused[:2] == (400, "ValidationError")


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, server: Any, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without credentials of this machine, in which AWS tools find the server."""
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    for variable, value in {
        "AWS_ENDPOINT_URL": server.url, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    return monkeypatch


def test_a_pod_with_a_token_file_needs_nothing_else(
    issuer: Issuer, role: str, name: str, tmp_path: Path, surroundings: pytest.MonkeyPatch
):
    """As Kubernetes service accounts and CI jobs are set up: the tools find the token and the role by themselves."""
    (tmp_path / "token").write_text(issuer.token())
    surroundings.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    surroundings.setenv("AWS_ROLE_ARN", role)
    surroundings.setenv("AWS_ROLE_SESSION_NAME", "pod-3")
    with contextlib.closing(boto3.session.Session().client("sts")) as sts:
        assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/pod-3"


def test_a_profile_assumes_its_role_by_itself(
    house: House, name: str, tmp_path: Path, surroundings: pytest.MonkeyPatch
):
    role = house.role(name, trust({"AWS": ACCOUNT}, Condition={"StringEquals": {"sts:ExternalId": "secret-42"}}))
    given = house.user(name, allow("sts:AssumeRole"))
    (tmp_path / "config").write_text(
        f"[profile pull]\nrole_arn = {role}\nsource_profile = me\nexternal_id = secret-42\nrole_session_name = job-7\n"
    )
    (tmp_path / "credentials").write_text(
        "[me]\n" + "\n".join(f"{key} = {value}" for key, value in given.items()) + "\n"
    )
    with contextlib.closing(boto3.session.Session(profile_name="pull").client("sts")) as sts:
        assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/job-7"
