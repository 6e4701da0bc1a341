"""OpenID Connect providers over the wire."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.iam.conftest import ACCOUNT, refusal

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

THUMBPRINT = "6938fd4d98bab03faadb97b34396831e3780aea1"


@pytest.fixture
def url(name: str) -> str:
    """An issuer's address that nothing has."""
    return f"https://{name}.example.test/realms/ci"


@pytest.fixture
def arn(iam: "IAMClient", url: str) -> str:
    """A new provider."""
    return iam.create_open_id_connect_provider(Url=url, ClientIDList=["app"])["OpenIDConnectProviderArn"]


def test_a_provider_is_shown_as_it_was_made(iam: "IAMClient", url: str):
    tags: Any = [{"Key": "stage", "Value": "ci"}]
    made = iam.create_open_id_connect_provider(
        Url=url, ClientIDList=["b", "a", "b"], ThumbprintList=[THUMBPRINT], Tags=tags
    )
    host = url.removeprefix("https://")
    assert made["OpenIDConnectProviderArn"] == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"
    assert made["Tags"] == tags
    shown = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=made["OpenIDConnectProviderArn"])
    assert (shown["Url"], shown["ClientIDList"], shown["ThumbprintList"]) == (host, ["b", "a"], [THUMBPRINT])
    assert shown["Tags"] == tags
    assert datetime.now(UTC) - shown["CreateDate"] < timedelta(minutes=1)
    listed = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert {"Arn": made["OpenIDConnectProviderArn"]} in listed


def test_an_issuer_is_taken_once_in_an_account(iam: "IAMClient", url: str, arn: str):
    assert refusal(iam.create_open_id_connect_provider, Url=url) == (
        "EntityAlreadyExists",
        409,
        f"Provider with url {url} already exists.",
    )


@pytest.mark.parametrize(
    "bad",
    [
        "example.test",
        "http://example.test",
        "ftp://example.test",
        "https://",
        "https://example.test/?a=b",
        "https://example.test/#a",
        "https://me@example.test/",
        "https://example.test:0",
        "https://[::1",
        "https://aws",
        "https://STS",
    ],
)
def test_an_issuers_address_is_https_without_a_query(iam: "IAMClient", bad: str):
    assert refusal(iam.create_open_id_connect_provider, Url=bad) == (
        "ValidationError",
        400,
        "Invalid Open ID Connect Provider URL",
    )


def test_an_issuer_on_this_host_may_do_without_tls(iam: "IAMClient"):
    arn = iam.create_open_id_connect_provider(Url="http://localhost:8080/realms/x")["OpenIDConnectProviderArn"]
    assert arn.endswith(":oidc-provider/localhost:8080/realms/x")


def test_client_ids_are_added_and_removed_and_saying_so_twice_is_no_error(iam: "IAMClient", arn: str):
    for _ in range(2):
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="more")
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"] == ["app", "more"]
    for _ in range(2):
        iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="app")
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"] == ["more"]


def test_a_provider_has_a_hundred_client_ids_at_the_most(iam: "IAMClient", url: str):
    most = [f"app-{number}" for number in range(100)]
    words = ("LimitExceeded", 409, "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100")
    assert refusal(iam.create_open_id_connect_provider, Url=url, ClientIDList=[*most, "one-more"]) == words
    arn = iam.create_open_id_connect_provider(Url=url, ClientIDList=most)["OpenIDConnectProviderArn"]
    add = iam.add_client_id_to_open_id_connect_provider
    assert refusal(add, OpenIDConnectProviderArn=arn, ClientID="one-more") == words
    add(OpenIDConnectProviderArn=arn, ClientID="app-7")


def test_thumbprints_are_replaced_and_at_most_five(iam: "IAMClient", arn: str):
    update = iam.update_open_id_connect_provider_thumbprint
    update(OpenIDConnectProviderArn=arn, ThumbprintList=[THUMBPRINT])
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ThumbprintList"] == [THUMBPRINT]
    six = [f"{number:040x}" for number in range(6)]
    assert refusal(update, OpenIDConnectProviderArn=arn, ThumbprintList=six) == (
        "InvalidInput",
        400,
        "Thumbprint list must contain fewer than 5 entries.",
    )
    assert refusal(update, OpenIDConnectProviderArn=arn, ThumbprintList=["g" * 40])[0] == "InvalidInput"


def test_tags_are_put_listed_and_taken_away(iam: "IAMClient", arn: str):
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=[{"Key": "A", "Value": "1"}])
    iam.tag_open_id_connect_provider(
        OpenIDConnectProviderArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    )
    page = iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn, MaxItems=1)
    assert page["Tags"] == [{"Key": "a", "Value": "2"}]
    rest = iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn, Marker=page["Marker"])
    assert (rest["Tags"], rest["IsTruncated"]) == ([{"Key": "b", "Value": ""}], False)
    iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=["A", "c"])
    assert iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn)["Tags"] == rest["Tags"]


def test_a_deleted_provider_is_gone_with_its_tags_and_deleting_it_again_is_no_error(
    iam: "IAMClient", url: str, arn: str
):
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    for _ in range(2):
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    missing = ("NoSuchEntity", 404, f"OpenIDConnect Provider not found for arn {arn}")
    for call, more in (
        (iam.get_open_id_connect_provider, {}),
        (iam.update_open_id_connect_provider_thumbprint, {"ThumbprintList": []}),
        (iam.add_client_id_to_open_id_connect_provider, {"ClientID": "x"}),
        (iam.remove_client_id_from_open_id_connect_provider, {"ClientID": "x"}),
        (iam.tag_open_id_connect_provider, {"Tags": []}),
        (iam.untag_open_id_connect_provider, {"TagKeys": []}),
        (iam.list_open_id_connect_provider_tags, {}),
    ):
        assert refusal(call, OpenIDConnectProviderArn=arn, **more) == missing
    iam.create_open_id_connect_provider(Url=url)
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["Tags"] == []


def test_what_is_no_providers_arn_is_said_to_be_none(iam: "IAMClient"):
    for bad in ("not an arn, but long enough", f"arn:aws:iam::{ACCOUNT}:user/provider"):
        assert refusal(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=bad) == (
            "InvalidInput",
            400,
            f"ARN {bad} is not valid.",
        )
