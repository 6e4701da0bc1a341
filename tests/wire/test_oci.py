"""What clients rely on over /v2/: the ways in which docker, containerd, podman, crane, oras and others push, pull and look."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.faults import stock
from tests.live import LiveServer
from tests.wire.client import (
    CONFIG,
    IMAGE,
    INDEX,
    LAYER,
    Client,
    Wire,
    basic,
    descriptor,
    digest_of,
    eventually,
    request,
    with_query,
)
from tests.wire.passwords import mint_of

NAME = "oci/it-is"
OTHER = "oci/other"
KIB, MIB = 1024, 1024 * 1024
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
LOCATION = re.compile(rf"/v2/{NAME}/blobs/uploads/[0-9a-f-]{{36}}\Z")


@pytest.fixture(scope="module", autouse=True)
def whole(server: LiveServer) -> Iterator[None]:
    """Whatever the tests did: at the end rows and bytes agree."""
    with Client(server) as client:
        client.push_image(NAME, "latest")
        client.push_image(OTHER, "latest")
    yield
    assert stock.check(server).faults == []


# Uploads


def test_an_upload_begins_as_docker_reads_it(root: Client) -> None:
    answer = root("POST", f"/v2/{NAME}/blobs/uploads/")
    assert answer.status == 202
    assert LOCATION.match(answer.headers["Location"]), "relative: right behind every proxy"
    assert answer.headers["Docker-Upload-UUID"] == answer.headers["Location"].rpartition("/")[2]
    assert answer.headers["Range"] == "0-0"
    assert answer.headers["Content-Length"] == "0"
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize("path", [f"/v2/{NAME}/blobs/uploads/", f"/v2/{NAME}/blobs/uploads"])
def test_with_and_without_the_slash(path: str, root: Client) -> None:
    assert root("POST", path).status == 202


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", "text/plain", "nonsense", ""])
def test_what_type_an_upload_claims_does_not_matter(kind: str, root: Client) -> None:
    """crane begins uploads with application/json."""
    data = f"{kind} it says".encode()
    fields = {"Content-Type": kind} if kind else {}
    assert root("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}", data, fields).status == 201
    assert root("POST", f"/v2/{NAME}/blobs/uploads/", b"", fields).status == 202


SIZES = (0, 1, 100, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, MIB, 3 * MIB + 17)


def _whole(root: Client, data: bytes, digest: str) -> Any:
    return root("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest}", data)


def _put(root: Client, data: bytes, digest: str) -> Any:
    return root("PUT", with_query(root.begin(NAME), f"digest={digest}"), data)


def _docker(root: Client, data: bytes, digest: str) -> Any:
    """One chunked PATCH without any length or range, and a PUT without a body."""
    location = root.begin(NAME)
    answer = root("PATCH", location, (data[at : at + 32 * KIB] for at in range(0, len(data), 32 * KIB)))
    assert answer.status == 202
    return root("PUT", with_query(answer.headers["Location"], f"digest={digest}"))


def _podman(root: Client, data: bytes, digest: str) -> Any:
    answer = root("PATCH", root.begin(NAME), data, Content_Type="application/octet-stream")
    assert answer.status == 202
    return root("PUT", with_query(answer.headers["Location"], f"digest={digest}"))


def _regclient(root: Client, data: bytes, digest: str) -> Any:
    location = root.begin(NAME)
    step = max(1, len(data) // 4 + 1)
    for at in range(0, len(data), step):
        piece = data[at : at + step]
        answer = root("PATCH", location, piece, Content_Range=f"{at}-{at + len(piece) - 1}")
        assert answer.status == 202
        assert answer.headers["Range"] == f"0-{at + len(piece) - 1}"
        location = answer.headers["Location"]
    return root("PUT", with_query(location, f"digest={digest}"))


def _last_in_put(root: Client, data: bytes, digest: str) -> Any:
    location, half = root.begin(NAME), len(data) // 2
    if half:
        assert root("PATCH", location, data[:half], Content_Range=f"0-{half - 1}").status == 202
    span = {"Content-Range": f"{half}-{len(data) - 1}"} if data else {}
    return root("PUT", with_query(location, f"digest={digest}"), data[half:], span)


def _zb(root: Client, data: bytes, digest: str) -> Any:
    """An empty PATCH first, and the first location for everything."""
    location = root.begin(NAME)
    assert root("PATCH", location, b"").status == 202
    for at in range(0, len(data), MIB):
        assert root("PATCH", location, data[at : at + MIB]).status == 202
    return root("PUT", with_query(location, f"digest={digest}"))


def _many(root: Client, data: bytes, digest: str) -> Any:
    """Chunks of every size around the ones where storage changes its ways."""
    location, at = root.begin(NAME), 0
    for step in (1, 1, 100, 256 * KIB - 102, 1, 300 * KIB, 0, 70 * KIB):
        assert root("PATCH", location, data[at : at + step]).status == 202
        at = min(len(data), at + step)
    return root("PUT", with_query(location, f"digest={digest}"), data[at:])


WAYS = (_whole, _put, _docker, _podman, _regclient, _last_in_put, _zb, _many)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize(
    ("way", "size"),
    [(way, size) for way in WAYS for size in SIZES],
    ids=[f"{way.__name__.strip('_')}-{size}" for way in WAYS for size in SIZES],
)
def test_every_way_to_push_a_blob(way: Any, size: int, algorithm: str, root: Client) -> None:
    mark = f"{way.__name__}{algorithm}".encode()
    data = hashlib.shake_256(mark).digest(size)
    digest = digest_of(data, algorithm)
    answer = way(root, data, digest)
    assert answer.status == 201, answer
    assert answer.headers["Location"] == f"/v2/{NAME}/blobs/{digest}"
    assert answer.headers["Docker-Content-Digest"] == digest
    head = root("HEAD", f"/v2/{NAME}/blobs/{digest}")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(size), b"")
    got = root("GET", answer.headers["Location"], Accept_Encoding="zstd, gzip, deflate")
    assert (got.status, got.body == data, got.headers.get("Content-Encoding")) == (200, True, None)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_nothing_is_a_blob_too(algorithm: str, root: Client) -> None:
    digest = digest_of(b"", algorithm)
    assert root("POST", f"/v2/{OTHER}/blobs/uploads/?digest={digest}").status == 201
    assert root("GET", f"/v2/{OTHER}/blobs/{digest}").body == b""
    assert root("HEAD", f"/v2/{OTHER}/blobs/{digest}").headers["Content-Length"] == "0"


def test_a_digest_without_bytes_begins_a_session(root: Client) -> None:
    data = b"they come later"
    answer = root("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}")
    assert answer.status == 202
    answer = root("PUT", with_query(answer.headers["Location"], f"digest={digest_of(data)}"), data)
    assert answer.status == 201


def test_the_algorithm_may_be_named_at_the_start(root: Client) -> None:
    data = b"hashed once" * 100_000
    location = root.begin(NAME, "?digest-algorithm=sha512")
    assert root("PATCH", location, data).status == 202
    assert root("PUT", with_query(location, f"digest={digest_of(data, 'sha512')}")).status == 201


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_algorithm_may_change_its_mind(algorithm: str, root: Client) -> None:
    data = f"hashed twice, {algorithm}".encode() * 50_000
    location = root.begin(NAME, f"?digest-algorithm={algorithm}")
    other = {"sha256": "sha512", "sha512": "sha256"}[algorithm]
    assert root("PATCH", location, data[:900_000]).status == 202
    assert root("PUT", with_query(location, f"digest={digest_of(data, other)}"), data[900_000:]).status == 201
    assert root("GET", f"/v2/{NAME}/blobs/{digest_of(data, other)}").body == data


def test_an_old_location_is_good_as_long_as_the_upload_is(root: Client) -> None:
    first = root.begin(NAME)
    second = root("PATCH", first, b"ab").headers["Location"]
    assert root("PATCH", first, b"cd").headers["Range"] == "0-3"
    assert root("PATCH", second, b"ef").headers["Range"] == "0-5"
    assert root("PUT", with_query(first, f"digest={digest_of(b'abcdef')}")).status == 201


def test_parameters_of_others_are_passed_over(root: Client) -> None:
    """containerd sends ns= to mirrors; proxies add theirs."""
    assert root("GET", f"/v2/{NAME}/manifests/latest?ns=docker.io").status == 200
    assert root("HEAD", f"/v2/{NAME}/manifests/latest?ns=docker.io&x=y").status == 200
    location = root.begin(NAME, "?ns=docker.io")
    assert root("PATCH", with_query(location, "_state=abc%2B%2F"), b"abc").status == 202
    assert root("PUT", with_query(location, f"_state=x&digest={digest_of(b'abc')}&ns=docker.io")).status == 201


def test_where_an_upload_stands_can_be_asked(root: Client) -> None:
    location = root.begin(NAME)
    for data, span in ((b"", "0-0"), (b"a", "0-0"), (b"bc", "0-2"), (b"x" * MIB, f"0-{MIB + 2}")):
        assert root("PATCH", location, data).headers["Range"] == span
        state = root("GET", location)
        assert (state.status, state.headers["Range"], state.headers["Location"]) == (204, span, location)
        assert state.headers["Docker-Upload-UUID"] == location.rpartition("/")[2]
    assert root("DELETE", location).status == 204


def test_out_of_order_is_said_and_recovered_from(root: Client) -> None:
    location, data = root.begin(NAME), b"0123456789"
    assert root("PATCH", location, data[:5], Content_Range="0-4").status == 202
    for method, path in (
        ("PATCH", location),
        ("PUT", with_query(location, f"digest={digest_of(data)}")),
    ):
        answer = root(method, path, data[7:], Content_Range="7-9")
        assert (answer.status, answer.headers["Location"], answer.headers["Range"]) == (416, location, "0-4")
    assert root("GET", location).status == 204
    for form in ("5-6", "bytes 7-8/*", "bytes=9-9/10"):
        first, last = map(int, re.search(r"(\d+)-(\d+)", form).groups())  # type: ignore[union-attr]
        assert root("PATCH", location, data[first : last + 1], Content_Range=form).status == 202
    assert root("PUT", with_query(location, f"digest={digest_of(data)}")).status == 201


def test_the_same_blob_again_is_as_good_as_the_first_time(root: Client) -> None:
    data = b"again and again" * 30_000
    for _ in range(3):
        for way in WAYS:
            assert way(root, data, digest_of(data)).status == 201
    assert root("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data


# Mounting


def test_a_blob_is_mounted_from_where_it_is(root: Client) -> None:
    digest = root.push_blob(OTHER, b"to be mounted")
    answer = root("POST", f"/v2/{NAME}/blobs/uploads/?mount={digest}&from={OTHER}")
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/{NAME}/blobs/{digest}")
    assert answer.headers["Docker-Content-Digest"] == digest
    assert root("GET", f"/v2/{NAME}/blobs/{digest}").body == b"to be mounted"


def test_a_blob_is_mounted_from_wherever_it_may_be_read(root: Client) -> None:
    digest = root.push_blob(OTHER, b"to be mounted from anywhere")
    for _ in range(2):
        assert root("POST", f"/v2/{NAME}/blobs/uploads/?mount={digest}").status == 201
    assert root("GET", f"/v2/{NAME}/blobs/{digest}").status == 200


@pytest.mark.parametrize("source", [f"&from={OTHER}", "&from=oci/nowhere", "", "&from="])
def test_what_cannot_be_mounted_is_an_upload(source: str, root: Client) -> None:
    data = f"not there{source}".encode()
    answer = root("POST", f"/v2/{NAME}/blobs/uploads/?mount={digest_of(data)}{source}")
    assert answer.status == 202
    assert LOCATION.match(answer.headers["Location"])
    assert root("PUT", with_query(answer.headers["Location"], f"digest={digest_of(data)}"), data).status == 201


def test_what_was_deleted_cannot_be_mounted(root: Client) -> None:
    digest = root.push_blob(OTHER, b"soon gone")
    assert root("DELETE", f"/v2/{OTHER}/blobs/{digest}").status == 202
    for source in ("", f"&from={OTHER}"):
        assert root("POST", f"/v2/{NAME}/blobs/uploads/?mount={digest}{source}").status == 202


# Manifests


def test_a_manifest_comes_back_as_it_went(root: Client) -> None:
    content = root.image(NAME, [b"one", b"two"], annotations={"ä": "€ \U0001f4a9"})
    answer = root("PUT", f"/v2/{NAME}/manifests/whole", content, Content_Type=f"{IMAGE}; charset=utf-8")
    digest = digest_of(content)
    assert answer.status == 201
    assert answer.headers["Location"] == f"/v2/{NAME}/manifests/{digest}"
    assert answer.headers["Docker-Content-Digest"] == digest
    for reference in ("whole", digest):
        for accept in ("", "*/*", IMAGE, "application/json", f"{DOCKER}, {INDEX}, text/html;q=0.1"):
            fields = {"Accept": accept} if accept else {}
            got = root("GET", f"/v2/{NAME}/manifests/{reference}", None, fields)
            head = root("HEAD", f"/v2/{NAME}/manifests/{reference}", None, fields)
            assert (got.status, got.body, head.status, head.body) == (200, content, 200, b"")
            for found in (got, head):
                assert found.headers["Content-Type"] == IMAGE
                assert found.headers["Content-Length"] == str(len(content))
                assert found.headers["Docker-Content-Digest"] == digest
                assert found.headers["ETag"] == f'"{digest}"'
                assert "immutable" not in (found.headers.get("Cache-Control") or "")


def test_a_tag_may_change_its_type(root: Client) -> None:
    """docker pushed images where containerd's store pushes indexes."""
    first = root.push_image(NAME, "moves")
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    second = root.push_manifest(NAME, index, "moves", INDEX)
    assert root("HEAD", f"/v2/{NAME}/manifests/moves").headers["Docker-Content-Digest"] == second
    assert root("HEAD", f"/v2/{NAME}/manifests/moves").headers["Content-Type"] == INDEX
    assert root("GET", f"/v2/{NAME}/manifests/{first}").status == 200


def test_a_manifest_is_pushed_by_sha512(root: Client) -> None:
    content = root.image(NAME, annotations={"by": "sha512"})
    digest = digest_of(content, "sha512")
    answer = root("PUT", f"/v2/{NAME}/manifests/{digest}?tag=long", content, Content_Type=IMAGE)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    assert answer.headers["OCI-Tag"] == "long"
    assert root("GET", f"/v2/{NAME}/manifests/long").headers["Docker-Content-Digest"] == digest
    assert root("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202


def test_several_tags_come_with_one_push(root: Client) -> None:
    content = root.image(NAME, annotations={"tags": "several"})
    digest = digest_of(content)
    answer = root(
        "PUT", f"/v2/{NAME}/manifests/{digest}?tag=one&tag=two&tag=one&tag=v1.0_x", content, Content_Type=IMAGE
    )
    assert answer.status == 201
    assert answer.headers.get_all("OCI-Tag") == ["one", "two", "v1.0_x"]
    for tag in ("one", "two", "v1.0_x"):
        assert root("HEAD", f"/v2/{NAME}/manifests/{tag}").headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize("kind", ["application/vnd.example.thing.v1+json", "application/json", IMAGE])
def test_artifacts_of_any_type_are_kept(kind: str, root: Client) -> None:
    layer = descriptor("application/x-anything", b"a layer")
    document = {
        "schemaVersion": 2, "artifactType": "application/x-thing", "layers": [layer], "future": {"member": [kind, None]},
        "config": descriptor("application/vnd.oci.empty.v1+json", b"{}", data="e30="),
    }  # fmt: skip
    content = json.dumps(document).encode()
    root.push_image(NAME)
    digest = root.push_manifest(NAME, content, "thing", kind)
    got = root("GET", f"/v2/{NAME}/manifests/{digest}")
    assert (got.body, got.headers["Content-Type"]) == (content, kind)


def test_layers_that_may_live_elsewhere_need_not_be_there(root: Client) -> None:
    for kind in (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ):
        elsewhere = descriptor(kind, f"elsewhere {kind}".encode(), urls=["https://example.test/layer"])
        root.push_manifest(NAME, root.image(NAME, ()).replace(b"[]", json.dumps([elsewhere]).encode()), "foreign")


def test_an_index_names_images_indexes_and_blobs(root: Client) -> None:
    """Older BuildKit caches list layers under `manifests`."""
    image = root.image(NAME, annotations={"child": "1"})
    root.push_manifest(NAME, image)
    inner = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(IMAGE, image)]}).encode()
    root.push_manifest(NAME, inner, kind=INDEX)
    root.push_blob(NAME, b"a cache layer")
    outer = {
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(INDEX, inner), descriptor(LAYER, b"a cache layer")],
    }  # fmt: skip
    root.push_manifest(NAME, json.dumps(outer).encode(), "nested", INDEX)
    assert root("GET", f"/v2/{NAME}/manifests/nested").json == outer


def test_what_a_manifest_needs_is_not_deleted(root: Client) -> None:
    digest = root.push_image(NAME, "needed", layers=[b"needed by an image"])
    blob = digest_of(b"needed by an image")
    assert root("DELETE", f"/v2/{NAME}/blobs/{blob}").said == (405, "UNSUPPORTED")
    assert root("GET", f"/v2/{NAME}/manifests/{digest}").status == 200
    assert root("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202
    assert root("DELETE", f"/v2/{NAME}/blobs/{blob}").status == 202


def test_deleting_is_at_once(root: Client) -> None:
    digest = root.push_image(NAME, "goes", layers=[b"goes, too"])
    assert root("PUT", f"/v2/{NAME}/manifests/stays", root("GET", f"/v2/{NAME}/manifests/goes").body).status == 201
    assert root("DELETE", f"/v2/{NAME}/manifests/goes").status == 202
    assert root("HEAD", f"/v2/{NAME}/manifests/goes").status == 404
    assert root("HEAD", f"/v2/{NAME}/manifests/{digest}").status == 200, "a tag goes alone"
    assert root("HEAD", f"/v2/{NAME}/manifests/stays").status == 200
    assert root("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202
    for reference in (digest, "stays"):
        assert root("HEAD", f"/v2/{NAME}/manifests/{reference}").status == 404
    assert "stays" not in root("GET", f"/v2/{NAME}/tags/list?n=1000").json["tags"]
    blob = digest_of(b"goes, too")
    assert root("DELETE", f"/v2/{NAME}/blobs/{blob}").status == 202
    for method in ("HEAD", "GET", "DELETE"):
        assert root(method, f"/v2/{NAME}/blobs/{blob}").status == 404


def test_what_was_deleted_may_come_back(root: Client) -> None:
    for _ in range(3):
        digest = root.push_image(NAME, "returns", layers=[b"returns" * 60_000])
        assert root("GET", f"/v2/{NAME}/blobs/{digest_of(b'returns' * 60_000)}").status == 200
        assert root("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202
        assert root("DELETE", f"/v2/{NAME}/blobs/{digest_of(b'returns' * 60_000)}").status == 202


def test_deleting_in_one_repository_leaves_the_others_alone(root: Client) -> None:
    for name in (NAME, OTHER):
        root.push_blob(name, b"in both")
    digest = digest_of(b"in both")
    assert root("DELETE", f"/v2/{NAME}/blobs/{digest}").status == 202
    assert root("GET", f"/v2/{NAME}/blobs/{digest}").status == 404
    assert root("GET", f"/v2/{OTHER}/blobs/{digest}").body == b"in both"


def test_a_child_of_an_index_may_be_deleted_first(root: Client) -> None:
    image = root.image(NAME, annotations={"child": "deleted first"})
    child = root.push_manifest(NAME, image)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(IMAGE, image)]}).encode()
    parent = root.push_manifest(NAME, index, kind=INDEX)
    assert root("DELETE", f"/v2/{NAME}/manifests/{child}").status == 202
    assert root("GET", f"/v2/{NAME}/manifests/{parent}").body == index
    assert root("DELETE", f"/v2/{NAME}/manifests/{parent}").status == 202


# Looking


def follow(root: Client, path: str, key: str) -> list[list[Any]]:
    """The pages of a listing, by its own links."""
    pages = []
    while path:
        answer = root("GET", path)
        assert answer.status == 200
        pages.append(answer.json[key])
        link = answer.headers.get("Link")
        assert len(pages) < 100
        path = re.fullmatch(r'<(/v2/[^>]+)>; rel="next"', link)[1] if link else ""  # type: ignore[index]
    return pages


def joined(pages: list[list[Any]]) -> list[Any]:
    return [entry for page in pages for entry in page]


@pytest.fixture(scope="module")
def tagged(server: LiveServer) -> list[str]:
    names = ["10", "9", "A", "B", "Z", "_", "a", "a-1", "a.1", "a_1", "b", "latest", "v1.0", "v1.10", "v1.9", "z" * 128]
    with Client(server) as client:
        manifest = client.image("oci/tags")
        query = "&".join(f"tag={name}" for name in reversed(names))
        path = f"/v2/oci/tags/manifests/{digest_of(manifest)}?{query}"
        assert client("PUT", path, manifest, Content_Type=IMAGE).status == 201
    return sorted(names)


def test_tags_are_listed_in_order(root: Client, tagged: list[str]) -> None:
    answer = root("GET", "/v2/oci/tags/tags/list")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"name": "oci/tags", "tags": tagged}
    assert answer.headers.get("Link") is None


@pytest.mark.parametrize("count", [1, 2, 3, 5, 15, 16, 17, 1000])
def test_tags_are_listed_in_pages(count: int, root: Client, tagged: list[str]) -> None:
    pages = follow(root, f"/v2/oci/tags/tags/list?n={count}", "tags")
    assert joined(pages) == tagged
    assert all(len(page) == count for page in pages[:-1])
    assert pages[-1]


def test_tags_are_listed_from_anywhere(root: Client, tagged: list[str]) -> None:
    for last in [*tagged, "", "0", "a-0", "zz"]:
        expected = [name for name in tagged if name > last]
        assert root("GET", f"/v2/oci/tags/tags/list?last={last}").json["tags"] == expected
        assert root("GET", f"/v2/oci/tags/tags/list?n=3&last={last}").json["tags"] == expected[:3]


def test_many_tags_are_cut_into_pages_whatever_was_asked(root: Client) -> None:
    manifest = root.image("oci/many")
    names = [f"t{number:05d}" for number in range(2100)]
    for start in range(0, len(names), 50):
        query = "&".join(f"tag={name}" for name in names[start : start + 50])
        path = f"/v2/oci/many/manifests/{digest_of(manifest)}?{query}"
        assert root("PUT", path, manifest, Content_Type=IMAGE).status == 201
    pages = follow(root, "/v2/oci/many/tags/list?n=10000", "tags")
    assert joined(pages) == names
    assert len(pages[0]) == 1000
    assert joined(follow(root, "/v2/oci/many/tags/list", "tags")) == names


def test_a_repository_without_tags_lists_none(root: Client) -> None:
    root.push_blob("oci/no-tags", b"x")
    assert root("GET", "/v2/oci/no-tags/tags/list").json == {"name": "oci/no-tags", "tags": []}


def test_the_catalog_is_listed_in_pages(root: Client) -> None:
    names = [f"catalog/{number:03d}" for number in range(25)]
    for name in names:
        root.push_blob(name, b"x")
    for count in (1, 7, 25, 1000):
        found = joined(follow(root, f"/v2/_catalog?n={count}", "repositories"))
        assert [name for name in found if name.startswith("catalog/")] == names
        assert found == sorted(found)
    assert root("GET", "/v2/_catalog?n=2&last=catalog/003").json["repositories"] == ["catalog/004", "catalog/005"]


def _referrer(client: Client, subject: bytes, number: int, **members: Any) -> dict[str, Any]:
    """Push a manifest about `subject`; the descriptor by which it is to be listed."""
    content = client.image(
        NAME, subject=descriptor(IMAGE, subject), annotations={"number": f"{number}"}, **members
    )  # fmt: skip
    answer = client("PUT", f"/v2/{NAME}/manifests/{digest_of(content)}", content, Content_Type=IMAGE)
    assert (answer.status, answer.headers["OCI-Subject"]) == (201, digest_of(subject))
    kind = members.get("artifactType", CONFIG)
    return descriptor(IMAGE, content, artifactType=kind, annotations={"number": f"{number}"})


@pytest.fixture(scope="module")
def referrers(server: LiveServer) -> tuple[str, list[dict[str, Any]]]:
    """A subject, and what is about it."""
    with Client(server) as client:
        subject = b"it need not be there"
        found = [_referrer(client, subject, number) for number in range(3)]
        found += [_referrer(client, subject, number, artifactType="application/x-sbom") for number in range(3, 6)]
        found += [_referrer(client, subject, number, artifactType="application/x-sig+a&b") for number in range(6, 9)]
    return digest_of(subject), sorted(found, key=lambda entry: entry["digest"])


def test_referrers_are_listed(root: Client, referrers: tuple[str, list[dict[str, Any]]]) -> None:
    subject, expected = referrers
    answer = root("GET", f"/v2/{NAME}/referrers/{subject}")
    assert answer.headers["Content-Type"] == INDEX, "exactly: oras compares it"
    assert answer.headers.get("OCI-Filters-Applied") is None
    assert answer.json == {"schemaVersion": 2, "mediaType": INDEX, "manifests": expected}


def test_referrers_are_filtered(root: Client, referrers: tuple[str, list[dict[str, Any]]]) -> None:
    subject, expected = referrers
    kinds = {kind: quote(kind) for kind in ("application/x-sbom", "application/x-sig+a&b", CONFIG)}
    for kind, query in kinds.items():
        answer = root("GET", f"/v2/{NAME}/referrers/{subject}?artifactType={query}")
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        assert answer.json["manifests"] == [entry for entry in expected if entry["artifactType"] == kind]
    answer = root("GET", f"/v2/{NAME}/referrers/{subject}?artifactType=a%00")
    assert answer.json["manifests"] == []
    both = root("GET", f"/v2/{NAME}/referrers/{subject}?artifactType=application/x-sbom&artifactType={kinds[CONFIG]}")
    assert len(both.json["manifests"]) == 6, "containerd gives several, and means any"
    assert root("GET", f"/v2/{NAME}/referrers/{subject}?artifactType=none").json["manifests"] == []


@pytest.mark.parametrize("query", ["", "&artifactType=application/x-sig%2Ba%26b"])
@pytest.mark.parametrize("count", [1, 2, 4, 9, 100])
def test_referrers_are_listed_in_pages(
    count: int, query: str, root: Client, referrers: tuple[str, list[dict[str, Any]]]
) -> None:
    subject, expected = referrers
    pages = follow(root, f"/v2/{NAME}/referrers/{subject}?n={count}{query}", "manifests")
    assert joined(pages) == [
        entry for entry in expected if not query or entry["artifactType"] == "application/x-sig+a&b"
    ]
    assert all(len(page) == count for page in pages[:-1])


def test_pages_of_referrers_are_no_larger_than_clients_take(root: Client) -> None:
    subject = b"much is said about it"
    for number in range(6):
        _ = _referrer(root, subject, number) if number else None
        content = root.image(
            NAME,
            subject=descriptor(IMAGE, subject),
            annotations={"number": f"{number}", "padding": "x" * (MIB + number)},
        )
        assert root("PUT", f"/v2/{NAME}/manifests/{digest_of(content)}", content, Content_Type=IMAGE).status == 201
    path, total = f"/v2/{NAME}/referrers/{digest_of(subject)}", 0
    while path:
        answer = root("GET", path)
        assert len(answer.body) < 4.3 * MIB
        total += len(answer.json["manifests"])
        link = answer.headers.get("Link")
        path = link[1 : link.index(">")] if link else ""
    assert total == 11


@pytest.mark.parametrize(
    "path", [f"/v2/{NAME}/referrers/sha256:{'1' * 64}", f"/v2/oci/nowhere/referrers/sha256:{'1' * 64}"]
)
def test_nothing_said_is_an_empty_index(path: str, root: Client) -> None:
    answer = root("GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, INDEX)
    assert answer.json == {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


def test_a_deleted_referrer_is_not_listed(root: Client) -> None:
    subject = b"was talked about"
    entry = _referrer(root, subject, 1)
    path = f"/v2/{NAME}/referrers/{digest_of(subject)}"
    assert root("GET", path).json["manifests"] == [entry]
    assert root("DELETE", f"/v2/{NAME}/manifests/{entry['digest']}").status == 202
    assert root("GET", path).json["manifests"] == []


# Names that look like routes


@pytest.mark.parametrize(
    "name",
    [
        "blobs",
        "manifests/x",
        "tags/list",
        "v2/a",
        "a/blobs/uploads",
        "a/manifests/tags",
        "uploads/referrers",
        "a/tags/list",
        "a__b/c-d.e",
        "x" * 255,
        "0/0",
    ],
    ids=lambda name: name[:30],
)
def test_names_made_of_words_of_the_routes(name: str, root: Client) -> None:
    digest = root.push_image(name, "list", layers=[b"x"])
    assert root("GET", f"/v2/{name}/tags/list").json == {"name": name, "tags": ["list"]}
    assert root("GET", f"/v2/{name}/manifests/list").headers["Docker-Content-Digest"] == digest
    assert root("GET", f"/v2/{name}/blobs/{digest_of(b'x')}").body == b"x"
    assert root("GET", f"/v2/{name}/referrers/{digest}").json["manifests"] == []
    assert root("DELETE", root.begin(name)).status == 204


def test_nothing_is_redirected(root: Client) -> None:
    digest = root.push_blob(NAME, b"straight from here")
    for path in ("/v2/", "/v2", f"/v2/{NAME}/blobs/{digest}", f"/v2/{NAME}/manifests/latest", "/healthz", "/token"):
        for method in ("GET", "HEAD"):
            assert not 300 <= root(method, path).status < 400


def test_pushing_where_nothing_is_says_how_to_make_it(tmp_path: Any) -> None:
    """docker tries again for minutes, unless it is told in JSON that the name is unknown."""
    with LiveServer(tmp_path, settings={"storage.reserve": "0"}) as strict, Client(strict) as client:
        for answer in (
            client("POST", "/v2/oci/new/blobs/uploads/"),
            client("POST", f"/v2/oci/new/blobs/uploads/?digest={digest_of(b'x')}", b"x"),
            client("PUT", "/v2/oci/new/manifests/latest", b"{}", Content_Type=IMAGE),
        ):
            assert answer.said == (404, "NAME_UNKNOWN")
            assert answer.headers["Content-Type"] == "application/json"
            assert "aws ecr create-repository --repository-name oci/new" in answer.message


# The token service, and servers that ask for Bearer


@pytest.fixture(scope="module")
def bearer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {"registry.create_on_push": "true", "storage.reserve": "0", "auth.challenge": "bearer"}
    with LiveServer(tmp_path_factory.mktemp("bearer"), settings=settings) as running:
        with Client(running) as client:
            client.push_image(NAME, "latest")
        yield running


def token_of(server: LiveServer, query: str, authorization: str | None = None) -> dict[str, Any]:
    with Client(server, authorization=authorization) as client:
        answer = client("GET", f"/token?{query}")
    assert answer.status == 200, answer
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.json
    assert found["token"] == found["access_token"]
    assert found["expires_in"] >= 60, "docker takes less for 60"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["issued_at"])
    return found


def test_the_challenge_names_service_and_scope(bearer: LiveServer) -> None:
    with Client(bearer, authorization="") as nobody:
        for method, path, scope in (
            ("GET", "/v2/", ""),
            ("GET", f"/v2/{NAME}/manifests/latest", f"repository:{NAME}:pull"),
            ("POST", f"/v2/{NAME}/blobs/uploads/", f"repository:{NAME}:pull,push"),
            ("PUT", f"/v2/{NAME}/manifests/latest", f"repository:{NAME}:pull,push"),
            ("DELETE", f"/v2/{NAME}/manifests/latest", f"repository:{NAME}:delete"),
            ("GET", "/v2/_catalog", "registry:catalog:*"),
        ):
            answer = nobody(method, path)
            expected = f'Bearer realm="{bearer.url}/token",service="{bearer.address}"'
            expected += f',scope="{scope}"' if scope else ""
            assert answer.said == (401, "UNAUTHORIZED")
            assert answer.headers.get_all("WWW-Authenticate") == [expected]


def test_docker_gets_a_token_by_get(bearer: LiveServer) -> None:
    query = f"account=AWS&client_id=docker&offline_token=true&service={bearer.address}"
    query += f"&scope=repository:{NAME}:pull&scope=repository:{NAME}:push,pull"
    found = token_of(bearer, query)
    assert found["refresh_token"]
    with Client(bearer, authorization=f"Bearer {found['token']}") as client:
        assert client("GET", "/v2/").status == 200
        assert client("GET", f"/v2/{NAME}/manifests/latest").status == 200
        assert client("POST", f"/v2/{NAME}/blobs/uploads/").status == 202


def test_oras_asks_for_scopes_in_one_parameter(bearer: LiveServer) -> None:
    scope = f"repository:{NAME}:pull%20repository:oci/second:pull,push%20repository:{NAME}:push"
    with Client(bearer, authorization=f"Bearer {token_of(bearer, f'scope={scope}')['token']}") as client:
        for name in (NAME, "oci/second"):
            assert client("POST", f"/v2/{name}/blobs/uploads/").status == 202
        refused = client("POST", "/v2/oci/third/blobs/uploads/")
        assert refused.said == (401, "DENIED")
        expected = f'Bearer realm="{bearer.url}/token",service="{bearer.address}"'
        expected += ',scope="repository:oci/third:pull,push",error="insufficient_scope"'
        assert refused.headers["WWW-Authenticate"] == expected


@pytest.mark.parametrize(
    "scope",
    [
        "plugin:x:pull",
        f"repository(plugin):{NAME}:pull",
        "nonsense",
        "::",
        "repository::pull",
        f"repository:{NAME}:fly",
        "registry:catalog:*",
        "*",
        ":" * 200,
        "%00",
        "%ff",
    ],
)
def test_scopes_that_mean_nothing_are_passed_over(scope: str, bearer: LiveServer) -> None:
    found = token_of(bearer, f"scope={scope}&scope=repository:{NAME}:pull")
    with Client(bearer, authorization=f"Bearer {found['token']}") as client:
        assert client("GET", f"/v2/{NAME}/manifests/latest").status == 200
        assert client("POST", f"/v2/{NAME}/blobs/uploads/").said == (401, "DENIED")


def post_form(server: LiveServer, **fields: str) -> Any:
    with Client(server, authorization="") as client:
        return client("POST", "/token", urlencode(fields).encode(), Content_Type="application/x-www-form-urlencoded")


def test_containerd_gets_a_token_by_post(bearer: LiveServer) -> None:
    fields = {"client_id": "containerd", "service": bearer.address, "scope": f"repository:{NAME}:pull,push"}
    first = post_form(
        bearer, grant_type="password", username=bearer.access_key_id, password=bearer.secret_access_key,
        access_type="offline", **fields,
    )  # fmt: skip
    assert first.status == 200
    again = post_form(bearer, grant_type="refresh_token", refresh_token=first.json["refresh_token"], **fields)
    password = mint_of(bearer).issue("ecr")
    by_password = post_form(bearer, grant_type="password", username="AWS", password=password, **fields)
    as_identity = post_form(bearer, grant_type="refresh_token", refresh_token=password, **fields)
    for answer in (first, again, by_password, as_identity):
        with Client(bearer, authorization=f"Bearer {answer.json['access_token']}") as client:
            assert client("POST", f"/v2/{NAME}/blobs/uploads/").status == 202


def test_a_wrong_password_gets_no_token(bearer: LiveServer) -> None:
    with Client(bearer, authorization=basic(bearer.access_key_id, "wrong")) as client:
        answer = client("GET", f"/token?scope=repository:{NAME}:pull")
    assert answer.said == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    form = post_form(bearer, grant_type="password", username=bearer.access_key_id, password="wrong")
    assert (form.status, form.json["error"]) == (401, "invalid_grant")


def test_nobody_gets_a_token_that_lets_them_do_nothing(bearer: LiveServer) -> None:
    """Anonymous tokens exist, for policies that let everybody pull; without one they open nothing."""
    token = token_of(bearer, f"scope=repository:{NAME}:pull", authorization="")["token"]
    with Client(bearer, authorization=f"Bearer {token}") as nobody:
        assert nobody("GET", f"/v2/{NAME}/manifests/latest").status in {401, 403}
        assert nobody("GET", "/v2/oci/nowhere/manifests/latest").status in {401, 403}
        assert nobody("GET", "/v2/_catalog").status in {401, 403}


def test_basic_is_good_where_bearer_is_asked_for(bearer: LiveServer) -> None:
    with Client(bearer) as client:
        assert client("GET", "/v2/").status == 200
        assert client("GET", f"/v2/{NAME}/manifests/latest").status == 200
    with Client(bearer, authorization=basic("AWS", mint_of(bearer).issue("ecr"))) as client:
        assert client("GET", f"/v2/{NAME}/manifests/latest").status == 200


# Hosts that name a registry


def hosted(server: LiveServer, account: str, region: str, domain: str, form: str = "dkr.ecr") -> Client:
    return Client(server, host=f"{account}.{form}.{region}.{domain}")


@pytest.mark.parametrize("form", ["dkr.ecr", "dkr-ecr", "dkr.ecr-fips", "dkr-ecr-fips"])
@pytest.mark.parametrize("domain", ["amazonaws.com", "amazonaws.com.cn", "on.aws", "registry.test:5000", "local"])
def test_hosts_name_account_and_region(form: str, domain: str, server: LiveServer) -> None:
    with hosted(server, "123456789012", "us-east-1", domain, form) as home:
        assert home("GET", f"/v2/{NAME}/manifests/latest").status == 200
    with hosted(server, "123456789012", "eu-west-1", domain, form) as elsewhere:
        answer = elsewhere("GET", f"/v2/{NAME}/manifests/latest")
        assert answer.said == (404, "NAME_UNKNOWN")
        assert "in the registry with id '123456789012'" in answer.message
    with hosted(server, "999999999999", "us-east-1", domain, form) as foreign:
        answer = foreign("GET", f"/v2/{NAME}/manifests/latest")
        assert answer.said == (403, "DENIED")
        assert "arn:aws:ecr:us-east-1:999999999999:repository/" in answer.message


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "registry.test:5000",
        "12345.dkr.ecr.us-east-1.amazonaws.com",
        "[::1]:5000",
        "api.ecr.eu-west-1.amazonaws.com",
    ],
)
def test_any_other_host_is_home(host: str, server: LiveServer) -> None:
    with Client(server, host=host) as client:
        assert client("GET", f"/v2/{NAME}/manifests/latest").status == 200


def test_regions_share_bytes_and_nothing_else(server: LiveServer, root: Client) -> None:
    name, layer = "oci/regions", b"in two regions" * 30_000
    here = root.push_image(name, "latest", layers=[layer])
    server.client("ecr", region="eu-west-1").create_repository(repositoryName=name)
    with hosted(server, "123456789012", "eu-west-1", "registry.test") as there:
        assert there("GET", f"/v2/{name}/tags/list").json["tags"] == []
        for query in (f"?mount={digest_of(layer)}", f"?mount={digest_of(layer)}&from={name}"):
            assert there("POST", f"/v2/{name}/blobs/uploads/{query}").status == 202, "no mount across registries"
        assert there.push_image(name, "latest", layers=[layer]) == here
        assert there("DELETE", f"/v2/{name}/manifests/latest").status == 202
        location = there.begin(name)
        assert location.startswith(f"/v2/{name}/blobs/uploads/")
        assert root("GET", location).said == (404, "BLOB_UPLOAD_UNKNOWN"), "the same name in another registry"
        assert name in there("GET", "/v2/_catalog?n=1000").json["repositories"]
        assert there("GET", "/v2/_catalog?n=1000").json["repositories"] == [name]
    assert root("GET", f"/v2/{name}/manifests/latest").status == 200
    with server.rows() as rows:
        assert rows.execute("SELECT COUNT(*) FROM blobs WHERE digest = ?", (digest_of(layer),)).fetchone() == (1,)


def test_a_password_is_good_in_its_region(server: LiveServer) -> None:
    password = basic("AWS", mint_of(server).issue("ecr", region="eu-west-1"))
    for region, status in (("eu-west-1", 200), ("us-east-1", 401)):
        with Client(server, authorization=password, host=f"123456789012.dkr.ecr.{region}.registry.test") as client:
            answer = client("GET", "/v2/")
        assert answer.status == status
        if status == 401:
            realm = f'Basic realm="http://123456789012.dkr.ecr.{region}.registry.test/",service="ecr.amazonaws.com"'
            assert answer.headers["WWW-Authenticate"] == realm


# Many at once


def test_one_tag_that_may_not_move_goes_to_one_of_two(server: LiveServer, root: Client) -> None:
    name = "oci/immutable"
    server.client("ecr").create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    for number in range(10):
        contents = [root.image(name, annotations={"who": f"{number}/{who}"}) for who in range(4)]
        found: dict[str, int] = {}

        def push(content: bytes, found: dict[str, int] = found, number: int = number) -> None:
            with Client(server) as client:
                path = f"/v2/{name}/manifests/tag-{number}"
                found[digest_of(content)] = client("PUT", path, content, Content_Type=IMAGE).status

        threads = [threading.Thread(target=push, args=(content,)) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found.values()) == [201, 400, 400, 400]
        held = root("HEAD", f"/v2/{name}/manifests/tag-{number}").headers["Docker-Content-Digest"]
        assert found[held] == 201


def test_the_same_digest_again_at_an_immutable_tag_is_no_error(server: LiveServer, root: Client) -> None:
    name = "oci/immutable-again"
    server.client("ecr").create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    digest = root.push_image(name, "v1")
    assert root.push_image(name, "v1") == digest
    other = root.image(name, annotations={"other": "digest"})
    answer = root("PUT", f"/v2/{name}/manifests/v1", other, Content_Type=IMAGE)
    assert answer.said == (400, "TAG_INVALID")
    assert root("GET", f"/v2/{name}/manifests/{digest_of(other)}").status == 404


def test_two_who_append_at_once_never_mix(server: LiveServer, root: Client) -> None:
    """One of two chunks at the same offset counts; the other is told where the upload stands."""
    for size in (100, 300_000):
        location = root.begin(NAME)
        assert root("PATCH", location, b"start").status == 202
        bodies = [bytes([mark]) * size for mark in (1, 2, 3)]
        found: dict[bytes, int] = {}

        def append(body: bytes, location: str = location, found: dict[bytes, int] = found) -> None:
            with Client(server) as client:
                found[body[:1]] = client("PATCH", location, body, Content_Range=f"5-{len(body) + 4}").status

        threads = [threading.Thread(target=append, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found.values()) == [202, 416, 416]
        winner = next(mark for mark, status in found.items() if status == 202)
        data = b"start" + winner * size
        assert root("GET", location).headers["Range"] == f"0-{len(data) - 1}"
        assert root("PUT", with_query(location, f"digest={digest_of(data)}")).status == 201
        assert root("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data


def _turn(server: LiveServer, location: str) -> int:
    """How often somebody began to write to the upload."""
    with server.rows() as rows:
        (turn,) = rows.execute("SELECT turn FROM uploads WHERE id = ?", (location.rpartition("/")[2],)).fetchone()
    return int(turn)


def test_a_late_chunk_of_a_lost_connection_counts_for_nothing(server: LiveServer, root: Client) -> None:
    """A client gives a connection up and goes on over another, while its old bytes are still on their way."""
    location = root.begin(NAME)
    assert root("PATCH", location, b"x" * 300_000).status == 202
    with Wire(server) as late:
        head = request("PATCH", location, "Content-Length: 600000", authorization=root.authorization)
        before = _turn(server, location)
        late.send(head + b"L" * 400_000)
        eventually(lambda: _turn(server, location) > before)
        rest = b"y" * 500_000
        answer = root("PATCH", location, rest, Content_Range=f"300000-{300_000 + len(rest) - 1}")
        assert answer.status == 202
        late.send(b"L" * 200_000)
        assert late.receive("PATCH").status == 416
    data = b"x" * 300_000 + rest
    assert root("PUT", with_query(location, f"digest={digest_of(data)}")).status == 201
    assert root("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data


def test_fifty_who_push_the_same_blob_all_succeed(server: LiveServer) -> None:
    def push(number: int, data: bytes) -> int:
        with Client(server) as client:
            way = WAYS[number % len(WAYS)]
            return int(way(client, data, digest_of(data)).status)

    for data in (b"small, and pushed by all" * 10, b"large, and pushed by all" * 50_000):
        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(push, range(50), [data] * 50)) == {201}
    with server.rows() as rows:
        assert rows.execute("SELECT COUNT(*) FROM blobs WHERE digest = ?", (digest_of(data),)).fetchone() == (1,)
