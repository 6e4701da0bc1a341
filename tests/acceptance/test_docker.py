"""Daily work with docker: both clients, the one engine."""

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import AWS_CLIS, aws_cli
from tests.acceptance.images import DOCKER_LIST, DOCKER_MANIFEST, noise
from tests.acceptance.programs import Program, Repository, described, eventually
from tests.live import LiveServer

MEGABYTE = 1_000_000
# Where the engine does all the work, and another client would do the same again.
DEBIAN_ONLY = pytest.mark.parametrize("docker_path", ["debian"], indirect=True)


def forget(docker: Program, *names: str) -> None:
    """Removes images from the engine, so that a pull has to fetch them."""
    docker("rmi", "--force", *names)


def run(docker: Program, image: str, *command: str) -> str:
    return docker("run", "--rm", "--network", "none", image, *command)


def pushed_digest(printed: str) -> str:
    """The digest in docker's last line: "v1: digest: sha256:... size: 735"."""
    (digest,) = re.findall(r"digest: (sha256:[0-9a-f]{64})", printed)
    return digest


# Logging in


@pytest.mark.parametrize("version", AWS_CLIS)
def test_the_password_of_get_login_password_logs_docker_in(
    version: str, stranger: Program, server: LiveServer, scratch: Path
) -> None:
    password = aws_cli(version, server, scratch)("ecr", "get-login-password").strip()
    printed = stranger("login", "--username", "AWS", "--password-stdin", server.address, stdin=password)
    assert "Login Succeeded" in printed


def test_a_login_by_get_login_password_pushes_and_pulls(
    stranger: Program,
    server: LiveServer,
    scratch: Path,
    repository: Repository,
    build: Callable[..., str],
) -> None:
    stranger("logout", server.address)  # `build` has logged in with the root key
    password = aws_cli("v1", server, scratch)("ecr", "get-login-password").strip()
    stranger("login", "--username", "AWS", "--password-stdin", server.address, stdin=password)
    build(repository.at("v1"), says="by token")
    stranger("push", repository.at("v1"))
    forget(stranger, repository.at("v1"))
    stranger("pull", repository.at("v1"))
    assert run(stranger, repository.at("v1")) == "by token"


def test_an_access_key_id_and_its_secret_log_docker_in(stranger: Program, server: LiveServer) -> None:
    printed = stranger(
        "login", "--username", server.access_key_id, "--password-stdin", server.address, stdin=server.secret_access_key
    )
    assert "Login Succeeded" in printed


@pytest.mark.parametrize(
    ("user", "status"),
    [("AWS", "400 Bad Request"), ("the access key id", "401 Unauthorized"), ("nobody", "401 Unauthorized")],
)
def test_a_wrong_password_is_refused(user: str, status: str, stranger: Program, server: LiveServer) -> None:
    """A token that is none is a bad request to ECR."""
    name = server.access_key_id if user == "the access key id" else user
    printed = stranger.fails("login", "--username", name, "--password-stdin", server.address, stdin="wrong")
    assert f"login attempt to {server.url}/v2/ failed with status: {status}" in printed


def test_a_push_without_a_login_is_refused(
    stranger: Program, server: LiveServer, repository: Repository, build: Callable[..., str]
) -> None:
    build(repository.at("v1"), says="never stored")
    stranger("logout", server.address)
    printed = stranger.fails("push", repository.at("v1"))
    assert "no basic auth credentials" in printed


def test_a_pull_without_a_login_is_refused(
    stranger: Program, docker: Program, server: LiveServer, repository: Repository, build: Callable[..., str]
) -> None:
    build(repository.at("v1"), says="not for strangers")
    docker("push", repository.at("v1"))
    stranger("logout", server.address)
    forget(stranger, repository.at("v1"))
    printed = stranger.fails("pull", repository.at("v1"))
    assert "no basic auth credentials" in printed


# Push, pull, run


def test_what_docker_pushed_it_pulls_and_runs(
    docker: Program, repository: Repository, build: Callable[..., str]
) -> None:
    identity = build(repository.at("v1"), says="hello from the registry")
    docker("push", repository.at("v1"))
    forget(docker, repository.at("v1"))
    docker("pull", repository.at("v1"))
    assert run(docker, repository.at("v1")) == "hello from the registry"
    assert docker("inspect", "--format", "{{.Id}}", repository.at("v1")).strip() == identity


def test_what_was_pushed_by_tag_is_pulled_by_digest(
    docker: Program, repository: Repository, build: Callable[..., str]
) -> None:
    build(repository.at("v1"), says="the same by digest")
    digest = pushed_digest(docker("push", repository.at("v1")))
    forget(docker, repository.at("v1"))
    docker("pull", repository.at(digest))
    assert run(docker, repository.at(digest)) == "the same by digest"


def test_pushing_again_uploads_nothing_and_changes_nothing(
    docker: Program, repository: Repository, build: Callable[..., str], ecr: Any
) -> None:
    build(repository.at("v1"), says="twice")
    first = docker("push", repository.at("v1"))
    before = described(ecr, repository, imageTag="v1")
    second = docker("push", repository.at("v1"))
    after = described(ecr, repository, imageTag="v1")
    assert pushed_digest(first) == pushed_digest(second)
    assert ": Pushed" not in second
    assert (after["imageDigest"], after["imagePushedAt"]) == (before["imageDigest"], before["imagePushedAt"])
    assert len(ecr.list_images(repositoryName=repository.name)["imageIds"]) == 1


def test_a_tag_moves_to_the_image_pushed_last(
    docker: Program, repository: Repository, build: Callable[..., str], ecr: Any
) -> None:
    build(repository.at("latest"), says="old")
    old = pushed_digest(docker("push", repository.at("latest")))
    build(repository.at("latest"), says="new")
    new = pushed_digest(docker("push", repository.at("latest")))
    assert described(ecr, repository, imageTag="latest")["imageDigest"] == new
    forget(docker, repository.at("latest"))
    docker("pull", repository.at("latest"))
    assert run(docker, repository.at("latest")) == "new"
    docker("pull", repository.at(old))
    assert run(docker, repository.at(old)) == "old"


def test_all_tags_are_pushed_and_pulled_at_once(
    docker: Program, repository: Repository, build: Callable[..., str]
) -> None:
    names = [repository.at(tag) for tag in ("a", "b", "c")]
    for name in names:
        build(name, says=name)
    docker("push", "--all-tags", repository.uri)
    forget(docker, *names)
    docker("pull", "--all-tags", repository.uri)
    assert [run(docker, name) for name in names] == names


@DEBIAN_ONLY
def test_a_layer_of_100_megabytes_comes_back_whole(
    docker: Program, repository: Repository, build: Callable[..., str]
) -> None:
    content = noise(100 * MEGABYTE, repository.name)
    build(repository.at("big"), says="big", files={"content": content})
    docker("push", repository.at("big"))
    forget(docker, repository.at("big"))
    docker("pull", repository.at("big"))
    printed = run(docker, repository.at("big"), "/bin/sha256sum", "/content")
    assert printed.split()[0] == hashlib.sha256(content).hexdigest()


def test_layers_known_in_one_repository_are_pushed_to_another(
    docker: Program, new_repository: Callable[..., Repository], build: Callable[..., str]
) -> None:
    first, second = new_repository(), new_repository()
    build(first.at("v1"), says="shared", files={"content": noise(MEGABYTE, first.name)})
    docker("tag", first.at("v1"), second.at("v1"))
    digest = pushed_digest(docker("push", first.at("v1")))
    assert pushed_digest(docker("push", second.at("v1"))) == digest
    forget(docker, first.at("v1"), second.at("v1"))
    docker("pull", second.at("v1"))
    assert run(docker, second.at("v1")) == "shared"


def test_pushes_of_one_image_at_once_all_succeed(
    docker: Program, new_repository: Callable[..., Repository], build: Callable[..., str]
) -> None:
    repositories = [new_repository() for _ in range(3)]
    build(
        repositories[0].at("v1"), says="from all sides", files={"content": noise(10 * MEGABYTE, repositories[0].name)}
    )
    names = [repository.at(tag) for repository in repositories for tag in ("v1", "v2")]
    for name in names:
        docker("tag", repositories[0].at("v1"), name)
    pushes = [
        subprocess.Popen(
            docker.words(("push", name)), env=dict(docker.environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for name in names
    ]
    printed = [push.communicate(timeout=180)[0].decode() for push in pushes]
    assert [push.returncode for push in pushes] == [0] * len(names), printed
    assert len({pushed_digest(text) for text in printed}) == 1
    forget(docker, *names)
    docker("pull", names[-1])
    assert run(docker, names[-1]) == "from all sides"


def test_a_list_of_platforms_made_by_docker_is_kept_and_pulled(
    docker: Program, repository: Repository, build: Callable[..., str], ecr: Any
) -> None:
    for tag in ("amd64", "arm64"):
        build(repository.at(tag), says=tag)
        docker("push", repository.at(tag))
    docker("manifest", "create", "--insecure", repository.at("all"), repository.at("amd64"), repository.at("arm64"))
    docker("manifest", "annotate", repository.at("all"), repository.at("arm64"), "--arch", "arm64")
    digest = docker("manifest", "push", "--insecure", repository.at("all")).strip().splitlines()[-1]
    image = described(ecr, repository, imageTag="all")
    assert (image["imageDigest"], image["imageManifestMediaType"]) == (digest, DOCKER_LIST)
    forget(docker, repository.at("amd64"), repository.at("arm64"))
    docker("pull", repository.at("all"))
    assert run(docker, repository.at("all")) == "amd64"


# What ECR refuses


def test_a_push_to_a_missing_repository_says_so_and_how_to_create_it(
    docker: Program, server: LiveServer, build: Callable[..., str]
) -> None:
    name = "acceptance/nobody-made-this"
    build(f"{server.address}/{name}:v1", says="homeless")
    printed = docker.fails("push", f"{server.address}/{name}:v1", timeout=30)
    assert printed.endswith(
        f"name unknown: The repository with name '{name}' does not exist in the registry with id '123456789012'. "
        f"Create it first: aws ecr create-repository --repository-name {name}\n"
    )
    assert "Retrying" not in printed


def test_a_pull_of_what_was_never_pushed_says_not_found(docker: Program, repository: Repository) -> None:
    printed = docker.fails("pull", repository.at("never"))
    assert f"manifest for {repository.at('never')} not found: manifest unknown: Requested image not found" in printed


def test_a_pull_from_a_missing_repository_says_so(docker: Program, server: LiveServer) -> None:
    printed = docker.fails("pull", f"{server.address}/acceptance/nobody-made-this:v1")
    assert (
        "name unknown: The repository with name 'acceptance/nobody-made-this' does not exist in the registry with id "
        "'123456789012'"
    ) in printed


def test_an_immutable_tag_takes_the_same_image_again_and_no_other(
    docker: Program, new_repository: Callable[..., Repository], build: Callable[..., str], ecr: Any
) -> None:
    repository = new_repository(imageTagMutability="IMMUTABLE")
    build(repository.at("v1"), says="for ever")
    digest = pushed_digest(docker("push", repository.at("v1")))
    assert pushed_digest(docker("push", repository.at("v1"))) == digest
    build(repository.at("v1"), says="usurper")
    printed = docker.fails("push", repository.at("v1"))
    assert printed.endswith(
        f"tag invalid: The image tag 'v1' already exists in the '{repository.name}' repository and cannot be "
        "overwritten because the tag is immutable.\n"
    )
    assert described(ecr, repository, imageTag="v1")["imageDigest"] == digest


# Both dialects see one state


def test_describe_images_shows_what_docker_pushed(
    docker: Program, repository: Repository, build: Callable[..., str], ecr: Any
) -> None:
    build(repository.at("v1"), says="seen by both", files={"content": noise(MEGABYTE, repository.name)})
    digest = pushed_digest(docker("push", repository.at("v1")))
    image = described(ecr, repository, imageDigest=digest)
    assert image["imageTags"] == ["v1"]
    assert image["imageManifestMediaType"] == DOCKER_MANIFEST
    ((got,),) = [ecr.batch_get_image(repositoryName=repository.name, imageIds=[{"imageTag": "v1"}])["images"]]
    manifest = json.loads(got["imageManifest"])
    stored = manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])
    assert stored <= image["imageSizeInBytes"] <= stored + len(got["imageManifest"])
    assert "lastRecordedPullTime" not in image
    forget(docker, repository.at("v1"))
    docker("pull", repository.at("v1"))
    # A pull is written down in the background, within seconds.
    recorded = eventually(lambda: described(ecr, repository, imageDigest=digest).get("lastRecordedPullTime"))
    assert recorded >= image["imagePushedAt"]


def test_what_the_api_deleted_docker_cannot_pull(
    docker: Program, repository: Repository, build: Callable[..., str], ecr: Any
) -> None:
    build(repository.at("v1"), says="gone")
    digest = pushed_digest(docker("push", repository.at("v1")))
    ecr.batch_delete_image(repositoryName=repository.name, imageIds=[{"imageDigest": digest}])
    forget(docker, repository.at("v1"))
    docker.fails("pull", repository.at("v1"))
    docker.fails("pull", repository.at(digest))


def test_what_was_deleted_is_pushed_again(
    docker: Program, repository: Repository, build: Callable[..., str], ecr: Any
) -> None:
    build(repository.at("v1"), says="back again", files={"content": noise(MEGABYTE, repository.name)})
    docker("push", repository.at("v1"))
    ecr.batch_delete_image(repositoryName=repository.name, imageIds=[{"imageTag": "v1"}])
    docker("push", repository.at("v1"))
    forget(docker, repository.at("v1"))
    docker("pull", repository.at("v1"))
    assert run(docker, repository.at("v1")) == "back again"


# Several workers, restarts, and a push that creates


@DEBIAN_ONLY
def test_several_workers_serve_docker_as_one_server(
    stranger: Program, build: Callable[..., str], tmp_path: Path
) -> None:
    settings = {"registry.create_on_push": "true"}
    with LiveServer(tmp_path / "workers", workers=3, settings=settings) as server:
        stranger(
            "login", "--username", server.access_key_id, "--password-stdin", server.address,
            stdin=server.secret_access_key,
        )  # fmt: skip
        name = f"{server.address}/made/by/push:v1"
        build(name, says="one of three", files={"content": noise(10 * MEGABYTE, "workers")})
        digest = pushed_digest(stranger("push", name))
        listed = server.client("ecr").list_images(repositoryName="made/by/push")["imageIds"]
        assert listed == [{"imageDigest": digest, "imageTag": "v1"}]
        server.restart()
        forget(stranger, name)
        stranger("pull", name)
        assert run(stranger, name) == "one of three"


# Read-only mode


@pytest.mark.long  # docker tries for a minute before it gives up
def test_docker_is_told_why_nothing_may_be_pushed_and_pulls_all_the_same(
    docker: Program, server: LiveServer, repository: Repository, build: Callable[..., str]
) -> None:
    build(repository.at("v1"), says="pushed before")
    docker("push", repository.at("v1"))
    build(repository.at("v2"), says="pushed too late")
    assert server.longshore("read-only", "on", "--reason", "we are moving until noon").returncode == 0
    try:
        printed = docker.fails("push", repository.at("v2"))
        assert "503 Service Unavailable, read-only: we are moving until noon" in printed
        forget(docker, repository.at("v1"))
        docker("pull", repository.at("v1"))
    finally:
        assert server.longshore("read-only", "off").returncode == 0
    # every process knows within half a second
    eventually(lambda: docker.run("push", repository.at("v2")).returncode == 0 or None)
    assert run(docker, repository.at("v1")) == "pushed before"
