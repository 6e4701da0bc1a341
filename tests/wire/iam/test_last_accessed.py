"""What was last accessed, over the wire. A clean stop writes down what the server remembers of it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer
from tests.wire.iam.conftest import ACCOUNT, not_there, refusal
from tests.wire.iam.documents import allow

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

AWS_READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


@pytest.fixture
def report(iam: "IAMClient") -> Callable[..., Any]:
    """The services of a new report."""

    def make(arn: str, **more: Any) -> Any:
        job = iam.generate_service_last_accessed_details(Arn=arn, **more)["JobId"]
        answer: Any = iam.get_service_last_accessed_details(JobId=job)
        assert (answer["JobStatus"], answer["JobType"]) == ("COMPLETED", more.get("Granularity", "SERVICE_LEVEL"))
        assert datetime.now(UTC) - answer["JobCompletionDate"] < timedelta(minutes=1)
        return {one["ServiceNamespace"]: one for one in answer["ServicesLastAccessed"]}

    return make


@pytest.fixture(scope="module")
def busy(server: LiveServer, iam: "IAMClient") -> tuple[str, str, str]:
    """ARNs of a user who has used services, of an idle one, and of the policy that both have by their group."""
    policy = iam.create_policy(PolicyName="work", PolicyDocument=allow("ecr:*", "iam:List*"))["Policy"]["Arn"]
    iam.create_group(GroupName="workers")
    iam.attach_group_policy(GroupName="workers", PolicyArn=policy)
    arns = []
    for user in ("busy", "idle"):
        arns.append(iam.create_user(UserName=user, Path="/x/")["User"]["Arn"])
        iam.add_user_to_group(GroupName="workers", UserName=user)
    key = iam.create_access_key(UserName="busy")["AccessKey"]
    own = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    server.client("ecr", region="eu-central-1", **own).describe_registry()
    client = server.client("iam", **own)
    client.list_users()
    with suppress(ClientError):
        client.create_user(UserName="denied")
    server.restart()
    return arns[0], arns[1], policy


def test_services_that_policies_allow_are_listed_with_their_last_use(
    report: Callable[..., Any], busy: tuple[str, str, str]
):
    user, idle, _ = busy
    services = report(user)
    assert list(services) == ["ecr", "iam"]
    ecr = services["ecr"]
    assert ecr["ServiceName"] == "Amazon Elastic Container Registry"
    assert (ecr["LastAuthenticatedEntity"], ecr["LastAuthenticatedRegion"]) == (user, "eu-central-1")
    assert ecr["TotalAuthenticatedEntities"] == 1
    assert datetime.now(UTC) - ecr["LastAuthenticated"] < timedelta(minutes=1)
    assert "TrackedActionsLastAccessed" not in ecr
    never = report(idle)["ecr"]
    assert (never["TotalAuthenticatedEntities"], "LastAuthenticated" in never) == (0, False)


def test_actions_are_tracked_refused_ones_too(report: Callable[..., Any], busy: tuple[str, str, str]):
    iam = report(busy[0], Granularity="ACTION_LEVEL")["iam"]
    tracked = iam["TrackedActionsLastAccessed"]
    assert [one["ActionName"] for one in tracked] == ["CreateUser", "ListUsers"]
    assert all(one["LastAccessedEntity"] == busy[0] for one in tracked)
    assert all(datetime.now(UTC) - one["LastAccessedTime"] < timedelta(minutes=1) for one in tracked)


def test_a_policy_and_a_group_tell_of_everyone_who_has_them(
    iam: "IAMClient", report: Callable[..., Any], busy: tuple[str, str, str]
):
    user, idle, policy = busy
    for arn in (policy, f"arn:aws:iam::{ACCOUNT}:group/workers"):
        assert report(arn)["ecr"]["LastAuthenticatedEntity"] == user
        job = iam.generate_service_last_accessed_details(Arn=arn)["JobId"]
        pages: Any = [
            iam.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="ecr", MaxItems=1)
        ]
        pages.append(
            iam.get_service_last_accessed_details_with_entities(
                JobId=job, ServiceNamespace="ecr", Marker=pages[0]["Marker"]
            )
        )
        entities = [one for page in pages for one in page["EntityDetailsList"]]
        assert [one["EntityInfo"]["Arn"] for one in entities] == [user, idle]
        assert entities[0]["EntityInfo"]["Name"] == "busy"
        assert (entities[0]["EntityInfo"]["Type"], entities[0]["EntityInfo"]["Path"]) == ("USER", "/x/")
        assert ["LastAuthenticated" in one for one in entities] == [True, False]
        missing = refusal(
            iam.get_service_last_accessed_details_with_entities, JobId=job, ServiceNamespace="organizations"
        )
        assert missing[0] == "NoSuchEntity"


def test_what_is_not_there(iam: "IAMClient", name: str):
    generate = iam.generate_service_last_accessed_details
    assert refusal(generate, Arn=f"arn:aws:iam::{ACCOUNT}:user/{name}") == not_there("user", name)
    assert refusal(generate, Arn=f"arn:aws:iam::{ACCOUNT}:policy/{name}")[0] == "NoSuchEntity"
    assert refusal(generate, Arn=f"arn:aws:iam::{ACCOUNT}:root")[0] == "InvalidInput"
    job = "0" * 36
    assert refusal(iam.get_service_last_accessed_details, JobId=job)[:2] == ("NoSuchEntity", 404)


def test_the_policies_that_grant_a_service_are_named(iam: "IAMClient", user: str, name: str):
    group = f"{name}-g"
    iam.create_group(GroupName=group)
    iam.add_user_to_group(GroupName=group, UserName=user)
    iam.attach_user_policy(UserName=user, PolicyArn=AWS_READ_ONLY)
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}
    iam.put_group_policy(GroupName=group, PolicyName="rest", PolicyDocument=str(everything).replace("'", '"'))
    iam.put_user_policy(UserName=user, PolicyName="no", PolicyDocument=allow("ecr:*", effect="Deny"))
    iam.put_user_policy(UserName=user, PolicyName="some", PolicyDocument=allow("IAM:Get*"))
    answer: Any = iam.list_policies_granting_service_access(
        Arn=f"arn:aws:iam::{ACCOUNT}:user/{user}", ServiceNamespaces=["ecr", "iam", "sts"]
    )
    rest = {"PolicyName": "rest", "PolicyType": "INLINE", "EntityType": "GROUP", "EntityName": group}
    managed = {
        "PolicyName": "AmazonEC2ContainerRegistryReadOnly",
        "PolicyType": "MANAGED",
        "PolicyArn": AWS_READ_ONLY,
    }
    some = {"PolicyName": "some", "PolicyType": "INLINE", "EntityType": "USER", "EntityName": user}
    assert [(one["ServiceNamespace"], one["Policies"]) for one in answer["PoliciesGrantingServiceAccess"]] == [
        ("ecr", [rest, managed]),
        ("iam", [some]),
        ("sts", [rest]),
    ]
    assert answer["IsTruncated"] is False
