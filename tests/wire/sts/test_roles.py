"""AssumeRole over the wire: who may, what the session may, and what it carries on."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.wire.sts.conftest import ACCOUNT, House, allow, credentials, policy, refusal, trust

EVERYTHING = {"AWS": "*"}
ME = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


def denied(who: str, action: str, role: str) -> tuple[int, str, str]:
    return 403, "AccessDenied", f"User: {who} is not authorized to perform: sts:{action} on resource: {role}"


def user_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def assume(house: House, given: dict[str, str], role: str, name: str = "job-7", **params: Any) -> dict[str, Any]:
    return house.client("sts", given).assume_role(RoleArn=role, RoleSessionName=name, **params)


def test_a_session_of_a_role_is_itself_and_may_what_the_role_may(house: House, name: str):
    house.server.client("ecr").create_repository(repositoryName=f"{name}/app")
    repository = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}/*"
    role = house.role(
        name, trust(ME), Path="/ci/", grants=(allow("ecr:*", repository), allow("ecr:GetAuthorizationToken"))
    )
    given = house.user(name, allow("sts:AssumeRole", role))
    assumed = assume(house, given, role)
    identifier = house.iam.get_role(RoleName=name)["Role"]["RoleId"]
    session_arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/job-7"
    assert assumed["AssumedRoleUser"] == {"AssumedRoleId": f"{identifier}:job-7", "Arn": session_arn}
    assert "PackedPolicySize" not in assumed
    left = assumed["Credentials"]["Expiration"] - datetime.now(UTC)
    assert 3590 < left.total_seconds() <= 3600
    session = credentials(assumed["Credentials"])
    who = house.client("sts", session).get_caller_identity()
    assert (who["Arn"], who["Account"], who["UserId"]) == (session_arn, ACCOUNT, f"{identifier}:job-7")
    ecr = house.client("ecr", session)
    assert ecr.describe_images(repositoryName=f"{name}/app")["imageDetails"] == []
    status, code, message = refusal(ecr.create_repository, repositoryName="elsewhere/app")
    assert (status, code) == (400, "AccessDeniedException")
    assert message == (
        f"User: {session_arn} is not authorized to perform: ecr:CreateRepository on resource: "
        f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/elsewhere/app because no identity-based policy allows the "
        "ecr:CreateRepository action"
    )
    with house.docker(session) as docker:
        docker.push_image(f"{name}/app", "latest")
        assert docker("GET", "/v2/elsewhere/app/tags/list").said == (403, "DENIED")


def test_a_role_is_assumed_by_whom_it_trusts_and_who_may(house: House, name: str):
    trusted, may, both = (house.user(f"{name}-{kind}") for kind in ("trusted", "may", "both"))
    arns = [user_arn(f"{name}-{kind}") for kind in ("trusted", "both")]
    direct = house.role(f"{name}-direct", trust({"AWS": arns}))
    whole = house.role(f"{name}-whole", trust(ME))
    for kind in ("may", "both"):
        house.iam.put_user_policy(
            UserName=f"{name}-{kind}", PolicyName="p", PolicyDocument=policy(allow("sts:AssumeRole", "*"))
        )
    for given, role in ((trusted, direct), (both, direct), (both, whole), (may, whole)):
        assume(house, given, role)
    missing = f"arn:aws:iam::{ACCOUNT}:role/{name}-missing"
    for kind, given, role in (
        ("trusted", trusted, whole), ("may", may, direct), ("may", may, missing), ("trusted", trusted, missing),
        ("may", may, direct.replace("role/", "role/path/")), ("may", may, direct.replace("-direct", "-DIRECT")),
        ("may", may, f"arn:aws:iam::210987654321:role/{name}-direct"),
    ):  # fmt: skip
        sts = house.client("sts", given)
        assert refusal(sts.assume_role, RoleArn=role, RoleSessionName="job-7") == denied(
            user_arn(f"{name}-{kind}"), "AssumeRole", role
        )


def test_a_deny_of_the_callers_own_is_told(house: House, name: str):
    role = house.role(name, trust(ME))
    given = house.user(name, allow("sts:*"), {"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": role})
    sts = house.client("sts", given)
    status, code, message = refusal(sts.assume_role, RoleArn=role, RoleSessionName="job-7")
    assert (status, code) == (403, "AccessDenied")
    assert message.endswith(f"on resource: {role} with an explicit deny in an identity-based policy")


def test_root_assumes_no_role(house: House, name: str):
    role = house.role(name, trust(ME))
    expected = 403, "AccessDenied", "Roles may not be assumed by root accounts."
    root = house.server.client("sts")
    assert refusal(root.assume_role, RoleArn=role, RoleSessionName="job-7") == expected
    session = credentials(root.get_session_token()["Credentials"])
    assert refusal(house.client("sts", session).assume_role, RoleArn=role, RoleSessionName="job-7") == expected


def test_conditions_of_a_trust_see_the_request(house: House, name: str):
    condition = {
        "StringEquals": {"sts:ExternalId": "secret-42", "aws:RequestTag/team": "blue", "aws:username": name},
        "StringLike": {"sts:RoleSessionName": "job-*"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["team"], "sts:TransitiveTagKeys": ["team"]},
    }
    role = house.role(name, trust(ME, ["sts:AssumeRole", "sts:TagSession"], Condition=condition))
    given = house.user(name, allow("sts:*"))
    good: dict[str, Any] = {
        "ExternalId": "secret-42", "Tags": [{"Key": "team", "Value": "blue"}], "TransitiveTagKeys": ["team"],
    }  # fmt: skip
    assumed = assume(house, given, role, **good)
    assert assumed["PackedPolicySize"] > 0
    sts = house.client("sts", given)
    for changed in (
        {"ExternalId": "secret-43"}, {"Tags": [{"Key": "team", "Value": "red"}]}, {"RoleSessionName": "other"},
        {"Tags": [*good["Tags"], {"Key": "more", "Value": ""}]},
    ):  # fmt: skip
        params = {"RoleArn": role, "RoleSessionName": "job-7", **good, **changed}
        assert refusal(sts.assume_role, **params)[:2] == (403, "AccessDenied"), changed


def test_tags_and_a_source_identity_take_leave_of_their_own(house: House, name: str):
    role = house.role(name, trust(ME))
    given = house.user(name, allow("sts:*"))
    sts = house.client("sts", given)
    tags = [{"Key": "team", "Value": "blue"}]
    call = {"RoleArn": role, "RoleSessionName": "job-7"}
    assert refusal(sts.assume_role, **call, Tags=tags) == denied(user_arn(name), "TagSession", role)
    assert refusal(sts.assume_role, **call, SourceIdentity="alice") == denied(user_arn(name), "SetSourceIdentity", role)
    house.iam.update_assume_role_policy(
        RoleName=name,
        PolicyDocument=policy(trust(ME, ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"])),
    )
    assumed = sts.assume_role(**call, Tags=tags, SourceIdentity="alice")
    assert assumed["SourceIdentity"] == "alice"


def test_a_session_policy_limits_and_never_adds(house: House, name: str):
    role = house.role(name, trust(ME), grants=(allow(["ecr:DescribeRepositories", "ecr:CreateRepository"]),))
    given = house.user(name, allow("sts:AssumeRole"))
    managed = house.iam.create_policy(PolicyName=name, PolicyDocument=policy(allow("ecr:DescribeRepositories")))[
        "Policy"
    ]["Arn"]
    inline = policy(allow(["ecr:DescribeRepositories", "ecr:DeleteRepository"]))
    for params in (
        {"Policy": inline},
        {"PolicyArns": [{"arn": managed}]},
        {"PolicyArns": [{"arn": managed}], "Policy": inline},
    ):
        assumed = assume(house, given, role, **params)
        assert 0 < assumed["PackedPolicySize"] < 20
        ecr = house.client("ecr", credentials(assumed["Credentials"]))
        ecr.describe_repositories()
        assert refusal(ecr.create_repository, repositoryName=f"{name}/x")[2].endswith(
            "because no session policy allows the ecr:CreateRepository action"
        )
        assert refusal(ecr.delete_repository, repositoryName=f"{name}/x")[1] == "AccessDeniedException"


def test_a_session_policy_as_large_as_may_be_logs_in_to_docker(house: House, name: str):
    house.server.client("ecr").create_repository(repositoryName=f"{name}/app")
    role = house.role(name, trust(ME, ["sts:AssumeRole", "sts:TagSession"]), grants=(allow("ecr:*"),))
    given = house.user(name, allow("sts:*"))
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("ecr:*")], "Id": ""}, separators=(",", ":"))
    document = document.replace('"Id":""', f'"Id":"{"x" * (2048 - len(document))}"')
    tags = [{"Key": f"tag-{number}", "Value": "v" * 40} for number in range(40)]
    assumed = assume(house, given, role, Policy=document, Tags=tags)
    assert 80 < assumed["PackedPolicySize"] <= 100
    with house.docker(credentials(assumed["Credentials"])) as docker:
        docker.push_image(f"{name}/app", "latest")
        answer = docker("GET", f"/token?scope=repository:{name}/app:pull&offline_token=true")
        assert answer.status == 200
    with house.docker(credentials(assumed["Credentials"])) as docker:
        docker.authorization = f"Bearer {answer.json['token']}"
        assert docker("GET", f"/v2/{name}/app/manifests/latest").status == 200
        assert docker("PUT", f"/v2/{name}/app/manifests/x", b"{}").status == 401


def test_what_does_not_fit_is_refused_with_how_much_it_is(house: House, name: str):
    role = house.role(name, trust(ME, ["sts:AssumeRole", "sts:TagSession"]))
    sts = house.client("sts", house.user(name, allow("sts:*")))
    call = {"RoleArn": role, "RoleSessionName": "job-7"}
    tags = [{"Key": f"tag-{number}", "Value": "v" * 256} for number in range(50)]
    status, code, message = refusal(sts.assume_role, **call, Tags=tags)
    assert (status, code) == (400, "PackedPolicyTooLarge")
    assert message.startswith("Packed size of session tags consumes ")
    for count in (100, 30_000):  # up to a megabyte
        large = policy(allow([f"ecr:{'x' * 20}{number}" for number in range(count)]))
        status, code, message = refusal(sts.assume_role, **call, Policy=large)
        assert (status, code) == (400, "ValidationError")
        assert message.endswith("Member must have length less than or equal to 2048")
        assert len(message) < 2000
    half = policy(allow([f"ecr:{'x' * 20}{number}" for number in range(60)]))
    arns = [{"arn": f"arn:aws:iam::{ACCOUNT}:policy/{'p' * 100}{number}"} for number in range(5)]
    assert refusal(sts.assume_role, **call, Policy=half, PolicyArns=arns)[1] == "PackedPolicyTooLarge"


@pytest.mark.parametrize("document", ["{", "[]", '{"Version": "2012-10-17"}', policy({"Effect": "Allow"}),
    policy({**allow("ecr:*"), "Principal": "*"}), policy(allow("ecr:*", "x")), policy({**allow("ecr:*"), "Effect": "allow"}),
])  # fmt: skip
def test_a_session_policy_that_is_none_is_refused(house: House, name: str, document: str):
    role = house.role(name, trust(ME))
    sts = house.client("sts", house.user(name, allow("sts:AssumeRole")))
    status, code, _ = refusal(sts.assume_role, RoleArn=role, RoleSessionName="job-7", Policy=document)
    assert (status, code) == (400, "MalformedPolicyDocument")


def test_managed_session_policies_have_to_be_there_and_of_the_roles_account(house: House, name: str):
    role = house.role(name, trust(ME))
    sts = house.client("sts", house.user(name, allow("sts:AssumeRole")))
    call = {"RoleArn": role, "RoleSessionName": "job-7"}
    for arn in (
        f"arn:aws:iam::{ACCOUNT}:policy/missing", "arn:aws:iam::210987654321:policy/x", "arn:aws:iam::aws:policy/Missing",
        "not an arn, but long enough",
    ):  # fmt: skip
        assert refusal(sts.assume_role, **call, PolicyArns=[{"arn": arn}])[1] == "MalformedPolicyDocument"
    sts.assume_role(**call, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AdministratorAccess"}])


def test_a_session_lasts_as_long_as_is_asked_and_the_role_allows(house: House, name: str):
    short = house.role(f"{name}-short", trust(ME))
    long = house.role(f"{name}-long", trust(ME), MaxSessionDuration=43200)
    given = house.user(name, allow("sts:*"))
    sts = house.client("sts", given)
    for role, seconds in ((short, 900), (short, 3600), (long, 43200)):
        expires = assume(house, given, role, DurationSeconds=seconds)["Credentials"]["Expiration"]
        assert seconds - 10 < (expires - datetime.now(UTC)).total_seconds() <= seconds
    assert refusal(sts.assume_role, RoleArn=short, RoleSessionName="job-7", DurationSeconds=3601) == (
        400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )  # fmt: skip
    chained = house.client("sts", credentials(assume(house, given, long)["Credentials"]))
    house.iam.put_role_policy(RoleName=f"{name}-long", PolicyName="p", PolicyDocument=policy(allow("sts:*")))
    call = {"RoleArn": long, "RoleSessionName": "again"}
    chained.assume_role(**call, DurationSeconds=3600)
    assert refusal(chained.assume_role, **call, DurationSeconds=3601) == (
        400, "ValidationError",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    )  # fmt: skip


def test_a_chain_keeps_its_transitive_tags_and_its_source_identity(house: House, name: str):
    every = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    only_blue = {"StringEquals": {"aws:PrincipalTag/team": "blue", "aws:SourceIdentity": "alice"}}
    roles = [
        house.role(f"{name}-{letter}", trust(ME, every), grants=(
            allow("sts:*"), allow("ecr:DescribeRepositories", Condition=only_blue),
        ))
        for letter in "ab"
    ]  # fmt: skip
    given = house.user(name, allow("sts:*"))
    first = assume(
        house, given, roles[0], SourceIdentity="alice",
        Tags=[{"Key": "team", "Value": "blue"}, {"Key": "stage", "Value": "ci"}], TransitiveTagKeys=["Team"],
    )  # fmt: skip
    house.client("ecr", credentials(first["Credentials"])).describe_repositories()
    second = assume(house, credentials(first["Credentials"]), roles[1], "next")
    assert second["SourceIdentity"] == "alice"
    house.client("ecr", credentials(second["Credentials"])).describe_repositories()
    third = assume(house, credentials(second["Credentials"]), roles[0], "round")  # in a circle, which is just a chain
    house.client("ecr", credentials(third["Credentials"])).describe_repositories()
    sts = house.client("sts", credentials(second["Credentials"]))
    call = {"RoleArn": roles[0], "RoleSessionName": "job-7"}
    sts.assume_role(**call, SourceIdentity="alice", Tags=[{"Key": "stage", "Value": "again"}])
    assert refusal(sts.assume_role, **call, SourceIdentity="mallory") == (
        400, "ValidationError", "The source identity is already set for this assume role session",
    )  # fmt: skip
    assert refusal(sts.assume_role, **call, Tags=[{"Key": "TEAM", "Value": "red"}]) == (
        400, "InvalidParameterValue",
        "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the "
        "calling session.",
    )  # fmt: skip
    house.iam.update_assume_role_policy(
        RoleName=f"{name}-a", PolicyDocument=policy(trust(ME, ["sts:AssumeRole", "sts:SetSourceIdentity"]))
    )
    who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}-b/next"
    assert refusal(sts.assume_role, **call) == denied(who, "TagSession", roles[0])


@pytest.mark.parametrize(("tags", "transitive", "message"), [
    ([("a", "1"), ("A", "2")], [], "Duplicate tag keys found. Please note that Tag keys are case insensitive."),
    ([("a", "1")], ["b"], "The specified transitive tag key must be included in the requested tags."),
    ([("aws:a", "1")], [], "aws: prefixed tag key names are not allowed for external use."),
])  # fmt: skip
def test_tags_that_contradict_themselves_are_refused(house: House, name: str, tags: Any, transitive: Any, message: str):
    role = house.role(name, trust(ME, ["sts:AssumeRole", "sts:TagSession"]))
    sts = house.client("sts", house.user(name, allow("sts:*")))
    given = [{"Key": key, "Value": value} for key, value in tags]
    assert refusal(
        sts.assume_role, RoleArn=role, RoleSessionName="job-7", Tags=given, TransitiveTagKeys=transitive
    ) == (400, "InvalidParameterValue", message)


@pytest.mark.parametrize("arn", [
    f"arn:aws:iam::{ACCOUNT}:user/somebody", f"arn:aws:iam::{ACCOUNT}:role", "arn:aws:iam::1234:role/somebody", "x" * 30,
    f"arn:aws:iam:us-east-1:{ACCOUNT}:role/x",
])  # fmt: skip
def test_an_arn_of_no_role_is_invalid(house: House, name: str, arn: str):
    sts = house.client("sts", house.user(name, allow("sts:*")))
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job-7") == (
        400, "ValidationError", f"{arn} is invalid",
    )  # fmt: skip


def test_a_role_that_is_deleted_takes_its_sessions_with_it_though_one_of_its_name_comes_back(house: House, name: str):
    role = house.role(name, trust(ME), grants=(allow("ecr:*"),))
    given = house.user(name, allow("sts:*"))
    session = credentials(assume(house, given, role)["Credentials"])
    docker = house.docker(session)
    assert docker("GET", "/v2/").status == 200
    house.iam.delete_role_policy(RoleName=name, PolicyName="p")
    house.iam.delete_role(RoleName=name)
    invalid = 403, "InvalidClientTokenId", "The security token included in the request is invalid."
    for again in (False, True):
        if again:
            assert house.role(name, trust(ME)) == role
        assert refusal(house.client("sts", session).get_caller_identity) == invalid
        assert refusal(house.client("ecr", session).describe_repositories)[1] == "UnrecognizedClientException"
        assert docker("GET", "/v2/").said == (401, "UNAUTHORIZED")
    docker.close()


def test_a_session_obtains_no_session_of_users(house: House, name: str):
    role = house.role(name, trust(ME), grants=(allow("*"),))
    session = credentials(assume(house, house.user(name, allow("sts:*")), role)["Credentials"])
    sts = house.client("sts", session)
    assert refusal(sts.get_session_token) == (
        403,
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    )
    assert refusal(sts.get_federation_token, Name="bob") == (
        403, "AccessDenied", "Cannot call GetFederationToken with session credentials",
    )  # fmt: skip


def test_a_change_of_the_roles_policy_counts_for_sessions_that_are_there(house: House, name: str):
    role = house.role(name, trust(ME), grants=(allow("ecr:DescribeRepositories"),))
    session = credentials(assume(house, house.user(name, allow("sts:*")), role)["Credentials"])
    ecr = house.client("ecr", session)
    ecr.describe_repositories()
    house.iam.delete_role_policy(RoleName=name, PolicyName="p")
    assert refusal(ecr.describe_repositories)[1] == "AccessDeniedException"


def test_credentials_that_do_not_go_together_sign_nothing(house: House, name: str):
    role = house.role(name, trust(ME))
    given = house.user(name, allow("sts:*"))
    one, two = (credentials(assume(house, given, role)["Credentials"]) for _ in range(2))
    invalid = 403, "InvalidClientTokenId", "The security token included in the request is invalid."
    mixed = {**one, "aws_session_token": two["aws_session_token"]}
    without = {name: value for name, value in one.items() if name != "aws_session_token"}
    for wrong in (mixed, without, {**given, "aws_session_token": one["aws_session_token"]}):
        assert refusal(house.client("sts", wrong).get_caller_identity) == invalid
    forged = {**one, "aws_session_token": one["aws_session_token"][:-10]}
    assert refusal(house.client("sts", forged).get_caller_identity) == (*invalid[:2], invalid[2].rstrip("."))
    assert refusal(house.client("ecr", forged).describe_repositories)[:2] == (400, "UnrecognizedClientException")
    wrong = {**one, "aws_secret_access_key": two["aws_secret_access_key"]}
    assert refusal(house.client("sts", wrong).get_caller_identity)[:2] == (403, "SignatureDoesNotMatch")
