"""The condition keys of ECR and of every request, where they are asked for: on both dialects."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer
from tests.wire.client import Client
from tests.wire.ecr.conftest import refusal
from tests.wire.principals import Person, allow, arn, deny, make_user, policy, refused

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

BLUE: Any = [{"Key": "Team", "Value": "blue"}]
RED: Any = [{"Key": "Team", "Value": "red"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Every client of it is a proxy."""
    settings = {"storage.reserve": "0", "server.trusted_proxies": "127.0.0.1/32"}
    with LiveServer(tmp_path_factory.mktemp("server"), settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def person(server: LiveServer) -> Person:
    return make_user(server, "person")


@pytest.fixture(scope="module")
def api(person: Person) -> Any:
    """Their client; `api.fields` go into the header of each request, where a proxy puts them."""
    client = person.api()
    client.fields = {}
    client.meta.events.register("before-send.ecr.*", lambda request, **_: request.headers.update(client.fields))
    return client


@pytest.fixture
def grant(server: LiveServer, person: Person) -> Callable[..., None]:
    """Gives the person these statements, and takes the former ones."""
    iam = server.client("iam")

    def put(*statements: dict[str, Any]) -> None:
        iam.put_user_policy(UserName=person.name, PolicyName="inline", PolicyDocument=policy(*statements))

    return put


def when(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"Condition": {operator: {key: list(values)}}}


def test_tags_that_are_asked_for_are_request_tags(api: Any, grant: Callable[..., None], name: str) -> None:
    condition = {
        "StringEquals": {"aws:RequestTag/team": "blue"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "Stage"]},
    }
    grant(allow("ecr:CreateRepository", "ecr:TagResource", Condition=condition))
    for tags in ([], RED, [*BLUE, {"Key": "Other", "Value": ""}]):
        code, message = refusal(api.create_repository, repositoryName=f"{name}-made", tags=tags)
        assert (code, "ecr:CreateRepository on resource" in message) == ("AccessDeniedException", True)
    api.create_repository(repositoryName=f"{name}-made", tags=[*BLUE, {"Key": "Stage", "Value": "x"}])
    assert refusal(api.tag_resource, resourceArn=arn(name), tags=RED)[0] == "AccessDeniedException"
    api.tag_resource(resourceArn=arn(name), tags=BLUE)


def test_tags_on_creation_take_leave_to_tag(api: Any, grant: Callable[..., None], name: str, person: Person) -> None:
    grant(allow("ecr:CreateRepository"))
    denied = refused(person.arn, "ecr:TagResource", arn(f"{name}-made"))
    assert refusal(api.create_repository, repositoryName=f"{name}-made", tags=BLUE) == ("AccessDeniedException", denied)
    api.create_repository(repositoryName=f"{name}-made")


@pytest.mark.parametrize("key", ["aws:ResourceTag/Team", "ecr:ResourceTag/Team", "ecr:resourcetag/TEAM"])
def test_tags_of_a_new_repository_are_its_tags(api: Any, grant: Callable[..., None], name: str, key: str) -> None:
    grant(allow("ecr:CreateRepository", "ecr:TagResource", **when("StringEquals", key, "blue")))
    for tags in ([], RED):
        assert refusal(api.create_repository, repositoryName=f"{name}-made", tags=tags)[0] == "AccessDeniedException"
    api.create_repository(repositoryName=f"{name}-made", tags=BLUE)


def test_keys_that_are_taken_away_are_tag_keys(
    api: Any, ecr: "ECRClient", grant: Callable[..., None], name: str
) -> None:
    ecr.tag_resource(resourceArn=arn(name), tags=[*BLUE, {"Key": "Stage", "Value": "x"}])
    grant(allow("ecr:UntagResource", **when("ForAllValues:StringEquals", "aws:TagKeys", "Stage")))
    assert refusal(api.untag_resource, resourceArn=arn(name), tagKeys=["Stage", "Team"])[0] == "AccessDeniedException"
    api.untag_resource(resourceArn=arn(name), tagKeys=["Stage"])


@pytest.mark.parametrize("key", ["aws:ResourceTag/Team", "ecr:ResourceTag/Team"])
def test_tags_of_a_repository_open_and_close_it(
    api: Any, ecr: "ECRClient", grant: Callable[..., None], root: Client, name: str, person: Person, key: str
) -> None:
    root.push_image(name, "t")
    grant(allow("ecr:BatchGetImage", "ecr:ListImages", "ecr:InitiateLayerUpload", **when("StringEquals", key, "blue")))

    def pulls(docker: Client) -> set[int]:
        found = {
            docker("GET", f"/v2/{name}/manifests/t").status,
            docker("GET", f"/v2/{name}/tags/list").status,
        }
        with contextlib.suppress(ClientError):
            api.list_images(repositoryName=name)
            found.add(200)
        begun = docker("POST", f"/v2/{name}/blobs/uploads/").status
        return found | {{202: 200}.get(begun, begun)}

    with person.docker() as docker:
        assert pulls(docker) == {403}
        ecr.tag_resource(resourceArn=arn(name), tags=BLUE)
        assert pulls(docker) == {200}
        ecr.tag_resource(resourceArn=arn(name), tags=RED)
        assert pulls(docker) == {403}
        ecr.tag_resource(resourceArn=arn(name), tags=BLUE)
        ecr.untag_resource(resourceArn=arn(name), tagKeys=["Team"])
        assert pulls(docker) == {403}


def test_a_setting_is_named_in_the_condition(api: Any, grant: Callable[..., None]) -> None:
    grant(
        allow(
            "ecr:PutAccountSetting",
            "ecr:GetAccountSetting",
            **when("StringEquals", "ecr:AccountSetting", "BLOB_MOUNTING"),
        )
    )
    api.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    assert api.get_account_setting(name="BLOB_MOUNTING")["value"] == "ENABLED"
    for call, params in ((api.put_account_setting, {"value": "V2"}), (api.get_account_setting, {})):
        assert refusal(call, name="REGISTRY_POLICY_SCOPE", **params)[0] == "AccessDeniedException"


# key, operator, value -> header fields with which it holds, and with which it does not
CIRCUMSTANCES: list[tuple[str, str, str, Mapping[str, str], Mapping[str, str]]] = [
    ("aws:SourceIp", "IpAddress", "203.0.113.0/24", {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "192.0.2.1"}),
    ("aws:SourceIp", "IpAddress", "203.0.113.9", {"X-Forwarded-For": "[::ffff:203.0.113.9]:99"}, {}),
    ("aws:SourceIp", "IpAddress", "203.0.113.9", {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"},
     {"X-Forwarded-For": "203.0.113.9, 192.0.2.1"}),
    ("aws:SourceIp", "IpAddress", "2001:db8::/32", {"X-Forwarded-For": "2001:DB8::1"}, {"X-Forwarded-For": "2001:db9::1"}),
    ("aws:SourceIp", "IpAddress", "127.0.0.1/32", {}, {"X-Forwarded-For": "unknown"}),
    ("aws:SourceIp", "NotIpAddress", "203.0.113.0/24", {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "203.0.113.9"}),
    ("aws:SecureTransport", "Bool", "true", {"X-Forwarded-Proto": "https"}, {}),
    ("aws:SecureTransport", "Bool", "false", {}, {"X-Forwarded-Proto": "https"}),
    ("aws:UserAgent", "StringLike", "mine/*", {"User-Agent": "mine/1.0"}, {"User-Agent": "other"}),
    ("aws:Referer", "StringEquals", "https://here.example/", {"Referer": "https://here.example/"}, {}),
    ("aws:RequestedRegion", "StringEquals", "us-east-1", {}, {"Host": "123456789012.dkr.ecr.eu-west-1.registry.test"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CIRCUMSTANCES, ids=lambda case: f"{case[0]} {case[1]} {case[2]} {case[4]}")
def test_circumstances_are_told_alike_on_both_dialects(
    case: Any, api: Any, ecr: "ECRClient", grant: Callable[..., None], root: Client, name: str, person: Person
) -> None:
    key, operator, value, holds, fails = case
    root.push_image(name, "t")
    grant(allow("ecr:ListImages", **when(operator, key, value)))
    with person.docker() as docker:
        assert docker("GET", f"/v2/{name}/tags/list", headers=holds).status == 200
        denied = docker("GET", f"/v2/{name}/tags/list", headers=fails)
        assert denied.said == (403, "DENIED")
    if "User-Agent" in holds or "Host" in fails:  # botocore's own
        return
    try:
        api.fields = holds
        assert api.list_images(repositoryName=name)["imageIds"]
        api.fields = fails
        found = refusal(api.list_images, repositoryName=name)
        assert found == ("AccessDeniedException", refused(person.arn, "ecr:ListImages", arn(name)))
    finally:
        api.fields = {}


def test_an_address_is_the_dockers_and_not_the_one_that_got_the_token(
    api: Any, grant: Callable[..., None], root: Client, name: str, person: Person
) -> None:
    root.push_image(name, "t")
    denied = deny("ecr:*", **when("IpAddress", "aws:SourceIp", "203.0.113.0/24"))
    grant(allow("ecr:*"), denied)
    with person.docker() as docker:
        assert docker("GET", f"/v2/{name}/manifests/t").status == 200
        answer = docker("GET", f"/v2/{name}/manifests/t", headers={"X-Forwarded-For": "203.0.113.9"})
    why = "with an explicit deny in an identity-based policy"
    assert answer.message == refused(person.arn, "ecr:BatchGetImage", arn(name), why)
