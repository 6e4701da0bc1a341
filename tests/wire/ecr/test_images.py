"""Images by boto3, and that both dialects see one state."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.client import CONFIG, IMAGE, INDEX, Client, digest_of, eventually
from tests.wire.ecr.conftest import ACCOUNT, index_of, invalid, manifest_of, not_there, put_layer, refusal

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

Push = Callable[..., str]
ABSENT = f"sha256:{'a' * 64}"


def ids_of(ecr: "ECRClient", name: str, **options: Any) -> set[tuple[str, str | None]]:
    found = ecr.list_images(repositoryName=name, **options)["imageIds"]
    pairs = [(one["imageDigest"], one.get("imageTag")) for one in found]
    assert len(pairs) == len(set(pairs))
    return set(pairs)


# -- one state


def test_what_was_pushed_over_v2_is_described(ecr: "ECRClient", root: Client, name: str) -> None:
    layer = b"bytes" * 1000
    digest = root.push_image(name, "one", layers=[layer])
    root.push_manifest(name, root.image(name, [layer]), "two")
    (detail,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert datetime.now(UTC) - detail["imagePushedAt"] < timedelta(minutes=1)
    assert detail == {
        "registryId": ACCOUNT,
        "repositoryName": name,
        "imageDigest": digest,
        "imageTags": ["one", "two"],
        "imageSizeInBytes": len(layer) + len(b"{}"),
        "imagePushedAt": detail["imagePushedAt"],
        "imageManifestMediaType": IMAGE,
        "artifactMediaType": CONFIG,
        "imageStatus": "ACTIVE",
    }


def test_what_put_image_put_is_pulled_over_v2(ecr: "ECRClient", root: Client, name: str) -> None:
    layer = b"from the API"
    put_layer(ecr, name, layer)
    put_layer(ecr, name, b"{}")
    manifest = manifest_of(layer)
    image = ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="api")["image"]
    digest = digest_of(manifest.encode())
    assert image == {
        "registryId": ACCOUNT,
        "repositoryName": name,
        "imageId": {"imageDigest": digest, "imageTag": "api"},
        "imageManifest": manifest,
        "imageManifestMediaType": IMAGE,
    }
    pulled = root("GET", f"/v2/{name}/manifests/api")
    assert (pulled.body, pulled.headers["Docker-Content-Digest"]) == (manifest.encode(), digest)
    assert root("GET", f"/v2/{name}/blobs/{digest_of(layer)}").body == layer


def test_a_pull_over_either_dialect_is_recorded_and_a_look_is_not(
    ecr: "ECRClient", root: Client, name: str, push: Push
) -> None:
    over_v2, over_api, never = push("a", seed=b"a"), push("b", seed=b"b"), push("c", seed=b"c")
    root("GET", f"/v2/{name}/manifests/a")
    ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "b"}])
    root("HEAD", f"/v2/{name}/manifests/c")

    def pulled() -> set[str]:
        details = ecr.describe_images(repositoryName=name)["imageDetails"]
        return {one["imageDigest"] for one in details if "lastRecordedPullTime" in one}

    assert eventually(lambda: len(pulled()) >= 2)
    assert pulled() == {over_v2, over_api}
    assert never not in pulled()


def test_what_was_deleted_over_one_dialect_is_gone_from_the_other(
    ecr: "ECRClient", root: Client, name: str, push: Push
) -> None:
    first, second = push("first", seed=b"1"), push("second", seed=b"2")
    assert root("DELETE", f"/v2/{name}/manifests/{first}").status == 202
    assert ids_of(ecr, name) == {(second, "second")}
    ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "second"}])
    assert root("GET", f"/v2/{name}/manifests/second").said == (404, "MANIFEST_UNKNOWN")
    assert root("GET", f"/v2/{name}/tags/list").json["tags"] == []


# -- listing


def test_an_image_is_listed_once_a_tag_and_once_without(ecr: "ECRClient", name: str, push: Push) -> None:
    tagged, untagged = push("x", "y", seed=b"1"), push(seed=b"2")
    assert ids_of(ecr, name) == {(tagged, "x"), (tagged, "y"), (untagged, None)}
    assert ids_of(ecr, name, filter={"tagStatus": "TAGGED"}) == {(tagged, "x"), (tagged, "y")}
    assert ids_of(ecr, name, filter={"tagStatus": "UNTAGGED"}) == {(untagged, None)}
    assert ids_of(ecr, name, filter={"tagStatus": "ANY", "imageStatus": "ANY"}) == ids_of(ecr, name)
    assert ids_of(ecr, name, filter={"imageStatus": "ARCHIVED"}) == set()


def test_descriptions_are_filtered_alike(ecr: "ECRClient", name: str, push: Push) -> None:
    tagged, untagged = push("x", seed=b"1"), push(seed=b"2")

    def described(**options: Any) -> set[str]:
        return {one["imageDigest"] for one in ecr.describe_images(repositoryName=name, **options)["imageDetails"]}

    assert described() == {tagged, untagged}
    assert described(filter={"tagStatus": "TAGGED"}) == {tagged}
    assert described(filter={"tagStatus": "UNTAGGED"}) == {untagged}
    assert described(filter={"imageStatus": "ACTIVATING"}) == set()
    details = ecr.describe_images(repositoryName=name, filter={"tagStatus": "UNTAGGED"})["imageDetails"]
    assert "imageTags" not in details[0]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pages_of_images_are_a_partition(ecr: "ECRClient", name: str, push: Push, size: int) -> None:
    for number in range(3):
        push(f"a{number}", f"b{number}", seed=str(number).encode())
    push(seed=b"untagged")
    for operation, key, count in (("list_images", "imageIds", 7), ("describe_images", "imageDetails", 4)):
        pages = list(
            ecr.get_paginator(operation).paginate(repositoryName=name, PaginationConfig={"PageSize": size})  # type: ignore[call-overload]
        )
        found = [json.dumps(one, default=str, sort_keys=True) for page in pages for one in page[key]]
        assert len(found) == len(set(found)) == count
        assert [len(page[key]) for page in pages[:-1]] == [size] * (len(pages) - 1)
        assert len(pages[-1][key]) > 0


def test_a_page_goes_on_where_it_ended_though_its_last_image_is_gone(ecr: "ECRClient", name: str, push: Push) -> None:
    for number in range(4):
        push(f"t{number}", seed=str(number).encode())
    first = ecr.list_images(repositoryName=name, maxResults=2)
    ecr.batch_delete_image(repositoryName=name, imageIds=first["imageIds"])
    second = ecr.list_images(repositoryName=name, maxResults=2, nextToken=first["nextToken"])
    assert len(second["imageIds"]) == 2
    assert "nextToken" not in second


def test_a_hundred_are_a_page_where_nothing_else_is_said(ecr: "ECRClient", name: str, root: Client) -> None:
    manifest = root.image(name)
    for number in range(101):
        root.push_manifest(name, manifest, f"t{number:03}")
    page = ecr.list_images(repositoryName=name)
    assert len(page["imageIds"]) == 100
    assert len(ecr.list_images(repositoryName=name, nextToken=page["nextToken"])["imageIds"]) == 1


def test_images_are_described_by_tag_by_digest_and_once(ecr: "ECRClient", name: str, push: Push) -> None:
    digest, other = push("x", "y"), push("z", seed=b"2")
    wanted: Any = [
        {"imageTag": "x"},
        {"imageDigest": digest},
        {"imageTag": "y", "imageDigest": digest},
        {"imageTag": "z"},
    ]
    answer = ecr.describe_images(repositoryName=name, imageIds=wanted)
    assert [one["imageDigest"] for one in answer["imageDetails"]] == [digest, other]
    assert answer["imageDetails"][0]["imageTags"] == ["x", "y"]
    assert "nextToken" not in answer


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ({"imageTag": "no"}, "{imageDigest:'null', imageTag:'no'}"),
        ({"imageDigest": ABSENT}, f"{{imageDigest:'{ABSENT}', imageTag:'null'}}"),
        ({"imageDigest": ABSENT, "imageTag": "x"}, f"{{imageDigest:'{ABSENT}', imageTag:'x'}}"),
    ],
)
def test_one_image_that_is_not_there_fails_the_description(
    ecr: "ECRClient", name: str, push: Push, image: Any, shown: str
) -> None:
    push("x")
    code, message = refusal(ecr.describe_images, repositoryName=name, imageIds=[{"imageTag": "x"}, image])
    assert code == "ImageNotFoundException"
    assert message == (
        f"The image with imageId {shown} does not exist within the repository with name '{name}' "
        f"in the registry with id '{ACCOUNT}'"
    )


def test_pages_and_images_named_exclude_each_other(ecr: "ECRClient", name: str, push: Push) -> None:
    push("x")
    refused = refusal(ecr.describe_images, repositoryName=name, imageIds=[{"imageTag": "x"}], maxResults=10)
    assert refused == invalid("maxResults", "Member must be null when imageIds is specified")
    assert refusal(ecr.describe_images, repositoryName=name, imageIds=[{}])[0] == "InvalidParameterException"


def test_an_index_is_as_large_as_its_largest_image(ecr: "ECRClient", root: Client, name: str) -> None:
    manifests = []
    for layer in (b"s" * 10, b"l" * 5000):
        manifest = root.image(name, [layer])
        root.push_manifest(name, manifest)
        manifests.append(manifest.decode())
    digest = root.push_manifest(name, index_of(*manifests).encode(), "multi", INDEX)
    (detail,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageDigest": digest}])["imageDetails"]
    assert detail["imageSizeInBytes"] == 5002
    assert detail["imageManifestMediaType"] == INDEX
    assert "artifactMediaType" not in detail


def test_a_referrer_names_its_subject(ecr: "ECRClient", root: Client, name: str) -> None:
    subject = root.image(name)
    root.push_manifest(name, subject)
    about = {"mediaType": IMAGE, "digest": digest_of(subject), "size": len(subject)}
    referrer = root.push_manifest(name, root.image(name, [b"sbom"], subject=about, artifactType="application/sbom"))
    (detail,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageDigest": referrer}])["imageDetails"]
    assert detail["subjectManifestDigest"] == digest_of(subject)
    assert detail["artifactMediaType"] == "application/sbom"


def test_referrers_are_listed_in_pages_and_by_kind(ecr: "ECRClient", root: Client, name: str) -> None:
    subject = root.image(name)
    digest = root.push_manifest(name, subject)
    about = {"mediaType": IMAGE, "digest": digest, "size": len(subject)}
    pushed = {}
    for number in range(22):
        kind = "application/sbom" if number % 2 else "application/signature"
        document = root.image(name, subject=about, artifactType=kind, annotations={"number": str(number)})
        pushed[root.push_manifest(name, document)] = {
            "mediaType": IMAGE,
            "artifactType": kind,
            "size": len(document),
            "annotations": {"number": str(number)},
            "artifactStatus": "ACTIVE",
        }
    of = {"repositoryName": name, "subjectId": {"imageDigest": digest}}
    first = ecr.list_image_referrers(**of)  # type: ignore[arg-type]
    assert len(first["referrers"]) == 20
    rest = ecr.list_image_referrers(**of, nextToken=first["nextToken"], maxResults=50)  # type: ignore[arg-type]
    assert "nextToken" not in rest
    found = {one.pop("digest"): one for one in (*first["referrers"], *rest["referrers"])}  # type: ignore[misc]
    assert found == pushed
    sboms = ecr.list_image_referrers(**of, filter={"artifactTypes": ["application/sbom", "x/y"]}, maxResults=50)  # type: ignore[arg-type]
    assert {one["artifactType"] for one in sboms["referrers"]} == {"application/sbom"}
    assert len(sboms["referrers"]) == 11
    assert ecr.list_image_referrers(**of, filter={"artifactStatus": "ARCHIVED"})["referrers"] == []  # type: ignore[arg-type]
    assert (
        ecr.list_image_referrers(repositoryName=name, subjectId={"imageDigest": "sha256:" + "0" * 64})["referrers"]
        == []
    )


def test_referrers_of_what_is_no_digest_are_refused(ecr: "ECRClient", name: str) -> None:
    code, message = refusal(ecr.list_image_referrers, repositoryName=name, subjectId={"imageDigest": "latest"})
    assert code == "InvalidParameterException"
    assert message.startswith("Invalid parameter at 'subjectId.imageDigest' failed to satisfy constraint: '")


# -- getting


def test_manifests_are_got_byte_for_byte(ecr: "ECRClient", root: Client, name: str) -> None:
    manifest = root.image(name, note="é \u2028 <&>").replace(b'"schemaVersion"', b'  "schemaVersion"')
    digest = root.push_manifest(name, manifest, "t")
    answer = ecr.batch_get_image(
        repositoryName=name,
        imageIds=[{"imageTag": "t"}, {"imageDigest": digest}, {"imageTag": "t", "imageDigest": digest}],
    )
    assert answer["failures"] == []
    assert [one["imageId"] for one in answer["images"]] == [
        {"imageDigest": digest, "imageTag": "t"},
        {"imageDigest": digest},
        {"imageDigest": digest, "imageTag": "t"},
    ]
    assert {one["imageManifest"].encode() for one in answer["images"]} == {manifest}
    assert answer["images"][0]["imageManifestMediaType"] == IMAGE


@pytest.mark.parametrize(
    ("image", "code", "reason"),
    [
        ({"imageTag": "no"}, "ImageNotFound", "Requested image not found"),
        ({"imageTag": "t" * 300}, "ImageNotFound", "Requested image not found"),
        ({"imageDigest": ABSENT}, "ImageNotFound", "Requested image not found"),
        ({"imageTag": "no", "imageDigest": ABSENT}, "ImageNotFound", "Requested image not found"),
        (
            {"imageTag": "x", "imageDigest": ABSENT},
            "ImageTagDoesNotMatchDigest",
            "Invalid request parameters: given tag does not map to the given digest",
        ),
        ({}, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"),
        (
            {"imageDigest": "sha256-abc"},
            "InvalidImageDigest",
            "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
        ),
    ],
)
def test_what_cannot_be_got_or_deleted_is_a_failure_beside_the_rest(
    ecr: "ECRClient", name: str, push: Push, image: Any, code: str, reason: str
) -> None:
    push("x", "y")
    failure = {"imageId": image, "failureCode": code, "failureReason": reason}
    got = ecr.batch_get_image(repositoryName=name, imageIds=[image, {"imageTag": "y"}])
    assert got["failures"] == [failure]
    assert [one["imageId"]["imageTag"] for one in got["images"]] == ["y"]
    gone = ecr.batch_delete_image(repositoryName=name, imageIds=[image, {"imageTag": "y"}])
    assert gone["failures"] == [failure]
    assert [one["imageTag"] for one in gone["imageIds"]] == ["y"]


def test_a_media_type_that_is_not_accepted_is_not_found(ecr: "ECRClient", name: str, push: Push) -> None:
    push("x")
    for accepted, found in (([INDEX], 0), ([INDEX, IMAGE], 1), (["*/*"], 1)):
        answer = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "x"}], acceptedMediaTypes=accepted)
        assert len(answer["images"]) == found
        assert [one["failureCode"] for one in answer["failures"]] == ["ImageNotFound"] * (1 - found)


def test_more_than_a_hundred_images_are_refused(unchecked: "ECRClient", name: str) -> None:
    wanted = [{"imageTag": f"t{number}"} for number in range(101)]
    expected = invalid("imageIds", "Member must have length less than or equal to 100")
    assert refusal(unchecked.batch_get_image, repositoryName=name, imageIds=wanted) == expected
    assert refusal(unchecked.batch_delete_image, repositoryName=name, imageIds=wanted) == expected
    assert refusal(unchecked.batch_get_image, repositoryName=name, imageIds=[])[0] == "InvalidParameterException"


def test_manifests_that_are_too_large_together_are_refused(ecr: "ECRClient", root: Client, name: str) -> None:
    filler = "x" * (4 * 1024 * 1024 - 2048)
    wanted: list[Any] = []
    for number in range(5):
        digest = root.push_manifest(name, root.image(name, note=f"{number}{filler}"))
        wanted.append({"imageDigest": digest})
    assert refusal(ecr.batch_get_image, repositoryName=name, imageIds=wanted)[0] == "LimitExceededException"
    assert len(ecr.batch_get_image(repositoryName=name, imageIds=wanted[:3])["images"]) == 3


# -- deleting


def test_a_tag_goes_alone_and_the_last_one_takes_the_image(ecr: "ECRClient", name: str, push: Push) -> None:
    digest = push("x", "y")
    gone = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "x"}])
    assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": "x"}]
    assert ids_of(ecr, name) == {(digest, "y")}
    ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "y"}])
    assert ids_of(ecr, name) == set()


def test_a_digest_takes_every_tag(ecr: "ECRClient", name: str, push: Push) -> None:
    digest, untagged = push("x", "y"), push(seed=b"2")
    gone = ecr.batch_delete_image(
        repositoryName=name, imageIds=[{"imageDigest": digest}, {"imageDigest": untagged}, {"imageTag": "y"}]
    )
    assert gone["failures"] == []
    assert gone["imageIds"] == [
        {"imageDigest": digest, "imageTag": "x"},
        {"imageDigest": digest, "imageTag": "y"},
        {"imageDigest": untagged},
    ]
    assert ids_of(ecr, name) == set()


def test_digest_and_tag_together_take_the_tag(ecr: "ECRClient", name: str, push: Push) -> None:
    digest = push("x", "y")
    wanted: Any = [{"imageDigest": digest, "imageTag": "x"}]
    assert ecr.batch_delete_image(repositoryName=name, imageIds=wanted)["imageIds"] == wanted
    assert ids_of(ecr, name) == {(digest, "y")}


def test_both_tags_of_an_image_in_one_call_take_the_image(ecr: "ECRClient", name: str, push: Push) -> None:
    push("x", "y")
    gone = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "x"}, {"imageTag": "y"}])
    assert (len(gone["imageIds"]), gone["failures"]) == (2, [])
    assert ids_of(ecr, name) == set()


def test_what_an_index_names_stays_while_the_index_does(ecr: "ECRClient", root: Client, name: str) -> None:
    child = root.image(name)
    child_digest = root.push_manifest(name, child, "child")
    index = root.push_manifest(name, index_of(child.decode()).encode(), "multi", INDEX)
    for wanted in ({"imageDigest": child_digest}, {"imageTag": "child"}):
        answer = ecr.batch_delete_image(repositoryName=name, imageIds=[wanted])  # type: ignore[list-item]
        assert answer["imageIds"] == []
        assert answer["failures"] == [
            {
                "imageId": wanted,
                "failureCode": "ImageReferencedByManifestList",
                "failureReason": f"Requested image referenced by manifest list: [{index}]",
            }
        ]
    assert ids_of(ecr, name) == {(child_digest, "child"), (index, "multi")}
    gone = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "multi"}, {"imageDigest": child_digest}])
    assert gone["failures"] == []
    assert ids_of(ecr, name) == set()


def test_a_deleted_tag_of_an_immutable_repository_may_be_put_anew(ecr: "ECRClient", name: str, push: Push) -> None:
    push("v1", seed=b"1")
    ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability="IMMUTABLE")
    ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])
    digest = push("v1", seed=b"2")
    assert ids_of(ecr, name) == {(digest, "v1")}


# -- putting


def test_the_same_image_is_put_once(ecr: "ECRClient", root: Client, name: str) -> None:
    manifest = root.image(name).decode()
    digest = digest_of(manifest.encode())
    ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="t")
    for more, tag in (({"imageTag": "t"}, "t"), ({}, "null")):
        code, message = refusal(ecr.put_image, repositoryName=name, imageManifest=manifest, **more)
        assert code == "ImageAlreadyExistsException"
        assert message == (
            f"Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{name}' "
            f"in registry with id '{ACCOUNT}'"
        )
    ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="another")
    assert ids_of(ecr, name) == {(digest, "t"), (digest, "another")}


def test_over_v2_the_same_image_may_be_put_again_even_on_an_immutable_tag(
    ecr: "ECRClient", root: Client, name: str
) -> None:
    ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability="IMMUTABLE")
    manifest = root.image(name)
    root.push_manifest(name, manifest, "v1")
    root.push_manifest(name, manifest, "v1")
    assert refusal(ecr.put_image, repositoryName=name, imageManifest=manifest.decode(), imageTag="v1")[0] == (
        "ImageAlreadyExistsException"
    )


def test_a_tag_moves_and_its_former_image_stays_untagged(ecr: "ECRClient", root: Client, name: str) -> None:
    digests = []
    for layer in (b"1", b"2"):
        put = ecr.put_image(repositoryName=name, imageManifest=root.image(name, [layer]).decode(), imageTag="t")
        digests.append(put["image"]["imageId"]["imageDigest"])
    assert ids_of(ecr, name) == {(digests[0], None), (digests[1], "t")}


@pytest.mark.parametrize(
    ("mode", "filters", "moves", "stays"),
    [
        ("MUTABLE", [], ["a", "b"], []),
        ("IMMUTABLE", [], [], ["a", "b"]),
        ("MUTABLE_WITH_EXCLUSION", ["v*", "*-rc*"], ["latest", "x-r"], ["v1", "v", "a-rc", "a-rc-b"]),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*", "latest"], ["dev-", "dev-1", "latest"], ["dev", "a-dev-1", "latest2"]),
    ],
)
def test_the_mode_decides_which_tags_move_on_both_dialects(
    ecr: "ECRClient", root: Client, name: str, mode: Any, filters: list[str], moves: list[str], stays: list[str]
) -> None:
    more: Any = {"imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": one} for one in filters]}
    ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability=mode, **(more if filters else {}))
    for tag in [*moves, *stays]:
        root.push_image(name, tag, layers=[b"1"])
    second, third = root.image(name, [b"2"]), root.image(name, [b"3"])
    for tag in moves:
        assert ecr.put_image(repositoryName=name, imageManifest=second.decode(), imageTag=tag)
        root.push_manifest(name, third, tag)
    for tag in stays:
        code, message = refusal(ecr.put_image, repositoryName=name, imageManifest=second.decode(), imageTag=tag)
        assert code == "ImageTagAlreadyExistsException"
        assert message.startswith(
            f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because "
        )
        answer = root("PUT", f"/v2/{name}/manifests/{tag}", third, Content_Type=IMAGE)
        assert answer.said == (400, "TAG_INVALID")


def test_a_digest_that_is_another_is_refused(ecr: "ECRClient", root: Client, name: str) -> None:
    manifest = root.image(name).decode()
    code, message = refusal(ecr.put_image, repositoryName=name, imageManifest=manifest, imageDigest=ABSENT)
    assert code == "ImageDigestDoesNotMatchException"
    assert f"'{ABSENT}'" in message
    assert refusal(ecr.put_image, repositoryName=name, imageManifest=manifest, imageDigest="x")[0] == (
        "InvalidParameterException"
    )
    assert ids_of(ecr, name) == set()
    right = digest_of(manifest.encode())
    assert ecr.put_image(repositoryName=name, imageManifest=manifest, imageDigest=right)["image"]["imageId"] == {
        "imageDigest": right
    }


def test_layers_and_images_that_are_missing_are_named(ecr: "ECRClient", root: Client, name: str) -> None:
    root.push_blob(name, b"{}")
    manifest = manifest_of(b"absent")
    code, message = refusal(ecr.put_image, repositoryName=name, imageManifest=manifest, imageTag="t")
    assert code == "LayersNotFoundException"
    assert message == (
        f"Layers with digests '[{digest_of(b'absent')}]' required for pushing image into repository with name '{name}' "
        f"in the registry with id '{ACCOUNT}' do not exist"
    )
    code, message = refusal(ecr.put_image, repositoryName=name, imageManifest=index_of(manifest), imageTag="t")
    assert code == "ReferencedImagesNotFoundException"
    assert digest_of(manifest.encode()) in message
    assert ids_of(ecr, name) == set()


def test_a_layer_of_another_repository_is_missing_here(ecr: "ECRClient", root: Client, name: str) -> None:
    ecr.create_repository(repositoryName=f"{name}/other")
    manifest = root.image(f"{name}/other").decode()
    assert refusal(ecr.put_image, repositoryName=name, imageManifest=manifest)[0] == "LayersNotFoundException"


def test_the_media_type_is_the_callers_or_the_documents(ecr: "ECRClient", root: Client, name: str) -> None:
    root.push_blob(name, b"{}")
    bare = manifest_of(media_type=None)
    where = "image manifest mediatype not provided in manifest or parameter"
    refused = refusal(ecr.put_image, repositoryName=name, imageManifest=bare)
    assert refused == invalid("imageManifestMediaType", where)
    image = ecr.put_image(repositoryName=name, imageManifest=bare, imageManifestMediaType=IMAGE)["image"]
    assert image["imageManifestMediaType"] == IMAGE
    for wrong in ("image", "a/b\r\nX-Evil: 1", INDEX):
        refused = refusal(
            ecr.put_image, repositoryName=name, imageManifest=manifest_of(note=wrong), imageManifestMediaType=wrong
        )
        assert refused[0] == "InvalidParameterException"


@pytest.mark.parametrize("text", ["not json", "[]", '{"a":1,"a":2}', "[" * 100_000, "null", '{"schemaVersion": NaN}'])
def test_what_is_no_manifest_is_refused_in_ecrs_words(ecr: "ECRClient", name: str, text: str) -> None:
    refused = refusal(ecr.put_image, repositoryName=name, imageManifest=text, imageManifestMediaType=IMAGE)
    assert refused == invalid("ImageManifest", "Invalid JSON syntax")


@pytest.mark.parametrize("tag", ["-a", "a/b", "a b", "t" * 129])
def test_a_tag_outside_the_grammar_is_refused(ecr: "ECRClient", root: Client, name: str, tag: str) -> None:
    manifest = root.image(name).decode()
    code, message = refusal(ecr.put_image, repositoryName=name, imageManifest=manifest, imageTag=tag)
    assert (code, "'imageTag'" in message) == ("InvalidParameterException", True)


def test_a_thousand_tags_of_an_image_are_the_limit(ecr: "ECRClient", root: Client, name: str) -> None:
    manifest = root.image(name)
    for start in range(0, 1000, 50):
        query = "&".join(f"tag=t{number}" for number in range(start, start + 50))
        answer = root("PUT", f"/v2/{name}/manifests/{digest_of(manifest)}?{query}", manifest, Content_Type=IMAGE)
        assert answer.status == 201
    code, message = refusal(ecr.put_image, repositoryName=name, imageManifest=manifest.decode(), imageTag="more")
    assert code == "LimitExceededException"
    assert message == (
        f"Adding tag 'more' to an image in the repository with name '{name}' in registry with id '{ACCOUNT}' exceeds "
        "the maximum allowed number of tags per image which is '1000'"
    )
    assert root("GET", f"/v2/{name}/manifests/more").status == 404


def test_the_digest_is_that_of_the_exact_text(ecr: "ECRClient", root: Client, name: str) -> None:
    root.push_blob(name, b"{}")
    text = manifest_of(annotations={"note": "é€𝄞"}) + " \n"
    text = json.loads(json.dumps(text)).replace("\\u00e9", "é")
    image = ecr.put_image(repositoryName=name, imageManifest=text, imageTag="t")["image"]
    assert image["imageId"]["imageDigest"] == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    assert root("GET", f"/v2/{name}/manifests/t").body == text.encode()


def test_an_image_in_no_repository_is_refused(ecr: "ECRClient") -> None:
    assert refusal(ecr.put_image, repositoryName="not/there", imageManifest="{}") == not_there("not/there")
