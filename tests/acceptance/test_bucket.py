"""The real clients at a registry that sends their pulls to a bucket."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import BASE, login
from tests.acceptance.images import noise
from tests.acceptance.programs import Program, bare_environment
from tests.backing import Backing
from tests.live import LiveServer
from tests.parts import built
from tests.relay import Relay
from tests.require import need
from tests.s3 import S3Server
from tests.wire.client import eventually

LAYER = 12_000_000


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[Relay]:
    """What goes to the bucket and comes from it, counted."""
    with Relay(s3.url) as relay:
        yield relay


@pytest.fixture
def registry(s3: S3Server, bucket: Relay, tmp_path: Path) -> Iterator[LiveServer]:
    settings = {
        **Backing(s3=s3).settings(tmp_path / "registry"),
        "storage.s3_endpoint_url": bucket.url,
        "storage.s3_redirect": "true",
        "registry.create_on_push": "true",
    }
    with LiveServer(tmp_path / "registry", settings=settings) as server:
        yield server


def sent_to_the_bucket(server: LiveServer) -> int:
    """Pulls of blobs that were answered with a link; none may have been with bytes."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    pulls = [line["status"] for line in lines if line.get("method") == "GET" and "/blobs/sha256:" in line["path"]]
    assert set(pulls) <= {307}
    return len(pulls)


@pytest.mark.parametrize("docker_path", ["debian"], indirect=True)
def test_docker_pulls_from_the_bucket_what_it_pushed(
    stranger: Program, registry: LiveServer, bucket: Relay, tmp_path: Path
) -> None:
    login(stranger, registry)
    context = tmp_path / "context"
    context.mkdir()
    (context / "layer").write_bytes(noise(LAYER, "a layer in a bucket"))
    (context / "Dockerfile").write_text(f"FROM {BASE}\nCOPY layer /layer\n")
    tag = f"{registry.address}/bucket/app:v1"
    identifier = stranger("build", "--quiet", "--tag", tag, str(context)).strip()
    stranger("push", tag)
    assert bucket.sent > LAYER
    stranger("rmi", "--force", tag)
    stranger("image", "prune", "--force")
    before = bucket.received
    stranger("pull", tag)
    assert stranger("image", "inspect", "--format", "{{.Id}}", tag).strip() == identifier
    assert bucket.received - before > LAYER, "from there, not from a copy"
    eventually(lambda: sent_to_the_bucket(registry) >= 2)


def test_other_clients_pull_from_the_bucket_too(registry: LiveServer, bucket: Relay, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    oras = Program(need("clients", built("oras"), "oras"), bare_environment(home), cwd=tmp_path)
    crane = Program(need("clients", built("crane"), "crane"), bare_environment(home), cwd=tmp_path)
    for program in (oras, crane):
        insecure = ("--plain-http",) if program is oras else ()
        command = ("login",) if program is oras else ("auth", "login")
        program(*command, *insecure, registry.address, "-u", registry.access_key_id, "-p", registry.secret_access_key)
    data = noise(LAYER, "an artifact in a bucket")
    (tmp_path / "artifact").write_bytes(data)
    name = f"{registry.address}/bucket/artifact:v1"
    oras("push", "--plain-http", name, "artifact:application/octet-stream")
    (tmp_path / "artifact").unlink()
    oras("pull", "--plain-http", name)
    assert (tmp_path / "artifact").read_bytes() == data
    crane("pull", "--insecure", "--format", "oci", name, str(tmp_path / "layout"))
    assert any(path.stat().st_size == LAYER for path in (tmp_path / "layout" / "blobs" / "sha256").iterdir())
    assert bucket.received > 2 * LAYER
    eventually(lambda: sent_to_the_bucket(registry) >= 2)
