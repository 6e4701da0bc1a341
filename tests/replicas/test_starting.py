"""A replica is nothing but its settings: it starts on what is there, keeps nothing, and refuses what the others do not have."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from store.migrate import migrations
from tests.live import LiveServer
from tests.replicas.conftest import Fleet
from tests.wire.client import Client, basic

NAME = "replicas/starting"


def test_three_that_start_at_once_make_one_database(new_store: Callable[[], dict[str, str]], tmp_path: Path) -> None:
    for attempt in range(2):
        with Fleet(tmp_path / f"{attempt}", new_store(), count=3) as fleet:
            with fleet.servers[0].rows() as rows:
                applied = [number for (number,) in rows.execute("SELECT number FROM migrations ORDER BY number")]
                keys = rows.execute("SELECT COUNT(*) FROM signing_keys WHERE retired_at IS NULL").fetchone()
            assert applied == list(migrations())
            assert keys == (1,)
            digest = fleet[0].push_image(NAME, "latest")
            assert fleet[1]("HEAD", f"/v2/{NAME}/manifests/latest").headers["Docker-Content-Digest"] == digest


def test_a_replica_with_an_empty_directory_serves_what_is_there(fleet: Fleet) -> None:
    digest = fleet[0].push_image(NAME, "latest", layers=[b"a layer"])
    with fleet.another() as fresh, Client(fresh) as client:
        assert client("GET", f"/v2/{NAME}/manifests/latest").headers["Docker-Content-Digest"] == digest
        assert client("GET", f"/v2/{NAME}/blobs/{_layer(client)}").body == b"a layer"


def _layer(client: Client) -> str:
    layer: str = client("GET", f"/v2/{NAME}/manifests/latest").json["layers"][0]["digest"]
    return layer


def test_a_replica_keeps_nothing_but_its_metrics(fleet: Fleet) -> None:
    fleet[0].push_image(NAME, "latest")
    fleet.servers[0].client("iam").list_users()
    for server in fleet.servers:
        kept = {path.relative_to(server.data).parts[0] for path in server.data.rglob("*")}
        assert kept <= {"run"}


def test_a_replica_whose_directory_was_lost_is_as_before(fleet: Fleet) -> None:
    server = fleet.servers[2]
    fleet[0].push_image(NAME, "latest")
    server.stop()
    shutil.rmtree(server.data)
    server.start()
    with Client(server) as client:
        assert client("GET", f"/v2/{NAME}/manifests/latest").status == 200
        assert client.push_image(NAME, "after") == fleet[1].push_image(NAME, "after")


def test_decisions_of_all_replicas_are_shown_wherever_the_command_runs(fleet: Fleet) -> None:
    for number, server in enumerate(fleet.servers):
        iam = server.client("iam")
        iam.create_user(UserName=f"audited-{number}")
        key = iam.create_access_key(UserName=f"audited-{number}")["AccessKey"]
        with Client(server, authorization=basic(key["AccessKeyId"], key["SecretAccessKey"])) as client:
            assert client("GET", f"/v2/{NAME}/tags/list").status == 403
    for server in fleet.servers:
        server.restart()
    command = fleet.another()
    done = command.longshore("audit", "--principal", "audited-*", "--decision", "denied", "--limit", "0")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done
    assert not (command.data / "longshore.db").exists()


# Settings that cannot be


def refusal(server: LiveServer) -> str:
    """What `serve` says, in one line that is no event, before it ends."""
    server.directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        server.command(), cwd=server.directory, env=server.environment(), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("{"))
    assert done.stdout == ""
    return line


@pytest.mark.parametrize("missing", ["root.access_key_id", "secrets.key_file"])
def test_a_replica_without_the_keys_of_all_does_not_start(fleet: Fleet, missing: str) -> None:
    server = fleet.another()
    gone = {missing, missing.replace("access_key_id", "secret_access_key")}
    server.settings = {key: value for key, value in server.settings.items() if key not in gone}
    line = refusal(server)
    assert line.startswith("longshore: with PostgreSQL every replica needs the same root key and server keys: set ")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_replica_with_another_server_key_does_not_start(fleet: Fleet, tmp_path: Path, workers: int) -> None:
    keys = tmp_path / "other.keys"
    keys.write_text("another server key, which never encrypted anything in that database\n")
    server = fleet.another(**{"secrets.key_file": str(keys)})
    server.workers = workers
    assert refusal(server) == (
        "longshore: a secret in the store was encrypted under another server key: put that key into the key file, too"
    )


def test_a_replica_that_finds_no_database_says_so(fleet: Fleet) -> None:
    url = fleet.shared["database.url"].rpartition("/")[0] + "/there_is_none"
    assert refusal(fleet.another(**{"database.url": url})).startswith("longshore: the database does not answer: ")
