"""podman, skopeo and buildah."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.images import IMAGE_INDEX, IMAGE_MANIFEST, Layout, archive, image, multi_platform, noise
from tests.acceptance.programs import Program, Repository, described

INSECURE = "--tls-verify=false"
RUN = ("run", "--rm", "--network", "none")
BOTH_INSECURE = ("--src-tls-verify=false", "--dest-tls-verify=false")


@pytest.fixture
def platforms(tmp_path: Path, busybox: Path) -> tuple[Path, str]:
    """An OCI layout with an index of two platforms tagged v1, and the digest of that index."""
    layout, index = multi_platform(tmp_path / "platforms", "v1", busybox)
    return layout.directory, index["digest"]


def single(directory: Path, size: int = 100_000) -> tuple[Path, str]:
    """An OCI layout with one image tagged v1, and its digest."""
    layout = Layout(directory)
    descriptor = layout.add(image([archive({"content": noise(size, str(directory))})]))
    layout.tag("v1", descriptor)
    return directory, descriptor["digest"]


# podman


def test_what_podman_pushed_it_pulls_and_runs(podman: Program, repository: Repository, root_files: Path) -> None:
    podman("import", str(root_files), repository.at("v1"))
    podman("push", INSECURE, repository.at("v1"))
    podman("rmi", "--force", repository.at("v1"))
    podman("pull", INSECURE, repository.at("v1"))
    printed = podman(*RUN, repository.at("v1"), "/bin/cat", "/etc/base")
    assert printed == "base\n"


def test_podman_pulls_what_docker_pushed(
    podman: Program, docker: Program, repository: Repository, build: Callable[..., str]
) -> None:
    build(repository.at("v1"), says="from docker")
    docker("push", repository.at("v1"))
    podman("pull", INSECURE, repository.at("v1"))
    assert podman(*RUN, repository.at("v1")) == "from docker"


def test_podman_pushes_a_list_of_platforms(podman: Program, repository: Repository, root_files: Path, ecr: Any) -> None:
    podman("import", "--arch", "amd64", str(root_files), "localhost/one:1")
    podman("import", "--arch", "arm64", str(root_files), "localhost/two:1")
    podman(
        "manifest",
        "create",
        "localhost/all:1",
        "containers-storage:localhost/one:1",
        "containers-storage:localhost/two:1",
    )
    podman("manifest", "push", "--all", INSECURE, "localhost/all:1", f"docker://{repository.at('all')}")
    shown = described(ecr, repository, imageTag="all")
    (found,) = ecr.batch_get_image(repositoryName=repository.name, imageIds=[{"imageTag": "all"}])["images"]
    assert len(json.loads(found["imageManifest"])["manifests"]) == 2
    assert shown["imageManifestMediaType"] == IMAGE_INDEX


# skopeo


def test_skopeo_copies_an_image_from_a_layout_between_repositories_and_back(
    skopeo: Program, new_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    first, second = new_repository(), new_repository()
    directory, digest = single(tmp_path / "image")
    skopeo("copy", "--dest-tls-verify=false", f"oci:{directory}:v1", f"docker://{first.at('v1')}")
    skopeo("copy", *BOTH_INSECURE, f"docker://{first.at('v1')}", f"docker://{second.at('v2')}")
    skopeo("copy", "--src-tls-verify=false", f"docker://{second.at(digest)}", f"dir:{tmp_path / 'back'}")
    assert json.loads(skopeo("inspect", INSECURE, f"docker://{second.at('v2')}"))["Digest"] == digest
    assert (tmp_path / "back" / "manifest.json").read_bytes() == (
        directory / "blobs" / "sha256" / digest.removeprefix("sha256:")
    ).read_bytes()


def test_skopeo_copies_an_index_with_all_its_images(
    skopeo: Program, new_repository: Callable[..., Repository], platforms: tuple[Path, str], ecr: Any
) -> None:
    first, second = new_repository(), new_repository()
    directory, digest = platforms
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{directory}:v1", f"docker://{first.at('v1')}")
    skopeo("copy", "--all", *BOTH_INSECURE, f"docker://{first.at('v1')}", f"docker://{second.at('v1')}")
    raw = skopeo("inspect", "--raw", INSECURE, f"docker://{second.at('v1')}")
    assert [child["platform"]["architecture"] for child in json.loads(raw)["manifests"]] == ["amd64", "arm64"]
    assert described(ecr, second, imageTag="v1")["imageDigest"] == digest


def test_skopeo_lists_tags(skopeo: Program, repository: Repository, tmp_path: Path) -> None:
    directory, _ = single(tmp_path / "image")
    for tag in ("b", "a", "c"):
        skopeo("copy", "--dest-tls-verify=false", f"oci:{directory}:v1", f"docker://{repository.at(tag)}")
    assert json.loads(skopeo("list-tags", INSECURE, f"docker://{repository.uri}"))["Tags"] == ["a", "b", "c"]


def test_skopeo_deletes_an_image(skopeo: Program, repository: Repository, tmp_path: Path, ecr: Any) -> None:
    directory, _ = single(tmp_path / "image")
    skopeo("copy", "--dest-tls-verify=false", f"oci:{directory}:v1", f"docker://{repository.at('v1')}")
    skopeo("delete", INSECURE, f"docker://{repository.at('v1')}")
    assert ecr.list_images(repositoryName=repository.name)["imageIds"] == []
    skopeo.fails("inspect", INSECURE, f"docker://{repository.at('v1')}")


def test_skopeo_converts_to_docker_and_back(skopeo: Program, repository: Repository, tmp_path: Path, ecr: Any) -> None:
    directory, _ = single(tmp_path / "image")
    target = f"docker://{repository.at('docker')}"
    skopeo("copy", "--format", "v2s2", "--dest-tls-verify=false", f"oci:{directory}:v1", target)
    skopeo("copy", "--format", "oci", *BOTH_INSECURE, target, f"docker://{repository.at('oci')}")
    kinds = [described(ecr, repository, imageTag=tag)["imageManifestMediaType"] for tag in ("docker", "oci")]
    assert kinds == ["application/vnd.docker.distribution.manifest.v2+json", IMAGE_MANIFEST]


def test_copies_of_one_image_by_many_processes_at_once_all_succeed(
    skopeo: Program, repository: Repository, tmp_path: Path, ecr: Any
) -> None:
    directory, digest = single(tmp_path / "image", size=20_000_000)
    tags = [f"copy-{number}" for number in range(6)]
    copies = [
        subprocess.Popen(
            skopeo.words(
                ("copy", "--dest-tls-verify=false", f"oci:{directory}:v1", f"docker://{repository.at(tag)}"),
            ),
            env=dict(skopeo.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for tag in tags
    ]
    printed = [copy.communicate(timeout=180)[0].decode() for copy in copies]
    assert [copy.returncode for copy in copies] == [0] * len(tags), printed
    assert sorted(described(ecr, repository, imageDigest=digest)["imageTags"]) == tags
    skopeo("copy", "--src-tls-verify=false", f"docker://{repository.at('copy-5')}", f"oci:{tmp_path / 'back'}:v1")


def test_a_wrong_password_is_refused(skopeo: Program, repository: Repository) -> None:
    registry = repository.uri.partition("/")[0]
    printed = skopeo.fails("login", INSECURE, "--username", "AWS", "--password-stdin", registry, stdin="wrong")
    assert "Login Succeeded" not in printed


# buildah


def test_buildah_builds_pushes_and_pulls(
    buildah: Program, repository: Repository, root_files: Path, tmp_path: Path, ecr: Any
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "root.tar").write_bytes(root_files.read_bytes())
    (context / "Dockerfile").write_text('FROM scratch\nADD root.tar /\nRUN /bin/echo built > /built\nCMD ["/bin/sh"]\n')
    buildah("bud", "--tag", repository.at("v1"), str(context))
    buildah("push", INSECURE, repository.at("v1"))
    assert described(ecr, repository, imageTag="v1")["imageManifestMediaType"] == IMAGE_MANIFEST
    buildah("rmi", "--all", "--force")
    container = buildah("from", INSECURE, repository.at("v1")).strip().splitlines()[-1]
    assert buildah("run", container, "--", "/bin/cat", "/built") == "built\n"
