"""How databases answer what requests, the collector and a start ask of a registry that has grown: from indices.

A server works on PostgreSQL with many rows in every table, while PostgreSQL itself notes the plan of each statement. The same
statements are then given to SQLite, whose plans do not depend on what there is.
"""

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from store.migrate import migrations
from store.schema import Column, Table, newest, tables
from store.sqlite import SqliteDatabase
from tests import require
from tests.backing import Backing
from tests.live import LiveServer
from tests.postgres import PostgresServer, program, serving
from tests.wire.client import IMAGE, Client, basic, descriptor, digest_of

NAME = "operation/plans"
ROWS = 20_000
"""In each table: enough for PostgreSQL to prefer an index wherever one serves."""
NOTED = (
    "shared_preload_libraries=auto_explain",
    "auto_explain.log_min_duration=0",
    "auto_explain.log_format=json",
    "fsync=off",
)
FEW = {
    "migrations", "leases", "seals", "properties", "epochs", "signing_keys", "collections", "reclaimed",
    "deleted_repositories",
}  # fmt: skip
"""Tables that hardly ever have more than a handful of rows."""
BOUNDED = {"SELECT SUM(size) FROM audit_segments", "SELECT SUM(size) FROM audit_policies"}
"""What may be read from end to end: decisions on record, which are kept within `audit.max_bytes`, measured now and then."""
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["ecr:*", "sts:*"], "Resource": "*"}]}
)
TRUST = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


@dataclass(frozen=True)
class Noted:
    """A statement and the plan by which PostgreSQL answered it."""

    text: str
    plan: Mapping[str, Any]

    def scanned(self) -> set[str]:
        """The tables that were read from end to end; not those of which any first few rows will do."""
        found, todo = set(), [(self.plan, False)]
        while todo:
            node, limited = todo.pop()
            if node["Node Type"] == "Seq Scan" and (not limited or "Filter" in node):
                found.add(node["Relation Name"])
            todo += [(inner, node["Node Type"] == "Limit") for inner in node.get("Plans", ())]
        return found - FEW


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Noted]]:
    """What was asked, each statement with each of its plans once."""
    require.need("postgres", program("postgres"), "PostgreSQL")
    with serving(*NOTED) as postgres:
        directory = tmp_path_factory.mktemp("plans")
        settings = {"registry.create_on_push": "true", "storage.reserve": "0", **Backing(postgres).settings(directory)}
        server = LiveServer(directory, settings=settings)
        with server, Client(server) as client:
            client.push_image(NAME, "first")
        with server.rows() as rows:
            ((repository, account),) = rows.execute("SELECT id, account FROM repositories").fetchall()
        asyncio.run(fill(settings["database.url"], repository, account))
        before = log_of(postgres).stat().st_size
        with server:
            work(server)
            done = server.longshore("gc", "--orphans")
            assert done.returncode == 0, done
        yield read(log_of(postgres), before)


def log_of(postgres: PostgresServer) -> Path:
    return postgres.directory / "log"


def read(log: Path, start: int) -> list[Noted]:
    """The plans in a log of PostgreSQL's from a byte on."""
    with log.open("rb") as file:
        file.seek(start)
        text = file.read().decode()
    found: dict[str, Noted] = {}
    for match in re.finditer(r"  plan:\n((?:\t.*\n)+)", text):
        said = json.loads(match[1])
        found.setdefault(json.dumps(said["Plan"], sort_keys=True), Noted(said["Query Text"], said["Plan"]))
    return list(found.values())


# Rows


async def fill(url: str, repository: int, account: str) -> None:
    """Half of all repositories belong to one account, and a tenth of what repositories have to one of those; of identities
    the account has what its quotas allow."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET auto_explain.log_min_duration = -1")
        for table in tables(newest()).values():
            if table.name not in FEW:
                values = [value_of(column, table, repository=repository, account=account) for column in table.columns]
                await connection.execute(
                    f"INSERT INTO {table.name} ({', '.join(table.names)}) "
                    f"SELECT {', '.join(values)} FROM generate_series(1, {ROWS}) AS i ON CONFLICT DO NOTHING"
                )
        for table in ("registry_policies", "account_settings"):  # whose values count
            await connection.execute(f"DELETE FROM {table} WHERE account = '{account}'")
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def value_of(column: Column, table: Table, *, repository: int, account: str) -> str:
    """A value of the i-th row, in PostgreSQL's SQL. No time has come yet, so nothing is due."""
    own = 2 if table.name == "repositories" else 100
    known = {
        "account": f"CASE WHEN i % {own} = 0 THEN '{account}' ELSE '2' || lpad((i % 500)::text, 11, '0') END",
        "repository_id": f"CASE WHEN i % 10 = 0 THEN {repository} ELSE i % 500 END",
        "region": "'us-east-1'",
        "mutability": "'MUTABLE'",
        "exclusions": "'[]'",
        "encryption": """'{"encryptionType": "AES256"}'""",
        "annotations": "NULL",
        "kept_at": "1e15",
        "status": "'ACTIVE'",
        "boundary": "''",
        "alias": "''",
        "tags": "'[]'",
        "reason": "'unreferenced'",
    }
    if column.name in known and (column.name,) != table.key:
        return known[column.name]
    if column.name in {"digest", "manifest", "subject"}:
        return "'sha256:' || lpad(i::text, 64, '0')"
    return {
        "TEXT": f"'{column.name}-' || lpad(i::text, 7, '0')",
        "BYTEA": "'\\x00'::bytea",
        "DOUBLE PRECISION": "4e9 + i",
    }.get(column.type, "i")


# Requests


def work(server: LiveServer) -> None:
    """What clients ask for, by every kind of identity."""
    iam, ecr = server.client("iam"), server.client("ecr")
    iam.create_user(UserName="ci")
    key = iam.create_access_key(UserName="ci")["AccessKey"]
    iam.put_user_policy(UserName="ci", PolicyName="all", PolicyDocument=POLICY)
    arn = iam.create_policy(PolicyName="all", PolicyDocument=POLICY)["Policy"]["Arn"]
    iam.create_group(GroupName="builders")
    iam.attach_group_policy(GroupName="builders", PolicyArn=arn)
    iam.add_user_to_group(GroupName="builders", UserName="ci")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    role = iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="deploy", PolicyArn=arn)
    sts = server.client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    session = sts.assume_role(RoleArn=role, RoleSessionName="plans")["Credentials"]
    assumed = server.client(
        "ecr", aws_access_key_id=session["AccessKeyId"], aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )  # fmt: skip
    ecr.set_repository_policy(
        repositoryName=NAME,
        policyText=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:ListImages"}]}
        ),
    )
    token = assumed.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    for authorization in (None, basic(key["AccessKeyId"], key["SecretAccessKey"]), f"Basic {token}"):
        with Client(server, authorization=authorization) as client:
            speak(client)
    ask(assumed)


def speak(client: Client) -> None:
    """The protocol of docker."""
    digest = client.push_image(NAME, "tagged", layers=[b"one layer", b"another"])
    index = {"schemaVersion": 2, "mediaType": IMAGE, "layers": [], "config": descriptor(IMAGE, b"{}")}
    about = client.push_manifest(
        NAME, json.dumps({**index, "subject": {"mediaType": IMAGE, "digest": digest, "size": 2}}).encode()
    )
    location = client.begin(NAME)
    chunk = client("PATCH", location, b"in chunks", Content_Range="0-8", Content_Type="application/octet-stream")
    assert chunk.status == 202
    location = chunk.headers["Location"]
    assert client("GET", location).status == 204
    assert client("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest_of(b'in chunks')}").status == 201
    assert client("DELETE", client.begin(NAME)).status == 204
    for source in (f"&from={NAME}", ""):
        mounted = client("POST", f"/v2/{NAME}-2/blobs/uploads/?mount={digest_of(b'one layer')}{source}")
        assert mounted.status in {201, 202}
    for reference in ("tagged", digest):
        for method in ("HEAD", "GET"):
            assert client(method, f"/v2/{NAME}/manifests/{reference}").status == 200
    for method in ("HEAD", "GET"):
        assert client(method, f"/v2/{NAME}/blobs/{digest_of(b'one layer')}").status == 200
    assert client("GET", f"/v2/{NAME}/referrers/{digest}").status == 200
    for page in (f"{NAME}/tags/list?n=10", f"{NAME}/tags/list?n=10&last=name-0010000"):
        assert client("GET", f"/v2/{page}").status == 200
    assert client("GET", "/v2/_catalog?n=10").status in {200, 401, 403, 404}
    for reference in ("tagged", about):
        assert client("DELETE", f"/v2/{NAME}/manifests/{reference}").status == 202
    assert client("DELETE", f"/v2/{NAME}/blobs/{digest_of(b'in chunks')}").status in {202, 405}


def ask(ecr: Any) -> None:
    """ECR's own."""
    repository = {"repositoryName": NAME}
    ecr.create_repository(repositoryName=f"{NAME}-3", tags=[{"Key": "a", "Value": "b"}])
    ecr.describe_repositories(maxResults=10)
    arn = ecr.describe_repositories(repositoryNames=[NAME])["repositories"][0]["repositoryArn"]
    ecr.list_tags_for_resource(resourceArn=arn)
    ecr.put_image_tag_mutability(**repository, imageTagMutability="MUTABLE")
    page = ecr.list_images(**repository, maxResults=10)
    ecr.list_images(**repository, maxResults=10, nextToken=page["nextToken"])
    for status in ("TAGGED", "UNTAGGED"):
        ecr.list_images(**repository, maxResults=10, filter={"tagStatus": status})
        ecr.describe_images(**repository, maxResults=10, filter={"tagStatus": status})
    ecr.describe_images(**repository, imageIds=[{"imageTag": "first"}])
    found = ecr.batch_get_image(**repository, imageIds=[{"imageTag": "first"}])["images"][0]
    ecr.batch_check_layer_availability(**repository, layerDigests=[digest_of(b"a layer")])
    ecr.get_download_url_for_layer(**repository, layerDigest=digest_of(b"a layer"))
    ecr.put_image(**repository, imageManifest=found["imageManifest"], imageTag="again")
    ecr.batch_delete_image(**repository, imageIds=[{"imageTag": "again"}])
    ecr.delete_repository(repositoryName=f"{NAME}-3", force=True)


# Plans


def test_no_request_and_no_round_of_the_collector_has_postgresql_read_a_table_from_end_to_end(noted: list[Noted]):
    found = {f"{table}: {one.text}" for one in noted if one.text not in BOUNDED for table in one.scanned()}
    assert not found, "\n".join(sorted(found))


def test_no_request_and_no_round_of_the_collector_has_sqlite_read_a_table_from_end_to_end(noted: list[Noted]):
    found = set()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, applied_at DOUBLE PRECISION)")
        for migration in migrations().values():
            for statement in migration.statements:
                connection.execute(statement.format_map(SqliteDatabase.vocabulary))
        for text in {one.text for one in noted if "pg_" not in one.text} - BOUNDED:
            found |= {f"{step}: {text}" for step in scans(connection, text)}
    assert not found, "\n".join(sorted(found))


def scans(connection: sqlite3.Connection, text: str) -> list[str]:
    """The steps of SQLite's plan in which it reads a table from end to end."""
    parameters = [None] * len(set(re.findall(r"\$\d+", text)))
    steps = [step for _, _, _, step in connection.execute(f"EXPLAIN QUERY PLAN {text.replace('$', '?')}", parameters)]
    if "LIMIT" in text and "WHERE" not in text and not any("TEMP B-TREE" in step for step in steps):
        return []  # any first few rows will do
    return [step for step in steps if step.startswith("SCAN ") and table_of(step.split()[1], text) is not None]


def table_of(name: str, text: str) -> str | None:
    """The table that a name in a plan means; None for a subquery, or for one that hardly has any rows."""
    named = [name, *re.findall(rf"\b(\w+)(?: AS)? {re.escape(name)}\b", text)]
    return next((one for one in named if one in tables(newest()) and one not in FEW), None)


def test_what_reads_a_table_from_end_to_end_is_noticed():
    """So the tests above can fail."""
    filtered = {"Node Type": "Limit", "Plans": [{"Node Type": "Seq Scan", "Relation Name": "tags", "Filter": "x"}]}
    assert Noted("", filtered).scanned() == {"tags"}
    assert Noted("", {"Node Type": "Sort", "Plans": [{"Node Type": "Seq Scan", "Relation Name": "tags"}]}).scanned()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE tags (name TEXT, digest TEXT)")
        for text in ("SELECT 1 FROM tags", "SELECT t.name FROM tags AS t WHERE t.digest = $1 LIMIT 1"):
            assert scans(connection, text)


def test_everything_that_grows_was_asked_about(noted: list[Noted]):
    texts = " ".join(one.text for one in noted)
    for table in (
        "repositories", "manifests", "tags", "blobs", "repository_blobs", "manifest_references", "uploads", "condemned",
        "users", "roles", "access_keys", "inline_policies", "policy_attachments", "managed_policies", "group_members",
        "repository_policies", "registry_policies", "resource_tags", "identity_tags", "organization_members", "audit_segments",
        "deleted_repositories", "deleted_subjects",
    ):  # fmt: skip
        assert re.search(rf"\b{table}\b", texts), table
