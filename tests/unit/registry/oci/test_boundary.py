import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from auth.authenticate import BEARER_AUDIENCE
from base.digest import digest_of
from registry.errors import TABLE, RegistryError
from registry.names import RegistryId
from registry.rows import Repository
from registry.uploads import FIRST_READ, ClientGone
from store.blobs.driver import NoRoom
from store.database import DatabaseFull, DatabaseUnavailable
from tests.fronts import KEY, STRANGER, Front, open_front
from tests.rooms import HOME, Bytes, Time, patterned, quick_directory
from tests.unit.registry.test_push_and_pull import image

NAME = "/v2/some/repository"
BLOB = b"some bytes"
DIGEST = digest_of(BLOB)


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_directory() as directory:
        yield directory


@pytest.fixture
async def front(place: Path) -> AsyncIterator[Front]:
    opened = await open_front(place, Time())
    yield opened
    await opened.close()
    assert opened.failures == []


@pytest.fixture
async def repository(front: Front) -> Repository:
    return await front.house.repository()


async def upload(front: Front) -> str:
    answer = await front.ask("POST", f"{NAME}/blobs/uploads/")
    assert answer.status == 202
    return answer.headers["Location"]


async def put_blob(front: Front, data: bytes = BLOB) -> str:
    answer = await front.ask("POST", f"{NAME}/blobs/uploads/?digest={digest_of(data)}", data)
    assert answer.status == 201
    return answer.digest


# -- who may


async def test_who_says_nothing_is_challenged_with_what_to_ask_for(front: Front, repository: Repository):
    for method, path, scope in [
        ("GET", "/v2/", ""), ("GET", f"{NAME}/manifests/latest", "repository:some/repository:pull"),
        ("POST", f"{NAME}/blobs/uploads/", "repository:some/repository:pull,push"),
        ("DELETE", f"{NAME}/manifests/latest", "repository:some/repository:delete"),
        ("GET", "/v2/_catalog", "registry:catalog:*"), ("GET", "/v2/nothing", ""), ("PATCH", "/v2/", ""),
    ]:  # fmt: skip
        answer = await front.ask(method, path, key=None)
        assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
        assert f'scope="{scope}"' in answer.headers["WWW-Authenticate"], (method, path)


async def test_under_the_basic_challenge_the_answer_is_ecrs(place: Path):
    front = await open_front(place, Time(), plain=True)
    answer = await front.ask("GET", "/v2/", key=None)
    assert (answer.status, answer.body) == (401, b"Not Authorized\n")
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    answer = await front.ask("GET", "/v2/", key=None, Authorization="Basic eDp5")
    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
    await front.close()


async def test_a_stranger_is_refused_with_awss_sentence_and_learns_nothing(front: Front, repository: Repository):
    await put_blob(front)
    answers = [
        await front.ask(method, path, key=STRANGER)
        for name in ("some/repository", "missing")
        for method, path in [
            ("GET", f"/v2/{name}/manifests/latest"), ("HEAD", f"/v2/{name}/blobs/{DIGEST}"), ("GET", f"/v2/{name}/tags/list"),
            ("POST", f"/v2/{name}/blobs/uploads/"), ("DELETE", f"/v2/{name}/blobs/{DIGEST}"),
        ]
    ]  # fmt: skip
    assert {(answer.status, *answer.codes) for answer in answers} == {(403, "DENIED")}
    for known, unknown in zip(answers[:5], answers[5:], strict=True):
        assert known.body.replace(b"some/repository", b"missing") == unknown.body
    assert b"is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr" in answers[0].body


async def test_a_bearer_token_is_good_for_its_scopes_only(front: Front, repository: Repository):
    async def ask(method: str, path: str, **scopes: str) -> tuple[int, str]:
        granted = {f"repository:{name.replace('__', '/')}": frozenset(may.split()) for name, may in scopes.items()}
        token, _ = front.tokens.issue(BEARER_AUDIENCE, KEY.principal, region=HOME.region, lifetime=60, scopes=granted)
        answer = await front.ask(method, path, key=None, Authorization=f"Bearer {token}")
        return answer.status, answer.headers.get("WWW-Authenticate", "")

    await put_blob(front)
    assert (await ask("GET", f"{NAME}/tags/list", some__repository="pull"))[0] == 200
    status, said = await ask("POST", f"{NAME}/blobs/uploads/", some__repository="pull")
    assert status == 401
    assert 'scope="repository:some/repository:pull,push"' in said
    assert 'error="insufficient_scope"' in said
    assert (await ask("GET", f"{NAME}/tags/list", other="pull"))[0] == 401
    assert (await ask("GET", "/v2/"))[0] == 200
    assert (await ask("GET", "/v2/_catalog", some__repository="pull"))[0] == 401
    assert (await ask("DELETE", f"{NAME}/blobs/{DIGEST}", some__repository="pull push"))[0] == 401
    await front.house.repository("target")
    mount = f"/v2/target/blobs/uploads/?mount={DIGEST}&from=some/repository"
    assert (await ask("POST", mount, target="push"))[0] == 202, "nothing says that it may read the source"
    assert (await ask("POST", mount, target="push", some__repository="pull"))[0] == 201


async def test_registries_do_not_see_each_other(front: Front, repository: Repository):
    await put_blob(front)
    elsewhere = RegistryId(HOME.account, "eu-west-1")
    assert (await front.ask("HEAD", f"{NAME}/blobs/{DIGEST}", registry=elsewhere)).status == 404
    await front.house.repository("target", elsewhere)
    answer = await front.ask("POST", f"/v2/target/blobs/uploads/?mount={DIGEST}", registry=elsewhere)
    assert answer.status == 202


# -- errors


async def test_an_error_is_said_in_the_specifications_form(front: Front, repository: Repository):
    for method, path, status, code in [
        ("GET", "/v2/missing/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/UPPER/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/a%2fb/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/../tags/list", 400, "NAME_INVALID"),
        ("GET", f"/v2/{'a' * 300}/tags/list", 400, "NAME_INVALID"),
        ("GET", f"{NAME}/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"{NAME}/manifests/{DIGEST}", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"{NAME}/manifests/sha256:x", 400, "DIGEST_INVALID"),
        ("GET", f"{NAME}/manifests/-x", 400, "TAG_INVALID"),
        ("GET", f"{NAME}/manifests/{'x' * 200}", 400, "TAG_INVALID"),
        ("GET", f"{NAME}/blobs/{DIGEST}", 404, "BLOB_UNKNOWN"),
        ("GET", f"{NAME}/blobs/sha256:short", 400, "DIGEST_INVALID"),
        ("DELETE", f"{NAME}/blobs/{DIGEST}", 404, "BLOB_UNKNOWN"),
        ("DELETE", f"{NAME}/manifests/x", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"{NAME}/blobs/uploads/unknown", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PATCH", f"{NAME}/blobs/uploads/%00", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("POST", f"{NAME}/blobs/uploads/?digest=x", 400, "DIGEST_INVALID"),
        ("POST", f"{NAME}/blobs/uploads/?mount=x", 400, "DIGEST_INVALID"),
        ("POST", f"{NAME}/blobs/uploads/?mount={DIGEST}&from=UP", 400, "NAME_INVALID"),
        ("POST", f"{NAME}/blobs/uploads/?digest-algorithm=md5", 400, "DIGEST_INVALID"),
        ("GET", f"{NAME}/tags/list?n=-1", 400, "UNSUPPORTED"),
        ("GET", f"{NAME}/tags/list?n=x", 400, "UNSUPPORTED"),
        ("GET", f"{NAME}/tags/list?" + "a=1&" * 300, 400, "UNSUPPORTED"),
        ("GET", f"{NAME}/referrers/x", 400, "DIGEST_INVALID"),
        ("POST", "/v2/", 405, "UNSUPPORTED"),
        ("GET", "/v2/x/y", 404, "NAME_UNKNOWN"),
    ]:
        answer = await front.ask(method, path)
        assert answer.status == status, (method, path, answer.body)
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        assert answer.codes == [code], (method, path)
        assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    [
        f"{NAME}/blobs/uploads/\udc80",
        f"{NAME}/manifests/\udc80",
        "/v2/\udc80/tags/list",
        f"{NAME}/blobs/\udc80",
        "/v2/\udc80",
        f"{NAME}/tags/list?last=\udc80",
        f"{NAME}/tags/list?n=\udc80",
        f"{NAME}/referrers/{DIGEST}?artifactType=\udc80",
        "/v2/_catalog?last=\udc80",
        f"{NAME}/blobs/uploads/%ED%A0%80",
        f"{NAME}/tags/list?last=%ED%A0%80",
        f"{NAME}/tags/list?last=%00",
        f"{NAME}/tags/list?last=%ff",
        f"{NAME}/tags/list?n=%D9%A1",
        f"{NAME}/tags/list?n=1e18",
        f"{NAME}/tags/list?n={'9' * 5000}",
    ],
)
async def test_bytes_that_are_no_text_end_in_no_failure(front: Front, repository: Repository, path: str):
    for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
        assert (await front.ask(method, path)).status < 500


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (DatabaseUnavailable("x"), 503, "UNAVAILABLE"),
        (DatabaseFull("x"), 507, "SIZE_INVALID"),
        (NoRoom("x"), 507, "SIZE_INVALID"),
        (ZeroDivisionError("secret detail"), 500, "UNKNOWN"),
    ],
)
async def test_what_fails_below_is_said_without_its_details(
    front: Front, repository: Repository, monkeypatch: pytest.MonkeyPatch, raised: Exception, status: int, code: str
):
    async def failing(*arguments: object, **named: object) -> None:
        raise raised

    monkeypatch.setattr(front.house.pull, "manifest", failing)
    answer = await front.ask("GET", f"{NAME}/manifests/latest")
    assert (answer.status, answer.codes) == (status, [code])
    assert b"secret detail" not in answer.body
    assert (b"the-request" in answer.body) is (status == 500)
    assert len(front.failures) == (1 if status in {500, 503} else 0)
    front.failures.clear()


async def test_a_client_that_went_away_is_no_failure(front: Front, repository: Repository):
    location = await upload(front)
    with pytest.raises(ClientGone):
        await front.ask("PATCH", location, Bytes(b"abc", length=10, gone=True))


@pytest.mark.parametrize("error", sorted(TABLE, key=lambda one: one.__name__))
async def test_every_error_of_the_table_is_answered(
    front: Front, repository: Repository, monkeypatch: pytest.MonkeyPatch, error: type[RegistryError]
):
    raised = error.__new__(error)
    RegistryError.__init__(raised, "the message")
    raised.received, raised.size = 5, 7  # type: ignore[attr-defined]

    async def failing(*arguments: object, **named: object) -> None:
        raise raised

    monkeypatch.setattr(front.house.pull, "manifest", failing)
    answer = await front.ask("GET", f"{NAME}/manifests/latest")
    assert (answer.status, answer.codes) == (TABLE[error].status, [TABLE[error].code])
    assert json.loads(answer.body)["errors"][0]["message"] == "the message"


# -- uploads


async def test_an_upload_tells_where_it_stands(front: Front, repository: Repository):
    location = await upload(front)
    answer = await front.ask("PATCH", location, BLOB[:4], Content_Range="0-3")
    assert (answer.status, answer.headers["Range"], answer.headers["Location"]) == (202, "0-3", location)
    answer = await front.ask("GET", location)
    assert (answer.status, answer.headers["Range"]) == (204, "0-3")
    for content_range in ("0-5", "3-8", "5-10", "100-105"):
        answer = await front.ask("PATCH", location, b"xxxxxx", Content_Range=content_range)
        assert (answer.status, answer.headers["Range"], answer.codes) == (416, "0-3", ["BLOB_UPLOAD_INVALID"])
        assert answer.headers["Location"] == location
    for content_range in ("4-8", "x", "4-", "-4", "9-4", "4-9,10-11", "bytes 4-8/10"):
        answer = await front.ask("PATCH", location, b"xxxxxx", Content_Range=content_range)
        assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"]), content_range
    answer = await front.ask("PUT", f"{location}?digest={DIGEST}", BLOB[4:], Content_Range="4-9")
    assert (answer.status, answer.digest, answer.headers["Location"]) == (201, DIGEST, f"{NAME}/blobs/{DIGEST}")
    assert (await front.ask("GET", location)).status == 404


async def test_an_upload_can_be_cancelled_once(front: Front, repository: Repository):
    location = await upload(front)
    assert (await front.ask("DELETE", location)).status == 204
    for method in ("GET", "DELETE", "PATCH"):
        assert (await front.ask(method, location)).codes == ["BLOB_UPLOAD_UNKNOWN"]


async def test_a_closing_request_needs_a_digest_and_the_right_one(front: Front, repository: Repository):
    location = await upload(front)
    for query in ("", "?digest=", "?digest=sha256:abc", f"?digest={digest_of(b'other')}", f"?digest={DIGEST.upper()}"):
        answer = await front.ask("PUT", location + query, BLOB)
        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert (await front.ask("PUT", f"{location}?digest={DIGEST.replace(':', '%3A')}", BLOB)).status == 201


async def test_an_upload_belongs_to_who_began_it(front: Front, repository: Repository):
    location = await upload(front)
    await front.house.repository("other")
    other = location.replace("some/repository", "other")
    assert (await front.ask("PATCH", other, BLOB)).codes == ["BLOB_UPLOAD_UNKNOWN"]


@pytest.mark.parametrize("size", [0, 1, FIRST_READ, 2 * FIRST_READ])
async def test_a_blob_is_read_whole_in_part_and_not_again(front: Front, repository: Repository, size: int):
    data = patterned(size)
    digest = await put_blob(front, data)
    whole = await front.ask("GET", f"{NAME}/blobs/{digest}")
    assert (whole.status, whole.body, whole.digest) == (200, data, digest)
    head = await front.ask("HEAD", f"{NAME}/blobs/{digest}")
    assert (head.status, head.length, head.headers) == (200, size, whole.headers)
    again = await front.ask("GET", f"{NAME}/blobs/{digest}", If_None_Match=whole.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    if size > 10:
        part = await front.ask("GET", f"{NAME}/blobs/{digest}", Range="bytes=3-7")
        assert (part.status, part.body, part.headers["Content-Range"]) == (206, data[3:8], f"bytes 3-7/{size}")
    past = await front.ask("GET", f"{NAME}/blobs/{digest}", Range=f"bytes={size}-")
    assert (past.status, past.headers["Content-Range"]) == (416, f"bytes */{size}")


async def test_a_mount_is_made_where_the_source_may_be_read(front: Front, repository: Repository):
    await put_blob(front)
    await front.house.repository("target")
    for query, status in [
        (f"mount={DIGEST}&from=some/repository", 201), (f"mount={DIGEST}", 201), (f"mount={digest_of(b'absent')}", 202),
        (f"mount={DIGEST}&from=missing", 202), (f"mount={digest_of(b'absent')}&from=some/repository", 202),
    ]:  # fmt: skip
        answer = await front.ask("POST", f"/v2/target/blobs/uploads/?{query}")
        assert answer.status == status, query
        assert ("/blobs/uploads/" in answer.headers["Location"]) is (status == 202)
    assert (await front.ask("GET", f"/v2/target/blobs/{DIGEST}")).body == BLOB


# -- manifests


async def test_a_manifest_is_put_got_and_deleted_by_tag_and_digest(front: Front, repository: Repository):
    content = image(await put_blob(front))
    put = await front.ask("PUT", f"{NAME}/manifests/v1?tag=v2&tag=v3", content)
    assert put.status == 201
    assert put.headers.getall("OCI-Tag") == ["v2", "v3"]
    assert put.digest == digest_of(content)
    for reference in ("v1", "v2", "v3", put.digest):
        got = await front.ask("GET", f"{NAME}/manifests/{reference}")
        assert (got.status, got.body, got.digest) == (200, content, put.digest)
        head = await front.ask("HEAD", f"{NAME}/manifests/{reference}")
        assert (head.status, head.length, head.body, head.headers) == (200, len(content), b"", got.headers)
    assert (await front.ask("GET", f"{NAME}/manifests/v1", If_None_Match=f'"{put.digest}"')).status == 304
    assert json.loads((await front.ask("GET", f"{NAME}/tags/list")).body)["tags"] == ["v1", "v2", "v3"]
    assert (await front.ask("DELETE", f"{NAME}/manifests/v1")).status == 202
    assert (await front.ask("GET", f"{NAME}/manifests/v1")).status == 404
    assert (await front.ask("GET", f"{NAME}/manifests/v2")).status == 200
    assert (await front.ask("DELETE", f"{NAME}/manifests/{put.digest}")).status == 202
    assert json.loads((await front.ask("GET", f"{NAME}/tags/list")).body)["tags"] == []
    assert (await front.ask("DELETE", f"{NAME}/manifests/{put.digest}")).codes == ["MANIFEST_UNKNOWN"]


async def test_a_manifest_that_is_refused_leaves_nothing(front: Front, repository: Repository):
    config = await put_blob(front)
    for content, headers, status, code in [
        (b"{", {}, 400, "MANIFEST_INVALID"), (b"x" * (4 * 1024 * 1024 + 1), {}, 413, "SIZE_INVALID"),
        (image(config, digest_of(b"absent")), {}, 404, "MANIFEST_BLOB_UNKNOWN"),
        (image(config), {"Content_Type": "application/json"}, 400, "MANIFEST_INVALID"),
        (image(config), {"Content_Type": "\udc80"}, 400, "MANIFEST_INVALID"),
        (b'{"a":' * 100_000, {}, 400, "MANIFEST_INVALID"),
    ]:  # fmt: skip
        answer = await front.ask("PUT", f"{NAME}/manifests/latest", content, **headers)
        assert (answer.status, answer.codes) == (status, [code])
    answer = await front.ask("PUT", f"{NAME}/manifests/latest", Bytes(*[b"x" * 1_000_000] * 5))
    assert (answer.status, answer.codes) == (413, ["SIZE_INVALID"])
    assert (await front.ask("PUT", f"{NAME}/manifests/{DIGEST}", image(config))).codes == ["DIGEST_INVALID"]
    assert (await front.ask("GET", f"{NAME}/manifests/latest")).status == 404


async def test_listings_come_in_pages_that_link_to_the_next(front: Front, repository: Repository):
    content = image(await put_blob(front))
    names = sorted(["v1", "v10", "v2", "_x", "Z", "a.b-c"])
    await front.ask("PUT", f"{NAME}/manifests/v1?" + "&".join(f"tag={name}" for name in names), content)
    target, seen = f"{NAME}/tags/list?n=2", []
    while target:
        answer = await front.ask("GET", target)
        page = json.loads(answer.body)["tags"]
        assert 1 <= len(page) <= 2
        seen += page
        link = answer.headers.get("Link", "")
        target = link.partition(">")[0].removeprefix("<")
    assert seen == names
    for query, expected in [
        ("n=0", []),
        ("last=Z", names[names.index("Z") + 1 :]),
        ("last=zzz", []),
        ("n=1000000000000", names),
    ]:
        assert json.loads((await front.ask("GET", f"{NAME}/tags/list?{query}")).body)["tags"] == expected
    assert json.loads((await front.ask("GET", "/v2/_catalog")).body) == {"repositories": ["some/repository"]}
