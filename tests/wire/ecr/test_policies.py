"""Repository policies, registry policies and account settings by boto3, and what they do on both dialects."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from registry.policies import lay_out
from tests.live import LiveServer
from tests.wire.client import Client
from tests.wire.ecr.conftest import ACCOUNT, invalid, not_there, refusal
from tests.wire.principals import Person, allow, arn, deny, make_user, policy, refused

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
PUBLIC = {
    "Version": "2008-10-17",
    "Statement": [
        {
            "Sid": "allow public pull",
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
    ],
}
SHOWN = """{
  "Version" : "2008-10-17",
  "Statement" : [ {
    "Sid" : "allow public pull",
    "Effect" : "Allow",
    "Principal" : "*",
    "Action" : [ "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer" ]
  } ]
}"""
EXPLICIT = "with an explicit deny in a resource-based policy"


def statement(effect: str, *actions: str, to: Any = "*", **elements: Any) -> dict[str, Any]:
    """Of a repository policy."""
    return {"Effect": effect, "Principal": to, "Action": list(actions), **elements}


@pytest.fixture(scope="module")
def person(server: LiveServer) -> Person:
    """A user without rights of their own but to log in."""
    return make_user(server, "person", allow("ecr:GetAuthorizationToken"))


@pytest.fixture
def no_registry_policy(ecr: "ECRClient") -> Iterator[None]:
    yield
    ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
    ecr.put_registry_policy(policyText=policy(allow("ecr:DescribeRegistry", Principal="*")))
    ecr.delete_registry_policy()


# -- repository policies


def test_a_policy_is_set_shown_and_deleted(ecr: "ECRClient", name: str) -> None:
    answers: list[Any] = [
        ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(PUBLIC)),
        ecr.get_repository_policy(repositoryName=name),
        ecr.delete_repository_policy(repositoryName=name),
    ]
    for answer in answers:
        del answer["ResponseMetadata"]
        assert answer == {"registryId": ACCOUNT, "repositoryName": name, "policyText": SHOWN}
    missing = (
        "RepositoryPolicyNotFoundException",
        f"Repository policy does not exist for the repository with name '{name}' in the registry with id '{ACCOUNT}'",
    )
    assert refusal(ecr.get_repository_policy, repositoryName=name) == missing
    assert refusal(ecr.delete_repository_policy, repositoryName=name) == missing


def test_a_policy_is_of_a_repository_that_is_there(ecr: "ECRClient") -> None:
    text = json.dumps(PUBLIC)
    assert refusal(ecr.set_repository_policy, repositoryName="not/there", policyText=text) == not_there("not/there")
    assert refusal(ecr.get_repository_policy, repositoryName="not/there") == not_there("not/there")
    assert refusal(ecr.delete_repository_policy, repositoryName="not/there") == not_there("not/there")


MALFORMED = {
    "no JSON": "{",
    "no object": "[]",
    "nothing": "",
    "no statement": '{"Version":"2012-10-17"}',
    "an empty statement": '{"Version":"2012-10-17","Statement":[]}',
    "an unknown version": '{"Version":"2013-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}',
    "a key twice": '{"Statement":[{"Effect":"Allow","Effect":"Deny","Principal":"*","Action":"ecr:*"}]}',
    "no principal": policy({"Effect": "Allow", "Action": "ecr:*"}),
    "no effect": policy({"Principal": "*", "Action": "ecr:*"}),
    "no action": policy({"Effect": "Allow", "Principal": "*"}),
    "an action of another service": policy(statement("Allow", "s3:GetObject")),
    "an action without its service": policy(statement("Allow", "BatchGetImage")),
    "an action on no repository": policy(statement("Allow", "ecr:BatchGetImage", "ecr:GetAuthorizationToken")),
    "an unknown operator": policy(statement("Allow", "ecr:*", Condition={"StringIs": {"aws:username": "x"}})),
    "an unknown element": policy(statement("Allow", "ecr:*", Who="*")),
    "a pattern of principals": policy(statement("Allow", "ecr:*", to={"AWS": f"arn:aws:iam::{ACCOUNT}:user/*"})),
    "no ARN": policy(statement("Allow", "ecr:*", to={"AWS": "someone"})),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_a_policy_that_cannot_be_evaluated_is_refused(ecr: "ECRClient", name: str, text: str) -> None:
    found = refusal(ecr.set_repository_policy, repositoryName=name, policyText=text)
    assert found == invalid("PolicyText", "Invalid repository policy provided")
    assert refusal(ecr.get_repository_policy, repositoryName=name)[0] == "RepositoryPolicyNotFoundException"


def test_a_policy_has_10240_characters_at_the_most(unchecked: "ECRClient", name: str) -> None:
    long = policy(*[statement("Allow", "ecr:*", Sid=f"{number:0100}") for number in range(100)])
    code, message = refusal(unchecked.set_repository_policy, repositoryName=name, policyText=long)
    assert (code, "'policyText'" in message) == ("InvalidParameterException", True)


@pytest.mark.parametrize(
    "principal",
    [
        f"arn:aws:iam::{ACCOUNT}:user/not-there",
        f"arn:aws:iam::{ACCOUNT}:role/not-there",
        f"arn:aws:iam::{ACCOUNT}:user/other/path/person",
        "arn:aws:iam::999999999999:root",
        "999999999999",
        "AIDAAAAAAAAAAAAAAAAAA",
    ],
)
def test_a_policy_names_principals_that_are_there(ecr: "ECRClient", name: str, person: Person, principal: str) -> None:
    text = policy(statement("Allow", "ecr:BatchGetImage", to={"AWS": [person.arn, principal]}))
    found = refusal(ecr.set_repository_policy, repositoryName=name, policyText=text)
    assert found == invalid("PolicyText", "Principal not found")


def test_a_policy_means_the_user_and_not_the_name(
    server: LiveServer, ecr: "ECRClient", root: Client, name: str
) -> None:
    iam = server.client("iam")
    first = make_user(server, "reborn")
    root.push_image(name, "t")
    text = policy(statement("Allow", "ecr:BatchGetImage", to={"AWS": [first.arn, ACCOUNT]}))
    ecr.set_repository_policy(repositoryName=name, policyText=text)
    shown = json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"])
    assert shown["Statement"][0]["Principal"] == {"AWS": [first.arn, ROOT]}
    with first.docker() as docker:
        assert docker("GET", f"/v2/{name}/manifests/t").status == 200
        iam.update_user(UserName="reborn", NewUserName="renamed")
        assert docker("GET", f"/v2/{name}/manifests/t").status == 200
    shown = json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"])
    assert shown["Statement"][0]["Principal"]["AWS"][0] == f"arn:aws:iam::{ACCOUNT}:user/renamed"
    identifier = iam.get_user(UserName="renamed")["User"]["UserId"]
    iam.delete_access_key(UserName="renamed", AccessKeyId=first.key_id)
    iam.delete_user(UserName="renamed")
    with make_user(server, "renamed").docker() as docker:
        assert docker("GET", f"/v2/{name}/manifests/t").said == (403, "DENIED")
    shown = json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"])
    assert shown["Statement"][0]["Principal"]["AWS"][0] == identifier


def test_a_repository_policy_allows_who_has_no_right_of_their_own(
    ecr: "ECRClient", root: Client, name: str, person: Person
) -> None:
    root.push_image(name, "t")
    with person.docker() as docker:
        assert docker("GET", f"/v2/{name}/manifests/t").said == (403, "DENIED")
        text = policy(statement("Allow", "ecr:BatchGetImage", to={"AWS": person.arn}))
        ecr.set_repository_policy(repositoryName=name, policyText=text)
        assert docker("GET", f"/v2/{name}/manifests/t").status == 200
        denied = docker("GET", f"/v2/{name}/tags/list")
        assert denied.message == refused(person.arn, "ecr:ListImages", arn(name))
        assert person.api().batch_get_image(repositoryName=name, imageIds=[{"imageTag": "t"}])["images"]
        ecr.delete_repository_policy(repositoryName=name)
        assert docker("GET", f"/v2/{name}/manifests/t").said == (403, "DENIED")


def test_a_repository_policy_denies_whatever_else_allows(
    server: LiveServer, ecr: "ECRClient", root: Client, name: str
) -> None:
    root.push_image(name, "t")
    puller = make_user(server, f"puller-{name[5:]}", allow("ecr:*", on=arn(name)))
    text = policy(statement("Deny", "ecr:BatchGetImage", to={"AWS": puller.arn}))
    ecr.set_repository_policy(repositoryName=name, policyText=text)
    with puller.docker() as docker:
        denied = docker("GET", f"/v2/{name}/manifests/t")
        assert denied.message == refused(puller.arn, "ecr:BatchGetImage", arn(name), EXPLICIT)
    assert root("GET", f"/v2/{name}/manifests/t").status == 200


def test_a_repository_that_is_made_again_has_no_policy(
    ecr: "ECRClient", root: Client, name: str, person: Person
) -> None:
    text = policy(statement("Allow", "ecr:ListImages", to={"AWS": person.arn}))
    ecr.set_repository_policy(repositoryName=name, policyText=text)
    with person.docker() as docker:
        assert docker("GET", f"/v2/{name}/tags/list").status == 200
        ecr.delete_repository(repositoryName=name)
        assert docker("GET", f"/v2/{name}/tags/list").status == 403
        ecr.create_repository(repositoryName=name)
        assert docker("GET", f"/v2/{name}/tags/list").status == 403


def test_a_policy_that_locks_its_author_out_takes_force(server: LiveServer, ecr: "ECRClient", name: str) -> None:
    admin = make_user(server, f"admin-{name[5:]}", allow("ecr:*")).api()
    text = policy(
        statement("Deny", "ecr:SetRepositoryPolicy", to={"AWS": f"arn:aws:iam::{ACCOUNT}:user/admin-{name[5:]}"})
    )
    code, message = refusal(admin.set_repository_policy, repositoryName=name, policyText=text)
    assert code == "InvalidParameterException"
    assert message.startswith(
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'The policy would prevent you"
    )
    assert refusal(ecr.get_repository_policy, repositoryName=name)[0] == "RepositoryPolicyNotFoundException"
    # it locks out another one, whom it may
    ecr.set_repository_policy(repositoryName=name, policyText=text)
    ecr.delete_repository_policy(repositoryName=name)
    admin.set_repository_policy(repositoryName=name, policyText=text, force=True)
    assert refusal(admin.set_repository_policy, repositoryName=name, policyText=text, force=True) == (
        "AccessDeniedException",
        refused(f"arn:aws:iam::{ACCOUNT}:user/admin-{name[5:]}", "ecr:SetRepositoryPolicy", arn(name), EXPLICIT),
    )
    admin.delete_repository_policy(repositoryName=name)


def test_the_root_user_can_always_delete_a_policy(ecr: "ECRClient", root: Client, name: str) -> None:
    text = policy(statement("Deny", "ecr:*"))
    assert refusal(ecr.set_repository_policy, repositoryName=name, policyText=text)[0] == "InvalidParameterException"
    ecr.set_repository_policy(repositoryName=name, policyText=text, force=True)
    denied = ("AccessDeniedException", refused(ROOT, "ecr:SetRepositoryPolicy", arn(name), EXPLICIT))
    assert refusal(ecr.set_repository_policy, repositoryName=name, policyText=text, force=True) == denied
    assert root("GET", f"/v2/{name}/tags/list").status == 403
    ecr.delete_repository_policy(repositoryName=name)
    ecr.put_registry_policy(policyText=policy(deny("ecr:*", Principal="*")))
    assert refusal(ecr.get_registry_policy)[0] == "AccessDeniedException"
    ecr.delete_registry_policy()
    assert root("GET", f"/v2/{name}/tags/list").status == 200


# -- registry policies


def test_a_registry_policy_is_put_shown_and_deleted(ecr: "ECRClient", person: Person) -> None:
    missing = ("RegistryPolicyNotFoundException", f"Registry policy does not exist in the registry with id '{ACCOUNT}'")
    assert refusal(ecr.get_registry_policy) == missing
    assert refusal(ecr.delete_registry_policy) == missing
    text = policy(allow("ecr:ReplicateImage", on=arn("*"), Principal={"AWS": person.arn}))
    answers: list[Any] = [
        ecr.put_registry_policy(policyText=text), ecr.get_registry_policy(), ecr.delete_registry_policy(),
    ]  # fmt: skip
    for answer in answers:
        del answer["ResponseMetadata"]
        assert answer == {"registryId": ACCOUNT, "policyText": lay_out(text)}
    assert refusal(ecr.get_registry_policy) == missing


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_a_registry_policy_that_cannot_be_evaluated_is_refused(ecr: "ECRClient", text: str) -> None:
    assert refusal(ecr.put_registry_policy, policyText=text) == invalid(
        "PolicyText", "Invalid registry policy provided"
    )


def test_a_registry_policy_names_principals_and_resources(ecr: "ECRClient") -> None:
    without = policy(statement("Allow", "ecr:CreateRepository", to={"AWS": ROOT}))
    found = refusal(ecr.put_registry_policy, policyText=without)
    assert found == invalid("PolicyText", "Invalid registry policy provided")
    gone = policy(allow("ecr:CreateRepository", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/gone"}))
    assert refusal(ecr.put_registry_policy, policyText=gone) == invalid("PolicyText", "Principal not found")


@pytest.mark.usefixtures("no_registry_policy")
def test_a_registry_policy_counts_for_every_repository(
    ecr: "ECRClient", root: Client, name: str, person: Person
) -> None:
    root.push_image(name, "t")
    with person.docker() as docker:
        ecr.put_registry_policy(
            policyText=policy(allow("ecr:BatchGetImage", on=arn("team/*"), Principal={"AWS": person.arn}))
        )
        assert docker("GET", f"/v2/{name}/manifests/t").status == 200
        assert docker("GET", f"/v2/{name}/tags/list").status == 403
        assert docker("GET", "/v2/other/x/manifests/t").status == 403
        assert person.api().batch_get_image(repositoryName=name, imageIds=[{"imageTag": "t"}])["images"]
        ecr.put_registry_policy(policyText=policy(deny("ecr:BatchGetImage", on=arn(name), Principal="*")))
        message = refused(person.arn, "ecr:BatchGetImage", arn(name), EXPLICIT)
        assert docker("GET", f"/v2/{name}/manifests/t").message == message
        assert root("GET", f"/v2/{name}/manifests/t").status == 403


@pytest.mark.usefixtures("no_registry_policy")
def test_a_registry_policy_counts_for_what_is_on_no_repository(ecr: "ECRClient", person: Person) -> None:
    api = person.api()
    assert refusal(api.describe_registry)[0] == "AccessDeniedException"
    ecr.put_registry_policy(policyText=policy(allow("ecr:DescribeRegistry", Principal={"AWS": person.arn})))
    assert api.describe_registry()["registryId"] == ACCOUNT


@pytest.mark.usefixtures("no_registry_policy")
def test_in_the_first_scope_a_registry_policy_is_about_three_actions(
    ecr: "ECRClient", root: Client, name: str, person: Person
) -> None:
    text = policy(allow("ecr:*", on=arn("*"), Principal={"AWS": person.arn}))
    ecr.put_registry_policy(policyText=text)
    with person.docker() as docker:
        assert docker("GET", f"/v2/{name}/tags/list").status == 200
        ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V1")
        assert docker("GET", f"/v2/{name}/tags/list").status == 403
    made = f"{name}-made"
    assert person.api().create_repository(repositoryName=made)["repository"]["repositoryName"] == made
    ecr.put_registry_policy(policyText=policy(allow("ecr:ReplicateImage", "ecr:CreateRepository", Principal="*")))
    for statement_ in (
        allow("ecr:ReplicateImage", "ecr:ListImages", Principal="*"),
        allow("ecr:Batch*", Principal="*"),
        {"Effect": "Allow", "Principal": "*", "NotAction": "ecr:ReplicateImage", "Resource": "*"},
    ):
        found = refusal(ecr.put_registry_policy, policyText=policy(statement_))
        assert found == invalid("PolicyText", "Invalid registry policy provided")


# -- account settings


def test_settings_are_put_and_shown(ecr: "ECRClient") -> None:
    assert ecr.get_account_setting(name="REGISTRY_POLICY_SCOPE")["value"] == "V2"
    assert ecr.get_account_setting(name="BASIC_SCAN_TYPE_VERSION")["value"] == "AWS_NATIVE"
    for value in ("DISABLED", "ENABLED"):
        answer = ecr.put_account_setting(name="BLOB_MOUNTING", value=value)
        assert (answer["name"], answer["value"]) == ("BLOB_MOUNTING", value)
        assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == value


@pytest.mark.parametrize(
    ("setting", "value", "parameter"),
    [
        ("BLOB_MOUNTING", "enabled", "value"),
        ("REGISTRY_POLICY_SCOPE", "V3", "value"),
        ("BASIC_SCAN_TYPE_VERSION", "CLAIR", "value"),
        ("SOMETHING", "V1", "name"),
    ],
)
def test_settings_and_values_that_are_none_are_refused(
    ecr: "ECRClient", setting: str, value: str, parameter: str
) -> None:
    code, message = refusal(ecr.put_account_setting, name=setting, value=value)
    assert code == "InvalidParameterException"
    assert message.startswith(
        f"Invalid parameter at '{parameter}' failed to satisfy constraint: 'Member must satisfy enum"
    )
    if parameter == "name":
        assert refusal(ecr.get_account_setting, name=setting) == (code, message)


def test_blobs_are_mounted_unless_the_setting_says_not(ecr: "ECRClient", root: Client, name: str) -> None:
    ecr.create_repository(repositoryName=f"{name}-target")
    digest = root.push_blob(name, b"to be mounted")
    path = f"/v2/{name}-target/blobs/uploads/?mount={digest}&from={name}"
    ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")
    assert root("POST", path).status == 202
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    assert root("POST", path).status == 201
