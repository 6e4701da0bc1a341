"""Registries for tests of operation: stores of every kind, what there is to see in one, commands as processes."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.backing import Backing
from tests.live import LiveServer
from tests.postgres import PostgresServer
from tests.s3 import S3Server
from tests.wire.client import CONFIG, IMAGE, INDEX, LAYER, Client, descriptor, digest_of

SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0"}
USER_POLICY = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}"""


def server_of(
    directory: Path, *, postgres: PostgresServer | None = None, s3: S3Server | None = None, workers: int = 1
) -> LiveServer:
    """One that is not started. In a database or bucket of its own where one is given."""
    settings = Backing(postgres, s3).settings(directory)
    return LiveServer(directory, settings={**settings, **SETTINGS}, workers=workers)


def take_keys_along(old: LiveServer, new: LiveServer) -> None:
    """What backups leave out, and a move does not touch: the server key, and the root key if the settings hold none."""
    new.data.mkdir(parents=True, exist_ok=True)
    new.key_file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(old.key_file, new.key_file)
    if "root.access_key_id" not in new.settings:
        (new.data / "credentials").write_text(
            f"[default]\naws_access_key_id = {old.access_key_id}\naws_secret_access_key = {old.secret_access_key}\n"
        )


def write_config(server: LiveServer) -> Path:
    """Its settings as a file."""
    sections: dict[str, list[str]] = {"server": [f'data = "{server.data}"']}
    for name, value in server.settings.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, []).append(f'{key} = "{value}"')
    text = "".join(f"[{section}]\n" + "".join(f"{line}\n" for line in lines) for section, lines in sections.items())
    path = server.directory / "longshore.toml"
    server.directory.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def begin(server: LiveServer, *arguments: str) -> "subprocess.Popen[str]":
    """A command as a process of its own, which a test may kill."""
    server.directory.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "server", *arguments, "--data", str(server.data)],
        cwd=server.directory, env=server.environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(server: LiveServer, *arguments: str, expected: int = 0) -> str:
    """What a command prints."""
    server.directory.mkdir(parents=True, exist_ok=True)
    done = server.longshore(*arguments)
    assert done.returncode == expected, done
    return done.stdout + done.stderr


def push_image(client: Client, name: str, tag: str, *layers: bytes) -> bytes:
    """An image whose every byte was acknowledged; its manifest. Raises AssertionError where an answer is another."""
    config = f'{{"tag": "{tag}"}}'.encode()
    for data in (config, *layers):
        answer = client("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(data)}", data)
        assert answer.status == 201, answer
    content = manifest(config, layers)
    answer = client("PUT", f"/v2/{name}/manifests/{tag}", content, Content_Type=IMAGE)
    assert answer.status == 201, answer
    return content


def manifest(config: bytes, layers: tuple[bytes, ...]) -> bytes:
    document = {
        "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, layer) for layer in layers],
    }  # fmt: skip
    return json.dumps(document).encode()


def stock(server: LiveServer) -> None:
    """Something of everything: images, an index, a referrer, policies, tags, a user with a key, a role."""
    ecr, iam = server.client("ecr"), server.client("iam")
    with Client(server) as client:
        for number in range(3):
            layers = (b"a layer that all share" * 100, bytes([number]) * 700_000)
            content = push_image(client, f"team/app-{number}", "v1", *layers)
        index = json.dumps({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [{"mediaType": IMAGE, "digest": digest_of(content), "size": len(content)}],
        }).encode()  # fmt: skip
        assert client("PUT", "/v2/team/app-2/manifests/all", index, Content_Type=INDEX).status == 201
        signature = json.dumps({
            "schemaVersion": 2, "mediaType": IMAGE, "artifactType": "application/example", "layers": [],
            "config": descriptor(CONFIG, b'{"tag": "v1"}'), "annotations": {"a": "b"},
            "subject": {"mediaType": IMAGE, "digest": digest_of(content), "size": len(content)},
        }).encode()  # fmt: skip
        answer = client("PUT", f"/v2/team/app-2/manifests/{digest_of(signature)}", signature, Content_Type=IMAGE)
        assert answer.status == 201
    arn = ecr.describe_repositories(repositoryNames=["team/app-1"])["repositories"][0]["repositoryArn"]
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "team", "Value": "blue"}])
    ecr.put_image_tag_mutability(repositoryName="team/app-1", imageTagMutability="IMMUTABLE")
    iam.create_user(UserName="builder")
    iam.put_user_policy(UserName="builder", PolicyName="all", PolicyDocument=USER_POLICY)
    trust = USER_POLICY.replace(
        '"Action": "ecr:*", "Resource": "*"', '"Action": "sts:AssumeRole", "Principal": {"AWS": "*"}'
    )
    iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=trust)


def user_key(server: LiveServer) -> tuple[str, str]:
    """A new access key of the user `builder`."""
    key = server.client("iam").create_access_key(UserName="builder")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def seen(server: LiveServer) -> dict[str, Any]:
    """What everybody sees of a registry: answers of both dialects and of IAM, and every byte of every image."""
    ecr, iam = server.client("ecr"), server.client("iam")
    found: dict[str, Any] = {}
    with Client(server) as client:
        repositories = ecr.describe_repositories()["repositories"]
        found["repositories"] = [{**one, "repositoryUri": ""} for one in repositories]
        for repository in repositories:
            name = repository["repositoryName"]
            tags = client("GET", f"/v2/{name}/tags/list").json
            found[f"{name} tags"] = tags
            found[f"{name} resource tags"] = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
            images = ecr.describe_images(repositoryName=name)["imageDetails"]
            for detail in images:
                detail.pop("lastRecordedPullTime", None)
            found[f"{name} images"] = images
            for image in images:
                answer = client("GET", f"/v2/{name}/manifests/{image['imageDigest']}")
                found[f"{name} {image['imageDigest']}"] = answer.sameness()
                found[f"{name} {image['imageDigest']} referrers"] = client(
                    "GET", f"/v2/{name}/referrers/{image['imageDigest']}"
                ).json
                for entry in [answer.json.get("config"), *answer.json.get("layers", ())]:
                    if entry is not None:
                        blob = client("GET", f"/v2/{name}/blobs/{entry['digest']}")
                        assert digest_of(blob.body) == entry["digest"]
                        found[f"{name} {entry['digest']}"] = blob.sameness()
    found["details"] = {key: value for key, value in iam.get_account_authorization_details().items() if "List" in key}
    for role in found["details"]["RoleDetailList"]:
        role.pop("RoleLastUsed", None)
    return found


class Load(threading.Thread):
    """Somebody who pushes images, one after the other, until told to stop or refused; and who knows what was acknowledged."""

    def __init__(self, server: LiveServer, repository: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[str, bytes] = {}
        self.refused = ""
        self.failure: Exception | None = None
        self._server = server
        self._repository = repository
        self._stopping = threading.Event()

    def run(self) -> None:
        with Client(self._server) as client:
            while not self._stopping.is_set():
                count = len(self.acknowledged)
                layer = f"{self._repository} {count} ".encode() * (10 if count % 3 else 30_000)
                try:
                    self.acknowledged[f"t{count}"] = push_image(client, self._repository, f"t{count}", layer)
                except AssertionError as error:
                    self.refused = str(error)
                    return
                except Exception as error:  # noqa: BLE001 - the test raises it
                    self.failure = error
                    return

    def end(self) -> None:
        self._stopping.set()
        self.join(60)
        assert not self.is_alive()
        if self.failure is not None:
            raise self.failure

    def check(self, server: LiveServer) -> None:
        """All that was acknowledged is there, whole."""
        with Client(server) as client:
            for tag, content in self.acknowledged.items():
                answer = client("GET", f"/v2/{self._repository}/manifests/{tag}")
                assert answer.body == content, (tag, answer)
                for entry in [answer.json["config"], *answer.json["layers"]]:
                    blob = client("GET", f"/v2/{self._repository}/blobs/{entry['digest']}")
                    assert digest_of(blob.body) == entry["digest"]
