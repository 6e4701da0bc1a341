"""Layers by boto3: uploading in parts, checking, downloading."""

import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.live import LiveServer
from tests.wire.client import LAYER, Client, Wire, digest_of, request
from tests.wire.ecr.conftest import ACCOUNT, manifest_of, put_layer, refusal, upload

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

MIB = 1024 * 1024
NO_UPLOAD = "00000000-0000-4000-8000-000000000000"
ABSENT = f"sha256:{'a' * 64}"


def unknown(name: str, identifier: str) -> tuple[str, str]:
    message = (
        f"The upload with id '{identifier}' in the repository with name '{name}' in registry with id '{ACCOUNT}' "
        "does not exist"
    )
    return "UploadNotFoundException", message


def part(ecr: "ECRClient", name: str, identifier: str, first: int, data: bytes, last: int | None = None) -> Any:
    return ecr.upload_layer_part(
        repositoryName=name,
        uploadId=identifier,
        partFirstByte=first,
        partLastByte=first + len(data) - 1 if last is None else last,
        layerPartBlob=data,
    )


def test_a_layer_in_parts_is_the_layer(ecr: "ECRClient", root: Client, name: str) -> None:
    data = bytes(range(256)) * (11 * MIB // 256) + b"the end"
    begun = ecr.initiate_layer_upload(repositoryName=name)
    assert begun["partSize"] == 10 * MIB
    identifier = begun["uploadId"]
    received = [
        part(ecr, name, identifier, first, data[first : first + 5 * MIB])["lastByteReceived"]
        for first in range(0, len(data), 5 * MIB)
    ]
    assert received == [5 * MIB - 1, 10 * MIB - 1, len(data) - 1]
    done = ecr.complete_layer_upload(repositoryName=name, uploadId=identifier, layerDigests=[digest_of(data)])
    del done["ResponseMetadata"]  # type: ignore[misc]
    assert done == {
        "registryId": ACCOUNT,
        "repositoryName": name,
        "uploadId": identifier,
        "layerDigest": digest_of(data),
    }
    assert root("GET", f"/v2/{name}/blobs/{digest_of(data)}").body == data


def test_the_largest_part_is_taken(ecr: "ECRClient", name: str) -> None:
    data = b"\xff" * (20 * MIB)
    identifier = upload(ecr, name, data, part=len(data))
    done = ecr.complete_layer_upload(repositoryName=name, uploadId=identifier, layerDigests=[digest_of(data)])
    assert done["layerDigest"] == digest_of(data)


@pytest.mark.parametrize(("first", "received"), [(7, 5), (0, 5), (4, 5), (2**62, 5)])
def test_a_part_has_to_follow_the_one_before(ecr: "ECRClient", name: str, first: int, received: int) -> None:
    identifier = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    part(ecr, name, identifier, 0, b"01234")
    with pytest.raises(ClientError) as caught:
        part(ecr, name, identifier, first, b"xy")
    response: Any = caught.value.response
    assert response["Error"] == {
        "Code": "InvalidLayerPartException",
        "Message": f"First byte of the layer part is {first} instead of {received}",
    }
    assert {key: response[key] for key in ("registryId", "repositoryName", "uploadId", "lastValidByteReceived")} == {
        "registryId": ACCOUNT,
        "repositoryName": name,
        "uploadId": identifier,
        "lastValidByteReceived": received - 1,
    }
    assert part(ecr, name, identifier, received, b"56")["lastByteReceived"] == 6


@pytest.mark.parametrize(("data", "last"), [(b"abc", 3), (b"abc", 1), (b"abc", 0), (b"", 0)])
def test_a_part_has_to_be_as_long_as_it_says(ecr: "ECRClient", name: str, data: bytes, last: int) -> None:
    identifier = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    with pytest.raises(ClientError) as caught:
        part(ecr, name, identifier, 0, data, last)
    assert caught.value.response["Error"]["Code"] == "InvalidLayerPartException"
    assert part(ecr, name, identifier, 0, b"abc")["lastByteReceived"] == 2


def test_only_the_last_part_may_be_small(ecr: "ECRClient", name: str) -> None:
    data = b"x" * (5 * MIB - 1) + b"y" * MIB
    identifier = upload(ecr, name, data, part=5 * MIB - 1)
    refused = refusal(
        ecr.complete_layer_upload, repositoryName=name, uploadId=identifier, layerDigests=[digest_of(data)]
    )
    assert refused == ("LayerPartTooSmallException", "All layer parts except the last part should be at least 5MB")


def test_an_upload_without_parts_cannot_be_completed(ecr: "ECRClient", name: str) -> None:
    identifier = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    refused = refusal(
        ecr.complete_layer_upload, repositoryName=name, uploadId=identifier, layerDigests=[digest_of(b"")]
    )
    expected = (
        f"The upload with id '{identifier}' in the repository with name '{name}' in registry with id '{ACCOUNT}' "
        "cannot be completed because it does not have any parts"
    )
    assert refused == ("EmptyUploadException", expected)


def test_a_wrong_digest_is_refused_and_the_right_one_taken_after_it(ecr: "ECRClient", name: str) -> None:
    identifier = upload(ecr, name, b"data")
    for wrong in ([ABSENT], ["tarsum.v1+sha256:aa"], [ABSENT, f"sha512:{'0' * 128}"]):
        refused = refusal(ecr.complete_layer_upload, repositoryName=name, uploadId=identifier, layerDigests=wrong)
        expected = "None of the provided layer digests match the calculated layer digest"
        assert refused == ("InvalidLayerException", expected)
    done = ecr.complete_layer_upload(
        repositoryName=name, uploadId=identifier, layerDigests=["tarsum.v1+sha256:aa", ABSENT, digest_of(b"data")]
    )
    assert done["layerDigest"] == digest_of(b"data")


def test_a_layer_that_is_there_already_is_said_to_be(ecr: "ECRClient", root: Client, name: str) -> None:
    digest = root.push_blob(name, b"data")
    identifier = upload(ecr, name, b"data")
    code, message = refusal(ecr.complete_layer_upload, repositoryName=name, uploadId=identifier, layerDigests=[digest])
    assert code == "LayerAlreadyExistsException"
    assert digest in message
    assert root("GET", f"/v2/{name}/blobs/{digest}").body == b"data"


def test_an_upload_is_known_in_its_repository_until_it_is_done(ecr: "ECRClient", name: str) -> None:
    ecr.create_repository(repositoryName=f"{name}/other")
    identifier = upload(ecr, name, b"data")
    digests = [digest_of(b"data")]
    for where, which in ((f"{name}/other", identifier), (name, NO_UPLOAD)):
        refused = refusal(ecr.complete_layer_upload, repositoryName=where, uploadId=which, layerDigests=digests)
        assert refused == unknown(where, which)
        with pytest.raises(ClientError) as caught:
            part(ecr, where, which, 4, b"more")
        error = caught.value.response["Error"]
        assert (error["Code"], error["Message"]) == unknown(where, which)
    ecr.complete_layer_upload(repositoryName=name, uploadId=identifier, layerDigests=digests)
    refused = refusal(ecr.complete_layer_upload, repositoryName=name, uploadId=identifier, layerDigests=digests)
    assert refused == unknown(name, identifier)


def test_an_upload_of_the_api_is_one_of_v2(ecr: "ECRClient", root: Client, name: str) -> None:
    identifier = upload(ecr, name, b"first ")
    location = f"/v2/{name}/blobs/uploads/{identifier}"
    assert root("GET", location).headers["Range"] == "0-5"
    assert root("PATCH", location, b"second").status == 202
    digest = digest_of(b"first second")
    assert root("PUT", f"{location}?digest={digest}").status == 201
    assert ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[digest])["layers"][0] == {
        "layerDigest": digest,
        "layerAvailability": "AVAILABLE",
        "layerSize": 12,
    }


def test_parts_at_one_place_at_once_are_taken_once(server: LiveServer, ecr: "ECRClient", name: str) -> None:
    identifier = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    clients = [server.client("ecr") for _ in range(4)]
    outcomes: list[str] = []

    def send(number: int) -> None:
        try:
            part(clients[number], name, identifier, 0, bytes([number]) * 300_000)
            outcomes.append("taken")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["InvalidLayerPartException"] * 3 + ["taken"]
    digests = [digest_of(bytes([number]) * 300_000) for number in range(4)]
    done = ecr.complete_layer_upload(repositoryName=name, uploadId=identifier, layerDigests=digests)
    assert done["layerDigest"] in digests


def test_an_upload_outlives_a_restart(tmp_path: Path) -> None:
    data = b"a" * (5 * MIB) + b"b"
    with LiveServer(tmp_path, settings={"storage.reserve": "0"}) as server:
        ecr = server.client("ecr")
        ecr.create_repository(repositoryName="kept")
        identifier = ecr.initiate_layer_upload(repositoryName="kept")["uploadId"]
        part(ecr, "kept", identifier, 0, data[: 5 * MIB])
        server.restart()
        part(ecr, "kept", identifier, 5 * MIB, data[5 * MIB :])
        done = ecr.complete_layer_upload(
            repositoryName="kept", uploadId=identifier, layerDigests=[ABSENT, digest_of(data)]
        )
        assert done["layerDigest"] == digest_of(data)
        with Client(server) as root:
            assert root("GET", f"/v2/kept/blobs/{digest_of(data)}").body == data


def test_an_upload_continues_on_any_worker(tmp_path: Path) -> None:
    data = b"".join(bytes([number]) * 5 * MIB for number in range(4))
    with LiveServer(tmp_path, settings={"storage.reserve": "0"}, workers=2) as server:
        server.client("ecr").create_repository(repositoryName="shared")
        identifier = server.client("ecr").initiate_layer_upload(repositoryName="shared")["uploadId"]
        for first in range(0, len(data), 5 * MIB):  # a client, and so a connection, of its own for each
            part(server.client("ecr"), "shared", identifier, first, data[first : first + 5 * MIB])
        done = server.client("ecr").complete_layer_upload(
            repositoryName="shared", uploadId=identifier, layerDigests=[digest_of(data)]
        )
        assert done["layerDigest"] == digest_of(data)


# -- checking


def test_layers_are_available_in_their_repository(ecr: "ECRClient", root: Client, name: str) -> None:
    root.push_image(name, "t", layers=[b"in an image"])
    loose = root.push_blob(name, b"in none")
    elsewhere = f"{name}/other"
    ecr.create_repository(repositoryName=elsewhere)
    used = digest_of(b"in an image")
    answer = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[used, ABSENT, loose, used])
    assert answer["failures"] == []
    assert answer["layers"] == [
        {"layerDigest": used, "layerAvailability": "AVAILABLE", "layerSize": 11, "mediaType": LAYER},
        {"layerDigest": ABSENT, "layerAvailability": "UNAVAILABLE"},
        {"layerDigest": loose, "layerAvailability": "AVAILABLE", "layerSize": 7},
    ]
    other = ecr.batch_check_layer_availability(repositoryName=elsewhere, layerDigests=[used])
    assert other["layers"] == [{"layerDigest": used, "layerAvailability": "UNAVAILABLE"}]


def test_what_is_no_digest_is_a_failure(ecr: "ECRClient", name: str) -> None:
    answer = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=["sha256", "", ABSENT])
    assert [(one["layerDigest"], one["failureCode"]) for one in answer["failures"]] == [
        ("sha256", "InvalidLayerDigest"),
        ("", "MissingLayerDigest"),
    ]
    assert len(answer["layers"]) == 1


# -- downloading


def test_a_layer_of_an_image_is_downloaded_by_its_link(
    ecr: "ECRClient", root: Client, server: LiveServer, name: str
) -> None:
    root.push_image(name, "t", layers=[b"in an image"])
    digest = digest_of(b"in an image")
    answer = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=digest)
    assert answer["layerDigest"] == digest
    assert answer["downloadUrl"].startswith(f"{server.url}/_blobs/")
    with urllib.request.urlopen(answer["downloadUrl"], timeout=20) as response:
        assert response.read() == b"in an image"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(answer["downloadUrl"][:-3] + "abc", timeout=20)
    assert caught.value.code == 403
    caught.value.close()


def test_a_link_ends_with_its_layer(ecr: "ECRClient", root: Client, name: str) -> None:
    root.push_image(name, "t", layers=[b"soon gone"])
    link = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=digest_of(b"soon gone"))["downloadUrl"]
    ecr.delete_repository(repositoryName=name, force=True)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(link, timeout=20)
    assert caught.value.code == 404
    caught.value.close()


def test_a_layer_of_no_image_is_inaccessible_and_an_absent_one_not_found(
    ecr: "ECRClient", root: Client, name: str
) -> None:
    loose = root.push_blob(name, b"in none")
    assert refusal(ecr.get_download_url_for_layer, repositoryName=name, layerDigest=loose)[0] == (
        "LayerInaccessibleException"
    )
    code, message = refusal(ecr.get_download_url_for_layer, repositoryName=name, layerDigest=ABSENT)
    assert code == "LayersNotFoundException"
    assert message == (
        f"The layer with digest '{ABSENT}' does not exist within the repository with name '{name}' "
        f"in the registry with id '{ACCOUNT}'"
    )
    root.push_blob(name, b"{}")
    ecr.put_image(repositoryName=name, imageManifest=manifest_of(b"in none"))
    assert ecr.get_download_url_for_layer(repositoryName=name, layerDigest=loose)["downloadUrl"]


def test_a_layer_put_by_the_api_is_mounted_over_v2(ecr: "ECRClient", root: Client, name: str) -> None:
    digest = put_layer(ecr, name, b"shared")
    ecr.create_repository(repositoryName=f"{name}/other")
    mounted = root("POST", f"/v2/{name}/other/blobs/uploads/?mount={digest}&from={name}")
    assert mounted.status == 201


# -- bodies


@pytest.mark.parametrize("length", [32 * MIB + 1, 10**15])
def test_a_body_that_is_too_large_is_refused_unread(server: LiveServer, length: int) -> None:
    credentials = Credentials(server.access_key_id, server.secret_access_key)
    target = {"X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.UploadLayerPart"}
    claim = AWSRequest("POST", f"{server.url}/", headers=target)
    SigV4Auth(credentials, "ecr", "us-east-1").add_auth(claim)
    fields = [f"{name}: {value}" for name, value in claim.headers.items() if name != "Authorization"]
    with Wire(server) as wire:
        wire.send(
            request("POST", "/", *fields, f"Content-Length: {length}", authorization=claim.headers["Authorization"])
        )
        answer = wire.receive()
        assert answer.status == 413
        assert answer.json["__type"] == "RequestEntityTooLargeException"


@pytest.mark.parametrize("length", [4 * MIB + 1, 32 * MIB])
def test_a_large_form_is_refused_unread(server: LiveServer, length: int) -> None:
    with Wire(server) as wire:
        form = "Content-Type: application/x-www-form-urlencoded"
        wire.send(request("POST", "/", form, f"Content-Length: {length}", authorization="AWS4-HMAC-SHA256 x"))
        answer = wire.receive()
        assert answer.status == 413
        assert b"<Code>RequestEntityTooLargeException</Code>" in answer.body


def test_a_large_body_by_nobody_who_is_known_is_refused_unread(server: LiveServer) -> None:
    with Wire(server) as wire:
        target = "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.UploadLayerPart"
        wire.send(request("POST", "/", target, f"Content-Length: {MIB}", authorization="AWS4-HMAC-SHA256 x"))
        assert wire.receive().json["__type"] == "IncompleteSignatureException"
        assert wire.ends()


def test_a_large_body_that_nobody_signed_is_refused_unread(server: LiveServer) -> None:
    with Wire(server) as wire:
        target = "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.PutImage"
        wire.send(request("POST", "/", target, f"Content-Length: {MIB}"))
        answer = wire.receive()
        assert answer.json["__type"] == "MissingAuthenticationTokenException"
        assert wire.ends()
