"""What nobody ought to send: the exact refusal, and no trace of it afterwards.

After each test the server still serves, and what is visible is what was visible before; at the end the collector finds
nothing that it cannot clear away.
"""

import json
import time
from collections.abc import Iterator

import pytest

from tests.faults import stock
from tests.live import LiveServer
from tests.wire.client import (
    CONFIG,
    IMAGE,
    INDEX,
    LAYER,
    Answer,
    Client,
    Wire,
    descriptor,
    digest_of,
    eventually,
    request,
    with_query,
)

NAME = "bad/input"
BLOB = b"0123456789" * 10
NOTHING = f"sha256:{'0' * 64}"
NO_UPLOAD = "00000000-0000-4000-8000-000000000000"
MIB = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def furniture(server: LiveServer) -> Iterator[None]:
    """A repository with a blob, an image and a tag; at the end, what the collector leaves."""
    with Client(server) as client:
        client.push_blob(NAME, BLOB)
        client.push_image(NAME, "good")
        client.push_image("bad/other", "good")
    yield
    server.stop()
    stock.collect(server)
    assert stock.check(server).faults == []
    assert stock.leftovers(server) == []
    server.start()


@pytest.fixture(autouse=True)
def no_trace(server: LiveServer, furniture: None) -> Iterator[None]:
    before = stock.visible(server)
    yield
    with Client(server, fresh=True) as client:
        assert client("GET", f"/v2/{NAME}/manifests/good").status == 200
    assert stock.visible(server) == before
    assert '"status": 500' not in server.log_tail(5)


def say(server: LiveServer, root: Client, method: str, path: str, *fields: str, body: bytes = b"") -> Answer:
    """One request, byte for byte, and its answer."""
    with Wire(server) as wire:
        wire.send(request(method, path, *fields, authorization=root.authorization, body=body))
        return wire.receive(method)


# Names, tags, digests

NAMES = {
    "..": "..",
    "../..": "../..",
    "dots within": "bad/../input",
    "a dot": "bad/./input",
    "escaped dots": "bad/%2e%2e/input",
    "%2f": "bad%2finput",
    "%2F": "bad%2Finput",
    "%00": "bad%00input",
    "%0d%0a": "bad%0d%0aX-Evil:1",
    "300 characters": "a" * 300,
    "257 characters": "a" * 257,
    "one character": "a",
    "upper case": "Bad/input",
    "two slashes": "bad//input",
    "a slash in front": "/bad/input",
    "a slash behind": "bad/input/",
    "a dash in front": "-bad/input",
    "a dot behind": "bad/input.",
    "three underscores": "bad___input",
    "two dots": "bad..input",
    "a space": "bad%20input",
    "a plus": "bad+input",
    "a backslash": "bad%5cinput",
    "a letter that is not ASCII": "b%C3%A4d/input",
    "a full-width letter": "%EF%BD%82ad/input",
    "bytes that are not UTF-8": "bad%ff/input",
    "a tilde": "~root",
    "a colon": "bad:input",
    "an at sign": "bad@input",
}
PLACES = {
    "GET tags": ("GET", "/v2/{}/tags/list"),
    "GET manifest": ("GET", "/v2/{}/manifests/good"),
    "HEAD manifest": ("HEAD", "/v2/{}/manifests/good"),
    "PUT manifest": ("PUT", "/v2/{}/manifests/new"),
    "DELETE manifest": ("DELETE", "/v2/{}/manifests/good"),
    "GET blob": ("GET", "/v2/{}/blobs/" + digest_of(BLOB)),
    "DELETE blob": ("DELETE", "/v2/{}/blobs/" + digest_of(BLOB)),
    "POST upload": ("POST", "/v2/{}/blobs/uploads/"),
    "POST whole": ("POST", "/v2/{}/blobs/uploads/?digest=" + digest_of(BLOB)),
    "GET upload": ("GET", "/v2/{}/blobs/uploads/" + NO_UPLOAD),
    "PATCH upload": ("PATCH", "/v2/{}/blobs/uploads/" + NO_UPLOAD),
    "referrers": ("GET", "/v2/{}/referrers/" + digest_of(BLOB)),
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_bad_names_are_refused(place: tuple[str, str], name: str, root: Client) -> None:
    method, path = place
    answer = root(method, path.format(name), b"x" if method in {"PUT", "PATCH"} else None)
    assert answer.status == 400
    assert method == "HEAD" or answer.code == "NAME_INVALID"


TAGS = {
    "..": "..", ".": ".", "escaped dots": "%2e%2e", "%2f": "a%2fb", "%00": "a%00b", "%0d%0a": "a%0d%0ab",
    "129 characters": "a" * 129, "a dash in front": "-a", "a space": "a%20b", "not ASCII": "%C3%A4",
    "not UTF-8": "a%ff", "an at sign": "a@b", "a plus": "a+b",
}  # fmt: skip


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_bad_tags_are_refused(method: str, tag: str, root: Client) -> None:
    answer = root(method, f"/v2/{NAME}/manifests/{tag}", b"{}" if method == "PUT" else None)
    assert answer.status == 400
    assert method == "HEAD" or answer.code == "TAG_INVALID"


@pytest.mark.parametrize("tag", [*TAGS.values(), "", "sha256:abc"], ids=[*TAGS, "empty", "digest"])
def test_bad_tags_in_the_query_are_refused(tag: str, root: Client) -> None:
    manifest = root("GET", f"/v2/{NAME}/manifests/good").body
    answer = root("PUT", f"/v2/{NAME}/manifests/{digest_of(manifest)}?tag=fine&tag={tag}", manifest)
    assert answer.said == (400, "TAG_INVALID")


def test_a_thousand_tags_at_once_are_refused(root: Client) -> None:
    manifest = root("GET", f"/v2/{NAME}/manifests/good").body
    query = "&".join(f"tag=t{number}" for number in range(150))
    answer = root("PUT", f"/v2/{NAME}/manifests/{digest_of(manifest)}?{query}", manifest)
    assert answer.said == (400, "TAG_INVALID")
    query = "&".join(f"tag=t{number}" for number in range(1000))
    assert root("PUT", f"/v2/{NAME}/manifests/{digest_of(manifest)}?{query}", manifest).said == (400, "UNSUPPORTED")


DIGESTS = {
    "short": "sha256:abc",
    "one digit less": "sha256:" + "0" * 63,
    "one digit more": "sha256:" + "0" * 65,
    "upper case": "sha256:" + "A" * 64,
    "no hexadecimal": "sha256:" + "g" * 64,
    "an algorithm in upper case": "SHA256:" + "0" * 64,
    "an unknown algorithm": "sha257:" + "0" * 64,
    "md5": "md5:" + "0" * 32,
    "sha512 of sha256's length": "sha512:" + "0" * 64,
    "no digits": "sha256:",
    "no algorithm": ":" + "0" * 64,
    "a path": "sha256:../../../../etc/passwd",
    "an escaped path": "sha256:..%2f..%2f..%2fetc%2fpasswd",
    "NUL": "sha256:" + "0" * 63 + "%00",
    "a line break": "sha256:" + "0" * 64 + "%0d%0aX-Evil:1",
    "a newline behind": "sha256:" + "0" * 64 + "%0a",
    "a space behind": "sha256:" + "0" * 64 + "%20",
    "digits that are not ASCII": "sha256:" + "%D9%A0" * 64,
    "baddigeststring": "sha256:baddigeststring",
}
DIGEST_PLACES = {
    "GET manifest": ("GET", f"/v2/{NAME}/manifests/{{}}"),
    "PUT manifest": ("PUT", f"/v2/{NAME}/manifests/{{}}"),
    "DELETE manifest": ("DELETE", f"/v2/{NAME}/manifests/{{}}"),
    "GET blob": ("GET", f"/v2/{NAME}/blobs/{{}}"),
    "HEAD blob": ("HEAD", f"/v2/{NAME}/blobs/{{}}"),
    "DELETE blob": ("DELETE", f"/v2/{NAME}/blobs/{{}}"),
    "referrers": ("GET", f"/v2/{NAME}/referrers/{{}}"),
    "POST whole": ("POST", f"/v2/{NAME}/blobs/uploads/?digest={{}}"),
    "mount": ("POST", f"/v2/{NAME}/blobs/uploads/?mount={{}}"),
    "mount from": ("POST", f"/v2/{NAME}/blobs/uploads/?mount={{}}&from=bad/other"),
}


@pytest.mark.parametrize("digest", DIGESTS.values(), ids=DIGESTS)
@pytest.mark.parametrize("place", DIGEST_PLACES.values(), ids=DIGEST_PLACES)
def test_bad_digests_are_refused(place: tuple[str, str], digest: str, root: Client) -> None:
    method, path = place
    answer = root(method, path.format(digest), b"{}" if method in {"PUT", "POST"} else None)
    assert "X-Evil" not in answer.headers
    if "/" in digest and not path.endswith("={}") and "&from" not in path:
        assert answer.status == 404, "another path, which no route has"
        return
    assert answer.status == 400
    assert method == "HEAD" or answer.code == "DIGEST_INVALID"


@pytest.mark.parametrize("digest", DIGESTS.values(), ids=DIGESTS)
def test_bad_digests_finish_no_upload(digest: str, root: Client) -> None:
    location = root.begin(NAME)
    assert root("PATCH", location, b"abc").status == 202
    assert root("PUT", with_query(location, f"digest={digest}")).said == (400, "DIGEST_INVALID")
    assert root("GET", location).headers["Range"] == "0-2"
    assert root("DELETE", location).status == 204


def test_an_upload_without_a_digest_is_not_finished(root: Client) -> None:
    location = root.begin(NAME)
    assert root("PUT", location, b"abc").said == (400, "DIGEST_INVALID")
    assert root("PUT", with_query(location, "digest="), b"abc").said == (400, "DIGEST_INVALID")
    assert root("DELETE", location).status == 204


@pytest.mark.parametrize("algorithm", ["md5", "SHA256", "sha1", "sha256%00", "../sha256", "shake_128"])
def test_unknown_algorithms_begin_nothing(algorithm: str, root: Client) -> None:
    answer = root("POST", f"/v2/{NAME}/blobs/uploads/?digest-algorithm={algorithm}")
    assert answer.said == (400, "DIGEST_INVALID")


UNKNOWN = {
    "manifest by digest": ("GET", f"/v2/{NAME}/manifests/{NOTHING}", 404, "MANIFEST_UNKNOWN"),
    "manifest by tag": ("GET", f"/v2/{NAME}/manifests/nothing", 404, "MANIFEST_UNKNOWN"),
    "blob": ("GET", f"/v2/{NAME}/blobs/{NOTHING}", 404, "BLOB_UNKNOWN"),
    "repository, manifest": ("GET", "/v2/bad/nowhere/manifests/latest", 404, "NAME_UNKNOWN"),
    "repository, blob": ("GET", f"/v2/bad/nowhere/blobs/{NOTHING}", 404, "NAME_UNKNOWN"),
    "repository, tags": ("GET", "/v2/bad/nowhere/tags/list", 404, "NAME_UNKNOWN"),
    "repository, delete": ("DELETE", "/v2/bad/nowhere/manifests/latest", 404, "NAME_UNKNOWN"),
    "delete manifest": ("DELETE", f"/v2/{NAME}/manifests/{NOTHING}", 404, "MANIFEST_UNKNOWN"),
    "delete tag": ("DELETE", f"/v2/{NAME}/manifests/nothing", 404, "MANIFEST_UNKNOWN"),
    "delete blob": ("DELETE", f"/v2/{NAME}/blobs/{NOTHING}", 404, "BLOB_UNKNOWN"),
    "a manifest is no blob": ("GET", f"/v2/{NAME}/manifests/{digest_of(BLOB)}", 404, "MANIFEST_UNKNOWN"),
}


@pytest.mark.parametrize("case", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_unknown_is_said_to_be(case: tuple[str, str, int, str], root: Client) -> None:
    method, path, status, code = case
    assert root(method, path).said == (status, code)
    if method == "GET" and "tags" not in path:
        head = root("HEAD", path)
        assert (head.status, head.body) == (status, b"")


UPLOADS = [NO_UPLOAD, "x", "..", "%2e%2e%2fx", "%00", "a" * 5000, "'%20OR%201=1%20--", "%F0%9F%92%A9"]


@pytest.mark.parametrize("upload", UPLOADS, ids=lambda upload: upload[:20])
def test_unknown_uploads_are_unknown(upload: str, root: Client) -> None:
    path = f"/v2/{NAME}/blobs/uploads/{upload}"
    for method, suffix, body in (
        ("GET", "", None),
        ("PATCH", "", b"abc"),
        ("PUT", f"?digest={digest_of(b'abc')}", b"abc"),
        ("DELETE", "", None),
    ):
        assert root(method, path + suffix, body).said == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_that_ended_is_unknown(root: Client) -> None:
    cancelled, finished = root.begin(NAME), root.begin(NAME)
    assert root("DELETE", cancelled).status == 204
    assert root("PUT", with_query(finished, f"digest={digest_of(BLOB)}"), BLOB).status == 201
    for location in (cancelled, finished):
        for method in ("GET", "PATCH", "DELETE"):
            assert root(method, location, b"x" if method == "PATCH" else None).said == (404, "BLOB_UPLOAD_UNKNOWN")
        answer = root("PUT", with_query(location, f"digest={digest_of(BLOB)}"), BLOB)
        assert answer.said == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_of_another_repository_is_unknown(root: Client) -> None:
    location = root.begin(NAME)
    elsewhere = location.replace(NAME, "bad/other")
    assert root("PATCH", elsewhere, b"abc").said == (404, "BLOB_UPLOAD_UNKNOWN")
    answer = root("PUT", with_query(elsewhere, f"digest={digest_of(b'abc')}"), b"abc")
    assert answer.said == (404, "BLOB_UPLOAD_UNKNOWN")
    assert root("DELETE", elsewhere).said == (404, "BLOB_UPLOAD_UNKNOWN")
    assert root("GET", location).headers["Range"] == "0-0"
    assert root("DELETE", location).status == 204


# Wrong digests, in every shape of an upload


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000, 3 * MIB], ids=str)
@pytest.mark.parametrize("shape", ["post", "post put", "patch put", "patch patch put", "patch put with a part"])
def test_other_bytes_than_the_digest_become_no_blob(shape: str, size: int, root: Client) -> None:
    data, wrong = b"\x01" * size, digest_of(b"something else")
    if shape == "post":
        if size == 0:
            return  # a digest and no bytes yet begin a session
        assert root("POST", f"/v2/{NAME}/blobs/uploads/?digest={wrong}", data).said == (400, "DIGEST_INVALID")
    else:
        location = root.begin(NAME)
        last: bytes | None = None
        if shape == "post put":
            last = data
        elif shape == "patch put":
            assert root("PATCH", location, data).status == 202
        else:
            half = size // 2
            assert root("PATCH", location, data[:half]).status == 202
            if shape == "patch patch put":
                assert root("PATCH", location, data[half:]).status == 202
            else:
                last = data[half:]
        before = root("GET", location).headers["Range"]
        assert root("PUT", with_query(location, f"digest={wrong}"), last).said == (400, "DIGEST_INVALID")
        assert root("GET", location).headers["Range"] == before, "the upload stands where it stood"
        assert root("DELETE", location).status == 204
    assert root("HEAD", f"/v2/{NAME}/blobs/{wrong}").status == 404
    assert root("HEAD", f"/v2/{NAME}/blobs/{digest_of(data)}").status == 404


# Ranges of uploads

CONTENT_RANGES = {
    "a gap": ("10-12", 416, "BLOB_UPLOAD_INVALID"),
    "an overlap": ("2-4", 416, "BLOB_UPLOAD_INVALID"),
    "from the start again": ("0-2", 416, "BLOB_UPLOAD_INVALID"),
    "longer than the body": ("5-9", 400, "SIZE_INVALID"),
    "shorter than the body": ("5-6", 400, "SIZE_INVALID"),
    "reversed": ("7-5", 400, "SIZE_INVALID"),
    "negative": ("-5-7", 400, "SIZE_INVALID"),
    "open": ("5-", 400, "SIZE_INVALID"),
    "a suffix": ("-3", 400, "SIZE_INVALID"),
    "words": ("all of it", 400, "SIZE_INVALID"),
    "two ranges": ("5-6,7-7", 400, "SIZE_INVALID"),
    "huge": ("99999999999999999999-99999999999999999999", 400, "SIZE_INVALID"),
    "large": ("999999999999999990-999999999999999992", 416, "BLOB_UPLOAD_INVALID"),
    "digits that are not ASCII": ("\u0665-\u0667".encode().decode("latin-1"), 400, "SIZE_INVALID"),
}


@pytest.mark.parametrize("case", CONTENT_RANGES.values(), ids=CONTENT_RANGES)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_wrong_content_ranges_move_nothing(
    method: str, case: tuple[str, int, str], server: LiveServer, root: Client
) -> None:
    field, status, code = case
    location = root.begin(NAME)
    assert root("PATCH", location, b"01234").status == 202
    target = location if method == "PATCH" else with_query(location, f"digest={digest_of(b'01234567')}")
    answer = say(server, root, method, target, f"Content-Range: {field}", "Content-Length: 3", body=b"567")
    assert answer.said == (status, code)
    if status == 416:
        assert answer.headers["Location"] == location
        assert answer.headers["Range"] == "0-4"
    state = root("GET", location)
    assert (state.status, state.headers["Range"]) == (204, "0-4")
    assert root("PATCH", location, b"567", Content_Range="5-7").headers["Range"] == "0-7"
    assert root("DELETE", location).status == 204


def test_a_chunked_body_has_to_be_as_long_as_its_range(server: LiveServer, root: Client) -> None:
    location = root.begin(NAME)
    for field in ("0-9", "0-1"):
        answer = say(
            server, root, "PATCH", location, f"Content-Range: {field}", "Transfer-Encoding: chunked",
            body=b"3\r\nabc\r\n0\r\n\r\n",
        )  # fmt: skip
        assert answer.said == (400, "SIZE_INVALID")
        assert root("GET", location).headers["Range"] == "0-0"
    assert root("PATCH", location, b"abc").headers["Range"] == "0-2"
    assert root("DELETE", location).status == 204


# Bodies that are not as long as announced


@pytest.mark.parametrize("sent", [0, 1, 999, 300_000], ids=str)
@pytest.mark.parametrize("half", ["closed", "one half closed", "reset"])
def test_a_body_that_ends_early_counts_for_nothing(half: str, sent: int, server: LiveServer, root: Client) -> None:
    location = root.begin(NAME)
    assert root("PATCH", location, b"first").status == 202
    data = b"x" * 1_000_000
    for method, path in (
        ("PATCH", location),
        ("PUT", with_query(location, f"digest={digest_of(b'first' + data)}")),
        ("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}"),
        ("PUT", f"/v2/{NAME}/manifests/half"),
    ):
        with Wire(server) as wire:
            wire.send(
                request(
                    method, path, f"Content-Length: {len(data)}", authorization=root.authorization, body=data[:sent]
                )
            )
            if half == "one half closed":
                wire.socket.shutdown(1)
                assert wire.ends()
            elif half == "reset":
                wire.reset()
    _await_requests_to_end(server)
    state = root("GET", location)
    assert (state.status, state.headers["Range"]) == (204, "0-4")
    assert root("PATCH", location, b"more").headers["Range"] == "0-8", "and it goes on"
    whole = digest_of(b"firstmore")
    assert root("PUT", with_query(location, f"digest={whole}")).status == 201
    assert root("DELETE", f"/v2/{NAME}/blobs/{whole}").status == 202


def _await_requests_to_end(server: LiveServer) -> None:
    """Until no connection but the asking one is left: what clients left behind has been noticed."""

    def alone() -> bool:
        with Client(server, fresh=True) as client:
            text = client("GET", "/metrics").body.decode()
        line = next(line for line in text.splitlines() if line.startswith("longshore_connections "))
        return float(line.split()[1]) <= 2

    eventually(alone)


def test_bytes_behind_a_body_are_another_request(server: LiveServer, root: Client) -> None:
    location = root.begin(NAME)
    with Wire(server) as wire:
        wire.send(
            request(
                "PATCH", location, "Content-Length: 3", authorization=root.authorization, body=b"abc" + b"EXTRA\r\n\r\n"
            )
        )
        answers = [wire.receive("PATCH")]
        if answers[0].status == 202:
            answers.append(wire.receive())
        assert answers[-1].status == 400
        assert wire.ends()
    assert root("GET", location).headers["Range"] in {"0-0", "0-2"}, "three bytes or none, never more"
    assert root("DELETE", location).status == 204


FRAMES = {
    "both lengths": (("Content-Length: 3", "Transfer-Encoding: chunked"), b"3\r\nabc\r\n0\r\n\r\n"),
    "both lengths, chunked first": (("Transfer-Encoding: chunked", "Content-Length: 3"), b"3\r\nabc\r\n0\r\n\r\n"),
    "two lengths": (("Content-Length: 3", "Content-Length: 4"), b"abcd"),
    "the same length twice": (("Content-Length: 3", "Content-Length: 3"), b"abc"),
    "a list of lengths": (("Content-Length: 3, 3",), b"abc"),
    "a negative length": (("Content-Length: -3",), b"abc"),
    "a signed length": (("Content-Length: +3",), b"abc"),
    "a hexadecimal length": (("Content-Length: 0x3",), b"abc"),
    "an empty length": (("Content-Length: ",), b"abc"),
    "a fractional length": (("Content-Length: 3.0",), b"abc"),
    "a length with a space": (("Content-Length: 3 3",), b"abc"),
    "a length beyond 64 bits": (("Content-Length: 99999999999999999999999999",), b"abc"),
    "an unknown coding": (("Transfer-Encoding: xchunked",), b"3\r\nabc\r\n0\r\n\r\n"),
    "chunked not last": (("Transfer-Encoding: chunked, identity",), b"3\r\nabc\r\n0\r\n\r\n"),
    "chunked twice": (("Transfer-Encoding: chunked, chunked",), b"3\r\nabc\r\n0\r\n\r\n"),
    "a space before the colon": (("Transfer-Encoding : chunked",), b"3\r\nabc\r\n0\r\n\r\n"),
    "a tab before the name": (("X: y", "\tTransfer-Encoding: chunked"), b"3\r\nabc\r\n0\r\n\r\n"),
    "a size of no digits": (("Transfer-Encoding: chunked",), b"zz\r\nabc\r\n0\r\n\r\n"),
    "a size with a sign": (("Transfer-Encoding: chunked",), b"+3\r\nabc\r\n0\r\n\r\n"),
    "a size with 0x": (("Transfer-Encoding: chunked",), b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a size beyond 64 bits": (("Transfer-Encoding: chunked",), b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    "chunks ended by LF": (("Transfer-Encoding: chunked",), b"3\nabc\n0\n\n"),
    "a chunk longer than its size": (("Transfer-Encoding: chunked",), b"3\r\nabcdef\r\n0\r\n\r\n"),
    "a NUL in a trailer": (("Transfer-Encoding: chunked",), b"3\r\nabc\r\n0\r\nX\0: y\r\n\r\n"),
}


@pytest.mark.parametrize("case", FRAMES.values(), ids=FRAMES)
def test_ambiguous_frames_are_refused_and_end_the_connection(
    case: tuple[tuple[str, ...], bytes], server: LiveServer, root: Client
) -> None:
    fields, body = case
    location = root.begin(NAME)
    smuggled = request("DELETE", f"/v2/{NAME}/manifests/good", authorization=root.authorization)
    with Wire(server) as wire:
        wire.send(request("PATCH", location, *fields, authorization=root.authorization, body=body + smuggled))
        answer = wire.receive("PATCH")
        assert answer.said == (400, "UNSUPPORTED")
        assert wire.ends(), "what comes after a frame that cannot be read is read by nobody"
    assert root("GET", location).headers["Range"] == "0-0"
    assert root("DELETE", location).status == 204


def test_a_coding_that_is_not_understood_is_refused(server: LiveServer, root: Client) -> None:
    """RFC 9112, 6.1: what is compressed on the way is not what a digest is of."""
    location = root.begin(NAME)
    for coding in ("gzip, chunked", "deflate, chunked"):
        answer = say(
            server, root, "PATCH", location, f"Transfer-Encoding: {coding}", body=b"3\r\nabc\r\n0\r\n\r\n"
        )  # fmt: skip
        assert answer.said == (501, "UNSUPPORTED")
        assert root("GET", location).headers["Range"] == "0-0"
    assert root("DELETE", location).status == 204


def test_pipelined_requests_are_answered_in_order(server: LiveServer, root: Client) -> None:
    location = root.begin(NAME)
    with Wire(server) as wire:
        wire.send(
            b"".join(
                [
                    request("PATCH", location, "Content-Length: 3", authorization=root.authorization, body=b"abc"),
                    request("PATCH", location, "Content-Length: 3", authorization=root.authorization, body=b"def"),
                    request("GET", location, authorization=root.authorization),
                    request("HEAD", f"/v2/{NAME}/manifests/good", authorization=root.authorization),
                    request("DELETE", location, authorization=root.authorization),
                    request("GET", location, "Connection: close", authorization=root.authorization),
                ]
            )
        )
        found = [wire.receive(method) for method in ("PATCH", "PATCH", "GET", "HEAD", "DELETE", "GET")]
        assert [answer.status for answer in found] == [202, 202, 204, 200, 204, 404]
        assert [answer.headers["Range"] for answer in found[:3]] == ["0-2", "0-5", "0-5"]
        assert wire.ends()


def test_a_hundred_pipelined_requests_are_all_answered(server: LiveServer, root: Client) -> None:
    with Wire(server) as wire:
        wire.send(request("GET", f"/v2/{NAME}/manifests/good", authorization=root.authorization) * 100)
        assert {wire.receive().status for _ in range(100)} == {200}
        assert wire.is_silent()


# HTTP itself

LINES = {
    "an unknown method": b"BREW /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in lower case": b"get /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method of 5,000 letters": b"A" * 5000 + b" /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the method": b"GET\0 /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the path": b"GET /v2/\0/tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
    "a byte above 127 in the path": b"GET /v2/\xff/tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
    "a byte above 127 in the query": b"GET /v2/_catalog?last=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the path": b"GET /v2/a b/tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in a field": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "a CR in a field": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    "a NUL in a field's name": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX\0: a\r\n\r\n",
    "a field without a colon": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX\r\n\r\n",
    "a folded field": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "lines ended by LF": b"GET /v2/ HTTP/1.1\nHost: x\n\n",
    "no host": b"GET /v2/ HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": b"GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n",
    "no version": b"GET /v2/ HTTX\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n",
    "a field of 100 KB": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "a name of 100 KB": b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"a" * 100_000 + b": a\r\n\r\n",
    "1,000 fields": b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(1000)) + b"\r\n",
    "a path of 100 KB": b"GET /v2/" + b"a" * 100_000 + b"/tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
    "a query of 100 KB": b"GET /v2/_catalog?last=" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "an Authorization of 100 KB": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
    + b"a." * 50_000
    + b"\r\n\r\n",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_what_is_not_http_is_refused_and_ends_the_connection(line: bytes, server: LiveServer) -> None:
    with Wire(server) as wire:
        wire.send(line)
        answer = wire.receive()
        assert answer.said == (400, "UNSUPPORTED")
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Connection"] == "close"
        assert "Traceback" not in answer.body.decode()
        assert wire.ends()


def test_http_1_0_is_answered_and_closed(server: LiveServer, root: Client) -> None:
    field = f"Authorization: {root.authorization}\r\n"
    with Wire(server) as wire:
        wire.send(f"GET /v2/{NAME}/manifests/good HTTP/1.0\r\n{field}\r\n".encode())
        assert wire.receive().status == 200
        assert wire.ends()
    with Wire(server) as wire:
        wire.send(f"GET /v2/ HTTP/1.0\r\n{field}Connection: keep-alive\r\n\r\n".encode() * 2)
        assert [wire.receive().headers["Connection"] for _ in range(2)] == ["keep-alive", "keep-alive"]


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "PURGE", "M-SEARCH", "LOCK", "QUERY"])
def test_other_methods_are_refused_where_others_are_allowed(method: str, root: Client) -> None:
    allowed = {
        f"/v2/{NAME}/tags/list": {"GET"},
        f"/v2/{NAME}/manifests/good": {"GET", "HEAD", "PUT", "DELETE"},
        f"/v2/{NAME}/blobs/{NOTHING}": {"GET", "HEAD", "DELETE"},
        f"/v2/{NAME}/blobs/uploads/": {"POST"},
        f"/v2/{NAME}/blobs/uploads/{NO_UPLOAD}": {"GET", "PATCH", "PUT", "DELETE"},
        f"/v2/{NAME}/referrers/{NOTHING}": {"GET"},
        "/v2/": {"GET", "HEAD"},
        "/v2/_catalog": {"GET"},
    }
    for path, methods in allowed.items():
        answer = root(method, path)
        assert answer.said == (405, "UNSUPPORTED"), path
        assert set(answer.headers["Allow"].split(", ")) == methods, path


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD"])
def test_methods_of_other_routes_are_refused(method: str, root: Client) -> None:
    paths = {
        f"/v2/{NAME}/tags/list": {"GET"},
        f"/v2/{NAME}/manifests/good": {"GET", "HEAD", "PUT", "DELETE"},
        f"/v2/{NAME}/blobs/{NOTHING}": {"GET", "HEAD", "DELETE"},
        f"/v2/{NAME}/blobs/uploads/": {"POST"},
        f"/v2/{NAME}/blobs/uploads/{NO_UPLOAD}": {"GET", "PATCH", "PUT", "DELETE"},
        f"/v2/{NAME}/referrers/{NOTHING}": {"GET"},
        "/v2/": {"GET", "HEAD"},
        "/v2/_catalog": {"GET"},
    }
    for path, methods in paths.items():
        if method not in methods:
            answer = root(method, path)
            assert answer.status == 405, path
            assert method == "HEAD" or answer.code == "UNSUPPORTED"


def test_head_never_has_a_body(server: LiveServer, root: Client) -> None:
    paths = [
        "/v2/", "/v2/nothing", "/v2/_catalog", "/healthz", "/readyz", "/metrics", "/token", "/nothing", "/_blobs/x",
        f"/v2/{NAME}/tags/list", f"/v2/{NAME}/manifests/good", f"/v2/{NAME}/manifests/nothing",
        f"/v2/{NAME}/manifests/..", f"/v2/{NAME}/blobs/{digest_of(BLOB)}", f"/v2/{NAME}/blobs/{NOTHING}",
        f"/v2/{NAME}/blobs/x", f"/v2/{NAME}/blobs/uploads/", f"/v2/{NAME}/blobs/uploads/{NO_UPLOAD}",
        f"/v2/{NAME}/referrers/{NOTHING}", "/v2/BAD/manifests/good",
    ]  # fmt: skip
    for authorization in ("", root.authorization):
        with Wire(server) as wire:
            for path in paths:
                wire.send(request("HEAD", path, authorization=authorization))
                assert wire.receive("HEAD").body == b""
            assert wire.is_silent(), "a body would be taken for the next answer"


def test_a_body_where_none_belongs_is_passed_over(server: LiveServer, root: Client) -> None:
    with Wire(server) as wire:
        for method, path in (("GET", f"/v2/{NAME}/manifests/good"), ("GET", "/v2/"), ("HEAD", "/v2/")):
            wire.send(request(method, path, "Content-Length: 5", authorization=root.authorization, body=b"DELET"))
            assert wire.receive(method).status == 200


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.3"])
def test_an_offer_of_another_protocol_is_passed_over(protocol: str, server: LiveServer, root: Client) -> None:
    offer = request(
        "GET", "/v2/", "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABk",
        authorization=root.authorization,
    )  # fmt: skip
    with Wire(server) as wire:
        wire.send(offer)
        answer = wire.receive()
        assert answer.status == 200
        if answer.headers.get("Connection") == "close":
            assert wire.ends(), "a client that was told so makes a new connection"
        else:
            wire.send(request("GET", "/v2/", authorization=root.authorization))
            assert wire.receive().status == 200


def test_an_absolute_target_is_its_path(server: LiveServer, root: Client) -> None:
    """RFC 9112, 3.2.2: a server has to accept it."""
    with Wire(server) as wire:
        wire.send(request("GET", f"http://registry.test/v2/{NAME}/tags/list", authorization=root.authorization))
        assert wire.receive().json == {"name": NAME, "tags": ["good"]}


# Expect: 100-continue


def test_a_client_that_asks_first_is_told_to_go_on(server: LiveServer, root: Client) -> None:
    location = root.begin(NAME)
    with Wire(server) as wire:
        wire.send(
            request("PATCH", location, "Content-Length: 3", "Expect: 100-continue", authorization=root.authorization)
        )
        assert wire.receive_line() == b"HTTP/1.1 100 Continue\r\n"
        assert wire.receive_line() == b"\r\n"
        wire.send(b"abc")
        assert wire.receive("PATCH").headers["Range"] == "0-2"
    assert root("DELETE", location).status == 204


REFUSED_EARLY = {
    "no credentials": ("PATCH", f"/v2/{NAME}/blobs/uploads/{NO_UPLOAD}", 10, "", 401),
    "no such upload": ("PATCH", f"/v2/{NAME}/blobs/uploads/{NO_UPLOAD}", 10, None, 404),
    "no such upload to finish": ("PUT", f"/v2/{NAME}/blobs/uploads/{NO_UPLOAD}?digest={NOTHING}", 10, None, 404),
    "a bad name": ("POST", f"/v2/BAD/blobs/uploads/?digest={NOTHING}", 10, None, 400),
    "a bad digest": ("POST", f"/v2/{NAME}/blobs/uploads/?digest=x", 10, None, 400),
    "a bad tag": ("PUT", f"/v2/{NAME}/manifests/..", 10, None, 400),
    "a manifest that is too large": ("PUT", f"/v2/{NAME}/manifests/big", 4 * MIB + 1, None, 413),
    "a wrong method": ("PUT", f"/v2/{NAME}/tags/list", 10, None, 405),
}


@pytest.mark.parametrize("case", REFUSED_EARLY.values(), ids=REFUSED_EARLY)
def test_what_is_refused_is_refused_before_the_body_is_sent(
    case: tuple[str, str, int, str | None, int], server: LiveServer, root: Client
) -> None:
    _is_refused_early(server, root, *case)


@pytest.mark.usefixtures("blobs_on_disk")
def test_more_than_the_disk_holds_is_refused_before_it_is_sent(server: LiveServer, root: Client) -> None:
    path = f"/v2/{NAME}/blobs/uploads/?digest={NOTHING}"
    _is_refused_early(server, root, "POST", path, 10**17, None, 507)


def _is_refused_early(
    server: LiveServer, root: Client, method: str, path: str, length: int, authorization: str | None, status: int
) -> None:
    with Wire(server) as wire:
        wire.send(
            request(
                method, path, f"Content-Length: {length}", "Expect: 100-continue",
                authorization=root.authorization if authorization is None else authorization,
            )
        )  # fmt: skip
        assert wire.receive_line().split()[1] == str(status).encode(), "and not 100"
        fields = iter(wire.receive_line, b"\r\n")
        # the next bytes may be the body or another request: nobody can know
        assert b"Connection: close\r\n" in fields


def test_a_wrong_offset_is_refused_before_the_body_is_sent(server: LiveServer, root: Client) -> None:
    location = root.begin(NAME)
    with Wire(server) as wire:
        fields = ("Content-Length: 3", "Content-Range: 7-9", "Expect: 100-continue")
        wire.send(request("PATCH", location, *fields, authorization=root.authorization))
        assert wire.receive_line().split()[1] == b"416", "and not 100"
    assert root("DELETE", location).status == 204


def test_http_1_0_is_not_told_to_go_on(server: LiveServer, root: Client) -> None:
    """RFC 9110, 10.1.1: an HTTP/1.0 client knows no 100."""
    location = root.begin(NAME)
    with Wire(server) as wire:
        fields = f"Authorization: {root.authorization}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
        wire.send(f"PATCH {location} HTTP/1.0\r\n{fields}\r\nabc".encode())
        assert wire.receive_line() == b"HTTP/1.1 202 Accepted\r\n"
    assert root("DELETE", location).status == 204


# Injection through what is given back

INJECTIONS = {
    "digest": ("POST", f"/v2/{NAME}/blobs/uploads/?digest=sha256:%0d%0aX-Evil:%201", 400),
    "mount": ("POST", f"/v2/{NAME}/blobs/uploads/?mount=%0d%0aX-Evil:%201&from=bad/other", 400),
    "from": ("POST", f"/v2/{NAME}/blobs/uploads/?mount={NOTHING}&from=a%0d%0aX-Evil:%201", 400),
    "from, a path": ("POST", f"/v2/{NAME}/blobs/uploads/?mount={NOTHING}&from=../../etc", 400),
    "algorithm": ("POST", f"/v2/{NAME}/blobs/uploads/?digest-algorithm=%0d%0aX-Evil:%201", 400),
    "tag": ("PUT", f"/v2/{NAME}/manifests/fine?tag=a%0d%0aX-Evil:%201", 400),
    "last": ("GET", f"/v2/{NAME}/tags/list?n=1&last=%0d%0aX-Evil:%201", 200),
    "catalog": ("GET", "/v2/_catalog?n=1&last=%0d%0aX-Evil:%201", 200),
    "artifact type": ("GET", f"/v2/{NAME}/referrers/{NOTHING}?n=1&artifactType=%0d%0aX-Evil:%201", 200),
    "reference": ("GET", f"/v2/{NAME}/manifests/a%0d%0aX-Evil:%201", 400),
    "scope": ("GET", "/token?scope=repository:a%0d%0aX-Evil:%201:pull&service=%0d%0aX-Evil:1", 200),
}


@pytest.mark.parametrize("case", INJECTIONS.values(), ids=INJECTIONS)
def test_no_parameter_becomes_a_header_field(case: tuple[str, str, int], root: Client) -> None:
    method, path, status = case
    answer = root(method, path, b"{}" if method == "PUT" else None)
    assert answer.status == status
    assert "X-Evil" not in answer.headers
    assert not any("\r" in value or "\n" in value for value in answer.headers.values())


# Listings

NUMBERS = {
    "-1": 400, "1e18": 400, "abc": 400, "": 400, "1.5": 400, "+1": 400, "%201": 400, "0x10": 400, "%D9%A3": 400,
    "0": 200, "1": 200, "00001": 200, "1000000000000000000": 200, "9" * 5000: 200,
}  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:20] or "empty")
@pytest.mark.parametrize("path", [f"/v2/{NAME}/tags/list", "/v2/_catalog", f"/v2/{NAME}/referrers/{NOTHING}"])
def test_a_count_is_a_number(path: str, number: str, root: Client) -> None:
    answer = root("GET", f"{path}?n={number}")
    assert answer.status == NUMBERS[number]
    if answer.status == 400:
        assert answer.code == "UNSUPPORTED"


def test_a_count_of_nothing_lists_nothing(root: Client) -> None:
    answer = root("GET", f"/v2/{NAME}/tags/list?n=0")
    assert (answer.json["tags"], answer.headers.get("Link")) == ([], None)
    answer = root("GET", "/v2/_catalog?n=0")
    assert (answer.json["repositories"], answer.headers.get("Link")) == ([], None)


LASTS = [
    "%00",
    "%ff%fe",
    "%ED%A0%80",
    "..",
    "zzzz",
    "%F0%9F%92%A9",
    "'%20OR%20'1'='1",
    "good%00",
    "a" * 10_000,
    "%",
    "%zz",
]


@pytest.mark.parametrize("last", LASTS, ids=lambda last: last[:20])
def test_any_last_is_a_place_to_go_on_from(last: str, root: Client) -> None:
    for path in (f"/v2/{NAME}/tags/list", "/v2/_catalog", f"/v2/{NAME}/referrers/{NOTHING}"):
        assert root("GET", f"{path}?last={last}").status == 200
        assert root("GET", f"{path}?n=5&last={last}").status == 200


def test_a_thousand_parameters_are_refused(root: Client) -> None:
    answer = root("GET", f"/v2/{NAME}/tags/list?" + "&".join("a=b" for _ in range(1000)))
    assert answer.said == (400, "UNSUPPORTED")


# Manifests


def _image(**members: object) -> dict[str, object]:
    config = descriptor(CONFIG, b"{}")
    layers = [descriptor(LAYER, b"a layer")]
    notes = {"org.example": "pushed by nobody before"}
    return {
        "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers, "annotations": notes, **members,
    }  # fmt: skip


def _text(**members: object) -> bytes:
    return json.dumps({key: value for key, value in _image(**members).items() if value is not None}).encode()


_DEEP = 100_000
MANIFESTS = {
    "nothing": (b"", IMAGE),
    "no JSON": (b"this is not JSON", IMAGE),
    "half of it": (_text()[:-1], IMAGE),
    "two documents": (_text() + _text(), IMAGE),
    "a list": (b"[]", IMAGE),
    "a string": (b'"manifest"', IMAGE),
    "null": (b"null", IMAGE),
    "a number": (b"1", IMAGE),
    "NaN": (b'{"schemaVersion": NaN}', IMAGE),
    "Infinity": (b'{"schemaVersion": 2, "config": -Infinity}', IMAGE),
    "not UTF-8": (b'{"a": "\xff\xfe"}', IMAGE),
    "UTF-16": (json.dumps({"schemaVersion": 2}).encode("utf-16"), IMAGE),
    "a byte order mark": (b"\xef\xbb\xbf" + _text(), IMAGE),
    "lists nested 100,000 deep": (b"[" * _DEEP + b"]" * _DEEP, IMAGE),
    "objects nested 100,000 deep": (b'{"a":' * _DEEP + b"1" + b"}" * _DEEP, IMAGE),
    "lists nested and not closed": (b"[" * _DEEP, IMAGE),
    "depth within a manifest": (
        _text(annotations=None)[:-1] + b', "x": ' + b"[" * _DEEP + b"]" * _DEEP + b"}",
        IMAGE,
    ),
    "a number of 100,000 digits": (_text()[:-1] + b', "x": ' + b"9" * 100_000 + b"}", IMAGE),
    "the same member twice": (_text()[:-1] + b', "layers": []}', IMAGE),
    "the same member twice, deep": (
        b'{"schemaVersion":2,"mediaType":"' + INDEX.encode() + b'","manifests":[{"a":1,"a":2}]}',
        INDEX,
    ),
    "both image and index": (_text(manifests=[]), IMAGE),
    "both, said to be an index": (_text(manifests=[], mediaType=INDEX), INDEX),
    "both, of no known type": (_text(manifests=[], mediaType=None), "application/vnd.example+json"),
    "layers in an index": (json.dumps({"schemaVersion": 2, "manifests": [], "layers": []}).encode(), INDEX),
    "an image that says it is an index": (_text(mediaType=INDEX), IMAGE),
    "an index as an image": (json.dumps({"schemaVersion": 2, "manifests": []}).encode(), IMAGE),
    "an image as an index": (_text(mediaType=None), INDEX),
    "another media type": (_text(), "application/vnd.docker.distribution.manifest.v2+json"),
    "a media type that is a number": (_text(mediaType=5), IMAGE),
    "no media type at all": (_text(mediaType=None), ""),
    "a media type with a line break": (_text(mediaType="a/b\r\nX-Evil: 1"), ""),
    "a media type with a NUL": (_text(mediaType="a/b\0"), ""),
    "a media type that is not ASCII": (_text(mediaType="a/\u00e4"), ""),
    "a media type of half a character": (_text(mediaType="a/\ud800"), ""),
    "a media type of 10,000 characters": (_text(mediaType="a/" + "b" * 10_000), ""),
    "no schema version": (_text(schemaVersion=None), IMAGE),
    "schema version 1": (_text(schemaVersion=1), IMAGE),
    "schema version true": (_text(schemaVersion=True), IMAGE),
    "schema version as a string": (_text(schemaVersion="2"), IMAGE),
    "no config": (_text(config=None), IMAGE),
    "a config that is a list": (_text(config=[]), IMAGE),
    "layers that are an object": (_text(layers={}), IMAGE),
    "a layer that is a string": (_text(layers=["sha256:" + "0" * 64]), IMAGE),
    "a layer without a digest": (_text(layers=[{"mediaType": LAYER, "size": 5}]), IMAGE),
    "a layer with a bad digest": (_text(layers=[descriptor(LAYER, b"", digest="sha256:../../x")]), IMAGE),
    "a layer with a digest in upper case": (_text(layers=[descriptor(LAYER, b"", digest="sha256:" + "A" * 64)]), IMAGE),
    "a size of -1": (_text(layers=[descriptor(LAYER, b"", size=-1)]), IMAGE),
    "a size beyond 64 bits": (_text(layers=[descriptor(LAYER, b"", size=2**64)]), IMAGE),
    "a size of 1e400": (_text().replace(b'"size": 7', b'"size": 1e400'), IMAGE),
    "a size as a string": (_text(layers=[descriptor(LAYER, b"", size="5")]), IMAGE),
    "a size of true": (_text(layers=[descriptor(LAYER, b"", size=True)]), IMAGE),
    "a subject that is a string": (_text(subject="sha256:" + "0" * 64), IMAGE),
    "a subject without a digest": (_text(subject={"mediaType": IMAGE, "size": 1}), IMAGE),
    "annotations that are a list": (_text(annotations=[]), IMAGE),
    "annotations of numbers": (_text(annotations={"a": 1}), IMAGE),
    "an artifact type of half a character": (_text(artifactType="\ud800"), IMAGE),
    "a config type of half a character": (_text(config=descriptor("a/\udfff", b"{}")), IMAGE),
    "20,000 references": (
        _text(layers=[descriptor(LAYER, str(number).encode()) for number in range(20_000)]),
        IMAGE,
    ),
}


@pytest.mark.parametrize("case", MANIFESTS.values(), ids=MANIFESTS)
def test_what_is_no_manifest_is_not_kept(case: tuple[bytes, str], root: Client) -> None:
    content, kind = case
    if len(content) > 4 * MIB:
        pytest.fail("the case is about something else than its size")
    fields = {"Content-Type": kind} if kind else {}
    for reference in ("bad", digest_of(content)):
        answer = root("PUT", f"/v2/{NAME}/manifests/{reference}", content, fields)
        assert answer.said == (400, "MANIFEST_INVALID")
        assert root("GET", f"/v2/{NAME}/manifests/{reference}").said == (404, "MANIFEST_UNKNOWN")


CONTENT_TYPES = {
    "bytes above 127": b"application/\xff\xfe",
    "a space": b"application/vnd.example json",
    "a comma": IMAGE.encode() + b", text/html",
    "a tab": b"application/vnd.example\tjson",
}


@pytest.mark.parametrize("kind", CONTENT_TYPES.values(), ids=CONTENT_TYPES)
def test_what_is_no_media_type_is_not_kept(kind: bytes, server: LiveServer, root: Client) -> None:
    content = b'{"schemaVersion": 2}'
    answer = say(
        server, root, "PUT", f"/v2/{NAME}/manifests/bad", f"Content-Length: {len(content)}",
        "Content-Type: " + kind.decode("latin-1"), body=content,
    )  # fmt: skip
    assert answer.said == (400, "MANIFEST_INVALID")


MISSING = {
    "a layer": _text(layers=[descriptor(LAYER, b"never pushed")]),
    "a config": _text(config=descriptor(CONFIG, b"never pushed")),
    "a layer whose urls say where": _text(layers=[descriptor(LAYER, b"elsewhere", urls=["javascript:alert(1)"])]),
    "a child": json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(IMAGE, b"no")]}).encode(),
}


@pytest.mark.parametrize("content", MISSING.values(), ids=MISSING)
def test_what_names_things_that_are_not_there_is_not_kept(content: bytes, root: Client) -> None:
    kind = INDEX if b"manifests" in content else IMAGE
    answer = root("PUT", f"/v2/{NAME}/manifests/bad", content, Content_Type=kind)
    assert answer.said == (404, "MANIFEST_BLOB_UNKNOWN")


def test_other_bytes_than_the_digest_become_no_manifest(root: Client) -> None:
    for digest in (NOTHING, digest_of(_text(), "sha512")[:-1] + "0"):
        answer = root("PUT", f"/v2/{NAME}/manifests/{digest}?tag=bad", _text(), Content_Type=IMAGE)
        assert answer.said == (400, "DIGEST_INVALID")


def test_a_manifest_over_4_mib_is_refused_without_being_read(server: LiveServer, root: Client) -> None:
    with Wire(server) as wire:
        fields = ("Content-Length: 4194305", f"Content-Type: {IMAGE}")
        wire.send(request("PUT", f"/v2/{NAME}/manifests/big", *fields, authorization=root.authorization))
        assert wire.receive("PUT").said == (413, "SIZE_INVALID"), "not a byte of it was sent"


def test_a_manifest_without_a_length_is_refused_at_4_mib(server: LiveServer, root: Client) -> None:
    with Wire(server) as wire:
        fields = ("Transfer-Encoding: chunked", f"Content-Type: {IMAGE}")
        wire.send(request("PUT", f"/v2/{NAME}/manifests/big", *fields, authorization=root.authorization))
        for _ in range(17):  # 4.25 MiB, and the body goes on
            wire.send(b"40000\r\n" + b" " * 0x40000 + b"\r\n")
        assert wire.receive("PUT").said == (413, "SIZE_INVALID")


def test_a_manifest_of_4_mib_is_kept(root: Client) -> None:
    document = _image(annotations={"padding": ""})
    padding = 4 * MIB - len(json.dumps(document))
    content = json.dumps({**document, "annotations": {"padding": "x" * padding}}).encode()
    assert len(content) == 4 * MIB
    digest = root.push_manifest(NAME, content, "large")
    assert root("GET", f"/v2/{NAME}/manifests/large").body == content
    assert root("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202


def test_the_bytes_of_a_manifest_are_kept_as_they_came(root: Client) -> None:
    kind = INDEX.encode()
    strange = (
        b'\n\t { "schemaVersion" :2,"x":"\\ud83d\\udca9 \xc3\xa4 \\/", "mediaType":"%s", "manifests":[ ] }\r\n' % kind
    )
    digest = root.push_manifest(NAME, strange, "strange", INDEX)
    assert root("GET", f"/v2/{NAME}/manifests/strange").body == strange
    assert root("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202


# Ranges and conditions of downloads

RANGES = {
    "bytes=0-0": (206, "0-0"), "bytes=0-": (206, "0-99"), "bytes=99-99": (206, "99-99"), "bytes=99-": (206, "99-99"),
    "bytes=-1": (206, "99-99"), "bytes=-100": (206, "0-99"), "bytes=-101": (206, "0-99"),
    "bytes=-99999999999999999": (206, "0-99"), "bytes=0-99999999999999999": (206, "0-99"), "bytes=50-60": (206, "50-60"),
    "bytes= 5-6": (206, "5-6"),
    "bytes=100-": (416, ""), "bytes=100-200": (416, ""), "bytes=-0": (416, ""), "bytes=60-50": (416, ""),
    "bytes=999999999999999999-": (416, ""),
    "bytes=0-0,5-6": (200, ""), "bytes=0-0,": (200, ""), "bytes=-": (200, ""), "bytes=": (200, ""), "bytes": (200, ""),
    "bytes=a-b": (200, ""), "bytes=--1": (200, ""), "bytes=0x0-0x5": (200, ""), "bytes=+1-5": (200, ""),
    "bytes=1.0-5": (200, ""), "items=0-5": (200, ""), "0-5": (200, ""), "": (200, ""),
    "bytes=99999999999999999999999999-": (200, ""), "bytes=0-" + "9" * 5000: (200, ""),
    "bytes=" + "0-1," * 2000 + "5-6": (200, ""),
}  # fmt: skip


@pytest.mark.parametrize("field", RANGES, ids=lambda field: field[:30] or "empty")
def test_ranges_of_blobs(field: str, root: Client) -> None:
    status, part = RANGES[field]
    answer = root("GET", f"/v2/{NAME}/blobs/{digest_of(BLOB)}", Range=field)
    assert answer.status == status
    if status == 206:
        first, last = map(int, part.split("-"))
        assert answer.body == BLOB[first : last + 1]
        assert answer.headers["Content-Range"] == f"bytes {part}/100"
        assert answer.headers["Content-Length"] == str(last - first + 1)
    elif status == 416:
        assert answer.headers["Content-Range"] == "bytes */100"
    else:
        assert (answer.body, answer.headers.get("Content-Range")) == (BLOB, None)


def test_a_blob_of_no_bytes_has_no_ranges(root: Client) -> None:
    digest = root.push_blob(NAME, b"")
    path = f"/v2/{NAME}/blobs/{digest}"
    assert (root("GET", path).status, root("GET", path).body) == (200, b"")
    assert root("HEAD", path).headers["Content-Length"] == "0"
    for field in ("bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"):
        answer = root("GET", path, Range=field)
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */0")
    assert root("DELETE", path).status == 202


def test_ranges_of_a_blob_in_a_file_of_its_own(root: Client) -> None:
    data = bytes(range(256)) * 8192  # 2 MiB: sent from its file
    digest = root.push_blob(NAME, data)
    path = f"/v2/{NAME}/blobs/{digest}"
    size = len(data)
    for first, last in ((0, 0), (0, size - 1), (1, size - 2), (size - 1, size - 1), (4095, 4097), (300_000, 900_000)):
        answer = root("GET", path, Range=f"bytes={first}-{last}")
        assert (answer.status, answer.body == data[first : last + 1]) == (206, True)
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    assert root("DELETE", path).status == 202


def test_a_range_of_another_version_is_the_whole(root: Client) -> None:
    """RFC 9110, 13.1.5: where If-Range does not match, Range is passed over."""
    path = f"/v2/{NAME}/blobs/{digest_of(BLOB)}"
    tag = f'"{digest_of(BLOB)}"'
    assert root("GET", path, Range="bytes=0-4", If_Range=tag).status == 206
    for other in (f'"{NOTHING}"', f"W/{tag}", "Wed, 21 Oct 2015 07:28:00 GMT", "nonsense"):
        answer = root("GET", path, Range="bytes=0-4", If_Range=other)
        assert (answer.status, answer.body) == (200, BLOB)


CONDITIONS = {
    "its tag": ('"{}"', 304), "a weak tag": ('W/"{}"', 304), "one of several": ('"x", W/"y", "{}"', 304), "any": ("*", 304),
    "another": ('"x"', 200), "nothing": ("", 200), "commas": (",,,", 200), "a long list": ('"x", ' * 1000 + '"y"', 200),
}  # fmt: skip


@pytest.mark.parametrize("case", CONDITIONS.values(), ids=CONDITIONS)
def test_conditional_gets(case: tuple[str, int], root: Client) -> None:
    field, status = case
    manifest = root("HEAD", f"/v2/{NAME}/manifests/good").headers["Docker-Content-Digest"]
    for path, digest in (
        (f"/v2/{NAME}/blobs/{digest_of(BLOB)}", digest_of(BLOB)),
        (f"/v2/{NAME}/manifests/{manifest}", manifest),
        (f"/v2/{NAME}/manifests/good", manifest),
    ):
        answer = root("GET", path, If_None_Match=field.replace("{}", digest))
        assert answer.status == status, path
        assert answer.headers["ETag"] == f'"{digest}"'
        if status == 304:
            assert answer.body == b""
            assert root("HEAD", path, If_None_Match=field.replace("{}", digest)).status == 304


# Tokens' own service

FORMS = {
    "nothing": (b"", 400),
    "no grant": (b"username=a&password=b", 400),
    "an unknown grant": (b"grant_type=client_credentials", 400),
    "a wrong password": (b"grant_type=password&username=AKIA&password=wrong", 401),
    "no password": (b"grant_type=password", 401),
    "a forged refresh token": (b"grant_type=refresh_token&refresh_token=a.b.c", 401),
    "bytes": (bytes(range(256)), 400),
    "65 KiB": (b"grant_type=password&x=" + b"a" * 66_000, 413),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_bad_forms_get_no_token(case: tuple[bytes, int], server: LiveServer) -> None:
    form, status = case
    with Client(server, authorization="") as client:
        answer = client("POST", "/token", form, Content_Type="application/x-www-form-urlencoded")
    assert answer.status == status
    assert "error" in answer.json
    assert "token" not in answer.json


def test_nobody_is_kept_waiting_by_a_silent_client(server: LiveServer, root: Client) -> None:
    """Forty connections that began a request and say no more, beside one that works."""
    wires = [Wire(server) for _ in range(40)]
    try:
        for number, wire in enumerate(wires):
            wire.send(request("PUT", f"/v2/{NAME}/manifests/x", "Content-Length: 100")[: 20 + number])
        began = time.monotonic()
        for _ in range(20):
            assert root("GET", f"/v2/{NAME}/manifests/good").status == 200
        assert time.monotonic() - began < 5
    finally:
        for wire in wires:
            wire.close()
