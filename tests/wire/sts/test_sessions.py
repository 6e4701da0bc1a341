"""Sessions of users and of root, who is who, and access keys as docker's password."""

import http.client
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tests.live import LiveServer
from tests.wire.client import Client, basic
from tests.wire.sts.conftest import ACCOUNT, House, allow, credentials, policy, refusal, trust

READ = allow("ecr:DescribeRepositories")


def left(issued: Any) -> float:
    return (issued["Expiration"] - datetime.now(UTC)).total_seconds()


# -- GetSessionToken


def test_a_session_of_a_user_is_the_user(house: House, name: str):
    given = house.user(name, READ, allow("ecr:GetAuthorizationToken"), path="/team/")
    issued = house.client("sts", given).get_session_token(DurationSeconds=900)["Credentials"]
    assert 890 < left(issued) <= 900
    session = credentials(issued)
    mine, sessions = (house.client("sts", one).get_caller_identity() for one in (given, session))
    assert mine["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/{name}"
    assert mine["UserId"] == house.iam.get_user(UserName=name)["User"]["UserId"]
    assert {key: mine[key] for key in ("Arn", "UserId", "Account")} == {
        key: sessions[key] for key in ("Arn", "UserId", "Account")
    }
    house.client("ecr", session).describe_repositories()
    with house.docker(session) as docker:
        assert docker("GET", "/v2/").status == 200


def test_a_session_of_a_user_calls_nothing_of_iam_and_little_of_sts(house: House, name: str):
    role = house.role(name, trust({"AWS": ACCOUNT}, ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]))
    given = house.user(name, allow("*"))
    session = credentials(house.client("sts", given).get_session_token()["Credentials"])
    assert refusal(house.client("iam", session).get_user)[:2] == (403, "AccessDenied")
    sts = house.client("sts", session)
    tags: Any = [{"Key": "team", "Value": "blue"}]
    sts.assume_role(RoleArn=role, RoleSessionName="job-7", Tags=tags, SourceIdentity="alice")
    assert refusal(sts.get_session_token)[2] == "Cannot call GetSessionToken with session credentials"
    assert refusal(sts.get_access_key_info, AccessKeyId=given["aws_access_key_id"])[:2] == (403, "AccessDenied")


@pytest.mark.parametrize("operation", ["get_session_token", "get_federation_token"])
def test_roots_sessions_last_an_hour_at_the_most(house: House, operation: str):
    root = house.server.client("sts")
    more = {} if operation == "get_session_token" else {"Name": "bob"}
    for asked, given in ((900, 900), (3600, 3600), (43_200, 3600), (None, 3600)):
        params = more if asked is None else {**more, "DurationSeconds": asked}
        assert given - 10 < left(getattr(root, operation)(**params)["Credentials"]) <= given


def test_users_sessions_last_twelve_hours_where_nothing_is_said_and_a_day_and_a_half_at_the_most(
    house: House, name: str
):
    sts = house.client("sts", house.user(name))
    assert 43_190 < left(sts.get_session_token()["Credentials"]) <= 43_200
    assert 129_590 < left(sts.get_session_token(DurationSeconds=129_600)["Credentials"]) <= 129_600
    for wrong in (129_601, 899):
        with pytest.raises((ClientError, ParamValidationError), match=r"(?i)durationSeconds"):
            sts.get_session_token(DurationSeconds=wrong)


def test_there_is_no_second_factor(house: House, name: str):
    role = house.role(name, trust({"AWS": ACCOUNT}))
    sts = house.client("sts", house.user(name, allow("sts:*")))
    device = {"SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/x"}
    for call, params in ((sts.get_session_token, {}), (sts.assume_role, {"RoleArn": role, "RoleSessionName": "job-7"})):
        status, code, message = refusal(call, **params, **device, TokenCode="123456")
        assert (status, code) == (403, "AccessDenied")
        assert message.startswith("MultiFactorAuthentication failed with invalid MFA one time pass code.")
        assert "must provide both" in refusal(call, **params, **device)[2]


@pytest.mark.parametrize("taken", ["deactivated", "deleted", "with the user"])
def test_a_key_that_goes_takes_sessions_and_passwords_with_it_at_once(house: House, name: str, taken: str):
    given = house.user(name, allow("*"))
    sts = house.client("sts", given)
    session = credentials(sts.get_session_token()["Credentials"])
    federated = credentials(sts.get_federation_token(Name="bob", Policy=policy(allow("*")))["Credentials"])
    passwords = [house.docker(one) for one in (given, session, federated)]
    passwords.append(
        Client(house.server, authorization=basic(given["aws_access_key_id"], given["aws_secret_access_key"]))
    )
    answer = passwords[0]("GET", "/token?scope=repository:a:pull&offline_token=true").json
    passwords.append(Client(house.server, authorization=f"Bearer {answer['token']}"))
    for docker in passwords:
        assert docker("GET", "/v2/").status == 200
    key = {"UserName": name, "AccessKeyId": given["aws_access_key_id"]}
    if taken == "deactivated":
        house.iam.update_access_key(**key, Status="Inactive")
    else:
        house.iam.delete_access_key(**key)
        if taken == "with the user":
            house.iam.delete_user_policy(UserName=name, PolicyName="p")
            house.iam.delete_user(UserName=name)
    for docker in passwords:
        assert docker("GET", "/v2/").said == (401, "UNAUTHORIZED")
    for one in (given, session, federated):
        assert refusal(house.client("sts", one).get_caller_identity)[:2] == (403, "InvalidClientTokenId")
    refreshed = passwords[0](
        "POST", "/token", f"grant_type=refresh_token&refresh_token={answer['refresh_token']}".encode()
    )
    assert refreshed.status == 401
    for docker in passwords:
        docker.close()


def test_a_key_that_is_activated_again_brings_its_tokens_back(house: House, name: str):
    given = house.user(name, allow("*"))
    key = {"UserName": name, "AccessKeyId": given["aws_access_key_id"]}
    with house.docker(given) as docker:
        for status, expected in (("Inactive", 401), ("Active", 200)):
            house.iam.update_access_key(**key, Status=status)
            assert docker("GET", "/v2/").status == expected


# -- GetFederationToken


def test_a_federated_user_may_what_the_user_and_its_session_policy_both_allow(house: House, name: str):
    given = house.user(name, allow("sts:*"), READ, allow("ecr:CreateRepository"))
    issued = house.client("sts", given).get_federation_token(
        Name="bob", Policy=policy(READ, allow("ecr:DeleteRepository"))
    )
    assert issued["FederatedUser"] == {
        "FederatedUserId": f"{ACCOUNT}:bob", "Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
    }  # fmt: skip
    assert issued["PackedPolicySize"] > 0
    session = credentials(issued["Credentials"])
    who = house.client("sts", session).get_caller_identity()
    assert (who["Arn"], who["UserId"]) == (f"arn:aws:sts::{ACCOUNT}:federated-user/bob", f"{ACCOUNT}:bob")
    ecr = house.client("ecr", session)
    ecr.describe_repositories()
    for call in (ecr.create_repository, ecr.delete_repository):
        assert refusal(call, repositoryName=f"{name}/x")[1] == "AccessDeniedException"


def test_a_federated_user_without_a_policy_may_nothing(house: House, name: str):
    given = house.user(name, allow("*"))
    session = credentials(house.client("sts", given).get_federation_token(Name="bob")["Credentials"])
    assert refusal(house.client("ecr", session).describe_repositories)[1] == "AccessDeniedException"
    sts = house.client("sts", session)
    sts.get_caller_identity()
    role = house.role(name, trust({"AWS": ACCOUNT}))
    assert refusal(sts.assume_role, RoleArn=role, RoleSessionName="job-7")[:2] == (403, "AccessDenied")


def test_federating_takes_leave_for_that_name_and_for_its_tags(house: House, name: str):
    sts = house.client(
        "sts", house.user(name, allow("sts:GetFederationToken", f"arn:aws:sts::{ACCOUNT}:federated-user/bob"))
    )
    sts.get_federation_token(Name="bob")
    assert refusal(sts.get_federation_token, Name="eve") == (
        403, "AccessDenied",
        f"User: arn:aws:iam::{ACCOUNT}:user/{name} is not authorized to perform: sts:GetFederationToken on resource: "
        f"arn:aws:sts::{ACCOUNT}:federated-user/eve because no identity-based policy allows the sts:GetFederationToken "
        "action",
    )  # fmt: skip
    tags = [{"Key": "team", "Value": "blue"}]
    assert "sts:TagSession" in refusal(sts.get_federation_token, Name="bob", Tags=tags)[2]


@pytest.mark.parametrize("wrong", ["b", "x" * 33, "a b", "a/b", ""])
def test_a_name_is_what_the_model_says(house: House, wrong: str):
    with pytest.raises(Exception, match=r"[nN]ame"):
        house.server.client("sts").get_federation_token(Name=wrong)


# -- who is who


def test_an_access_key_id_names_its_account(house: House, name: str):
    root = house.server.client("sts")
    given = house.user(name)
    session = root.get_session_token()["Credentials"]
    house.iam.update_access_key(UserName=name, AccessKeyId=given["aws_access_key_id"], Status="Inactive")
    for identifier in (given["aws_access_key_id"], session["AccessKeyId"], house.server.access_key_id):
        assert root.get_access_key_info(AccessKeyId=identifier)["Account"] == ACCOUNT
    assert refusal(root.get_access_key_info, AccessKeyId="AKIA0000000000000000")[:2] == (400, "ValidationError")


def test_who_calls_is_told_though_everything_is_denied(house: House, name: str):
    sts = house.client("sts", house.user(name, {"Effect": "Deny", "Action": "*", "Resource": "*"}))
    assert sts.get_caller_identity()["Arn"].endswith(f"user/{name}")
    assert refusal(sts.get_access_key_info, AccessKeyId="AKIA0000000000000000")[:2] == (403, "AccessDenied")


def test_a_presigned_url_says_who_signed_it(house: House, name: str):
    """As `aws eks get-token` does."""
    given = house.user(name)
    for one in (given, credentials(house.client("sts", given).get_session_token()["Credentials"])):
        url = house.client("sts", one).generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc)
        connection.request("GET", f"/?{parts.query}")
        answer = connection.getresponse().read()
        connection.close()
        assert f"user/{name}</Arn>".encode() in answer


@pytest.mark.parametrize("message", ["x", "gAAAAA", "é", "A" * 10_000, " "])
def test_a_message_that_is_none_is_not_decoded(house: House, message: str):
    assert refusal(house.server.client("sts").decode_authorization_message, EncodedMessage=message)[:2] == (
        400, "InvalidAuthorizationMessageException",
    )  # fmt: skip


@pytest.mark.parametrize("operation", ["assume_root", "assume_role_with_saml", "get_web_identity_token"])
def test_what_is_not_served_says_so(server: LiveServer, operation: str):
    params: dict[str, Any] = {
        "assume_root": {"TargetPrincipal": ACCOUNT, "TaskPolicyArn": {"arn": "arn:aws:iam::aws:policy/x"}},
        "assume_role_with_saml": {
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/x", "PrincipalArn": f"arn:aws:iam::{ACCOUNT}:saml-provider/x",
            "SAMLAssertion": "eHh4eA==",
        },
        "get_web_identity_token": {"Audience": ["x"], "SigningAlgorithm": "RS256"},
    }[operation]  # fmt: skip
    status, code, message = refusal(getattr(server.client("sts"), operation), **params)
    assert (status, code) == (400, "InvalidAction")
    assert "is not implemented by this server" in message
