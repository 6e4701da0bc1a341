"""crane, oras and regctl."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.images import IMAGE_INDEX, Layout, archive, image, multi_platform, noise
from tests.acceptance.programs import Program, Repository, described


@pytest.fixture
def platforms(tmp_path: Path, busybox: Path) -> tuple[Path, str]:
    """An OCI layout with an index of two platforms tagged v1, and the digest of that index."""
    layout, index = multi_platform(tmp_path / "platforms", "v1", busybox)
    return layout.directory, index["digest"]


@pytest.fixture
def single(tmp_path: Path, repository: Repository) -> tuple[Path, str]:
    """An OCI layout with one image tagged v1, and its digest."""
    layout = Layout(tmp_path / "single")
    descriptor = layout.add(image([archive({"content": noise(100_000, repository.name)})]))
    layout.tag("v1", descriptor)
    return layout.directory, descriptor["digest"]


# crane


def test_crane_pushes_copies_and_pulls(
    crane: Program, new_repository: Callable[..., Repository], single: tuple[Path, str], tmp_path: Path
) -> None:
    first, second = new_repository(), new_repository()
    directory, digest = single
    crane("push", str(directory), first.at("v1"))
    crane("copy", first.at("v1"), second.at("v1"))
    assert crane("digest", second.at("v1")).strip() == digest
    crane("pull", "--format", "oci", second.at("v1"), str(tmp_path / "back"))
    assert (tmp_path / "back" / "blobs" / "sha256" / digest.removeprefix("sha256:")).exists()
    crane("validate", "--remote", second.at("v1"))


def test_crane_copies_an_index_with_all_its_images(
    crane: Program, new_repository: Callable[..., Repository], platforms: tuple[Path, str]
) -> None:
    first, second = new_repository(), new_repository()
    directory, digest = platforms
    crane("push", "--index", str(directory), first.at("layout"))
    crane("copy", f"{first.uri}@{digest}", second.at("v1"))
    crane("validate", "--remote", second.at("v1"))
    assert crane("digest", second.at("v1")).strip() == digest
    assert "/says" not in crane("export", "--platform", "linux/arm64", second.at("v1"), "-")


def test_crane_appends_to_an_index(crane: Program, repository: Repository, single: tuple[Path, str]) -> None:
    directory, digest = single
    crane("push", str(directory), repository.at("v1"))
    crane("index", "append", "--manifest", repository.at("v1"), "--tag", repository.at("all"))
    index = json.loads(crane("manifest", repository.at("all")))
    assert [child["digest"] for child in index["manifests"]] == [digest]


def test_crane_appends_a_layer_and_changes_a_config(
    crane: Program, repository: Repository, single: tuple[Path, str], tmp_path: Path
) -> None:
    directory, digest = single
    crane("push", str(directory), repository.at("v1"))
    (tmp_path / "layer.tar").write_bytes(archive({"added": b"added\n"}))
    crane(
        "append",
        "--base",
        repository.at("v1"),
        "--new_layer",
        str(tmp_path / "layer.tar"),
        "--new_tag",
        repository.at("v2"),
    )
    crane("mutate", "--label", "a=b", "--tag", repository.at("v3"), repository.at("v2"))
    assert json.loads(crane("config", repository.at("v3")))["config"]["Labels"] == {"a": "b"}
    assert crane("digest", repository.at("v1")).strip() == digest


def test_crane_lists_tags_and_repositories(crane: Program, repository: Repository, single: tuple[Path, str]) -> None:
    directory, _ = single
    crane("push", str(directory), repository.at("v1"))
    crane("tag", repository.at("v1"), "v2")
    assert crane("ls", repository.uri).split() == ["v1", "v2"]
    assert repository.name in crane("catalog", repository.uri.partition("/")[0]).split()


def test_crane_deletes_an_image(crane: Program, repository: Repository, single: tuple[Path, str], ecr: Any) -> None:
    directory, digest = single
    crane("push", str(directory), repository.at("v1"))
    crane("delete", repository.at(digest))
    assert ecr.list_images(repositoryName=repository.name)["imageIds"] == []
    assert "MANIFEST_UNKNOWN" in crane.fails("manifest", repository.at("v1"))


def test_crane_shows_why_a_push_is_refused(crane: Program, repository: Repository, single: tuple[Path, str]) -> None:
    directory, _ = single
    missing = f"{repository.uri}/nobody-made-this"
    printed = crane.fails("push", str(directory), f"{missing}:v1")
    assert f"The repository with name '{repository.name}/nobody-made-this' does not exist" in printed


# oras


def test_oras_pushes_attaches_discovers_and_pulls(
    oras: Program, repository: Repository, tmp_path: Path, ecr: Any
) -> None:
    content = noise(1_000_000, repository.name)
    (tmp_path / "model.bin").write_bytes(content)
    (tmp_path / "sbom.json").write_text('{"packages": []}')
    (tmp_path / "report.txt").write_text("fine\n")
    pushed = oras(
        "push", "--plain-http", "--artifact-type", "application/vnd.example.model",
        repository.at("v1"), "model.bin:application/octet-stream",
    )  # fmt: skip
    digest = pushed.split("Digest: ")[1].split()[0]
    for name, kind in (("sbom.json", "application/vnd.example.sbom"), ("report.txt", "application/vnd.example.report")):
        oras("attach", "--plain-http", "--artifact-type", kind, repository.at("v1"), f"{name}:text/plain")

    found = json.loads(oras("discover", "--plain-http", "--format", "json", repository.at("v1")))
    assert {item["artifactType"] for item in found["referrers"]} == {
        "application/vnd.example.sbom",
        "application/vnd.example.report",
    }
    only = json.loads(
        oras(
            "discover", "--plain-http", "--format", "json", "--artifact-type", "application/vnd.example.sbom",
            repository.at("v1"),
        )
    )  # fmt: skip
    assert [item["artifactType"] for item in only["referrers"]] == ["application/vnd.example.sbom"]
    # Where the referrers API works no fallback tag is made.
    assert oras("repo", "tags", "--plain-http", repository.uri).split() == ["v1"]

    oras("pull", "--plain-http", "--output", str(tmp_path / "back"), repository.at("v1"))
    assert (tmp_path / "back" / "model.bin").read_bytes() == content
    assert described(ecr, repository, imageDigest=digest)["artifactMediaType"] == "application/vnd.example.model"


def test_oras_copies_an_artifact_with_its_referrers(
    oras: Program, new_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    first, second = new_repository(), new_repository()
    (tmp_path / "file").write_text("content\n")
    oras("push", "--plain-http", first.at("v1"), "file")
    oras("attach", "--plain-http", "--artifact-type", "application/vnd.example.note", first.at("v1"), "file")
    oras("cp", "--recursive", "--from-plain-http", "--to-plain-http", first.at("v1"), second.at("v1"))
    found = json.loads(oras("discover", "--plain-http", "--format", "json", second.at("v1")))
    assert [item["artifactType"] for item in found["referrers"]] == ["application/vnd.example.note"]


def test_oras_deletes_manifests_and_moves_blobs(oras: Program, repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    printed = oras("push", "--plain-http", repository.at("v1"), "file")
    digest = printed.split("Digest: ")[1].split()[0]
    oras("tag", "--plain-http", repository.at("v1"), "v2")
    oras("manifest", "delete", "--plain-http", "--force", repository.at(digest))
    assert oras("repo", "tags", "--plain-http", repository.uri).split() == []
    pushed = json.loads(oras("blob", "push", "--plain-http", "--descriptor", repository.uri, "file"))
    fetched = oras("blob", "fetch", "--plain-http", "--output", "-", repository.at(pushed["digest"]))
    assert fetched == "content\n"
    oras("blob", "delete", "--plain-http", "--force", repository.at(pushed["digest"]))
    oras.fails("blob", "fetch", "--plain-http", "--output", "-", repository.at(pushed["digest"]))


# regctl


def test_regctl_copies_an_image_from_a_layout_and_between_repositories(
    regctl: Program, new_repository: Callable[..., Repository], platforms: tuple[Path, str], ecr: Any
) -> None:
    first, second = new_repository(), new_repository()
    directory, digest = platforms
    regctl("image", "copy", f"ocidir://{directory}:v1", first.at("v1"))
    regctl("image", "copy", first.at("v1"), second.at("v1"))
    assert regctl("image", "digest", second.at("v1")).strip() == digest
    assert described(ecr, second, imageTag="v1")["imageManifestMediaType"] == IMAGE_INDEX


def test_regctl_deletes_a_tag_and_leaves_the_image(
    regctl: Program, repository: Repository, single: tuple[Path, str]
) -> None:
    directory, digest = single
    for tag in ("v1", "v2"):
        regctl("image", "copy", f"ocidir://{directory}:v1", repository.at(tag))
    regctl("tag", "delete", repository.at("v1"))
    assert regctl("tag", "ls", repository.uri).split() == ["v2"]
    assert regctl("manifest", "head", repository.at(digest)).strip() == digest


def test_regctl_puts_gets_and_deletes_blobs(regctl: Program, repository: Repository) -> None:
    digest = regctl("blob", "put", repository.uri, stdin="a blob\n").strip()
    assert regctl("blob", "get", repository.uri, digest) == "a blob\n"
    regctl("blob", "head", repository.uri, digest)
    regctl("blob", "delete", repository.uri, digest)
    regctl.fails("blob", "head", repository.uri, digest)


def test_regctl_finds_the_artifacts_of_an_image(
    regctl: Program, repository: Repository, single: tuple[Path, str]
) -> None:
    directory, _ = single
    regctl("image", "copy", f"ocidir://{directory}:v1", repository.at("v1"))
    for kind in ("sbom", "note"):
        regctl(
            "artifact", "put", "--artifact-type", f"application/vnd.example.{kind}",
            "--subject", repository.at("v1"), stdin=kind,
        )  # fmt: skip
    found = regctl(
        "artifact", "list", repository.at("v1"), "--format", "{{range .Descriptors}}{{println .ArtifactType}}{{end}}"
    )
    assert sorted(found.split()) == ["application/vnd.example.note", "application/vnd.example.sbom"]
    got = regctl(
        "artifact", "get", "--subject", repository.at("v1"), "--filter-artifact-type", "application/vnd.example.sbom"
    )
    assert got == "sbom"


def test_regctl_copies_an_image_with_its_referrers(
    regctl: Program, new_repository: Callable[..., Repository], single: tuple[Path, str]
) -> None:
    first, second = new_repository(), new_repository()
    directory, _ = single
    regctl("image", "copy", f"ocidir://{directory}:v1", first.at("v1"))
    regctl("artifact", "put", "--artifact-type", "application/vnd.example.note", "--subject", first.at("v1"), stdin="n")
    regctl("image", "copy", "--referrers", first.at("v1"), second.at("v1"))
    got = regctl("artifact", "get", "--subject", second.at("v1"))
    assert got == "n"
