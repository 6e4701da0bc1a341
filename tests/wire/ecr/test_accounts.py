"""Two accounts: one's users push to and pull from the other's repositories where both accounts let them."""

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import LiveServer
from tests.wire.client import IMAGE, Client, basic, eventually
from tests.wire.ecr.conftest import ACCOUNT, manifest_of, put_layer, refusal
from tests.wire.principals import Owner, Person, allow, arn, deny, make_account, make_user, policy, refused

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH = (
    "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage",
    "ecr:BatchCheckLayerAvailability",
)  # fmt: skip
NO_RESOURCE = "because no resource-based policy allows the {} action"


@pytest.fixture(scope="module")
def owner(server: LiveServer) -> Owner:
    return make_account(server, "owner")


@pytest.fixture(scope="module")
def theirs(owner: Owner) -> "ECRClient":
    """The API as the other account's root user has it."""
    return owner.api()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def host(owner: Owner, server: LiveServer) -> str:
    return f"{owner.account}.dkr.ecr.us-east-1.registry.test:{server.port}"


@pytest.fixture(scope="module")
def puller(server: LiveServer) -> Person:
    return make_user(server, "puller", allow("ecr:*"))


@pytest.fixture(scope="module")
def api(puller: Person) -> Any:
    return puller.api()


@pytest.fixture
def shared(theirs: "ECRClient", name: str, owner: Owner, host: str) -> str:
    """A repository of the other account with an image `t`; the home account has one of that name without any."""
    theirs.create_repository(repositoryName=name)
    with owner.docker(host=host) as docker:
        docker.push_image(name, "t")
    return name


def let(theirs: "ECRClient", name: str, *statements: dict[str, Any]) -> None:
    for statement in statements:
        statement.pop("Resource")
    theirs.set_repository_policy(repositoryName=name, policyText=policy(*statements))


def test_without_the_owners_leave_the_answer_is_the_same_whatever_there_is(
    puller: Person, api: Any, shared: str, owner: Owner, host: str
) -> None:
    with puller.docker(host=host) as docker:
        for name in (shared, "not/there"):
            resource = arn(name, owner.account)
            answer = docker("GET", f"/v2/{name}/manifests/t")
            why = NO_RESOURCE.format("ecr:BatchGetImage")
            assert answer.said == (403, "DENIED")
            assert answer.message == refused(puller.arn, "ecr:BatchGetImage", resource, why)
            images = [{"imageTag": "t"}]
            found = refusal(api.batch_get_image, registryId=owner.account, repositoryName=name, imageIds=images)
            assert found == ("AccessDeniedException", answer.message)


@pytest.mark.parametrize("to", ["user", "account", "everyone"])
def test_both_accounts_leave_is_needed_to_pull(
    server: LiveServer, theirs: "ECRClient", puller: Person, shared: str, owner: Owner, host: str, to: str
) -> None:
    principal: Any = {"user": {"AWS": puller.arn}, "account": {"AWS": ACCOUNT}, "everyone": "*"}[to]
    let(theirs, shared, allow(*PULL, Principal=principal))
    path = f"/v2/{shared}/manifests/t"
    with puller.docker(host=host) as docker:
        answer = docker("GET", path)
        assert answer.status == 200
        for layer in answer.json["layers"]:
            assert docker("GET", f"/v2/{shared}/blobs/{layer['digest']}").status == 200
        assert docker("GET", f"/v2/{shared}/tags/list").status == 403
    with make_user(server, f"without-{to}-{shared[5:]}").docker(host=host) as docker:
        answer = docker("GET", path)
        assert answer.status == 403
        assert answer.message.endswith("because no identity-based policy allows the ecr:BatchGetImage action")
    with puller.docker() as docker:  # at home there is another repository of that name
        assert docker("GET", path).said == (404, "MANIFEST_UNKNOWN")


def test_the_owners_deny_wins(theirs: "ECRClient", puller: Person, shared: str, owner: Owner, host: str) -> None:
    let(theirs, shared, allow(*PULL, Principal="*"), deny(*PULL, Principal={"AWS": puller.arn}))
    with puller.docker(host=host) as docker:
        answer = docker("GET", f"/v2/{shared}/manifests/t")
    why = "with an explicit deny in a resource-based policy"
    assert answer.message == refused(puller.arn, "ecr:BatchGetImage", arn(shared, owner.account), why)


def test_what_a_closed_account_shared_is_shared_no_more(server: LiveServer, puller: Person, name: str) -> None:
    closing = make_account(server, name)
    images, host = closing.api(), f"{closing.account}.dkr.ecr.us-east-1.registry.test"
    images.create_repository(repositoryName=name)
    let(images, name, allow(*PULL, Principal="*"))
    with closing.docker(host=host) as docker:
        docker.push_image(name, "t")
    with puller.docker(host=host) as docker:
        assert docker("GET", f"/v2/{name}/manifests/t").status == 200
        for command, status in (("close", 403), ("reopen", 200)):
            assert server.longshore("account", command, closing.account).returncode == 0
            assert eventually(lambda: docker("GET", f"/v2/{name}/manifests/t").status == status)  # noqa: B023


def test_a_push_into_another_account(theirs: "ECRClient", puller: Person, shared: str, owner: Owner, host: str) -> None:
    let(theirs, shared, allow(*PUSH, Principal={"AWS": puller.arn}))
    with puller.docker(host=host) as docker:
        digest = docker.push_image(shared, "pushed", layers=[b"a layer from afar"])
        assert docker("GET", f"/v2/{shared}/manifests/pushed").status == 403, "who may push need not read"
    images = theirs.describe_images(repositoryName=shared, imageIds=[{"imageTag": "pushed"}])["imageDetails"]
    assert [image["imageDigest"] for image in images] == [digest]


def test_a_push_into_another_account_by_the_api(
    theirs: "ECRClient", puller: Person, api: Any, shared: str, owner: Owner
) -> None:
    let(theirs, shared, allow(*PUSH, Principal={"AWS": puller.arn}))
    registry = {"registryId": owner.account, "repositoryName": shared}
    for layer in (b"{}", b"by the API"):
        begun = api.initiate_layer_upload(**registry)["uploadId"]
        api.upload_layer_part(
            **registry, uploadId=begun, partFirstByte=0, partLastByte=len(layer) - 1, layerPartBlob=layer
        )
        if layer != b"{}":  # which is there from the image that the owner pushed
            digest = json.loads(manifest_of(layer))["layers"][0]["digest"]
            api.complete_layer_upload(**registry, uploadId=begun, layerDigests=[digest])
    put = api.put_image(
        **registry, imageManifest=manifest_of(b"by the API"), imageManifestMediaType=IMAGE, imageTag="api"
    )
    assert put["image"]["registryId"] == owner.account
    assert (
        refusal(api.put_image, repositoryName=shared, imageManifest=manifest_of(b"by the API"))[0]
        == "LayersNotFoundException"
    )


def test_the_registrys_policy_lets_in_too(
    theirs: "ECRClient", puller: Person, api: Any, shared: str, owner: Owner, host: str
) -> None:
    mine = arn("*", owner.account)
    theirs.put_registry_policy(
        policyText=policy(allow("ecr:BatchGetImage", "ecr:CreateRepository", on=mine, Principal={"AWS": ACCOUNT}))
    )
    with puller.docker(host=host) as docker:
        assert docker("GET", f"/v2/{shared}/manifests/t").status == 200
        assert docker("GET", f"/v2/{shared}/tags/list").status == 403
    made = api.create_repository(registryId=owner.account, repositoryName=f"{shared}-made")["repository"]
    assert (made["registryId"], made["repositoryArn"]) == (owner.account, arn(f"{shared}-made", owner.account))
    theirs.delete_registry_policy()
    with puller.docker(host=host) as docker:
        assert docker("GET", f"/v2/{shared}/manifests/t").status == 403


def test_a_token_is_good_for_every_registry_of_the_region(
    theirs: "ECRClient", api: Any, shared: str, owner: Owner, host: str, server: LiveServer
) -> None:
    let(theirs, shared, allow("ecr:BatchGetImage", Principal={"AWS": ACCOUNT}))
    for registries in ([owner.account], [ACCOUNT, owner.account], []):
        given: Any = {"registryIds": registries} if registries else {}
        data = api.get_authorization_token(**given)["authorizationData"]
        assert len(data) == max(1, len(registries))
        if registries:
            assert data[-1]["proxyEndpoint"] == f"http://{owner.account}.dkr.ecr.us-east-1.{server.address}"
        authorization = f"Basic {data[-1]['authorizationToken']}"
        with Client(server, authorization=authorization, host=host) as docker:
            assert docker("GET", f"/v2/{shared}/manifests/t").status == 200
        with Client(server, authorization=authorization) as docker:
            assert docker("GET", f"/v2/{shared}/tags/list").status == 200


def test_a_role_of_the_owner_needs_no_policy_of_the_repository(
    server: LiveServer, puller: Person, shared: str, owner: Owner, host: str
) -> None:
    iam = owner.api("iam")
    role = f"pull-{shared[5:]}"
    trust = {"Effect": "Allow", "Principal": {"AWS": puller.arn}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(
        RoleName=role, PolicyName="pull", PolicyDocument=policy(allow(*PULL, on=arn(shared, owner.account)))
    )
    server.client("iam").put_user_policy(
        UserName=puller.name, PolicyName="assume", PolicyDocument=policy(allow("sts:AssumeRole", on=made))
    )
    given = puller.api("sts").assume_role(RoleArn=made, RoleSessionName="ci")["Credentials"]
    api = server.client(
        "ecr",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    found = api.batch_get_image(repositoryName=shared, imageIds=[{"imageTag": "t"}])["images"]
    assert [image["registryId"] for image in found] == [owner.account], "without registryId it is the role's own"
    session = f"arn:aws:sts::{owner.account}:assumed-role/{role}/ci"
    denied = refused(session, "ecr:ListImages", arn(shared, owner.account))
    assert refusal(api.list_images, repositoryName=shared) == ("AccessDeniedException", denied)
    iam.put_role_policy(RoleName=role, PolicyName="login", PolicyDocument=policy(allow("ecr:GetAuthorizationToken")))
    (data,) = api.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    with Client(server, authorization=basic(user, password), host=host) as docker:
        assert docker("GET", f"/v2/{shared}/manifests/t").status == 200
        denied = docker("GET", f"/v2/{shared}/tags/list").message
        assert denied == refused(session, "ecr:ListImages", arn(shared, owner.account))
        iam.delete_role_policy(RoleName=role, PolicyName="pull")
        assert docker("GET", f"/v2/{shared}/manifests/t").status == 403
        iam.delete_role_policy(RoleName=role, PolicyName="login")
        iam.delete_role(RoleName=role)
        assert docker("GET", "/v2/").status == 401


def test_resources_of_another_account_are_tagged_by_their_arn(
    theirs: "ECRClient", puller: Person, api: Any, shared: str, owner: Owner
) -> None:
    resource = arn(shared, owner.account)
    tags: Any = [{"Key": "k", "Value": "v"}]
    assert refusal(api.tag_resource, resourceArn=resource, tags=tags)[0] == "AccessDeniedException"
    let(theirs, shared, allow("ecr:TagResource", Principal={"AWS": puller.arn}))
    api.tag_resource(resourceArn=resource, tags=tags)
    assert theirs.list_tags_for_resource(resourceArn=resource)["tags"] == tags


def test_what_is_the_callers_own_is_not_the_owners(ecr: "ECRClient", theirs: "ECRClient", name: str) -> None:
    put_layer(ecr, name, b"at home")
    listed = [one["repositoryName"] for one in theirs.describe_repositories()["repositories"]]
    assert name not in listed
