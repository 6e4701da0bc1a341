"""Servers whose decisions are looked at by the commands, as a person would."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.live import LiveServer
from tests.wire.client import CONFIG, IMAGE, LAYER, Client, basic, descriptor, digest_of, eventually

ACCOUNT = "123456789012"
PUSHES = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "Enter", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
            "Sid": "Push",
            "Effect": "Allow",
            "Action": "ecr:*",
            "Resource": f"arn:aws:ecr:*:{ACCOUNT}:repository/team-a/*",
        },
    ],
}


def decisions(server: LiveServer, *arguments: str) -> list[dict[str, Any]]:
    """What `longshore audit` shows, the oldest first."""
    done = server.longshore("audit", "--format", "json", "--limit", "0", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in reversed(done.stdout.splitlines())]


def asked(found: Iterable[dict[str, Any]]) -> Counter[tuple[str, str, str]]:
    """How often was what decided how."""
    return Counter((one["action"], one["resource"].rpartition("repository/")[2], one["decision"]) for one in found)


class Ci:
    """A user who pushes to team-a, with the policy `push`."""

    def __init__(self, server: LiveServer) -> None:
        iam, ecr = server.client("iam"), server.client("ecr")
        iam.create_user(UserName="ci", Tags=[{"Key": "team", "Value": "a"}])
        iam.put_user_policy(UserName="ci", PolicyName="push", PolicyDocument=json.dumps(PUSHES))
        for name in ("team-a/app", "team-b/app"):
            ecr.create_repository(repositoryName=name)
        key = iam.create_access_key(UserName="ci")["AccessKey"]
        self.key, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
        self.client = Client(server, authorization=basic(self.key, self.secret))

    def push_as_docker(self, name: str, tag: str, layer: bytes) -> None:
        """Look whether the blob is there, begin, send, finish; then the manifest, looked for before."""
        client = self.client
        for blob in (b"{}", layer):
            assert client("HEAD", f"/v2/{name}/blobs/{digest_of(blob)}").status == 404
            location = urlsplit(client.begin(name)).path
            assert client("PATCH", location, blob).status == 202
            assert client("PUT", f"{location}?digest={digest_of(blob)}").status == 201
        assert client("HEAD", f"/v2/{name}/manifests/{tag}").status == 404
        manifest = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor(CONFIG, b"{}"),
            "layers": [descriptor(LAYER, layer)],
        }
        client.push_manifest(name, json.dumps(manifest).encode(), tag)


PUSH = Counter(
    {
        ("ecr:BatchCheckLayerAvailability", "team-a/app", "allowed"): 2,
        ("ecr:InitiateLayerUpload", "team-a/app", "allowed"): 2,
        ("ecr:UploadLayerPart", "team-a/app", "allowed"): 4,
        ("ecr:CompleteLayerUpload", "team-a/app", "allowed"): 2,
        ("ecr:BatchGetImage", "team-a/app", "allowed"): 1,
        ("ecr:PutImage", "team-a/app", "allowed"): 1,
    }
)
"""What such a push asks for. Who finishes an upload may send its last bytes with that."""
REFUSED = Counter({("ecr:BatchGetImage", "team-b/app", "denied"): 2})


@dataclass
class Past:
    """A server that is down, and what its user did: a push, two refused pulls of another team's image."""

    server: LiveServer
    ci: Ci
    token: str
    last_request: str
    metrics: str


def _counted(metrics: str) -> str:
    """The metrics, once a refusal of each kind is in them: workers tell each other of their counts from time to time."""
    found = re.search(r"^longshore_decisions_denied_total (\S+)$", metrics, flags=re.MULTILINE)
    return metrics if found and float(found[1]) >= REFUSED.total() else ""


@pytest.fixture(scope="package")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    with LiveServer(tmp_path_factory.mktemp("server"), settings={"storage.reserve": "0"}, workers=2) as server:
        ci = Ci(server)
        ci.push_as_docker("team-a/app", "v1", b"a layer")
        for tag in ("v1", "v2"):
            refused = ci.client("GET", f"/v2/team-b/app/manifests/{tag}", User_Agent="a client")
            assert refused.status == 403
        ci.client.close()
        token = server.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        with Client(server, authorization=f"Basic {token}") as client:
            assert client("GET", "/v2/team-a/app/tags/list").status == 200
            eventually(lambda: len(decisions(server, "--principal", "ci")) == (PUSH + REFUSED).total())
            metrics = eventually(lambda: _counted(client("GET", "/metrics").body.decode()))
    return Past(server, ci, token, refused.headers["x-amzn-RequestId"], metrics)
