"""Who gets what of every operation of the ECR API: users with no, read, write, other and all rights.

The table has a line for each operation that is served, so that none can come into being without a decision about who may
use it.
"""

import base64
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.session import Session

from registry.ecr.operations import OPERATIONS
from tests.live import LiveServer
from tests.wire.client import Client
from tests.wire.ecr.conftest import ACCOUNT, STRANGER, manifest_of, refusal
from tests.wire.principals import Person, allow, arn, make_user, policy, refused

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

LAYER = b"a layer of the table"
DIGEST = "sha256:" + hashlib.sha256(LAYER).hexdigest()
NO_DIGEST = "sha256:" + "0" * 64
TEXT = policy({"Effect": "Allow", "Principal": "*", "Action": "ecr:DescribeImages"})
READ, WRITE, ADMIN, REGISTRY = "read", "write", "admin", "registry"


@dataclass(frozen=True)
class Line:
    """An operation as it is called: on a repository {name} if `where` says so, else on the registry.

    `answer` is the code of the error that who may gets where nothing is there; empty where it succeeds.
    """

    operation: str
    right: str
    params: Mapping[str, Any] = field(default_factory=dict)
    where: str = "repositoryName"
    answer: str = "RepositoryNotFoundException"
    actions: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        return self.actions or (f"ecr:{self.operation}",)

    def filled(self, name: str) -> dict[str, Any]:
        match self.where:
            case "repositoryName":
                return {"repositoryName": name, **self.params}
            case "repositoryNames":
                return {"repositoryNames": [name], **self.params}
            case "resourceArn":
                return {"resourceArn": arn(name), **self.params}
            case _:
                return dict(self.params)


IMAGE = {"imageIds": [{"imageTag": "t"}]}
UPLOAD = {"uploadId": str(uuid.uuid4())}
TAGS = [{"Key": "k", "Value": "v"}]
TABLE = (
    Line("CreateRepository", ADMIN, answer=""),
    Line("DescribeRepositories", READ, where="repositoryNames"),
    Line("DeleteRepository", ADMIN),
    Line("PutImageTagMutability", ADMIN, {"imageTagMutability": "MUTABLE"}),
    Line("TagResource", ADMIN, {"tags": TAGS}, where="resourceArn"),
    Line("UntagResource", ADMIN, {"tagKeys": ["k"]}, where="resourceArn"),
    Line("ListTagsForResource", READ, where="resourceArn"),
    Line("ListImages", READ),
    Line("DescribeImages", READ),
    Line("BatchGetImage", READ, IMAGE),
    Line("BatchDeleteImage", ADMIN, IMAGE),
    Line("PutImage", WRITE, {"imageManifest": manifest_of()}),
    Line("BatchCheckLayerAvailability", READ, {"layerDigests": [DIGEST]}),
    Line("InitiateLayerUpload", WRITE),
    Line("UploadLayerPart", WRITE, {**UPLOAD, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"}),
    Line("CompleteLayerUpload", WRITE, {**UPLOAD, "layerDigests": [DIGEST]}),
    Line("GetDownloadUrlForLayer", READ, {"layerDigest": DIGEST}),
    Line("SetRepositoryPolicy", ADMIN, {"policyText": TEXT}),
    Line("GetRepositoryPolicy", READ),
    Line("DeleteRepositoryPolicy", ADMIN),
    Line("DescribeRegistry", REGISTRY, where="", answer=""),
    Line("PutRegistryPolicy", REGISTRY, {"policyText": "{}"}, where="", answer="InvalidParameterException"),
    Line("GetRegistryPolicy", REGISTRY, where="", answer="RegistryPolicyNotFoundException"),
    Line("DeleteRegistryPolicy", REGISTRY, where="", answer="RegistryPolicyNotFoundException"),
    Line("GetAccountSetting", REGISTRY, {"name": "BLOB_MOUNTING"}, where="", answer=""),
    Line("PutAccountSetting", REGISTRY, {"name": "BLOB_MOUNTING", "value": "ENABLED"}, where="", answer=""),
    Line("GetAuthorizationToken", REGISTRY, where="", answer=""),
    Line(
        "CreateRepositoryCreationTemplate", REGISTRY, {"prefix": "p/q", "appliedFor": ["REPLICATION"]}, where="", answer="",
        actions=("ecr:CreateRepositoryCreationTemplate", "ecr:CreateRepository"),
    ),
    Line(
        "UpdateRepositoryCreationTemplate", REGISTRY, {"prefix": "none"}, where="", answer="TemplateNotFoundException",
        actions=("ecr:UpdateRepositoryCreationTemplate", "ecr:CreateRepository"),
    ),
    Line("DeleteRepositoryCreationTemplate", REGISTRY, {"prefix": "none"}, where="", answer="TemplateNotFoundException"),
    Line("DescribeRepositoryCreationTemplates", REGISTRY, where="", answer=""),
    Line("ListImageReferrers", READ, {"subjectId": {"imageDigest": NO_DIGEST}}, actions=("ecr:BatchGetImage",)),
    Line("PutImageScanningConfiguration", ADMIN, {"imageScanningConfiguration": {"scanOnPush": True}}),
    Line("BatchGetRepositoryScanningConfiguration", READ, where="repositoryNames", answer=""),
    Line("GetLifecyclePolicy", READ),
    Line("GetLifecyclePolicyPreview", READ),
    Line("DescribeImageScanFindings", READ, {"imageId": {"imageTag": "t"}}),
    Line("DescribeImageReplicationStatus", READ, {"imageId": {"imageTag": "t"}}),
    Line("DescribeImageSigningStatus", READ, {"imageId": {"imageTag": "t"}}),
    Line("GetRegistryScanningConfiguration", REGISTRY, where="", answer=""),
    Line("DescribePullThroughCacheRules", REGISTRY, where="", answer=""),
    Line("GetSigningConfiguration", REGISTRY, where="", answer="SigningConfigurationNotFoundException"),
    Line("ListPullTimeUpdateExclusions", REGISTRY, where="", answer=""),
)  # fmt: skip
USERS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "reader": (READ,),
    "writer": (READ, WRITE),
    "keeper": (REGISTRY,),
    "admin": (READ, WRITE, ADMIN, REGISTRY),
    "elsewhere": (),
}


def actions_of(*rights: str) -> list[str]:
    return sorted({action for line in TABLE if line.right in rights for action in line.asked})


@pytest.fixture(scope="module")
def users(server: LiveServer) -> dict[str, Person]:
    found = {}
    for name, rights in USERS.items():
        actions = actions_of(*rights)
        statements = [allow(*actions)] if actions else []
        if name == "elsewhere":
            statements = [allow("ecr:*", on=arn("elsewhere/*"))]
        found[name] = make_user(server, name, *statements)
    return found


@pytest.fixture(scope="module")
def apis(users: dict[str, Person]) -> dict[str, Any]:
    """Their clients: one takes a moment to make."""
    return {name: person.api() for name, person in users.items()}


@pytest.fixture(scope="module")
def there(server: LiveServer, ecr: "ECRClient") -> str:
    """A repository with an image `t`, a policy and tags."""
    name = "table/there"
    ecr.create_repository(repositoryName=name, tags=[{"Key": "k", "Value": "v"}])
    ecr.set_repository_policy(
        repositoryName=name, policyText=policy(allow("ecr:DescribeImages", Principal={"AWS": ACCOUNT}))
    )
    with Client(server) as root:
        root.push_image(name, "t", layers=[LAYER])
    return name


def call(client: Any, line: Line, name: str, **more: Any) -> str:
    """The code of the error that it ends in, or nothing."""
    try:
        getattr(client, xform_name(line.operation))(**line.filled(name), **more)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def line_id(line: Line) -> str:
    return line.operation


def test_every_operation_has_a_line_in_the_table() -> None:
    assert {line.operation for line in TABLE} == {row.name for row in OPERATIONS}
    assert len(TABLE) == len(OPERATIONS)


@pytest.mark.parametrize("who", [name for name in USERS if name != "elsewhere"])
@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_a_user_may_what_their_policy_says(line: Line, who: str, apis: dict[str, Any]) -> None:
    """Asked about what is not there: only who may is told so."""
    code = call(apis[who], line, f"table/{uuid.uuid4().hex[:12]}")
    may = set(line.asked) <= set(actions_of(*USERS[who]))
    if line.operation == "CreateRepositoryCreationTemplate" and not code:
        apis[who].delete_repository_creation_template(prefix="p/q")
    assert code == (line.answer if may else "AccessDeniedException")


@pytest.mark.parametrize("who", ["nothing", "elsewhere"])
@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_who_may_not_is_refused_in_the_same_words_whether_or_not_it_is_there(
    line: Line, who: str, users: dict[str, Person], apis: dict[str, Any], there: str
) -> None:
    client, person = apis[who], users[who]
    for name in (there, "table/nowhere"):
        found = refusal(getattr(client, xform_name(line.operation)), **line.filled(name))
        resource = arn(name) if line.where else "*"
        assert found == ("AccessDeniedException", refused(person.arn, line.asked[0], resource))


def names_a_registry(line: Line) -> bool:
    shape = Session().get_service_model("ecr").operation_model(line.operation).input_shape
    return "registryId" in getattr(shape, "members", {})


@pytest.mark.parametrize(
    "line",
    [line for line in TABLE if line.where in {"repositoryName", "repositoryNames"} and names_a_registry(line)],
    ids=line_id,
)
def test_another_accounts_registry_says_nothing(
    line: Line, users: dict[str, Person], apis: dict[str, Any], ecr: "ECRClient", there: str
) -> None:
    why = f"because no resource-based policy allows the {line.asked[0]} action"
    for client, who in ((apis["admin"], users["admin"].arn), (ecr, f"arn:aws:iam::{ACCOUNT}:root")):
        for name in (there, "table/nowhere"):
            params = {**line.filled(name), "registryId": STRANGER}
            found = refusal(getattr(client, xform_name(line.operation)), **params)
            assert found == ("AccessDeniedException", refused(who, line.asked[0], arn(name, STRANGER), why))


def test_a_listing_of_all_takes_leave_for_all(users: dict[str, Person], apis: dict[str, Any], there: str) -> None:
    person = users["elsewhere"]
    everything = ("AccessDeniedException", refused(person.arn, "ecr:DescribeRepositories", arn("*")))
    assert refusal(apis["elsewhere"].describe_repositories) == everything
    assert refusal(apis["elsewhere"].describe_repositories, repositoryNames=["elsewhere/a", there]) == (
        "AccessDeniedException",
        refused(person.arn, "ecr:DescribeRepositories", arn(there)),
    )
    names = [one["repositoryName"] for one in apis["reader"].describe_repositories()["repositories"]]
    assert there in names


def test_a_layer_upload_is_known_to_who_began_it(apis: dict[str, Any], there: str) -> None:
    writer, admin = apis["writer"], apis["admin"]
    upload = admin.initiate_layer_upload(repositoryName=there)["uploadId"]
    part: dict[str, Any] = {"partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"}
    unknown = refusal(writer.upload_layer_part, repositoryName=there, uploadId=UPLOAD["uploadId"], **part)
    found = refusal(writer.upload_layer_part, repositoryName=there, uploadId=upload, **part)
    assert found == (unknown[0], unknown[1].replace(UPLOAD["uploadId"], upload))
    assert admin.upload_layer_part(repositoryName=there, uploadId=upload, **part)["lastByteReceived"] == 0


def test_a_layer_upload_is_not_known_to_who_has_the_name_later(there: str, server: LiveServer) -> None:
    """Nor lost to who began it when their name changes."""
    iam, name = server.client("iam"), f"u-{uuid.uuid4().hex[:12]}"
    first = make_user(server, name, allow("ecr:*"))
    upload = first.api().initiate_layer_upload(repositoryName=there)["uploadId"]
    with first.docker() as docker:
        session = docker("POST", f"/v2/{there}/blobs/uploads/").headers["Location"]
        iam.update_user(UserName=name, NewUserName=f"{name}-old")
        second = make_user(server, name, allow("ecr:*"))
        part: dict[str, Any] = {"partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"}
        found = refusal(second.api().upload_layer_part, repositoryName=there, uploadId=upload, **part)
        assert found[0] == "UploadNotFoundException"
        assert first.api().upload_layer_part(repositoryName=there, uploadId=upload, **part)["lastByteReceived"] == 0
        with second.docker() as other:
            assert other("GET", session).said == (404, "BLOB_UPLOAD_UNKNOWN")
        assert docker("GET", session).status == 204


def test_docker_logs_in_with_a_users_token(there: str, server: LiveServer) -> None:
    person = make_user(server, "docker", allow("ecr:GetAuthorizationToken"), allow("ecr:BatchGetImage", on=arn(there)))
    (data,) = person.api().get_authorization_token()["authorizationData"]
    password = base64.b64decode(data["authorizationToken"]).decode()
    with Client(server, authorization="Basic " + base64.b64encode(password.encode()).decode()) as docker:
        assert docker("GET", "/v2/").status == 200
        assert docker("GET", f"/v2/{there}/manifests/t").status == 200
        denied = docker("POST", f"/v2/{there}/blobs/uploads/")
        assert denied.said == (403, "DENIED")
        assert denied.message == refused(person.arn, "ecr:InitiateLayerUpload", arn(there))
