"""The conformance suite of the OCI Distribution specification, as of its development head, with every option on."""

import base64
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import LiveServer
from tests.parts import SYSTEM_PATH, built
from tests.require import need

REPOSITORIES = ("conformance/repo1", "conformance/repo2")
SUITE_SECONDS = 300.0

# What the suite counts with every option on, in all and as single checks (its sum also counts the groups). A lower
# count means that tests fell away; a newer suite raises these.
TESTS = 1032
CHECKS = 830
# Without the sparse group. A mount that turns into an upload is one check where one that mounts is three.
CHECKS_BESIDE_SPARSE = 793
CHECKS_OF_MOUNTS = 8

# Every switch of the suite but those of its read-only mode, so that nothing hangs on its defaults.
OPTIONS = (
    "API_PING", "API_PULL", "API_PUSH", "API_BLOBS_ATOMIC", "API_BLOBS_DELETE", "API_BLOBS_DIGEST_HEADER",
    "API_BLOBS_MOUNT_ANONYMOUS", "API_BLOBS_UPLOAD_CANCEL", "API_MANIFESTS_ATOMIC", "API_MANIFESTS_DELETE",
    "API_MANIFESTS_DIGEST_HEADER", "API_MANIFESTS_TAG_PARAM", "API_TAGS_ATOMIC", "API_TAGS_DELETE", "API_TAGS_LIST",
    "API_REFERRER", "DATA_IMAGE", "DATA_INDEX", "DATA_INDEX_LIST", "DATA_SPARSE", "DATA_ARTIFACT", "DATA_SUBJECT",
    "DATA_SUBJECT_MISSING", "DATA_ARTIFACT_LIST", "DATA_SUBJECT_LIST", "DATA_DATA_FIELD", "DATA_NONDISTRIBUTABLE",
    "DATA_CUSTOM_FIELDS", "DATA_NO_LAYERS", "DATA_EMPTY_BLOB", "DATA_SHA512",
)  # fmt: skip


@dataclass(frozen=True)
class Check:
    """A leaf of the suite's tree."""

    name: str
    status: str
    complaint: str

    @property
    def group(self) -> str:
        return self.name.split("/")[1]


@dataclass(frozen=True)
class Outcome:
    exit_status: int
    counts: Mapping[str, int]
    checks: tuple[Check, ...]

    def not_passed(self) -> list[str]:
        return [f"{check.status}: {check.name}: {check.complaint}" for check in self.checks if check.status != "passed"]


@pytest.fixture(scope="session")
def suite() -> Path:
    return need("conformance", built("conformance"), "the OCI conformance suite")


def run_suite(program: Path, server: LiveServer, directory: Path, user: str, password: str) -> Outcome:
    """Runs it against repositories that exist."""
    directory.mkdir()
    done = subprocess.run(
        [program],
        cwd=directory,
        env={
            "PATH": SYSTEM_PATH,
            "HOME": str(directory),
            "OCI_REGISTRY": server.address,
            "OCI_TLS": "disabled",
            "OCI_VERSION": "dev",
            "OCI_REPO1": REPOSITORIES[0],
            "OCI_REPO2": REPOSITORIES[1],
            "OCI_USERNAME": user,
            "OCI_PASSWORD": password,
            "OCI_RESULTS_DIR": str(directory / "results"),
            **{f"OCI_{option}": "true" for option in OPTIONS},
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SUITE_SECONDS,
        check=False,
    )
    report = directory / "results" / "junit.xml"
    assert report.exists(), done.stderr
    root = ET.parse(report).getroot()
    return Outcome(
        exit_status=done.returncode,
        counts={name: int(root.get(name, "0")) for name in ("tests", "errors", "failures", "skipped", "disabled")},
        checks=tuple(
            Check(case.get("name", ""), case.get("status", ""), " ".join(case.findtext("system-out", "").split()))
            for case in root.iter("testcase")
        ),
    )


def create_repositories(server: LiveServer) -> None:
    ecr = server.client("ecr")
    for name in REPOSITORIES:
        ecr.create_repository(repositoryName=name)


def everything_allowed(suite: Path, server: LiveServer, directory: Path) -> Outcome:
    """A run by a token of GetAuthorizationToken."""
    create_repositories(server)
    (data,) = server.client("ecr").get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return run_suite(suite, server, directory, user, password)


ALLOW = {"registry.allow_sparse": "true", "registry.create_on_push": "true"}


@pytest.mark.parametrize("workers", [1, 3])
def test_every_test_passes_with_every_option_on(workers: int, suite: Path, tmp_path: Path) -> None:
    with LiveServer(tmp_path / "server", workers=workers, settings=ALLOW) as server:
        outcome = everything_allowed(suite, server, tmp_path / "suite")
    assert outcome.not_passed() == []
    assert {name: count for name, count in outcome.counts.items() if name != "tests" and count} == {}
    assert outcome.counts["tests"] >= TESTS
    assert len(outcome.checks) >= CHECKS
    assert outcome.exit_status == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_under_the_bearer_challenge_only_mounts_beyond_the_token_become_uploads(
    workers: int, suite: Path, tmp_path: Path
) -> None:
    """The suite asks for a token of the target alone, so the source is out of its reach: 202, as specified."""
    with LiveServer(tmp_path / "server", workers=workers, settings={**ALLOW, "auth.challenge": "bearer"}) as server:
        outcome = everything_allowed(suite, server, tmp_path / "suite")
    beyond = {check.name for check in outcome.checks if check.status == "skipped"}
    assert [line for line in outcome.not_passed() if not line.startswith("skipped: ")] == []
    assert beyond == {
        f"OCI Conformance Test/{algorithm} blobs/{kind}"
        for algorithm in ("sha256", "sha512")
        for kind in ("mount/blob-mount", "mount anonymous/blob-mount-anonymous")
    }
    assert len(outcome.checks) >= CHECKS - CHECKS_OF_MOUNTS


def test_with_default_settings_all_but_the_sparse_group_passes(suite: Path, tmp_path: Path) -> None:
    with LiveServer(tmp_path / "server") as server:
        create_repositories(server)
        outcome = run_suite(suite, server, tmp_path / "default", server.access_key_id, server.secret_access_key)
    sparse = [check for check in outcome.checks if check.group == "sparse"]
    others = [check for check in outcome.checks if check.group != "sparse"]
    refused = [check for check in sparse if check.status != "passed" and check.name.endswith("push/manifest-by-digest")]
    assert [check for check in others if check.status != "passed"] == []
    assert len(others) >= CHECKS_BESIDE_SPARSE
    assert len(refused) == 2, "ECR refuses an image and an index whose parts were not pushed"
