"""Who gets what on every route: nobody, impostors, strangers, root, and IAM users with no, read, write and other rights.

The table has a line for each row of the router, with a request that it matches; a row that no line matches fails the
tests, so a route cannot come into being without a decision about who may use it.
"""

import dataclasses
import json
from dataclasses import dataclass

import jwt
import pytest

from auth.access import ANONYMOUS
from auth.credentials import root_of
from auth.sessions import pack, subject_of
from registry.oci.routes import ROUTES, Router
from tests.live import LiveServer
from tests.wire.client import INDEX, Answer, Client, Wire, basic, descriptor, digest_of, request
from tests.wire.passwords import Mint, mint_of
from tests.wire.principals import Person, allow, arn, make_user, policy, refused

REPOSITORY = "access/there"
NOWHERE = "access/nowhere"
NOTHING = "0" * 64
NO_UPLOAD = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Line:
    """One request of the table. {name}, {digest}, {manifest}, {tag}, {upload} are filled in, by what is there or not."""

    method: str
    path: str
    root: int
    """Status for root where everything named is there."""
    missing: int
    """Status for root where the repository is there and the thing named in it is not."""
    right: str = "read"
    """What a user needs for it: read, write, delete or list; nothing at all where it is empty."""
    body: bytes = b""
    known: int = 0
    """Status for a known caller without rights, where it is another than a refusal."""


INDEX_BODY = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()

TABLE = (
    Line("GET", "/v2/", 200, 200, "", known=200),
    Line("HEAD", "/v2/", 200, 200, "", known=200),
    Line("GET", "/v2/_catalog", 200, 200, "list"),
    Line("GET", "/v2/{name}/tags/list", 200, 200),
    Line("GET", "/v2/{name}/referrers/{manifest}", 200, 200),
    Line("HEAD", "/v2/{name}/manifests/{tag}", 200, 404),
    Line("GET", "/v2/{name}/manifests/{tag}", 200, 404),
    Line("HEAD", "/v2/{name}/manifests/{manifest}", 200, 404),
    Line("GET", "/v2/{name}/manifests/{manifest}", 200, 404),
    Line("PUT", "/v2/{name}/manifests/{tag}", 201, 201, "write", body=INDEX_BODY),
    Line("HEAD", "/v2/{name}/blobs/{digest}", 200, 404),
    Line("GET", "/v2/{name}/blobs/{digest}", 200, 404),
    Line("POST", "/v2/{name}/blobs/uploads/", 202, 202, "write"),
    Line("POST", "/v2/{name}/blobs/uploads", 202, 202, "write"),
    Line("POST", "/v2/{name}/blobs/uploads/?mount={digest}", 201, 202, "write"),
    Line("POST", "/v2/{name}/blobs/uploads/?mount={digest}&from={name}", 201, 202, "write"),
    Line("GET", "/v2/{name}/blobs/uploads/{upload}", 204, 404, "write"),
    Line("PATCH", "/v2/{name}/blobs/uploads/{upload}", 202, 404, "write", body=b"abc"),
    Line("DELETE", "/v2/{name}/blobs/uploads/{upload}", 204, 404, "write"),
    Line("PUT", "/v2/{name}/blobs/uploads/{upload}?digest={digest}", 201, 404, "write", body=b"a layer"),
    Line("DELETE", "/v2/{name}/manifests/{tag}", 202, 404, "delete"),
    Line("DELETE", "/v2/{name}/manifests/{manifest}", 202, 404, "delete"),
    Line("DELETE", "/v2/{name}/blobs/{digest}", 202, 404, "delete"),
)


@pytest.fixture(scope="module")
def mint(server: LiveServer) -> Mint:
    return mint_of(server)


def line_id(line: Line) -> str:
    return f"{line.method} {line.path}"


@dataclass(frozen=True)
class Names:
    """What the braces of the table stand for."""

    name: str
    digest: str
    manifest: str
    tag: str
    upload: str

    def fill(self, path: str) -> str:
        return path.format(**dataclasses.asdict(self))


@pytest.fixture
def there(root: Client) -> Names:
    """Everything that the table names."""
    root.push_image(REPOSITORY, "tag")
    manifest = root.push_manifest(REPOSITORY, INDEX_BODY, "index", INDEX)
    blob = root.push_blob(REPOSITORY, b"a layer of no image")
    location = root.begin(REPOSITORY)
    return Names(REPOSITORY, blob, manifest, "tag", location.rpartition("/")[2])


MISSING = Names(REPOSITORY, f"sha256:{NOTHING}", f"sha256:{NOTHING}", "no-such-tag", NO_UPLOAD)
FRESH = dataclasses.replace(MISSING, tag="made-by-this-push")


def test_every_route_has_a_line_in_the_table() -> None:
    router = Router()
    found = {router.find(line.method, MISSING.fill(line.path).partition("?")[0])[0] for line in TABLE}  # type: ignore[index]
    forgotten = [f"{route.method} {route.pattern.pattern}" for route in ROUTES if route not in found]
    assert not forgotten


def test_every_route_names_its_actions() -> None:
    assert [route for route in ROUTES if not route.actions or not route.scope] == []


@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_root_may(line: Line, root: Client, there: Names) -> None:
    body = line.body
    path = there.fill(line.path)
    if line.method == "PUT" and "uploads" in path:
        path = path.replace(there.digest, digest_of(body))
    assert root(line.method, path, body).status == line.root


@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_root_is_told_what_is_missing(line: Line, root: Client, there: Names) -> None:
    names = FRESH if line.method == "PUT" else MISSING
    assert root(line.method, names.fill(line.path), line.body).status == line.missing


def refusals(client: Client, line: Line, there: Names) -> list[Answer]:
    """The answers to the same request about things that are there and things that are not."""
    nowhere = dataclasses.replace(MISSING, name=NOWHERE)
    return [client(line.method, names.fill(line.path), line.body) for names in (there, MISSING, nowhere)]


def without_name(answer: Answer) -> tuple[int, str, bytes]:
    """All of an answer but the name of the repository, which is what was asked about."""
    status, headers, body = answer.sameness()
    fields = [pair for pair in headers if pair[0] != "content-length"]
    return status, str(fields), body.replace(NOWHERE.encode(), REPOSITORY.encode())


@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_nobody_gets_the_same_refusal_whether_or_not_it_exists(line: Line, server: LiveServer, there: Names) -> None:
    with Client(server, authorization="") as nobody:
        answers = refusals(nobody, line, there)
    assert {answer.status for answer in answers} == {401}
    assert len({answer.sameness() for answer in answers}) == 1
    challenge = f'Basic realm="{server.url}/",service="ecr.amazonaws.com"'
    assert answers[0].headers.get_all("WWW-Authenticate") == [challenge]  # type: ignore[attr-defined]
    assert answers[0].body == (b"" if line.method == "HEAD" else b"Not Authorized\n")


IMPOSTORS = {
    "a wrong secret": lambda server, mint: basic(server.access_key_id, "wrong"),
    "an unknown key": lambda server, mint: basic("AKIAAAAAAAAAAAAAAAAA", server.secret_access_key),
    "no secret": lambda server, mint: basic(server.access_key_id, ""),
    "a token of a principal that is gone": lambda server, mint: basic(
        "AWS", mint.issue("ecr", principal=root_of("123456789012", "AKIAGONE"))
    ),
    "a token of another region": lambda server, mint: basic("AWS", mint.issue("ecr", region="eu-west-1")),
    "a Bearer token as a password": lambda server, mint: basic("AWS", mint.issue("registry")),
    "a password as a Bearer token": lambda server, mint: f"Bearer {mint.issue('ecr')}",
    "a refresh token as a Bearer token": lambda server, mint: f"Bearer {mint.issue('refresh')}",
    "a link as a Bearer token": lambda server, mint: f"Bearer {mint.issue('blob')}",
    "another scheme": lambda server, mint: f"Negotiate {mint.issue('ecr')}",
}


@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_a_wrong_secret_gets_the_same_refusal_whether_or_not_it_exists(
    line: Line, server: LiveServer, there: Names
) -> None:
    with Client(server, authorization=basic(server.access_key_id, "wrong")) as impostor:
        answers = refusals(impostor, line, there)
    assert {answer.status for answer in answers} == {401}
    assert len({answer.sameness() for answer in answers}) == 1


@pytest.mark.parametrize("impostor", IMPOSTORS.values(), ids=IMPOSTORS)
def test_impostors_are_not_let_in(impostor, server: LiveServer, mint: Mint, there: Names) -> None:
    authorization = impostor(server, mint)
    with Client(server, authorization=authorization) as client:
        assert client("GET", "/v2/").said == (401, "UNAUTHORIZED")
        answer = client("GET", there.fill("/v2/{name}/tags/list"))
    assert answer.said == (401, "UNAUTHORIZED")
    # who came with a Bearer token is told what such a token has to be
    wanted = "Bearer " if authorization.startswith("Bearer ") else "Basic "
    assert answer.headers["WWW-Authenticate"].startswith(wanted)


@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_a_token_without_scopes_gets_the_same_refusal_whether_or_not_it_exists(
    line: Line, server: LiveServer, mint: Mint, there: Names
) -> None:
    with Client(server, authorization=f"Bearer {mint.issue('registry', scopes={})}") as stranger:
        answers = refusals(stranger, line, there)
    # the repository's name is asked for in the challenge, so the third may differ from the first two by its name alone
    same = {
        (status, str(headers).replace(NOWHERE, REPOSITORY), body)
        for status, headers, body in (answer.sameness() for answer in answers)
    }
    assert {answer.status for answer in answers} == {line.known or 401}
    assert len(same) == 1
    if not line.known and line.method != "HEAD":
        assert answers[0].code == "DENIED"


@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_the_root_user_of_another_account_is_a_stranger(line: Line, server: LiveServer, there: Names) -> None:
    host = f"999999999999.dkr.ecr.us-east-1.registry.test:{server.port}"
    with Client(server, host=host) as stranger:
        answers = refusals(stranger, line, there)
    assert len({without_name(answer) for answer in answers}) == 1
    assert {answer.status for answer in answers} == {line.known or 403}
    if not line.known and line.method != "HEAD":
        assert answers[0].code == "DENIED"
        assert " is not authorized to perform: ecr:" in answers[0].message


RIGHTS = {
    "read": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:ListImages"],
    "write": ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"],
    "delete": ["ecr:BatchDeleteImage"],
    "list": ["ecr:DescribeRepositories"],
}
# who -> rights in access/there
USERS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "reader": ("read",),
    "writer": ("read", "write"),
    "cleaner": ("delete",),
    "lister": ("list",),
    "elsewhere": (),
    "everywhere": ("read", "write", "delete", "list"),
}


@pytest.fixture(scope="module")
def users(server: LiveServer) -> dict[str, Person]:
    found = {}
    for name, rights in USERS.items():
        actions = [action for right in rights for action in RIGHTS[right]]
        where = [arn("*")] if name in {"everywhere", "lister"} else [arn(REPOSITORY)]
        statements = [allow(*actions, on=where)] if actions else []
        if name == "elsewhere":
            statements = [allow("ecr:*", on=arn("access/other")), allow("ecr:GetAuthorizationToken")]
        found[name] = make_user(server, name, *statements)
    return found


def expected(line: Line, who: str) -> int:
    """The status of a request about things that are there."""
    return line.root if not line.right or line.right in USERS[who] else 403


@pytest.mark.parametrize("who", USERS)
@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_a_user_may_what_their_policy_says(
    line: Line, who: str, users: dict[str, Person], root: Client, there: Names
) -> None:
    with users[who].docker() as client:
        names = there
        if "{upload}" in line.path and "write" in USERS[who]:
            names = dataclasses.replace(there, upload=client.begin(REPOSITORY).rpartition("/")[2])
        path = names.fill(line.path)
        if line.method == "PUT" and "uploads" in path:
            path = path.replace(names.digest, digest_of(line.body))
        answer = client(line.method, path, line.body)
    assert answer.status == expected(line, who), answer


@pytest.mark.parametrize("who", USERS)
@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_a_user_is_told_what_is_missing_only_where_they_may_look(
    line: Line, who: str, users: dict[str, Person], there: Names
) -> None:
    names = FRESH if line.method == "PUT" else MISSING
    with users[who].docker() as client:
        answer = client(line.method, names.fill(line.path), line.body)
    assert answer.status == (403 if expected(line, who) == 403 else line.missing), answer


@pytest.mark.parametrize("who", ["nothing", "elsewhere"])
@pytest.mark.parametrize("line", TABLE, ids=line_id)
def test_a_user_without_rights_gets_the_same_refusal_whether_or_not_it_exists(
    line: Line, who: str, users: dict[str, Person], there: Names
) -> None:
    with users[who].docker() as client:
        answers = refusals(client, line, there)
    assert len({without_name(answer) for answer in answers}) == 1
    assert {answer.status for answer in answers} == {line.known or 403}
    if line.known or line.method == "HEAD":
        return
    path = there.fill(line.path).partition("?")[0]
    found = Router().find(line.method, path)
    assert found is not None
    resource = arn("*") if line.right == "list" else arn(REPOSITORY)
    assert answers[0].said == (403, "DENIED")
    assert answers[0].message == refused(users[who].arn, found[0].actions[0], resource)


def test_an_upload_of_somebody_else_is_none(users: dict[str, Person], there: Names) -> None:
    """`there.upload` is the root user's."""
    with users["writer"].docker() as writer:
        for line in TABLE:
            if "{upload}" in line.path:
                answers = [writer(line.method, names.fill(line.path), line.body) for names in (there, MISSING)]
                assert [answer.said for answer in answers if line.method != "HEAD"] == [
                    (404, "BLOB_UPLOAD_UNKNOWN")
                ] * 2


def test_a_mount_from_where_one_may_not_read_is_an_upload_as_if_nothing_were_there(
    server: LiveServer, root: Client, there: Names
) -> None:
    writing = allow(*RIGHTS["write"], "ecr:BatchCheckLayerAvailability", on=arn("access/mounts"))
    person = make_user(server, "mounting", writing)
    secret = root.push_blob("access/other", b"to be mounted by who may read it")
    root.push_blob("access/mounts", b"so that it is there")
    with person.docker() as client:
        for digest, source in ((secret, "access/other"), (f"sha256:{NOTHING}", "access/other"), (secret, NOWHERE)):
            for query in (f"?mount={digest}&from={source}", f"?mount={digest}"):
                answer = client("POST", f"/v2/access/mounts/blobs/uploads/{query}")
                assert (answer.status, answer.headers["Range"]) == (202, "0-0")
                assert "Docker-Content-Digest" not in answer.headers
        assert client("HEAD", f"/v2/access/mounts/blobs/{secret}").status == 404
        reading = allow("ecr:GetDownloadUrlForLayer", on=arn("access/other"))
        document = policy(writing, reading)
        server.client("iam").put_user_policy(UserName="mounting", PolicyName="inline", PolicyDocument=document)
        assert client("POST", f"/v2/access/mounts/blobs/uploads/?mount={secret}").status == 201
        assert client("HEAD", f"/v2/access/mounts/blobs/{secret}").status == 200


def test_a_push_makes_a_repository_only_for_who_may_create_it(server: LiveServer, root: Client) -> None:
    person = make_user(server, "pushing", allow(*RIGHTS["write"], on=arn("access/*")))
    with person.docker() as client:
        answer = client("POST", "/v2/access/created/blobs/uploads/")
        assert answer.message == refused(person.arn, "ecr:CreateRepository", arn("access/created"))
        assert root("GET", "/v2/access/created/tags/list").said == (404, "NAME_UNKNOWN")
        document = policy(allow(*RIGHTS["write"], "ecr:CreateRepository", on=arn("access/*")))
        server.client("iam").put_user_policy(UserName="pushing", PolicyName="inline", PolicyDocument=document)
        assert client("POST", "/v2/access/created/blobs/uploads/").status == 202
    server.client("ecr").delete_repository(repositoryName="access/created", force=True)


def test_a_blob_in_one_request_needs_the_leave_for_all_of_its_steps(server: LiveServer, root: Client) -> None:
    name, data = "access/whole", b"in one request"
    root.push_blob(name, b"so that it is there")
    steps = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload")
    person = make_user(server, "whole", allow(steps[0], on=arn(name)))
    with person.docker() as client:
        for given, missing in ((steps[:1], steps[1]), (steps[:2], steps[2])):
            document = policy(allow(*given, on=arn(name)))
            server.client("iam").put_user_policy(UserName="whole", PolicyName="inline", PolicyDocument=document)
            answer = client("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(data)}", data)
            assert answer.message == refused(person.arn, missing, arn(name))
            assert root("HEAD", f"/v2/{name}/blobs/{digest_of(data)}").status == 404
        document = policy(allow(*steps, on=arn(name)))
        server.client("iam").put_user_policy(UserName="whole", PolicyName="inline", PolicyDocument=document)
        assert client("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(data)}", data).status == 201


@pytest.mark.parametrize("path", ["/v2/{name}/nothing", "/v2/nothing", "/v2/{name}/manifests/", "/v2/{name}/"])
def test_paths_that_no_route_has_are_behind_the_gate_too(path: str, server: LiveServer, root: Client) -> None:
    with Client(server, authorization="") as nobody:
        assert nobody("GET", path.format(name=REPOSITORY)).status == 401
        assert nobody("TRACE", path.format(name=REPOSITORY)).status == 401
    assert root("GET", path.format(name=REPOSITORY)).said == (404, "NAME_UNKNOWN")


def test_nothing_that_was_refused_left_a_trace(
    server: LiveServer, users: dict[str, Person], root: Client, there: Names
) -> None:
    before = root("GET", "/v2/_catalog").json
    with Client(server, authorization="") as nobody, users["nothing"].docker() as nothing:
        for line in TABLE:
            refusals(nobody, line, there)
            refusals(nothing, line, there)
    assert root("GET", "/v2/_catalog").json == before
    assert NOWHERE not in before["repositories"]
    for method, path in (("GET", "manifests/{tag}"), ("GET", "manifests/{manifest}"), ("GET", "blobs/{digest}")):
        assert root(method, there.fill("/v2/{name}/" + path)).status == 200
    assert root("GET", there.fill("/v2/{name}/blobs/uploads/{upload}")).status == 204


# What a token is and is not good for


def scoped(server: LiveServer, mint: Mint, **scopes: str) -> Client:
    granted = {
        name.replace("__", ":", 1).replace("__", "/"): frozenset(actions.split(",")) for name, actions in scopes.items()
    }
    return Client(server, authorization=f"Bearer {mint.issue('registry', scopes=granted)}")


def test_a_token_to_pull_does_not_push(server: LiveServer, mint: Mint, there: Names) -> None:
    with scoped(server, mint, repository__access__there="pull") as reader:
        assert reader("GET", there.fill("/v2/{name}/manifests/{tag}")).status == 200
        assert reader("GET", there.fill("/v2/{name}/blobs/{digest}")).status == 200
        for line in TABLE:
            if line.method in {"PUT", "POST", "PATCH", "DELETE"}:
                refused = reader(line.method, there.fill(line.path), line.body)
                assert refused.said == (401, "DENIED"), line
                assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


def test_a_token_to_push_does_not_delete(server: LiveServer, mint: Mint, there: Names) -> None:
    with scoped(server, mint, repository__access__there="pull,push") as writer:
        assert writer("POST", there.fill("/v2/{name}/blobs/uploads/")).status == 202
        for path in ("manifests/{tag}", "manifests/{manifest}", "blobs/{digest}"):
            assert writer("DELETE", there.fill("/v2/{name}/" + path)).said == (401, "DENIED")


def test_a_token_for_one_repository_does_not_reach_another(
    server: LiveServer, mint: Mint, root: Client, there: Names
) -> None:
    secret = root.push_blob("access/other", b"only in the other repository")
    with scoped(server, mint, repository__access__there="pull,push,delete") as client:
        assert client("GET", f"/v2/access/other/blobs/{secret}").said == (401, "DENIED")
        for query in (f"?mount={secret}&from=access/other", f"?mount={secret}"):
            answer = client("POST", f"/v2/{REPOSITORY}/blobs/uploads/{query}")
            assert answer.status == 202, "a mount without leave to read the source is an upload"
        assert client("HEAD", f"/v2/{REPOSITORY}/blobs/{secret}").status == 404


def test_knowing_a_digest_is_no_leave_to_read(root: Client, there: Names) -> None:
    secret = root.push_blob("access/other", b"known by its digest only")
    assert root("HEAD", f"/v2/{REPOSITORY}/blobs/{secret}").status == 404
    assert root("GET", f"/v2/{REPOSITORY}/blobs/{secret}").said == (404, "BLOB_UNKNOWN")
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": descriptor("application/vnd.oci.image.config.v1+json", b"known by its digest only"),
            "layers": [],
        }
    ).encode()
    answer = root(
        "PUT", f"/v2/{REPOSITORY}/manifests/x", manifest, Content_Type="application/vnd.oci.image.manifest.v1+json"
    )
    assert answer.said == (404, "MANIFEST_BLOB_UNKNOWN")


def test_an_upload_is_known_in_its_repository_only(root: Client, there: Names) -> None:
    root.push_blob("access/other", b"x")
    path = f"/v2/access/other/blobs/uploads/{there.upload}"
    assert root("GET", path).said == (404, "BLOB_UPLOAD_UNKNOWN")
    assert root("PATCH", path, b"abc").said == (404, "BLOB_UPLOAD_UNKNOWN")
    assert root("PUT", f"{path}?digest={digest_of(b'abc')}", b"abc").said == (404, "BLOB_UPLOAD_UNKNOWN")
    assert root("DELETE", path).said == (404, "BLOB_UPLOAD_UNKNOWN")
    assert root("GET", there.fill("/v2/{name}/blobs/uploads/{upload}")).headers["Range"] == "0-0"


@pytest.fixture(scope="module")
def forgeries(server: LiveServer) -> dict[str, tuple[str, int]]:
    """Name -> (password, status)."""
    mint = mint_of(server)
    key, wrong = "not the key, but as long as one...", 401
    good = mint.claims()
    header, payload, signature = mint.sign(good).split(".")
    none = jwt.encode(good, None, algorithm="none", headers={"kid": mint.identifier})  # type: ignore[arg-type]
    return {
        "alg none": (none, wrong),
        "alg none, signature kept": (none + signature, wrong),
        "another key": (mint.sign(good, key=key), wrong),
        "a key in the header": (mint.sign(good, key=key, jwk={"kty": "oct", "k": "bm90IHRoZSBrZXk"}), wrong),
        "a key set in the header": (mint.sign(good, key=key, jku="http://127.0.0.1:9/keys.json"), wrong),
        "a certificate in the header": (mint.sign(good, key=key, x5u="http://127.0.0.1:9/x", x5c=["AAAA"]), wrong),
        "HS512": (mint.sign(good, key=mint.secret * 2, algorithm="HS512"), wrong),
        "HS512 with our key": (mint.sign(good, algorithm="HS384", key=mint.secret + b"-" * 32), wrong),
        "an unknown key id": (mint.sign(good, kid="feedfacefeedface"), wrong),
        "a path as key id": (mint.sign(good, kid="../../../../dev/null"), wrong),
        "SQL as key id": (mint.sign(good, kid="' OR 1=1 --"), wrong),
        "no audience": (mint.sign(mint.claims(aud=None)), wrong),
        "another audience": (mint.sign(mint.claims("registry")), wrong),
        "another issuer": (mint.sign(mint.claims(iss="elsewhere")), wrong),
        "no expiry": (mint.sign(mint.claims(exp=None)), wrong),
        "no subject": (mint.sign(mint.claims(sub=None)), wrong),
        "a subject that is nobody": (mint.sign(mint.claims(**{"for": pack(subject_of(ANONYMOUS))})), wrong),
        "not before tomorrow": (mint.sign(mint.claims(nbf=good["iat"] + 86400)), wrong),
        "expired": (mint.sign(mint.claims(exp=good["iat"] - 1)), 403),
        "expired long ago": (mint.sign(mint.claims(exp=1)), 403),
        "another payload": (f"{header}.{payload[:-4]}AAAA.{signature}", wrong),
        "cut short": (f"{header}.{payload}", 400),
        "nothing": ("", 400),
        "no token": ("hunter2", 400),
        "dots": ("." * 4000, 400),
        "too long": ("a" * 9000, 400),
        "not ASCII": ("päss.wörd.€", 400),
    }


FORGERIES = (
    "alg none", "alg none, signature kept", "another key", "a key in the header", "a key set in the header",
    "a certificate in the header", "HS512", "HS512 with our key", "an unknown key id", "a path as key id",
    "SQL as key id", "no audience", "another audience", "another issuer", "no expiry", "no subject",
    "a subject that is nobody", "not before tomorrow", "expired", "expired long ago", "another payload", "cut short",
    "nothing", "no token", "dots", "too long", "not ASCII",
)  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_tokens_are_refused(name: str, forgeries: dict[str, tuple[str, int]], server: LiveServer) -> None:
    password, status = forgeries[name]
    with Client(server, authorization=basic("AWS", password)) as forger:
        answer = forger("GET", f"/v2/{REPOSITORY}/tags/list")
    assert answer.status == status
    assert answer.code in {"UNAUTHORIZED", "DENIED"}
    assert password not in answer.body.decode() or not password


def test_every_forgery_is_tried(forgeries: dict[str, tuple[str, int]]) -> None:
    assert forgeries.keys() == set(FORGERIES)


def test_an_expired_token_says_how_to_go_on(server: LiveServer, mint: Mint) -> None:
    password = mint.sign(mint.claims(exp=1))
    with Client(server, authorization=basic("AWS", password)) as client:
        answer = client("GET", "/v2/")
    assert answer.said == (403, "DENIED")
    assert answer.message == "Your authorization token has expired. Reauthenticate and try again."


AUTHORIZATIONS = {
    "Basic of a user with U+0000": (b"Basic QUtJQQA6eA==", 401, "UNAUTHORIZED"),
    "empty Basic": (b"Basic ", 400, "DENIED"),
    "Basic of no base64": (b"Basic !!!!", 400, "DENIED"),
    "Basic without a colon": (b"Basic YWJj", 400, "DENIED"),
    "Basic that is not UTF-8": (b"Basic //79Og==", 400, "DENIED"),
    "Basic with bytes above 127": (b"Basic \xff\xfe", 400, "DENIED"),
    "a Bearer of bytes above 127": (b"Bearer \xff.\xfe.\xfd", 401, "UNAUTHORIZED"),
    "an empty Bearer": (b"Bearer ", 400, "DENIED"),
    "15 KiB": (b"Basic " + b"A" * 15000, 400, "DENIED"),
    "only a scheme": (b"Basic", 400, "DENIED"),
    "no scheme": (b"YWJjOmRlZg==", 401, "UNAUTHORIZED"),
}


@pytest.mark.parametrize("case", AUTHORIZATIONS.values(), ids=AUTHORIZATIONS)
def test_malformed_authorizations_are_refused(case: tuple[bytes, int, str], server: LiveServer) -> None:
    field, status, code = case
    with Wire(server) as wire:
        wire.send(request("GET", "/v2/", "Authorization: " + field.decode("latin-1")))
        assert wire.receive().said == (status, code)


# What is not under /v2/

OPERATIONS = {
    # path: (nobody, a wrong secret, root)
    "/healthz": (200, 200, 200),
    "/readyz": (200, 200, 200),
    "/metrics": (200, 200, 200),
    "/token": (401, 401, 200),
    "/token?scope=repository:access/there:pull": (401, 401, 200),
    "/_blobs/forged": (403, 403, 403),
    "/_blobs/": (403, 403, 403),
    "/nothing": (404, 404, 404),
    "/v1/": (404, 404, 404),
    "/v2": (401, 401, 200),
    "/..": (404, 404, 404),
    "/healthz/": (404, 404, 404),
    "//v2/": (404, 404, 404),
}


@pytest.mark.parametrize("path", OPERATIONS)
def test_what_is_beside_v2(path: str, server: LiveServer) -> None:
    authorizations = ("", basic(server.access_key_id, "wrong"), None)
    found = []
    for authorization in authorizations:
        with Client(server, authorization=authorization) as client:
            found.append(client("GET", path).status)
    assert tuple(found) == OPERATIONS[path]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_looking_is_all_that_probes_can_do(path: str, method: str, root: Client) -> None:
    answer = root(method, path)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_link_is_good_for_its_blob_and_for_nothing_else(
    server: LiveServer, mint: Mint, root: Client, there: Names
) -> None:
    with server.rows() as rows:
        (repository,) = rows.execute("SELECT id FROM repositories WHERE name = ?", (REPOSITORY,)).fetchone()
    good = mint.link(f"{repository}@{there.digest}")
    with Client(server, authorization="") as nobody:
        assert nobody("GET", f"/_blobs/{good}").body == b"a layer of no image"
        head = nobody("HEAD", f"/_blobs/{good}")
        assert (head.status, head.headers["Content-Length"], head.body) == (200, "19", b"")
        assert nobody("GET", f"/_blobs/{good}", Range="bytes=2-6").body == b"layer"
        assert nobody("GET", f"/_blobs/{good}", Range="bytes=99-").status == 416
        assert nobody("PUT", f"/_blobs/{good}", b"x").status == 405
        for token in (
            mint.issue("ecr"),
            mint.link(f"{repository}@{there.digest}", now=1.0),
            good[:-4] + "AAAA",
        ):
            assert nobody("GET", f"/_blobs/{token}").status == 403
        for named in (f"{repository}@sha256:{NOTHING}", f"1@{there.digest}"):
            assert nobody("GET", f"/_blobs/{mint.link(named)}").status == 404
        assert nobody("GET", "/v2/", Authorization=f"Bearer {good}").status == 401


def test_who_forwards_is_believed_only_if_it_is_trusted(server: LiveServer) -> None:
    with Client(server, authorization="") as nobody:
        answer = nobody(
            "GET", "/v2/", X_Forwarded_Host="evil.test", X_Forwarded_Proto="https", Forwarded="host=evil.test"
        )
    assert answer.headers["WWW-Authenticate"] == f'Basic realm="{server.url}/",service="ecr.amazonaws.com"'


@pytest.mark.parametrize(
    "host", ['evil.test"', "evil.test/path", "a b", "evil\\", "%0d%0aX: 1", "x" * 300, "[::1", ""], ids=repr
)
def test_a_strange_host_gets_into_no_challenge(host: str, server: LiveServer) -> None:
    with Wire(server) as wire:
        wire.send(f"GET /v2/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = wire.receive()
    if answer.status == 400:
        return
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="http://localhost/",service="ecr.amazonaws.com"'


# The AWS APIs

TARGET = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"


def test_nobody_calls_an_api(server: LiveServer) -> None:
    with Client(server, authorization="") as nobody:
        answer = nobody("POST", "/", b"{}", Content_Type="application/x-amz-json-1.1", X_Amz_Target=TARGET)
    assert answer.status == 400
    assert answer.json["__type"].rpartition("#")[2] == "MissingAuthenticationTokenException"


def test_a_wrong_secret_calls_no_api(server: LiveServer) -> None:
    stranger = server.client("ecr", aws_secret_access_key="wrong")
    with pytest.raises(stranger.exceptions.ClientError) as caught:
        stranger.describe_repositories()
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_an_unknown_key_calls_no_api(server: LiveServer) -> None:
    stranger = server.client("ecr", aws_access_key_id="AKIAAAAAAAAAAAAAAAAA")
    with pytest.raises(stranger.exceptions.ClientError) as caught:
        stranger.describe_repositories()
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_a_bearer_token_calls_no_api(server: LiveServer, mint: Mint) -> None:
    token = mint.issue("registry", scopes={"registry:catalog": frozenset({"*"})})
    for authorization in (f"Bearer {token}", basic(server.access_key_id, server.secret_access_key)):
        with Client(server, authorization=authorization) as client:
            answer = client("POST", "/", b"{}", Content_Type="application/x-amz-json-1.1", X_Amz_Target=TARGET)
        assert answer.status in {400, 403}
        assert b"repositories" not in answer.body


def test_root_calls_an_api(server: LiveServer, there: Names) -> None:
    found = server.client("ecr").describe_repositories()["repositories"]
    assert REPOSITORY in [repository["repositoryName"] for repository in found]
