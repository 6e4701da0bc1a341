"""`longshore fsck` as a command, beside servers over every kind of store."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.fsck.finding import Kind
from tests.live import LiveServer
from tests.operation.registries import Load, begin, push_image, run, server_of
from tests.operation.test_backup_live import wait_for
from tests.postgres import PostgresServer
from tests.s3 import S3Server
from tests.wire.client import Client, digest_of, eventually

LAYER = b"a layer that is lost" * 50_000


def lose(server: LiveServer, s3: S3Server | None) -> None:
    """Delete the bytes of LAYER behind the server's back."""
    with server.rows() as rows:
        (key,) = rows.execute("SELECT key FROM blobs WHERE digest = ?", (digest_of(LAYER),)).fetchone()
    name = key.partition("/")[2]
    root = server.data / "blobs" if s3 is None else s3.directory / "buckets" / server.settings["storage.s3_bucket"]
    (path,) = [path for path in root.rglob("*") if path.is_file() and path.name == name]
    path.unlink()


@pytest.mark.parametrize("kind", ["sqlite+disk", "postgres+s3"])
def test_a_lost_layer_is_named_and_pushing_it_again_heals(tmp_path: Path, request: pytest.FixtureRequest, kind: str):
    s3: S3Server | None = request.getfixturevalue("s3") if kind == "postgres+s3" else None
    postgres = request.getfixturevalue("postgres") if kind == "postgres+s3" else None
    with server_of(tmp_path, postgres=postgres, s3=s3) as server, Client(server) as client:
        content = push_image(client, "team/app", "v1", LAYER, b"another layer")
        assert run(server, "fsck").splitlines()[-1] == "all is well"
        lose(server, s3)
        image = f"123456789012/us-east-1/team/app@{digest_of(content)} (v1)"
        for arguments in ((), ("--quick",)):
            assert f"bytes-missing: {digest_of(LAYER)}: " in run(server, "fsck", *arguments, expected=1)
        *findings, summary = map(json.loads, run(server, "fsck", "--format", "json", expected=1).splitlines())
        assert [(one["kind"], one["images"], one["mended"]) for one in findings] == [("bytes-missing", [image], False)]
        assert (summary["findings"], summary["mended"]) == (1, 0)
        assert client("HEAD", f"/v2/team/app/blobs/{digest_of(LAYER)}").status == 200
        assert "2 findings, 1 of them mended" in run(server, "fsck", "--repair", expected=1)
        assert client("HEAD", f"/v2/team/app/blobs/{digest_of(LAYER)}").status == 404
        ecr = server.client("ecr")
        (layer,) = ecr.batch_check_layer_availability(repositoryName="team/app", layerDigests=[digest_of(LAYER)])[
            "layers"
        ]
        assert layer["layerAvailability"] == "UNAVAILABLE"
        assert "blob-lost" in run(server, "fsck", expected=1)
        push_image(client, "team/app", "v1", LAYER, b"another layer")
        assert run(server, "fsck").splitlines()[-1] == "all is well"
        assert client("GET", f"/v2/team/app/blobs/{digest_of(LAYER)}").body == LAYER


def test_settings_that_name_another_bucket_make_nothing_of_this_one_lost(
    tmp_path: Path, postgres: PostgresServer, s3: S3Server
):
    with server_of(tmp_path, postgres=postgres, s3=s3) as server, Client(server) as client:
        push_image(client, "team/app", "v1", LAYER)
        own = server.settings["storage.s3_bucket"]
        server.settings["storage.s3_bucket"] = "nowhere"
        for command in (("fsck",), ("fsck", "--repair")):
            assert run(server, *command, expected=2) == "longshore: the bucket `nowhere` is not there\n"
        server.settings["storage.s3_bucket"] = own
        assert run(server, "fsck").splitlines()[-1] == "all is well"


def test_an_inspection_beside_a_load_of_pushes_finds_nothing(tmp_path: Path):
    with server_of(tmp_path, workers=2) as server:
        loads = [Load(server, f"load/{number}") for number in range(2)]
        for load in loads:
            load.start()
        for _ in range(5):
            assert run(server, "fsck", "--repair").splitlines()[-1] == "all is well"
        for load in loads:
            load.end()
            load.check(server)


def test_an_inspection_that_was_stopped_goes_on_and_keeps_what_it_found(tmp_path: Path):
    with server_of(tmp_path) as server:
        with Client(server) as client:
            layers = [bytes([number]) * 300_000 for number in range(10)]
            push_image(client, "team/app", "v1", *layers, LAYER)
        lose(server, None)
        progress = server.data / "fsck.progress"
        process = begin(server, "fsck", "--rate", "0.5")
        wait_for(progress.exists)
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert process.returncode == 130
        before = json.loads(progress.read_text())
        assert before["phase"] == "blobs"
        assert 0 < before["counts"]["blobs"] < 12
        said = run(server, "fsck", expected=1)
        assert "going on with the inspection of" in said
        assert said.count("bytes-missing") == 1
        assert "inspected 12 blobs, 3.0 MB read" in said
        assert not progress.exists()
        progress.write_text("{}")
        assert "going on" not in run(server, "fsck", expected=1)


def test_what_keeps_it_from_running_is_no_finding(tmp_path: Path):
    server = server_of(tmp_path)
    assert "there is no database" in run(server, "fsck", expected=2)
    with server:
        run(server, "read-only", "on")
        assert "read-only" in run(server, "fsck", "--repair", expected=2)
        assert "all is well" in run(server, "fsck")
        run(server, "fsck", "--rate", "fast", expected=2)


@pytest.mark.parametrize("kind", ["sqlite+disk", "postgres+s3"])
def test_a_store_that_is_not_there_is_not_taken_for_one_that_lost_everything(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
):
    """A disk that is not mounted, another bucket: a repair would give up all that is in the right one."""
    s3: S3Server | None = request.getfixturevalue("s3") if kind == "postgres+s3" else None
    postgres = request.getfixturevalue("postgres") if kind == "postgres+s3" else None
    with server_of(tmp_path, postgres=postgres, s3=s3) as server:
        with Client(server) as client:
            push_image(client, "team/app", "v1", *(bytes([number]) * 1000 for number in range(20)))
        server.stop()
        away = move_away(server, s3)
        said = run(server, "fsck", "--repair", expected=2)
        assert said.startswith("longshore: none of 21 blobs is in the store: is its disk mounted")
        assert "21 findings, none of them mended" in run(server, "fsck", expected=1).replace(", 0 of", ", none of")
        away()
        assert run(server, "fsck", "--restart").splitlines()[-1] == "all is well"
        move_away(server, s3)
        assert "[mended: " in run(server, "fsck", "--repair", "--restart", "--store-is-lost", expected=1)
        server.start()
        with Client(server) as client:
            push_image(client, "team/app", "v1", *(bytes([number]) * 1000 for number in range(20)))
        assert run(server, "fsck", "--restart").splitlines()[-1] == "all is well"


def move_away(server: LiveServer, s3: S3Server | None) -> Callable[[], None]:
    """Another disk, or bucket, in the place of the right one; returns what brings that back."""
    if s3 is not None:
        right = server.settings["storage.s3_bucket"]
        server.settings["storage.s3_bucket"] = s3.new_bucket().bucket
        return lambda: server.settings.update({"storage.s3_bucket": right})
    blobs, aside = server.data / "blobs", server.data / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    blobs.rename(aside)

    def back() -> None:
        shutil.rmtree(blobs)
        aside.rename(blobs)

    return back


def test_the_store_of_another_registry_is_neither_mended_nor_searched(tmp_path: Path):
    with server_of(tmp_path / "one") as one, server_of(tmp_path / "two") as two:
        with Client(one) as client:
            push_image(client, "team/app", "v1", LAYER)
        eventually(lambda: all((server.data / "blobs" / "owner").exists() for server in (one, two)))
        two.stop()
        shutil.rmtree(two.data / "blobs")
        (two.data / "blobs").symlink_to(one.data / "blobs")
        for arguments, code in (
            (("fsck", "--repair"), 2),
            (("gc", "--orphans"), 1),
            (("gc", "--dry-run", "--orphans"), 1),
        ):
            said = run(two, *arguments, expected=code)
            assert said.startswith("longshore: the store of blobs belongs to the registry ")
            assert said.count("\n") == 1
        two.start()
        assert run(one, "fsck").splitlines()[-1] == "all is well"


def test_its_help_lists_every_kind_of_finding(tmp_path: Path):
    said = run(server_of(tmp_path), "fsck", "--help")
    assert [kind.word for kind in Kind if kind.word not in said] == []
